//! Whether this process is in time with its heartbeats, and what it holds under them: what the manager writes and every
//! call that changes a mirror looks at, each from its own thread.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use lakemirror_core::mutant;

use super::{IN_FLIGHT_MAX, LEASE_TTL};
use crate::threads::Mutex;

/// Whether this process is in time with its heartbeats.
#[derive(Debug, Default)]
pub struct LeaseClock(Mutex<Beats>);

#[derive(Debug, Default, Clone, Copy)]
struct Beats {
    /// How often it was lost. What was taken under another number is not held.
    expiries: u64,
    /// Until when the last heartbeat counts, on the monotonic clock; none before the first.
    until: Option<Duration>,
    /// Until when a call that was given up may still be carried out.
    loose: Option<Duration>,
}

impl LeaseClock {
    /// The lease clock of a process that has the mirrors database for itself: it never ends.
    #[must_use]
    pub fn endless() -> Self {
        Self(Mutex::new(Beats { until: Some(Duration::MAX), ..Beats::default() }))
    }

    fn beats(&self) -> Beats {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A heartbeat that was sent at `sent` is acknowledged at `now`. `true` if the lease had expired before.
    pub fn acknowledged(&self, sent: Duration, now: Duration) -> bool {
        let mut beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let expired_lease = beats.until.is_some_and(|until| now >= until) && !mutant::is_on("lapse_ignored");
        if expired_lease {
            beats.expiries += 1;
        }
        let from = if mutant::is_on("beat_counts_from_its_answer") { now } else { sent };
        beats.until = Some(from.saturating_add(LEASE_TTL));
        expired_lease
    }

    /// A call that changes a mirror was given up without an answer.
    pub fn gave_up(&self, now: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).loose = Some(now.saturating_add(IN_FLIGHT_MAX));
    }

    /// How long it takes until nothing that this process has sent can be carried out any more: before that, nothing is
    /// given to others.
    #[must_use]
    pub fn unsettled(&self, now: Duration) -> Duration {
        self.beats().loose.map_or(Duration::ZERO, |until| until.saturating_sub(now))
    }

    /// Until when it holds, while it holds.
    #[must_use]
    pub fn until(&self, now: Duration) -> Option<Duration> {
        self.beats().until.filter(|until| now < *until)
    }

    /// The number under which something is taken now; none while no heartbeat counts.
    #[must_use]
    pub fn number(&self, now: Duration) -> Option<u64> {
        let beats = self.beats();
        beats.until.filter(|until| now < *until).map(|_| beats.expiries)
    }
}

/// Whether one mirror is held.
#[derive(Debug)]
pub struct Lease {
    pub(super) lease_clock: Arc<LeaseClock>,
    held: Mutex<Option<Held>>,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    epoch: u64,
    number: u64,
}

impl Lease {
    /// Not held.
    #[must_use]
    pub fn new(lease_clock: Arc<LeaseClock>) -> Self {
        Self { lease_clock, held: Mutex::default() }
    }

    fn held(&self) -> Option<Held> {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It was taken, with this epoch, under this number of the lease clock.
    pub fn grant(&self, epoch: u64, number: u64) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(Held { epoch, number });
    }

    /// It is not held any more.
    pub fn end(&self) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// As [`LeaseClock::unsettled`].
    #[must_use]
    pub fn unsettled(&self, now: Duration) -> Duration {
        self.lease_clock.unsettled(now)
    }

    /// The epoch of the last taking, held still or not.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        self.held().map(|held| held.epoch)
    }

    /// Until when it is held as far as is known; none if it is not.
    #[must_use]
    pub fn until(&self, now: Duration) -> Option<Duration> {
        let held = self.held()?;
        if mutant::is_on("pulse_looked_at_twice") {
            return (self.lease_clock.number(now) == Some(held.number)).then(|| self.lease_clock.until(now))?;
        }
        // Both from one look: between two, the lease may have expired, and another may have begun, which ends later.
        let beats = self.lease_clock.beats();
        beats.until.filter(|until| now < *until && beats.expiries == held.number)
    }

    /// Whether it is held now.
    #[must_use]
    pub fn is_live(&self, now: Duration) -> bool {
        self.until(now).is_some()
    }
}
