//! How long to wait after failures, and a bounded retry loop.
//!
//! This module owns the growth, the jitter and the limits of retries. It knows nothing about what is tried, about HTTP
//! or about statuses: after each failure the caller says whether another try makes sense. Time and randomness are
//! injected.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::clock::{Clock, Entropy};

/// Doubling delays with jitter: after the n-th failure, between half and all of `base * 2^(n-1)`, at most `cap`.
///
/// Half of each delay is fixed, so that delays grow. The other half is random, so that callers that failed together do
/// not retry together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest delay after the first failure.
    pub base: Duration,
    /// The longest delay after any failure.
    pub cap: Duration,
}

impl Backoff {
    /// The delay after `failures` failures in a row; zero for 0 failures.
    pub fn delay(&self, failures: u32, entropy: &dyn Entropy) -> Duration {
        if failures == 0 {
            return Duration::ZERO;
        }
        let doublings = (failures - 1).min(31);
        let whole = self.base.saturating_mul(1 << doublings).min(self.cap);
        let half = whole / 2;
        half + portion(whole - half, entropy.random_u64())
    }
}

/// `random / 2^64` of `whole`.
fn portion(whole: Duration, random: u64) -> Duration {
    let nanos = (whole.as_nanos().min(u128::from(u64::MAX)) * u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// How often something may be tried, for how long, and how long to wait between tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The maximum number of tries, including the first; at least one is always made.
    pub tries: u32,
    /// No try begins later than this after the first one.
    pub within: Duration,
    /// The delays between tries.
    pub backoff: Backoff,
}

/// Whether a failure justifies another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// No.
    No,
    /// Yes, after the usual delay.
    Yes,
    /// Yes, but neither before this time has passed (the other side asked for it) nor before the usual delay.
    NotBefore(Duration),
}

/// The bookkeeping of a series of tries under a [`Budget`], for loops that cannot be written as [`retry`].
#[derive(Debug, Clone)]
pub struct Tries {
    budget: Budget,
    begun: Duration,
    failures: u32,
}

impl Tries {
    /// Starts counting at `now` on the monotonic clock.
    #[must_use]
    pub fn start(budget: Budget, now: Duration) -> Self {
        Self { budget, begun: now, failures: 0 }
    }

    /// Counts a failure at `now`. Returns the delay before the next try, or `None` if there is to be none.
    pub fn next_delay(&mut self, again: Again, now: Duration, entropy: &dyn Entropy) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        let floor = match again {
            Again::No => return None,
            Again::Yes => Duration::ZERO,
            Again::NotBefore(floor) => floor,
        };
        if self.failures >= self.budget.tries {
            return None;
        }
        let delay = self.budget.backoff.delay(self.failures, entropy).max(floor);
        let begins = now.saturating_sub(self.begun).saturating_add(delay);
        (begins <= self.budget.within).then_some(delay)
    }

    /// The number of failures so far.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// Repeats `attempt` until it succeeds, `again` says no, or the budget is spent.
///
/// `attempt` receives the number of failures so far (0 at first).
///
/// # Errors
/// The last failure of `attempt`.
pub async fn retry<'a, T, E>(
    clock: &dyn Clock,
    entropy: &dyn Entropy,
    budget: Budget,
    mut attempt: impl FnMut(u32) -> BoxFuture<'a, Result<T, E>> + Send,
    again: impl Fn(&E) -> Again + Send,
) -> Result<T, E>
where
    E: Send,
{
    let mut tries = Tries::start(budget, clock.monotonic());
    loop {
        let failure = match attempt(tries.failures()).await {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        match tries.next_delay(again(&failure), clock.monotonic(), entropy) {
            Some(delay) => clock.sleep(delay).await,
            None => return Err(failure),
        }
    }
}

#[cfg(test)]
mod tests;
