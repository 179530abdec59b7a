//! The quiet that lakeFS asks for when it throttles us, kept for everybody who asks it anything.
//!
//! Owns whether a call may be sent now. Loops repeat their calls by themselves, each at its own pace: one that is
//! throttled must hold back all of them, or each of them finds it out anew. While it is closed no call is sent. When
//! its time is over one call goes first, and the others follow once that one was answered. Pure but for a lock: time
//! and randomness are arguments.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;

use lakemirror_ports::backoff::Backoff;
use lakemirror_ports::clock::Entropy;

/// The waits where the server does not say how long; also the least where it does.
const BACKOFF: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(60) };

/// The longest wait, whatever the server asks for.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// How long `Retry-After` asks to wait: seconds, or a date, which is compared with the answer's own `Date` where there is
/// one, so that it does not matter whether the two clocks agree. `None` for what is neither.
pub(super) fn retry_after(value: &str, date: Option<&str>, wall_ms: u64) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(WAIT_MAX));
    }
    let millis = |text: &str| DateTimeParser::new().parse_timestamp(text.trim()).ok().map(|at| at.as_millisecond());
    let now = date.and_then(millis).or_else(|| i64::try_from(wall_ms).ok())?;
    let wait = millis(value)?.saturating_sub(now);
    Some(Duration::from_millis(u64::try_from(wait).unwrap_or(0)).min(WAIT_MAX))
}

/// Shared by all calls to one lakeFS.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Throttled answers in a row; a good answer halves them.
    strikes: u32,
    /// Counts the closings, so that late answers to earlier calls are told from answers to later ones.
    closings: u64,
    closed: Option<Closed>,
}

#[derive(Debug, Clone, Copy)]
struct Closed {
    /// By the monotonic clock.
    until: Duration,
    status: u16,
    /// Whether the one call that goes first is under way.
    trying: bool,
}

/// The right to send one call. Dropped without an outcome, it says nothing about the server.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    throttle: &'a Throttle,
    closings: u64,
    goes_first: bool,
}

impl Throttle {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a call pass.
    ///
    /// # Errors
    /// The status of the answer that asked for quiet, while that lasts.
    pub(super) fn admit(&self, now: Duration) -> Result<Pass<'_>, u16> {
        let mut state = self.state();
        let closings = state.closings;
        let Some(closed) = &mut state.closed else { return Ok(Pass { throttle: self, closings, goes_first: false }) };
        if now < closed.until || closed.trying {
            return Err(closed.status);
        }
        closed.trying = true;
        Ok(Pass { throttle: self, closings, goes_first: true })
    }
}

impl Pass<'_> {
    /// The answer was that of a server that is not throttling.
    pub(super) fn answered(self) {
        let mut state = self.throttle.state();
        if self.closings == state.closings {
            state.strikes /= 2;
            state.closed = None;
        }
    }

    /// The answer asked for quiet, for `asked` or for as long as we think right.
    pub(super) fn throttled(self, status: u16, asked: Option<Duration>, now: Duration, entropy: &dyn Entropy) {
        let mut state = self.throttle.state();
        let asked = asked.unwrap_or_default().min(WAIT_MAX);
        if self.closings != state.closings {
            // It was sent before the closing: the same incident, in which the longest wait counts.
            if let Some(closed) = &mut state.closed {
                closed.until = closed.until.max(now.saturating_add(asked));
            }
            return;
        }
        state.strikes = state.strikes.saturating_add(1);
        state.closings += 1;
        let until = now.saturating_add(BACKOFF.delay(state.strikes, entropy).max(asked));
        state.closed = Some(Closed { until, status, trying: false });
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.throttle.state();
        if self.goes_first
            && self.closings == state.closings
            && let Some(closed) = &mut state.closed
        {
            closed.trying = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Whole;

    impl Entropy for Whole {
        fn random_u64(&self) -> u64 {
            u64::MAX
        }
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_has_a_bound() {
        let now = 1_796_090_400_000;
        let at = |value| retry_after(value, None, now);
        assert_eq!(at("60"), Some(s(60)));
        assert_eq!(at("86400"), Some(WAIT_MAX));
        assert_eq!(at("soon"), None);
        assert_eq!(at("-1"), None);
        let date = "Tue, 01 Dec 2026 02:00:00 GMT";
        let later = "Tue, 01 Dec 2026 02:00:45 GMT";
        assert_eq!(retry_after(later, Some(date), 0), Some(s(45)), "by the server's own clock");
        assert_eq!(retry_after(date, Some(later), 0), Some(s(0)), "a date that has passed");
        assert_eq!(at(later), Some(s(45)), "without one, by ours");
        assert_eq!(retry_after("Wed, 02 Dec 2026 02:00:00 GMT", Some(date), 0), Some(WAIT_MAX));
    }

    #[test]
    fn one_call_finds_out_for_all_and_one_goes_first() {
        let throttle = Throttle::default();
        let (first, second) = (throttle.admit(s(0)).unwrap(), throttle.admit(s(0)).unwrap());
        first.throttled(429, Some(s(60)), s(0), &Whole);
        second.throttled(429, Some(s(60)), s(1), &Whole);
        assert_eq!(throttle.admit(s(60)).unwrap_err(), 429, "the later answer counts");
        let trial = throttle.admit(s(61)).unwrap();
        assert_eq!(throttle.admit(s(61)).unwrap_err(), 429, "the others wait for the first");
        trial.answered();
        assert!(throttle.admit(s(61)).is_ok() && throttle.admit(s(61)).is_ok());
    }

    #[test]
    fn what_the_server_does_not_say_grows_and_is_kept() {
        let throttle = Throttle::default();
        let mut now = s(0);
        let mut waits = Vec::new();
        for _ in 0..8 {
            throttle.admit(now).unwrap().throttled(429, None, now, &Whole);
            let wait = (1..).map(s).find(|wait| throttle.admit(now + *wait).is_ok()).unwrap();
            waits.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        throttle.admit(now).unwrap().answered();
        throttle.admit(now).unwrap().throttled(429, None, now, &Whole);
        assert!(throttle.admit(now + s(15)).is_err(), "one good answer does not make it forget everything");
    }

    #[test]
    fn a_first_call_that_is_dropped_lets_another_one_go() {
        let throttle = Throttle::default();
        throttle.admit(s(0)).unwrap().throttled(503, Some(s(5)), s(0), &Whole);
        drop(throttle.admit(s(5)).unwrap());
        throttle.admit(s(5)).unwrap().answered();
        assert!(throttle.admit(s(5)).is_ok());
    }

    #[test]
    fn an_answer_to_an_earlier_call_opens_nothing() {
        let throttle = Throttle::default();
        let (early, throttled) = (throttle.admit(s(0)).unwrap(), throttle.admit(s(0)).unwrap());
        throttled.throttled(429, Some(s(60)), s(0), &Whole);
        early.answered();
        assert!(throttle.admit(s(59)).is_err());
    }
}
