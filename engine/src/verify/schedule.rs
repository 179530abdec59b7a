//! When to look again at what was missing. A pure function of ages and counts; owns no timer.
//!
//! Real replication delivers most objects within seconds and single stragglers some 20 s later, so the first minute
//! after any progress is for looking often; after it, the wait grows with the age.

use std::time::Duration;

use lakemirror_core::mutant;

/// Up to this many missing keys of one mirror are looked for as often as can be.
pub const FEW: u64 = 256;
/// Requests a second that looking again may cost one mirror.
const REQUESTS_PER_SECOND: u64 = 500;
/// Missing keys beyond this many are found by listings, of which one request covers many keys.
const SINGLY_MAX: u64 = 4096;
/// Missing keys that one request of a listing finds, by a cautious estimate.
const KEYS_PER_LISTING: u64 = 100;
const EAGER: Duration = Duration::from_millis(150);
const EAGER_SPREAD_MS: u64 = 50;
const EAGER_AGE: Duration = Duration::from_secs(60);
const AGE_PARTS: u32 = 60;
const CALM_MAX: Duration = Duration::from_secs(60);

/// What the wait depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Time since something of it arrived last, or since it was first looked for.
    pub age: Duration,
    /// Keys that the whole mirror misses.
    pub missing: u64,
    /// A fixed interval that the operator set.
    pub fixed: Option<Duration>,
    /// Uniformly random bits, drawn once for each wait.
    pub jitter: u64,
    /// The least wait, for failures that only an operator ends.
    pub least: Duration,
}

/// How long to wait between one look and the next.
#[must_use]
pub fn interval(look: &Look) -> Duration {
    if mutant::is_on("never_looked_again") {
        return Duration::from_secs(1 << 30);
    }
    if let Some(fixed) = look.fixed {
        return fixed;
    }
    let eager = EAGER + Duration::from_millis(look.jitter % (EAGER_SPREAD_MS + 1));
    let by_age = if look.age < EAGER_AGE {
        eager
    } else {
        // A tenth more or less keeps many waiting ranges from falling into step.
        let tenths = 95 + u32::try_from(look.jitter % 11).unwrap_or(0);
        (look.age / AGE_PARTS).min(CALM_MAX) * tenths / 100
    };
    by_age.max(by_rate(look.missing)).max(look.least)
}

fn by_rate(missing: u64) -> Duration {
    if missing <= FEW {
        return Duration::ZERO;
    }
    let requests = missing.min(SINGLY_MAX) + missing.saturating_sub(SINGLY_MAX) / KEYS_PER_LISTING;
    Duration::from_millis(requests.saturating_mul(1000) / REQUESTS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn look(age_s: u64, missing: u64) -> Look {
        Look { age: Duration::from_secs(age_s), missing, fixed: None, jitter: 0, least: Duration::ZERO }
    }

    #[test]
    fn the_table() {
        let ms = |age_s, missing| interval(&look(age_s, missing)).as_millis();
        assert_eq!(ms(0, 1), 150);
        assert_eq!(ms(59, 256), 150);
        assert_eq!(ms(60, 1), 950);
        assert_eq!(ms(600, 1), 9_500);
        assert_eq!(ms(7_200, 1), 57_000);
        assert_eq!(ms(0, 1_000), 2_000);
        assert_eq!(ms(0, 4_096), 8_192);
        assert_eq!(ms(0, 1_004_096), 28_192);
        assert_eq!(ms(600, 1_000), 9_500);
    }

    #[test]
    fn a_fixed_interval_replaces_all_and_the_least_wait_holds() {
        let set = Look { fixed: Some(Duration::from_secs(3)), least: Duration::from_secs(5), ..look(0, 100_000) };
        assert_eq!(interval(&set), Duration::from_secs(3));
        let denied = Look { least: Duration::from_secs(5), ..look(0, 1) };
        assert_eq!(interval(&denied), Duration::from_secs(5));
    }

    proptest! {
        #[test]
        fn a_few_young_ones_are_looked_for_within_200_ms(age_ms in 0u64..60_000, missing in 0u64..=256, jitter: u64) {
            let wait = interval(&Look { age: Duration::from_millis(age_ms), jitter, ..look(0, missing) });
            prop_assert!(wait >= Duration::from_millis(150) && wait <= Duration::from_millis(200));
        }

        #[test]
        fn the_rate_is_bounded_and_the_wait_too(age_s in 0u64..1_000_000, missing in 257u64..4_000, jitter: u64) {
            let wait = interval(&Look { jitter, ..look(age_s, missing) });
            prop_assert!(missing as f64 / wait.as_secs_f64() <= 500.5);
            prop_assert!(wait <= Duration::from_millis(63_000));
        }
    }
}
