//! tokio's channels, with the scheduler's hand between any two things that they do.
//!
//! They are tokio's own: what a queue, an answer or a wake-up means is not modelled here. tokio has no threads and no
//! waiting of its own in them, only wakers, and those wake the scheduler's tasks like any other's. What they do is done
//! in one step here where tokio promises that it looks so; [`point`] is where another thread may come in between.

pub mod mpsc;
mod notify;
pub mod oneshot;

pub use notify::Notify;
use shuttle::sync::atomic::{AtomicBool, Ordering};

/// Another thread may go on here: the scheduler decides, as at every operation on an atomic.
pub(crate) fn point() {
    AtomicBool::new(false).load(Ordering::SeqCst);
}
