//! What stands for `engine/src/threads.rs` here: the scheduler's threads, and little room, so that it is soon full.

pub(crate) use shuttle::sync::{Mutex, atomic};

pub(crate) mod thread;

pub(crate) const QUEUE_MAX: usize = 2;
pub(crate) const GROUP_MAX: usize = 3;
