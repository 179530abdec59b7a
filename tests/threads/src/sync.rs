//! tokio's channels, with yield points for the scheduler between any two of their steps.
//!
//! They are tokio's own: the semantics of a queue, an answer or a wake-up are not modelled here. tokio has no threads
//! and no blocking in them, only wakers, and those wake the scheduler's tasks like any others. An operation is one step
//! here if tokio guarantees that it appears atomic; [`point`] is where another thread may run in between.

pub mod mpsc;
mod notify;
pub mod oneshot;

pub use notify::Notify;
use shuttle::sync::atomic::{AtomicBool, Ordering};

/// A yield point: another thread may run here, as at every atomic operation.
pub(crate) fn point() {
    AtomicBool::new(false).load(Ordering::SeqCst);
}
