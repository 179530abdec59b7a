//! Replays the observations of a journal under another policy: which promotions would have come at another record, or
//! not at all.
//!
//! Two states follow the same observations, one under the policy of the journal and one under the other policy. After
//! each commit of the journal, both plan moves as the service does after each change, and a planned move is taken as
//! done at once. The journal's own moves are ignored in both, so every difference comes from the policies alone.
//! Nothing is written, and nothing outside the journal is queried. What the service would have checked only under the
//! other policy is unknown, and the answer says so. `removals` covers the removal of branches.

mod reducer;
mod removals;

use std::collections::{BTreeMap, BTreeSet};

use lakemirror_core::ids::{CommitId, Incarnation};
use lakemirror_journal::log::{FrameInfo, RawRecord, Replay, ReplayRefused, SnapshotHeader};
use lakemirror_journal::state::policy::Policy;
use lakemirror_journal::state::transition::{BranchChange, Change};

use self::reducer::{Reducer, Rules};
pub use self::removals::Removal;
use self::removals::Removals;
use super::begin::{begins_at, restored};
use super::explain::graph::At;
use super::{EvidenceError, Source, decode};

/// How a promotion differs between the policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// At the same record.
    Same,
    /// At a later record.
    Later,
    /// At an earlier record.
    Earlier,
    /// Only under the journal's policy.
    Never,
    /// Only under the other policy.
    Only,
}

impl Verdict {
    /// The verdict as one word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Later => "later",
            Self::Earlier => "earlier",
            Self::Never => "never",
            Self::Only => "only",
        }
    }

    fn of<T: Ord>(journal: Option<T>, other: Option<T>) -> Option<Self> {
        Some(match (journal, other) {
            (Some(journal), Some(other)) => match other.cmp(&journal) {
                std::cmp::Ordering::Less => Self::Earlier,
                std::cmp::Ordering::Equal => Self::Same,
                std::cmp::Ordering::Greater => Self::Later,
            },
            (Some(_), None) => Self::Never,
            (None, Some(_)) => Self::Only,
            (None, None) => return None,
        })
    }
}

/// One promotion of a branch to a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promotion {
    /// The number of the branch's observed head; 0 if a branch was restored.
    pub nth: u64,
    /// The commit.
    pub commit: CommitId,
    /// The journal's own move to it, if there was one.
    pub recorded: Option<At>,
    /// The record after which the move is planned under the journal's policy.
    pub journal: Option<At>,
    /// The same under the other policy.
    pub other: Option<At>,
    /// The comparison of the two.
    pub verdict: Verdict,
    /// The reason, if there is more to say.
    pub why: String,
}

/// One branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchAnswer {
    /// The mirror.
    pub mirror: Incarnation,
    /// Its name.
    pub name: String,
    /// The branch.
    pub branch: String,
    /// Its promotions, in order.
    pub promotions: Vec<Promotion>,
    /// The commit at the end under the journal's policy, and under the other one.
    pub ends: [Option<CommitId>; 2],
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhatIf {
    /// The journal's last record.
    pub end: At,
    /// The first record that was read individually; both states begin with the snapshot before it.
    pub begins_at: u64,
    /// The journal's policy at its end.
    pub journal: Policy,
    /// The other policy.
    pub other: Policy,
    /// Every branch that was promoted under either policy.
    pub branches: Vec<BranchAnswer>,
    /// Every branch whose grace period began.
    pub removals: Vec<Removal>,
}

impl WhatIf {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_same(&self) -> bool {
        let promotions = || self.branches.iter().flat_map(|branch| &branch.promotions);
        promotions().all(|promotion| promotion.verdict == Verdict::Same)
            && self.removals.iter().all(|removal| removal.verdict == Some(Verdict::Same) || removal.verdict.is_none())
    }
}

/// Identifies a promotion: the branch's observed head by number, and the commit.
type Key = (Incarnation, String, u64, CommitId);

/// Replays the journal in `source` under `other`.
///
/// # Errors
/// As for every read.
pub fn what_if(source: &Source, other: &Policy) -> Result<WhatIf, EvidenceError> {
    let mut follow = Follow {
        journal: Reducer::new(Rules::OfTheJournal),
        other: Reducer::new(Rules::These(other.clone())),
        recorded: BTreeMap::new(),
        names: BTreeMap::new(),
        removals: Removals::default(),
        touched: BTreeSet::new(),
        end: At { seq: 0, at_ms: 0 },
    };
    let scan = source.read(&mut follow)?;
    Ok(WhatIf { begins_at: begins_at(&scan), ..follow.answer(other) })
}

