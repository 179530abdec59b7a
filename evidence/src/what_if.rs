//! The observations of a journal under other rules: which promotions would have come at another record, or not at all.
//!
//! Two states follow the same observations side by side, one under the rules of the journal and one under the other
//! ones. After each commit of the journal both are asked which branches may move, as the service asks after each change,
//! and a move that is planned is taken to be done at once; the journal's own moves are left out of both, so what differs
//! between the two is the rules' work alone. Nothing is written, and nothing outside is asked: what the service would
//! have asked under the other rules and did not is not known, and is said. Removals: `removals`.

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

/// How a promotion differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// At the same record.
    Same,
    /// At a later one.
    Later,
    /// At an earlier one.
    Earlier,
    /// Only under the journal's rules.
    Never,
    /// Only under the other rules.
    Only,
}

impl Verdict {
    /// One word.
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
    /// Which of the branch's seen heads; 0 where a branch was put back.
    pub nth: u64,
    /// The commit.
    pub commit: CommitId,
    /// The journal's own move there, if it made one.
    pub recorded: Option<At>,
    /// The record after which the move is planned under the journal's rules.
    pub journal: Option<At>,
    /// The same under the other rules.
    pub other: Option<At>,
    /// What that makes.
    pub verdict: Verdict,
    /// Why it is so, where there is more to say.
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
    /// Where it stands at the end under the journal's rules, and under the others.
    pub ends: [Option<CommitId>; 2],
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhatIf {
    /// The journal's last record.
    pub end: At,
    /// The first record that was read one by one; what was before came from a snapshot, and both begin with that.
    pub begins_at: u64,
    /// The rules that the journal had at its end.
    pub journal: Policy,
    /// The other ones.
    pub other: Policy,
    /// Every branch that was promoted under either.
    pub branches: Vec<BranchAnswer>,
    /// Every branch whose time of grace began.
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

/// Which promotion: the branch's seen head by number, and the commit.
type Key = (Incarnation, String, u64, CommitId);

/// Replays the journal in `source` under `other`.
///
/// # Errors
/// As for every reading.
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

    /// Up to there both have done what the journal did.
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
