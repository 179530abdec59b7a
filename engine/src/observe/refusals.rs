//! Commits that the source did not give us in a form that can be recorded, and when each is asked for again.
//!
//! Without it the frontier's first ones would be asked for in every turn, and what stands behind them never (I9). Pure;
//! lost with the process: after a start each is asked for once more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lakemirror_core::ids::CommitId;

use lakemirror_ports::backoff::Backoff;
use lakemirror_ports::clock::Entropy;

/// Commits that are remembered at most; those beyond it are asked for in every turn.
const REMEMBERED_MAX: usize = 100_000;

/// Commits that are shown as conditions at most; the others are shown by the branches that wait for them.
const SHOWN_MAX: usize = 32;

/// Whether a failure may pass by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lasting {
    /// It may, soon.
    Passing,
    /// Somebody has to do something, or nobody can.
    Lasting,
}

impl Lasting {
    fn backoff(self) -> Backoff {
        match self {
            Self::Passing => Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(60) },
            Self::Lasting => Backoff { base: Duration::from_secs(10), cap: Duration::from_secs(600) },
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Refusal {
    times: u32,
    /// When it is asked for again, by the monotonic clock.
    next: Duration,
}

/// All refused commits of one mirror.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    refused: BTreeMap<CommitId, Refusal>,
    shown: BTreeSet<CommitId>,
}

impl Refusals {
    pub(super) fn is_empty(&self) -> bool {
        self.refused.is_empty()
    }

    /// Notes that a commit could not be had; whether that is to be shown.
    pub(super) fn refuse(&mut self, id: CommitId, how: Lasting, now: Duration, entropy: &dyn Entropy) -> bool {
        let times = self.refused.get(&id).map_or(0, |refusal| refusal.times).saturating_add(1);
        let next = now.saturating_add(how.backoff().delay(times, entropy));
        if times > 1 || self.refused.len() < REMEMBERED_MAX {
            self.refused.insert(id, Refusal { times, next });
        }
        if how == Lasting::Lasting && (self.shown.len() < SHOWN_MAX || self.shown.contains(&id)) {
            self.shown.insert(id);
            return true;
        }
        false
    }

    /// Those that are not to be asked for yet.
    pub(super) fn waiting(&self, now: Duration) -> BTreeSet<CommitId> {
        self.refused.iter().filter(|(_, refusal)| refusal.next > now).map(|(id, _)| *id).collect()
    }

    /// All of them.
    pub(super) fn ids(&self) -> BTreeSet<CommitId> {
        self.refused.keys().copied().collect()
    }

    /// When the first is asked for again.
    pub(super) fn next(&self) -> Option<Duration> {
        self.refused.values().map(|refusal| refusal.next).min()
    }

    /// Forgets the others; those of them that were shown come out.
    pub(super) fn keep(&mut self, wanted: &BTreeSet<CommitId>) -> Vec<CommitId> {
        self.refused.retain(|id, _| wanted.contains(id));
        let over: Vec<CommitId> = self.shown.iter().filter(|id| !wanted.contains(id)).copied().collect();
        self.shown.retain(|id| wanted.contains(id));
        over
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

    #[test]
    fn what_is_refused_again_and_again_is_asked_for_ever_more_rarely() {
        let (mut refusals, id) = (Refusals::default(), CommitId([1; 32]));
        let mut waits = Vec::new();
        let mut now = Duration::ZERO;
        for _ in 0..8 {
            refusals.refuse(id, Lasting::Lasting, now, &Whole);
            waits.push((refusals.next().unwrap() - now).as_secs_f64().round() as u64);
            assert!(refusals.waiting(now).contains(&id));
            now = refusals.next().unwrap();
            assert!(refusals.waiting(now).is_empty(), "its turn has come");
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 600, 600]);
    }

    #[test]
    fn few_are_shown_and_what_is_wanted_no_more_is_over() {
        let mut refusals = Refusals::default();
        let id = |at: u8| CommitId([at; 32]);
        let shown = (0..100).filter(|at| refusals.refuse(id(*at), Lasting::Lasting, Duration::ZERO, &Whole)).count();
        assert_eq!(shown, SHOWN_MAX);
        assert!(!refusals.refuse(id(200), Lasting::Passing, Duration::ZERO, &Whole));
        assert_eq!(refusals.keep(&BTreeSet::from([id(0), id(50)])).len(), SHOWN_MAX - 1);
        assert_eq!(refusals.ids(), BTreeSet::from([id(0), id(50)]));
    }
}
