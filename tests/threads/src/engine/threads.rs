//! Replaces `engine/src/threads.rs`: threads of the scheduler, and a small capacity, so that it is soon full.

pub(crate) use shuttle::sync::{Mutex, atomic};

pub(crate) mod thread;

pub(crate) const QUEUE_MAX: usize = 2;
pub(crate) const GROUP_MAX: usize = 3;
