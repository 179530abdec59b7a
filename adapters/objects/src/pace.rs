//! How fast a store may be asked: a rate for the process, and a limit of requests in flight for each bucket.
//!
//! Owns [`Rate`] (evenly spaced requests with a little burst), [`Gate`] (additive increase, multiplicative decrease
//! on throttling) and [`pause`] (how long to wait before a repeat). It makes no request and reads no clock but the
//! one it is given. S3 shares its request budget with the very replication that is being waited for, so that asking
//! faster can make everything later.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use lakemirror_ports::clock::{Clock, Entropy};

/// A number of requests a second, evenly spaced, for everything that shares it.
#[derive(Debug)]
pub struct Rate {
    /// `None`: unlimited.
    interval: Option<Duration>,
    next: Mutex<Duration>,
}

/// How far unused time may be saved up.
const RATE_BURST: Duration = Duration::from_millis(50);

impl Rate {
    /// At most this many requests a second; `None` for no limit. 0 is taken as 1.
    #[must_use]
    pub fn new(per_second: Option<u32>) -> Self {
        let interval = per_second.map(|rate| Duration::from_secs(1) / rate.max(1));
        Self { interval, next: Mutex::new(Duration::ZERO) }
    }

    /// Waits for the next free instant and takes it.
    pub async fn take(&self, clock: &dyn Clock) {
        let Some(interval) = self.interval else { return };
        let wait = self.reserve(clock.monotonic(), interval);
        if !wait.is_zero() {
            clock.sleep(wait).await;
        }
    }

    fn reserve(&self, now: Duration, interval: Duration) -> Duration {
        let mut next = lock(&self.next);
        let instant = (*next).max(now.saturating_sub(RATE_BURST));
        *next = instant.saturating_add(interval);
        instant.saturating_sub(now)
    }
}

/// How a request ended, as far as the limit of requests in flight is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// The store answered.
    Carried,
    /// The store asks for fewer requests, or does not answer in time.
    Throttled,
}

/// The requests that may be in flight to one bucket. The limit doubles every round until the first throttling, which
/// halves it; from then on it grows by one a round.
#[derive(Debug)]
pub struct Gate {
    permits: Semaphore,
    state: Mutex<GateState>,
    most: u32,
}

#[derive(Debug)]
struct GateState {
    limit: u32,
    /// Permits to be taken out of circulation when they come back.
    debt: u32,
    /// Answers since the limit last grew.
    carried: u32,
    last_cut: Option<Duration>,
}

/// Throttled answers within this time of a cut belong to the same cut.
const CUT_INTERVAL: Duration = Duration::from_secs(1);

impl Gate {
    /// A gate that lets `first` through at once and grows up to `most`; both at least 1.
    #[must_use]
    pub fn new(first: u32, most: u32) -> Self {
        let most = most.max(1);
        let first = first.clamp(1, most);
        let state = GateState { limit: first, debt: 0, carried: 0, last_cut: None };
        Self { permits: Semaphore::new(to_usize(first)), state: Mutex::new(state), most }
    }

    /// Waits, first come first served, until one more request may be in flight.
    pub async fn enter(&self) -> Pass<'_> {
        // The semaphore is never closed: an error cannot happen, and would only lift the limit.
        Pass { gate: self, permit: self.permits.acquire().await.ok() }
    }

    /// The present limit.
    #[must_use]
    pub fn limit(&self) -> u32 {
        lock(&self.state).limit
    }

    fn learn(&self, load: Load, now: Duration) {
        let mut state = lock(&self.state);
        match load {
            Load::Carried => self.grow(&mut state),
            Load::Throttled => Self::cut(&mut state, now),
        }
    }

    fn grow(&self, state: &mut GateState) {
        state.carried = state.carried.saturating_add(1);
        let round = if state.last_cut.is_some() { state.limit } else { 1 };
        if state.carried < round || state.limit >= self.most {
            return;
        }
        state.carried = 0;
        state.limit = state.limit.saturating_add(1);
        if state.debt > 0 {
            state.debt = state.debt.saturating_sub(1);
        } else {
            self.permits.add_permits(1);
        }
    }

    fn cut(state: &mut GateState, now: Duration) {
        let recent = state.last_cut.is_some_and(|cut| now.saturating_sub(cut) < CUT_INTERVAL);
        if recent {
            return;
        }
        let limit = (state.limit / 2).max(1);
        state.debt = state.debt.saturating_add(state.limit.saturating_sub(limit));
        state.limit = limit;
        state.carried = 0;
        state.last_cut = Some(now);
    }
}

/// The right to have one request in flight; dropping it gives it back.
#[derive(Debug)]
pub struct Pass<'a> {
    gate: &'a Gate,
    permit: Option<SemaphorePermit<'a>>,
}

impl Pass<'_> {
    /// Gives it back and tells how the request ended.
    pub fn leave(self, load: Load, now: Duration) {
        self.gate.learn(load, now);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.gate.state);
        if state.debt > 0
            && let Some(permit) = self.permit.take()
        {
            state.debt = state.debt.saturating_sub(1);
            permit.forget();
        }
    }
}

const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MOST: Duration = Duration::from_secs(5);

/// How long to wait before the next attempt after `failed` (1, 2, …) failed ones: up to 200 ms, doubled each time up
/// to 5 s, with the lower half left to chance.
#[must_use]
pub fn pause(failed: u32, entropy: &dyn Entropy) -> Duration {
    let doublings = failed.saturating_sub(1).min(8);
    let most = PAUSE_FIRST.saturating_mul(1 << doublings).min(PAUSE_MOST);
    let half = most / 2;
    let micros = u64::try_from(half.as_micros()).unwrap_or(u64::MAX).max(1);
    half.saturating_add(Duration::from_micros(entropy.random_u64() % micros))
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Nothing in here can panic while it holds a lock, so that a poisoned one is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
