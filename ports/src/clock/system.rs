//! The machine's own time and randomness, behind [`Clock`] and [`Entropy`].
//!
//! Owns the only readings of the system's clocks and of its random numbers; it decides nothing with them. The
//! composition root makes one of each and hands them inward.

#![expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock and entropy")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::TryRngCore as _;

use super::{Clock, Entropy};

/// The system's clocks; sleeping by tokio's timer.
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
        // A wall clock before 1970 is shown as 1970: it is for people only.
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
    /// Falls back to the thread's own generator (seeded by the system earlier) where the system call fails.
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
    async fn sleeping_nothing_returns() {
        SystemClock::new().sleep(Duration::ZERO).await;
    }

    #[test]
    fn entropy_does_not_repeat_itself() {
        let drawn: std::collections::BTreeSet<u64> = (0..64).map(|_| OsEntropy.random_u64()).collect();
        assert_eq!(drawn.len(), 64);
    }
}