struct Follow {
    journal: Reducer,
    other: Reducer,
    recorded: BTreeMap<Key, At>,
    names: BTreeMap<Incarnation, String>,
    removals: Removals,
    touched: BTreeSet<Incarnation>,
    end: At,
}

impl Replay for Follow {
    fn record(&mut self, seq: u64, record: RawRecord<'_>, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        let event = decode(&record)?;
        let change = event.change();
        match (event.mirror(), &change) {
            (Some(mirror), Change::Defined(definition)) => drop(self.names.insert(mirror, definition.name.clone())),
            (Some(mirror), Change::Branch { name, change: BranchChange::MoveStarted(e) }) => {
                let key = (mirror, (*name).to_owned(), e.seen, e.to);
                self.recorded.entry(key).or_insert(At { seq, at_ms: e.at_ms });
            }
            _ => {}
        }
        self.removals.take(seq, &event, self.journal.policy());
        let mirror = event.mirror();
        self.journal.observe(&event);
        self.other.follow_rules(self.journal.policy());
        self.other.observe(&event);
        match (mirror, &change) {
            // Nothing that a plan looks at.
            (_, Change::Published) => {}
            (Some(mirror), _) => drop(self.touched.insert(mirror)),
            // Other rules concern all.
            (None, Change::PolicySet(_)) => self.touched.extend(self.names.keys()),
            (None, _) => {}
        }
        if seq == frame.last_seq {
            self.end = At { seq, at_ms: frame.wall_ms };
            for mirror in std::mem::take(&mut self.touched) {
                self.journal.plan(mirror, self.end);
                self.other.plan(mirror, self.end);
            }
        }
        Ok(())
    }

    /// Up to the snapshot, both states did what the journal did.
    fn restore(&mut self, snapshot: &SnapshotHeader, image: &[u8]) -> Result<(), ReplayRefused> {
        let state = restored(snapshot, image)?;
        let names = state.mirrors.iter().map(|(id, mirror)| (*id, mirror.definition.name.clone()));
        self.names = names.collect();
        self.touched = state.mirrors.keys().copied().collect();
        self.end = At { seq: snapshot.seq, at_ms: snapshot.wall_ms };
        self.removals.begin(snapshot.seq, &state);
        self.other.begin(state.clone());
        self.journal.begin(state);
        Ok(())
    }
}

impl Follow {
    fn answer(self, other: &Policy) -> WhatIf {
        let keys: BTreeSet<&Key> = self.journal.planned.keys().chain(self.other.planned.keys()).collect();
        let mut branches: BTreeMap<(Incarnation, String), Vec<Promotion>> = BTreeMap::new();
        for key in keys {
            let (mirror, branch, nth, commit) = key;
            let (journal, planned) = (self.journal.planned.get(key).copied(), self.other.planned.get(key).copied());
            let by_seq = |at: Option<At>| at.map(|at| at.seq);
            let Some(verdict) = Verdict::of(by_seq(journal), by_seq(planned)) else { continue };
            let why = match verdict {
                Verdict::Same => String::new(),
                Verdict::Never => self.other.why_not(mirror, branch, *nth, commit),
                _ => self.other.asked_again(mirror),
            };
            let recorded = self.recorded.get(key).copied();
            let promotion = Promotion { nth: *nth, commit: *commit, recorded, journal, other: planned, verdict, why };
            branches.entry((*mirror, branch.clone())).or_default().push(promotion);
        }
        let branches = branches.into_iter().map(|((mirror, branch), mut promotions)| {
            promotions.sort_by_key(|promotion| promotion.journal.or(promotion.other));
            let name = self.names.get(&mirror).cloned().unwrap_or_default();
            let ends = [self.journal.stands(&mirror, &branch), self.other.stands(&mirror, &branch)];
            BranchAnswer { mirror, name, branch, promotions, ends }
        });
        let branches = branches.collect();
        let removals = self.removals.answer(other, self.end, &self.names);
        WhatIf {
            end: self.end,
            begins_at: 1,
            journal: self.journal.policy().clone(),
            other: other.clone(),
            branches,
            removals,
        }
    }
}
