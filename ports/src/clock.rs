//! Time as an argument: the wall clock for people, the monotonic clock for intervals, and sleeping.
//!
//! Everything that waits or takes timestamps takes a [`Clock`]. Tests and the simulation pass one that they drive by
//! hand.

use std::time::Duration;

pub mod system;

/// A source of time.
#[async_trait::async_trait]
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970 by the wall clock. For records and people; it may jump.
    fn wall_ms(&self) -> u64;
    /// Time since an arbitrary start. For intervals and ages; it never goes back.
    fn monotonic(&self) -> Duration;
    /// Returns after `duration` of monotonic time.
    async fn sleep(&self, duration: Duration);
}

/// A source of randomness for ids and jitter.
pub trait Entropy: Send + Sync {
    /// 64 uniformly random bits.
    fn random_u64(&self) -> u64;
}
