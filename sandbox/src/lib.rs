//! The environment in which lakemirror is tested, the checker, and the demo. None of it is part of the service.

pub mod checker;
pub mod demo;
pub mod sandbox;
