//! What the engine's threads are made of and share, by one name each, and how much waits between them.
//!
//! `tests/threads` compiles the files that take them from here under a scheduler that tries the orders in which they can
//! happen: there the same names stand for the scheduler's own, and the numbers are small.

pub(crate) use std::sync::{Mutex, atomic};
pub(crate) use std::thread;

/// Commands and reads that may wait for the journal's thread; senders wait beyond it.
pub(crate) const QUEUE_MAX: usize = 4096;

/// Commands decided before their facts are made durable together.
pub(crate) const GROUP_MAX: usize = 512;
