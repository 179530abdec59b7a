//! lakemirror's state machine and its durable, hash-chained log.

pub mod bits;
pub mod codec;
pub mod command;
pub mod decide;
pub mod event;
pub mod log;
pub mod state;

pub use lakemirror_core::{commit, ids, limits, mutant};
