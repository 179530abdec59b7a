//! What a lakeFS that asks to be left alone gets: one call, then silence for the time that it asked for.
//!
//! Shared by everything that uses one client, so that a hundred mirrors are one voice. After the time one call goes out
//! alone; while that is under way, and while it is refused again, the others wait. Without a time in the answer the wait
//! doubles, and it is kept from turn to turn of whatever loop calls: loops may repeat as they like.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::backoff::Backoff;
use crate::clock::Entropy;

/// The longest time that an answer can ask for.
pub(super) const ASKED_MAX: Duration = Duration::from_secs(600);

/// Waits where the answer names no time.
const UNASKED: Backoff = Backoff { base: Duration::from_secs(2), cap: Duration::from_secs(60) };

#[derive(Debug, Default)]
struct State {
    /// How often in succession a call was refused.
    refusals: u32,
    /// No call goes out before this, monotonic.
    until: Duration,
    /// The same for people, milliseconds since 1970.
    until_wall_ms: u64,
    /// A call is under way that finds out whether others may go.
    is_probed: bool,
}

/// One lakeFS's wish to be left alone.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<State>);

/// Leave to send one call; says afterwards what came of it.
pub(super) struct Pass<'t> {
    throttle: &'t Throttle,
    probes: bool,
}

impl Throttle {
    /// Leave to send a call now; else, until when none is sent, milliseconds since 1970.
    pub(super) fn enter(&self, now: Duration) -> Result<Pass<'_>, u64> {
        let mut state = self.lock();
        if state.refusals == 0 {
            return Ok(Pass { throttle: self, probes: false });
        }
        if now < state.until || state.is_probed {
            return Err(state.until_wall_ms);
        }
        state.is_probed = true;
        Ok(Pass { throttle: self, probes: true })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// lakeFS asked to be left alone, for `asked` where it said so.
    pub(super) fn refused(&self, asked: Option<Duration>, now: Duration, wall_ms: u64, entropy: &dyn Entropy) {
        let mut state = self.throttle.lock();
        // Calls that were under way together are one refusal.
        if now >= state.until || state.refusals == 0 {
            state.refusals = state.refusals.saturating_add(1);
        }
        let wait = asked.map_or_else(|| UNASKED.delay(state.refusals, entropy), |asked| asked.min(ASKED_MAX));
        if now.saturating_add(wait) > state.until {
            state.until = now.saturating_add(wait);
            state.until_wall_ms = wall_ms.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        }
    }

    /// lakeFS answered.
    pub(super) fn answered(&self, now: Duration) {
        let mut state = self.throttle.lock();
        // An answer to a call that was sent before the refusal says nothing about now.
        if self.probes || now >= state.until {
            state.refusals = 0;
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.probes {
            self.throttle.lock().is_probed = false;
        }
    }
}

/// The time that a `Retry-After` asks for: seconds, or a date in one of HTTP's forms, by this machine's wall clock. A
/// date far from it, in either direction, is bounded.
pub(super) fn asked(value: &str, wall_ms: u64) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds).min(ASKED_MAX));
    }
    let date = httpdate::parse_http_date(value.trim()).ok()?;
    let ms = date.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis();
    let ms = u64::try_from(ms).unwrap_or(u64::MAX);
    Some(Duration::from_millis(ms.saturating_sub(wall_ms)).min(ASKED_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Least;

    impl Entropy for Least {
        fn random_u64(&self) -> u64 {
            0
        }
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn after_the_time_one_call_goes_out_alone() {
        let throttle = Throttle::default();
        let together = [throttle.enter(s(0)).ok().unwrap(), throttle.enter(s(0)).ok().unwrap()];
        for pass in together {
            pass.refused(Some(s(60)), s(1), 1_000, &Least);
        }
        assert_eq!(throttle.enter(s(60)).err(), Some(61_000));
        let probe = throttle.enter(s(61)).ok().unwrap();
        assert!(throttle.enter(s(61)).is_err(), "another one is finding out");
        drop(probe);
        let probe = throttle.enter(s(62)).ok().unwrap();
        probe.answered(s(62));
        drop(probe);
        assert!(throttle.enter(s(62)).is_ok() && throttle.enter(s(62)).is_ok());
    }

    #[test]
    fn without_a_time_the_wait_doubles_from_turn_to_turn() {
        let throttle = Throttle::default();
        let (mut now, mut waits) = (Duration::ZERO, Vec::new());
        for _ in 0..8 {
            throttle.enter(now).ok().unwrap().refused(None, now, 0, &Least);
            let until = throttle.lock().until;
            waits.push((until - now).as_secs());
            now = until;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn a_late_answer_to_an_earlier_call_opens_nothing() {
        let throttle = Throttle::default();
        let (early, late) = (throttle.enter(s(0)).ok().unwrap(), throttle.enter(s(0)).ok().unwrap());
        early.refused(Some(s(60)), s(1), 0, &Least);
        late.answered(s(2));
        assert!(throttle.enter(s(3)).is_err());
    }

    #[test]
    fn times_come_in_seconds_and_as_dates_and_are_bounded() {
        let wall = 784_111_777_000;
        for (value, expected) in [
            ("60", Some(s(60))),
            (" 0 ", Some(s(0))),
            ("100000", Some(ASKED_MAX)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(s(60))),
            ("Sun, 06 Nov 1994 08:40:37 GMT", Some(s(0))),
            ("Sat, 06 Nov 2094 08:49:37 GMT", Some(ASKED_MAX)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(asked(value, wall), expected, "{value}");
        }
    }
}
