//! A state that follows a journal's observations and makes its own moves.
//!
//! Decides which events are observations and which depend on the policy, and makes the resulting moves. Moves are
//! planned by the same function that the service uses.

use std::collections::BTreeMap;

use lakemirror_core::ids::{CommitId, Incarnation};
use lakemirror_journal::bits::Bits;
use lakemirror_journal::command::{Command, MirrorCommand};
use lakemirror_journal::decide::decide;
use lakemirror_journal::event::{ArrivalsCheckedV1, Event, MoveFinishedV1, MoveStartedV1, RecordsWrittenV1};
use lakemirror_journal::state::State;
use lakemirror_journal::state::branch::Move;
use lakemirror_journal::state::policy::{ArchivedRule, ImportsRule, Policy};
use lakemirror_journal::state::transition::{BranchChange, Change};
use lakemirror_journal::state::tree::Completeness;

use super::Key;
use crate::explain::graph::At;
use crate::point::show;

/// Which policy is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rules {
    /// The policies in the journal.
    OfTheJournal,
    /// This one, from the start.
    These(Policy),
}

/// The state, and the moves that it made.
pub(super) struct Reducer {
    rules: Rules,
    /// Whether checks are invalidated at the journal's own records, instead of by this state's decisions.
    reopens_alike: bool,
    state: State,
    pub(super) planned: BTreeMap<Key, At>,
    /// The first time at which checks of a mirror would have been repeated.
    again: BTreeMap<Incarnation, At>,
}

impl Reducer {
    pub(super) fn new(rules: Rules) -> Self {
        let mut state = State::default();
        if let Rules::These(policy) = &rules {
            state.policy = policy.clone();
        }
        Self { rules, reopens_alike: true, state, planned: BTreeMap::new(), again: BTreeMap::new() }
    }

    /// Begins with a state of the journal: moves in progress are taken as done.
    pub(super) fn begin(&mut self, state: State) {
        self.state = state;
        let under_way: Vec<MoveFinishedV1> = self
            .state
            .mirrors
            .iter()
            .flat_map(|(id, mirror)| mirror.branches.iter().map(move |(name, branch)| (*id, name, branch.moving)))
            .filter_map(|(mirror, branch, moving)| {
                let Move { from, to, seen, at_ms } = moving?;
                Some(MoveFinishedV1 { mirror, branch: branch.clone(), from, to, seen, at_ms })
            })
            .collect();
        under_way.into_iter().for_each(|finished| self.finish(finished));
        if let Rules::These(policy) = &self.rules {
            self.state.apply(&Event::PolicySetV2(policy.event()));
        }
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.state.policy
    }

    /// If both policies have the same check age, checks are repeated when the journal says so.
    pub(super) fn follow_rules(&mut self, journal: &Policy) {
        self.reopens_alike = self.state.policy.evidence_age_ms_max == journal.evidence_age_ms_max;
    }

    /// Applies an event of the journal, unless it depends on the policy.
    pub(super) fn observe(&mut self, event: &Event) {
        match event.change() {
            Change::Branch {
                change:
                    BranchChange::MoveStarted(_) | BranchChange::MoveFinished { .. } | BranchChange::MoveGivenUp { .. },
                ..
            }
            | Change::RecordsWritten(_)
            | Change::Published => {}
            Change::PolicySet(_) if self.rules != Rules::OfTheJournal => {}
            Change::RangesReopened(_) if !self.reopens_alike => {}
            Change::ArrivalsChecked(batch) => match self.without_imports(batch) {
                Some(batch) => self.state.apply(&Event::ArrivalsChecked(batch)),
                None => self.state.apply(event),
            },
            _ => self.state.apply(event),
        }
    }

    /// The batch without imported entries, if the policy would not have checked them and the journal's did.
    fn without_imports(&self, batch: &ArrivalsCheckedV1) -> Option<ArrivalsCheckedV1> {
        if self.rules == Rules::OfTheJournal || self.state.policy.imports != ImportsRule::Ignore {
            return None;
        }
        let range = self.state.mirror(&batch.mirror)?.trees.range(&batch.range)?;
        let imports = &range.detail.as_deref().filter(|detail| !detail.imports.is_none())?.imports;
        let (asked, present) = (batch.asked.decode().ok()?, batch.present.decode().ok()?);
        let ordinal = |offset: u32| batch.base.saturating_add(offset);
        let kept: Vec<(u32, bool)> = asked
            .iter()
            .zip(0u32..)
            .filter(|(offset, _)| !imports.contains(ordinal(*offset)))
            .map(|(offset, rank)| (offset, present.contains(rank)))
            .collect();
        let count = u32::try_from(kept.len()).unwrap_or(u32::MAX);
        let there = (0u32..).zip(&kept).filter(|(_, (_, there))| *there).map(|(rank, _)| rank);
        let exceptions = batch.exceptions.iter().filter(|exception| !imports.contains(exception.ordinal));
        Some(ArrivalsCheckedV1 {
            asked: Bits::from_ordinals(asked.len(), kept.iter().map(|(offset, _)| *offset)).encode(),
            present: Bits::from_ordinals(count, there).encode(),
            exceptions: exceptions.cloned().collect(),
            ..batch.clone()
        })
    }

