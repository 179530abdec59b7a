//! lakemirror's state machine and its durable, hash-chained log.

pub mod commit;
pub mod ids;
pub mod log;
