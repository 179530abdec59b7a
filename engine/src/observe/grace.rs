//! For how long this run has known branches as tombstones, on the monotonic clock: the wall clock may be set meanwhile,
//! and a restart only makes a grace period longer.
//!
//! Owns the measure; whether a grace period is over, the journal decides.

use std::collections::BTreeMap;
use std::time::Duration;

/// Tombstones of this run: since when each is known, by name and by the wall time at which it was buried, so that a
/// branch that came back and went again begins anew.
#[derive(Debug, Default)]
pub(super) struct Graves(BTreeMap<(String, u64), Duration>);

impl Graves {
    /// Takes in the tombstones that there are now, and returns for how many milliseconds each is known.
    pub(super) fn waited(&mut self, tombstones: Vec<(String, u64)>, now: Duration) -> BTreeMap<String, u64> {
        let before = std::mem::take(&mut self.0);
        let since = |key: (String, u64)| {
            let since = before.get(&key).copied().unwrap_or(now);
            (key, since)
        };
        self.0 = tombstones.into_iter().map(since).collect();
        let waited = |since: &Duration| u64::try_from(now.saturating_sub(*since).as_millis()).unwrap_or(u64::MAX);
        self.0.iter().map(|((name, _), since)| (name.clone(), waited(since))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tombstone_waits_from_when_this_run_has_first_seen_it() {
        let (mut graves, at) = (Graves::default(), Duration::from_millis);
        let grave = |buried_ms: u64| vec![("dev".to_owned(), buried_ms)];
        let mut waited = |tombstones, now| graves.waited(tombstones, at(now)).get("dev").copied();
        assert_eq!(waited(grave(7), 5_000), Some(0), "however long ago it was buried by the wall clock");
        assert_eq!(waited(grave(7), 5_900), Some(900));
        assert_eq!(waited(grave(8), 6_000), Some(0), "it came back, and went again");
        assert_eq!(waited(Vec::new(), 6_100), None);
        assert_eq!(waited(grave(8), 6_200), Some(0));
    }
}