    /// Plans and makes the moves of a mirror after record `at`.
    pub(super) fn plan(&mut self, mirror: Incarnation, at: At) {
        let command = Command::Mirror { mirror, ask: MirrorCommand::PlanMoves, at_ms: at.at_ms };
        let Ok(events) = decide(&self.state, command) else { return };
        for event in events {
            match event.change() {
                Change::Branch { change: BranchChange::MoveStarted(started), .. } => self.make(started, at),
                // The branch is there already: no move, and the journal has none.
                Change::Branch { change: BranchChange::MoveFinished { .. }, .. } => self.state.apply(&event),
                Change::RangesReopened(_) => {
                    self.again.entry(mirror).or_insert(at);
                    if !self.reopens_alike {
                        self.state.apply(&event);
                    }
                }
                _ => {}
            }
        }
    }

    fn make(&mut self, started: &MoveStartedV1, at: At) {
        let MoveStartedV1 { mirror, branch, from, to, seen, at_ms, .. } = started;
        self.planned.entry((*mirror, branch.clone(), *seen, *to)).or_insert(at);
        let finished = MoveFinishedV1 {
            mirror: *mirror,
            branch: branch.clone(),
            from: *from,
            to: *to,
            seen: *seen,
            at_ms: *at_ms,
        };
        self.state.apply(&Event::MoveStarted(started.clone()));
        self.finish(finished);
    }

    fn finish(&mut self, finished: MoveFinishedV1) {
        let MoveFinishedV1 { mirror, to, at_ms, .. } = finished;
        let commits = self.state.mirror(&mirror).map(|mirror| mirror.graph.unrecorded(&to, usize::MAX));
        let written = RecordsWrittenV1 { mirror, commits: commits.unwrap_or_default(), at_ms };
        self.state.apply(&Event::RecordsWritten(written));
        self.state.apply(&Event::MoveFinished(finished));
    }

    /// The commit that the mirror's branch shows.
    pub(super) fn stands(&self, mirror: &Incarnation, branch: &str) -> Option<CommitId> {
        self.state.mirror(mirror)?.branches.get(branch)?.mirror
    }

    /// States that checks of the mirror would have been repeated, if so.
    pub(super) fn asked_again(&self, mirror: &Incarnation) -> String {
        let again = self.again.get(mirror).filter(|_| !self.reopens_alike);
        again.map_or_else(String::new, |at| {
            format!(
                "from record {} of {} on checks count as too old and would be made again; their answers are not in the journal",
                at.seq,
                show(at.at_ms)
            )
        })
    }

    /// Why a head was not promoted.
    pub(super) fn why_not(&self, mirror: &Incarnation, branch: &str, nth: u64, commit: &CommitId) -> String {
        let newer =
            self.planned.iter().filter(|((other, name, seen, _), _)| other == mirror && name == branch && *seen > nth);
        if let Some(((_, _, _, newer), at)) = newer.min_by_key(|(_, at)| **at) {
            return format!("the newer head {newer} is promoted after record {}", at.seq);
        }
        let Some(found) = self.state.mirror(mirror) else { return "the mirror was removed".to_owned() };
        let again = self.asked_again(mirror);
        if !again.is_empty() {
            return again;
        }
        let tree = found.graph.get(commit).and_then(|commit| commit.metarange);
        let Some(tree) = tree.and_then(|tree| found.trees.metaranges.get(&tree)) else {
            return "its tree is not known".to_owned();
        };
        let details = || found.trees.ranges_of(tree).filter_map(|range| range.detail.as_deref());
        let imports = details().filter(|detail| !detail.imports.is_none()).count();
        let wrong: usize = details().map(|detail| detail.wrong_size.len()).sum();
        let missing: u32 = details().map(|detail| detail.missing.count()).sum();
        let archived: usize = details().map(|detail| detail.archived.values().filter(|one| !one.shown).count()).sum();
        match tree.completeness() {
            _ if imports > 0 && self.state.policy.imports == ImportsRule::Block => {
                format!("{imports} range(s) of it have imported entries, which are blocked")
            }
            Completeness::Incomplete if wrong > 0 => format!("{wrong} object(s) have another size than their entries"),
            Completeness::Incomplete
                if archived > 0 && self.state.policy.archived == ArchivedRule::Block && missing == 0 =>
            {
                format!("{archived} object(s) are in an archive class")
            }
            Completeness::Incomplete if missing > 0 => format!("{missing} of its object(s) were not found"),
            Completeness::Incomplete => "not all of its files were read".to_owned(),
            Completeness::CompleteExceptExpired => "some of its objects do not exist at the source either".to_owned(),
            Completeness::Complete => "some ancestors are not complete".to_owned(),
        }
    }
}
