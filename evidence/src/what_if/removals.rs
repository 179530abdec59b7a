//! Removals of branches under another time of grace.
//!
//! Owns the arithmetic: a tombstone's time and the time of grace give the point from which the branch may go. The
//! guard on how many branches go at once is not replayed: the listings that it looks at are not in the journal.

use std::collections::BTreeMap;

use lakemirror_core::ids::Incarnation;
use lakemirror_journal::event::Event;
use lakemirror_journal::state::State;
use lakemirror_journal::state::mirror::Mirror;
use lakemirror_journal::state::policy::Policy;
use lakemirror_journal::state::transition::{BranchChange, Change, Transition};

use super::Verdict;
use crate::explain::graph::At;

/// A branch whose time of grace began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The mirror.
    pub mirror: Incarnation,
    /// Its name.
    pub name: String,
    /// The branch.
    pub branch: String,
    /// The record that began it.
    pub tombstoned: At,
    /// The journal's removal, if it came to it.
    pub recorded: Option<At>,
    /// From when on it may go under the journal's rules, and under the others; milliseconds since 1970, none where the
    /// branch came back or the journal ends before.
    pub due_ms: [Option<u64>; 2],
    /// What that makes; none where it goes under neither.
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
    /// When it came back.
    back_ms: Option<u64>,
}

impl Removals {
    /// Begins with the state after record `seq`: which record began a time of grace is not known, that it was no later is.
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
            // A branch that was removed and is seen again came back after its removal, not instead of it.
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
