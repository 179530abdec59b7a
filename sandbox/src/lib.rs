//! What lakemirror is tried on and judged by, and the demo: none of it is part of the service.

pub mod checker;
pub mod demo;
pub mod sandbox;
