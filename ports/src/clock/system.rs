//! The machine's own time and randomness, behind [`Clock`] and [`Entropy`].
//!
//! This is the only module that reads the system's clocks and random numbers. The composition root creates one of each
//! and passes them on.

#![expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock and entropy")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::TryRngCore as _;

use super::{Clock, Entropy};

/// The system's clocks; tokio's timer for sleeping.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts at zero now.
    #[must_use]
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait::async_trait]
impl Clock for SystemClock {
    fn wall_ms(&self) -> u64 {
        // A wall clock before 1970 is shown as 1970: it is only for people.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// The operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    /// Falls back to the thread's own generator, which the system seeded earlier, if the system call fails.
    fn random_u64(&self) -> u64 {
        rand::rngs::OsRng.try_next_u64().unwrap_or_else(|_| rand::random())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_are_sane() {
        let clock = SystemClock::default();
        let (first, second) = (clock.monotonic(), clock.monotonic());
        assert!(second >= first);
        assert!(clock.wall_ms() > 1_700_000_000_000, "after 2023");
    }

    #[tokio::test]
    async fn a_sleep_of_zero_returns() {
        SystemClock::new().sleep(Duration::ZERO).await;
    }

    #[test]
    fn entropy_does_not_repeat_itself() {
        let drawn: std::collections::BTreeSet<u64> = (0..64).map(|_| OsEntropy.random_u64()).collect();
        assert_eq!(drawn.len(), 64);
    }
}
