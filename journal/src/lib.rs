//! lakemirror's state machine and its durable, hash-chained log.

pub mod bits;
pub mod codec;
pub mod command;
pub mod commit;
pub mod decide;
pub mod event;
pub mod ids;
pub mod limits;
pub mod log;
pub mod mutant;
pub mod state;
