//! Removals of branches under another grace period.
//!
//! A branch may be removed once the grace period has passed since its tombstone. The guard on how many branches are
//! removed at once is not replayed, because the listings that it uses are not in the journal.

use std::collections::BTreeMap;

use lakemirror_core::ids::Incarnation;
use lakemirror_journal::event::Event;
use lakemirror_journal::state::State;
use lakemirror_journal::state::mirror::Mirror;
use lakemirror_journal::state::policy::Policy;
use lakemirror_journal::state::transition::{BranchChange, Change, Transition};

use super::Verdict;
use crate::explain::graph::At;

/// A branch whose grace period began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The mirror.
    pub mirror: Incarnation,
    /// Its name.
    pub name: String,
    /// The branch.
    pub branch: String,
    /// The record with which it began.
    pub tombstoned: At,
    /// The journal's removal, if there was one.
    pub recorded: Option<At>,
    /// When it may be removed under the journal's policy, and under the other one; milliseconds since 1970. `None` if
    /// the branch came back or the journal ends before.
    pub due_ms: [Option<u64>; 2],
    /// The comparison of the two; `None` if it is removed under neither policy.
    pub verdict: Option<Verdict>,
}

#[derive(Default)]
pub(super) struct Removals {
    open: BTreeMap<(Incarnation, String), usize>,
    found: Vec<Grace>,
}

struct Grace {
    mirror: Incarnation,
    branch: String,
    tombstoned: At,
    grace_ms: u64,
    recorded: Option<At>,
    /// When the branch came back.
    back_ms: Option<u64>,
}

impl Removals {
    /// Begins with the state after record `seq`. The record with which a grace period began is not known, only that it
    /// was not a later one.
    pub(super) fn begin(&mut self, seq: u64, state: &State) {
        let branches = |(id, mirror): (&Incarnation, &Mirror)| {
            let id = *id;
            let gone = mirror.branches.iter().filter_map(|(name, branch)| Some((name.clone(), branch.tombstone_ms?)));
            gone.map(|(name, at_ms)| (id, name, at_ms)).collect::<Vec<_>>()
        };
        for (mirror, branch, at_ms) in state.mirrors.iter().flat_map(branches) {
            self.open.insert((mirror, branch.clone()), self.found.len());
            let (tombstoned, grace_ms) = (At { seq, at_ms }, state.policy.deletion_grace_ms);
            self.found.push(Grace { mirror, branch, tombstoned, grace_ms, recorded: None, back_ms: None });
        }
    }

    pub(super) fn take(&mut self, seq: u64, event: &Event, policy: &Policy) {
        let Some(Transition { mirror, at_ms, change: Change::Branch { name, change }, .. }) = event.transition() else {
            return;
        };
        let (key, at) = ((mirror, name.to_owned()), At { seq, at_ms });
        match change {
            BranchChange::Tombstoned { .. } => {
                self.open.insert(key.clone(), self.found.len());
                let (tombstoned, grace_ms) = (at, policy.deletion_grace_ms);
                let (mirror, branch) = key;
                self.found.push(Grace { mirror, branch, tombstoned, grace_ms, recorded: None, back_ms: None });
            }
            BranchChange::RemovalStarted { .. } => {
                if let Some(grace) = self.open.get(&key).and_then(|at| self.found.get_mut(*at)) {
                    grace.recorded.get_or_insert(at);
                }
            }
            BranchChange::Seen { .. } => {
                if let Some(grace) = self.open.remove(&key).and_then(|at| self.found.get_mut(at)) {
                    grace.back_ms = Some(at_ms);
                }
            }
            BranchChange::Removed { .. } => drop(self.open.remove(&key)),
            _ => {}
        }
    }

    pub(super) fn answer(self, other: &Policy, end: At, names: &BTreeMap<Incarnation, String>) -> Vec<Removal> {
        let answer = |grace: Grace| {
            // A branch that is observed again after its removal was created again; it did not escape removal.
            let until = grace.back_ms.unwrap_or(end.at_ms);
            let due = |grace_ms: u64| Some(grace.tombstoned.at_ms.saturating_add(grace_ms)).filter(|due| *due <= until);
            let due_ms = [due(grace.grace_ms), due(other.deletion_grace_ms)];
            let [journal, others] = due_ms;
            Removal {
                name: names.get(&grace.mirror).cloned().unwrap_or_default(),
                mirror: grace.mirror,
                branch: grace.branch,
                tombstoned: grace.tombstoned,
                recorded: grace.recorded,
                due_ms,
                verdict: Verdict::of(journal, others),
            }
        };
        self.found.into_iter().map(answer).collect()
    }
}
