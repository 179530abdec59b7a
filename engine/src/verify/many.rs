//! What is missing in masses: when all of it is looked for, and when only a few of it.
//!
//! Nothing of a large commit may have arrived for hours. To wait for that costs next to nothing, however much it is: a few
//! scouts are looked for again and again, and all of it when one of them has arrived, or after a time that grows with what
//! the look costs. Pure; owns no timer.

use std::time::Duration;

/// Up to this many range files of one tree are each read as soon as they may be there; more are looked for together first.
pub(super) const SINGLY_MAX: usize = 16;
/// How many are looked for on behalf of all.
pub(super) const SCOUTS: usize = 8;
/// Wait after a look that found nothing, for each key that it asked for: 1.3 % of a core where one costs 100 µs, which a
/// HEAD does; a key of a listing costs a hundredth of that. What arrives meanwhile is found by the scouts.
const PER_KEY: Duration = Duration::from_millis(8);
/// Wait after a look, in parts of the time that it took.
const PER_LOOK: u32 = 5;
const WAIT_MIN: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(2 * 3600);
const SCOUTS_WAIT_MAX: Duration = Duration::from_secs(60);
const AGE_PARTS: u32 = 60;

/// How much a look asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Reach {
    /// Everything that is missing.
    #[default]
    All,
    /// A few of it.
    Scouts,
}

/// What a look came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Came {
    pub(super) reach: Reach,
    pub(super) asked: usize,
    pub(super) found: usize,
    pub(super) took: Duration,
}

/// When a mass of missing things is looked for next, by monotonic time; at once while nothing was looked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mass {
    pub(super) running: bool,
    all_at: Duration,
    scouts_at: Duration,
    /// When some of it arrived last, or it was first looked for.
    since: Option<Duration>,
}

impl Mass {
    /// What is due now.
    pub(super) fn due(&self, now: Duration) -> Option<Reach> {
        match () {
            () if self.running => None,
            () if self.all_at <= now => Some(Reach::All),
            () if self.scouts_at <= now => Some(Reach::Scouts),
            () => None,
        }
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Duration {
        self.all_at.min(self.scouts_at)
    }

    /// Takes what came of a look, under the interval that the operator may have set.
    pub(super) fn looked(&mut self, came: Came, now: Duration, fixed: Option<Duration>) {
        let since = *self.since.get_or_insert(now);
        if came.found > 0 {
            self.since = Some(now);
        }
        let age = now.saturating_sub(since);
        self.scouts_at = now + (age / AGE_PARTS).clamp(WAIT_MIN, SCOUTS_WAIT_MAX);
        let asked = u32::try_from(came.asked).unwrap_or(u32::MAX);
        let for_look = came.took.saturating_mul(PER_LOOK);
        match came.reach {
            Reach::Scouts if came.found > 0 => self.all_at = now,
            Reach::Scouts => {}
            Reach::All if came.found > 0 => self.all_at = now + for_look.clamp(WAIT_MIN, WAIT_MAX),
            Reach::All => self.all_at = now + (PER_KEY.saturating_mul(asked) + for_look).clamp(WAIT_MIN, WAIT_MAX),
        }
        if let Some(fixed) = fixed {
            (self.all_at, self.scouts_at) = (now + fixed, now + fixed);
        }
    }

    /// The look failed: no sooner than this again.
    pub(super) fn failed(&mut self, now: Duration, least: Duration) {
        let at = now + least.max(WAIT_MIN);
        (self.all_at, self.scouts_at) = (self.all_at.max(at), self.scouts_at.max(at));
    }
}

/// A few of many, spread over all of them.
pub(super) fn scouts_of<T: Clone>(all: &[T]) -> Vec<T> {
    let step = all.len().div_ceil(SCOUTS).max(1);
    all.iter().step_by(step).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn came(reach: Reach, asked: usize, found: usize) -> Came {
        Came { reach, asked, found, took: Duration::ZERO }
    }

    #[test]
    fn waiting_for_a_mass_costs_2_percent_of_a_core_whatever_its_size() {
        for asked in [1_000, 60_000, 1_000_000] {
            let (mut mass, mut now, mut keys) = (Mass::default(), Duration::ZERO, 0usize);
            while now < 7_200 * SECOND {
                if let Some(reach) = mass.due(now) {
                    let asked = if reach == Reach::All { asked } else { SCOUTS };
                    keys += asked;
                    mass.looked(came(reach, asked, 0), now, None);
                }
                now = mass.next().max(now);
            }
            // The first look is the price of knowing.
            let busy = Duration::from_micros(100) * u32::try_from(keys - asked).unwrap();
            assert!(busy <= now * 2 / 100, "{asked}: {busy:?} of {now:?}");
        }
    }

    #[test]
    fn a_scout_that_arrived_calls_the_others() {
        let mut mass = Mass::default();
        assert_eq!(mass.due(Duration::ZERO), Some(Reach::All), "nothing was looked for");
        mass.looked(came(Reach::All, 1_000_000, 0), SECOND, None);
        assert_eq!(mass.due(SECOND), None);
        assert_eq!(mass.due(2 * SECOND), Some(Reach::Scouts));
        mass.looked(came(Reach::Scouts, SCOUTS, 1), 2 * SECOND, None);
        assert_eq!(mass.due(2 * SECOND), Some(Reach::All));
        mass.looked(came(Reach::All, 1_000_000, 10), 3 * SECOND, None);
        assert_eq!(mass.due(4 * SECOND), Some(Reach::All), "while some arrive, all are looked for");
    }

    #[test]
    fn scouts_are_spread() {
        let all: Vec<u32> = (0..100).collect();
        assert_eq!(scouts_of(&all), [0, 13, 26, 39, 52, 65, 78, 91]);
        assert_eq!(scouts_of(&all[..3]), [0, 1, 2]);
        assert_eq!(scouts_of(&all[..0]), [0; 0]);
    }
}
