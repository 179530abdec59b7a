//! How often what is missing is looked for: pure arithmetic.
//!
//! Replication takes a second or two when all is well, so at first a look follows another closely; stragglers come tens
//! of seconds later, so it goes on for a minute after anything last arrived; then ever more rarely. A look that takes
//! long is never repeated before twice its time has passed.

use std::time::Duration;

/// Between looks while things arrive.
const EAGER: Duration = Duration::from_millis(150);
/// How long after the last arrival looks stay eager.
const EAGER_FOR: Duration = Duration::from_secs(60);
/// Between looks at the most.
const RARE: Duration = Duration::from_secs(60);
/// Before a look that was refused (credentials, permissions) is repeated.
const REFUSED: Duration = Duration::from_secs(5);

/// What the last look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Time since something last arrived, or since the first look.
    pub since_progress: Duration,
    /// How long the look took.
    pub took: Duration,
    /// Whether the store refused to answer.
    pub refused: bool,
}

/// The time to the next look. `fixed` is the configuration's, which is obeyed.
#[must_use]
pub fn next(look: &Look, fixed: Option<Duration>) -> Duration {
    if let Some(fixed) = fixed {
        return fixed;
    }
    let by_age = if look.since_progress <= EAGER_FOR { EAGER } else { look.since_progress / 60 };
    let by_cost = look.took * 2;
    let floor = if look.refused { REFUSED } else { Duration::ZERO };
    by_age.max(by_cost).max(floor).min(RARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(since_progress: u64, took_ms: u64, refused: bool) -> Duration {
        next(
            &Look {
                since_progress: Duration::from_secs(since_progress),
                took: Duration::from_millis(took_ms),
                refused,
            },
            None,
        )
    }

    #[test]
    fn looks_are_eager_at_first_and_rare_at_last() {
        assert_eq!(after(0, 1, false), EAGER);
        assert_eq!(after(60, 1, false), EAGER);
        assert_eq!(after(120, 1, false), Duration::from_secs(2));
        assert_eq!(after(600, 1, false), Duration::from_secs(10));
        assert_eq!(after(86_400, 1, false), RARE);
    }

    #[test]
    fn a_slow_or_refused_look_waits_and_a_configured_time_is_obeyed() {
        assert_eq!(after(0, 3_000, false), Duration::from_secs(6));
        assert_eq!(after(0, 1, true), REFUSED);
        assert_eq!(after(0, 600_000, false), RARE);
        let look = Look { since_progress: Duration::ZERO, took: Duration::from_secs(9), refused: true };
        assert_eq!(next(&look, Some(Duration::from_secs(3))), Duration::from_secs(3));
    }
}
