//! The first pass over a journal: collects the branches, commits and trees of one mirror, without their evidence.
//!
//! Checks and ranges, which are nearly all bytes of a journal, are skipped without decoding. Memory: about 200 bytes
//! per commit, 4 per range of a tree, 80 per distinct range.

mod restore;

use std::collections::BTreeMap;

use lakemirror_core::ids::{CommitId, Incarnation, MetarangeId, RangeId};
use lakemirror_journal::event::{CommitObservedV1, Event, MetarangeReadV1, MoveStartedV1};
use lakemirror_journal::log::{FrameInfo, RawRecord, Replay, ReplayRefused, SnapshotHeader};
use lakemirror_journal::state::State;
use lakemirror_journal::state::transition::{BranchChange, Change, Transition};

use crate::begin::restored;
use crate::decode;
use crate::mirrors::Wanted;

/// Number of characters kept of a commit's message.
const MESSAGE_LETTERS_MAX: usize = 80;
/// Record kinds that the first pass does not need: ranges, checks, probes, and their invalidations.
const EVIDENCE_KINDS: std::ops::RangeInclusive<u16> = 50..=55;

/// A record, and the time at which its event happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// The record number; 0 if the record is not available and its effect came from a snapshot.
    pub seq: u64,
    /// Milliseconds since 1970.
    pub at_ms: u64,
}

/// A commit that was read from the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The record with which it was read.
    pub at: At,
    /// Its parents.
    pub parents: Vec<CommitId>,
    /// Its tree; `None` for the empty tree.
    pub metarange: Option<MetarangeId>,
    /// Its committer.
    pub committer: String,
    /// The beginning of the first line of its message.
    pub message: String,
    /// Its date, seconds since 1970.
    pub creation_date: i64,
    /// The record that confirms that it is on the mirror.
    pub written: Option<At>,
}

/// A metarange file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    /// Each complete read: its first record and time, and its last record.
    pub readings: Vec<(At, u64)>,
    /// Its ranges, in key order, as indexes into [`Graph::ranges`].
    pub ranges: Vec<u32>,
    under_way: Option<(At, Vec<u32>)>,
}

/// A head that was observed at the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The record.
    pub at: At,
    /// The commit.
    pub commit: CommitId,
    /// Its number among the observed heads of the branch, from 1.
    pub nth: u64,
}

/// A move of a branch of the mirror to a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The commit before the move.
    pub from: Option<CommitId>,
    /// The commit after the move.
    pub to: CommitId,
    /// The number of the observed head.
    pub nth: u64,
    /// The record that states that the evidence is complete, and what it states. `None` if the branch was found there.
    pub started: Option<(At, Box<MoveStartedV1>)>,
    /// The record that confirms that the move is done.
    pub finished: Option<At>,
    /// Whether the branch was found there and adopted.
    pub adopted: bool,
    /// When another writer moved the branch, during the move or after it.
    pub diverged: Option<At>,
}

/// One branch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Branch {
    /// Observed heads, in order.
    pub seen: Vec<Seen>,
    /// Its moves, in order.
    pub moves: Vec<Move>,
    /// When the branch was deleted at the source, if it was.
    pub tombstoned: Option<At>,
    /// Why the journal does not know where the branch is on the mirror, if it does not.
    pub away: Option<Away>,
}

/// Why the mirror's branch shows nothing that this journal knows of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Away {
    /// It was removed from the mirror.
    Removed(At),
    /// Another process may have moved it, so its position had to be determined again.
    Unknown(At),
}

/// One mirror.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Graph {
    /// Its name.
    pub name: String,
    /// The record that defined it.
    pub defined: u64,
    /// Its commits.
    pub commits: BTreeMap<CommitId, Commit>,
    /// Its trees.
    pub trees: BTreeMap<MetarangeId, Tree>,
    /// Every range listed by a tree, with its number of entries.
    pub ranges: Vec<(RangeId, u32)>,
    /// Its branches.
    pub branches: BTreeMap<String, Branch>,
    index: BTreeMap<RangeId, u32>,
}

/// Collects the graphs of the requested mirrors.
pub(super) struct Collect {
    pub(super) wanted: Wanted,
    pub(super) graphs: BTreeMap<Incarnation, Graph>,
    pub(super) end: At,
    /// The state of mirrors and branches. Content is not applied to it.
    pub(super) state: State,
}

impl Replay for Collect {
    fn frame(&mut self, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        self.end = At { seq: frame.last_seq, at_ms: frame.wall_ms };
        Ok(())
    }

    fn record(&mut self, seq: u64, record: RawRecord<'_>, _: &FrameInfo) -> Result<(), ReplayRefused> {
        if EVIDENCE_KINDS.contains(&record.kind) {
            return Ok(());
        }
        let event = decode(&record)?;
        let Self { wanted, graphs, state, .. } = self;
        observe(state, &event, |transition| {
            if let Change::Defined(definition) = &transition.change
                && wanted.add(transition.mirror, &definition.name)
            {
                let graph = || Graph { name: definition.name.clone(), defined: seq, ..Graph::default() };
                graphs.entry(transition.mirror).or_insert_with(graph);
            }
            if let Some(graph) = graphs.get_mut(&transition.mirror) {
                graph.take(seq, &transition);
            }
        });
        Ok(())
    }

    fn restore(&mut self, snapshot: &SnapshotHeader, image: &[u8]) -> Result<(), ReplayRefused> {
        self.state = restored(snapshot, image)?;
        for (id, mirror) in &self.state.mirrors {
            if self.wanted.add(*id, &mirror.definition.name) {
                self.graphs.insert(*id, restore::graph(mirror));
            }
        }
        self.end = At { seq: snapshot.seq, at_ms: snapshot.wall_ms };
        Ok(())
    }
}

impl Graph {
    fn take(&mut self, seq: u64, transition: &Transition<'_>) {
        let at = At { seq, at_ms: transition.at_ms };
        match &transition.change {
            Change::CommitObserved(e) => self.observe(at, e),
            Change::MetarangeRead(e) => self.read_tree(at, e),
            Change::RecordsWritten(commits) => {
                for id in *commits {
                    let commit = self.commits.get_mut(id);
                    commit.map(|commit| commit.written.get_or_insert(at));
                }
            }
            Change::Taken { forgets: true, .. } => self.branches.values_mut().for_each(|branch| branch.forget(at)),
            Change::Branch { name, change } if transition.is_applied => {
                if !self.branches.contains_key(*name) {
                    self.branches.insert((*name).to_owned(), Branch::default());
                }
                if let Some(branch) = self.branches.get_mut(*name) {
                    branch.take(at, change);
                }
            }
            _ => {}
        }
    }

    fn observe(&mut self, at: At, e: &CommitObservedV1) {
        let message = e.message.lines().next().unwrap_or_default();
        let commit = Commit {
            at,
            parents: e.parents.clone(),
            metarange: e.metarange,
            committer: e.committer.clone(),
            message: message.chars().take(MESSAGE_LETTERS_MAX).collect(),
            creation_date: e.creation_date,
            written: None,
        };
        self.commits.entry(e.id).or_insert(commit);
    }

    fn read_tree(&mut self, at: At, e: &MetarangeReadV1) {
        let Self { trees, ranges, index, .. } = self;
        let tree = trees.entry(e.metarange).or_default();
        if e.first == 0 {
            tree.under_way = Some((at, Vec::new()));
        }
        let Some((_, listed)) = tree.under_way.as_mut().filter(|(_, listed)| listed.len() == e.first as usize) else {
            return;
        };
        for (id, entries) in &e.ranges {
            let next = u32::try_from(ranges.len()).unwrap_or(u32::MAX);
            let found = *index.entry(*id).or_insert(next);
            if found == next {
                ranges.push((*id, *entries));
            }
            listed.push(found);
        }
        if listed.len() == e.total as usize
            && let Some((first, listed)) = tree.under_way.take()
        {
            tree.readings.push((first, at.seq));
            tree.ranges = listed;
        }
    }

    /// The ranges of a tree in key order, with their numbers of entries.
    pub(super) fn ranges_of(&self, tree: &Tree) -> Vec<(RangeId, u32)> {
        tree.ranges.iter().filter_map(|at| self.ranges.get(*at as usize)).copied().collect()
    }
}

/// Processes an event: changes of mirrors and branches are applied to the state, content is only reported.
fn observe<'a>(state: &mut State, event: &'a Event, tell: impl FnOnce(Transition<'a>)) {
    match state.transition(event) {
        Some(content) if content.change.is_content() => tell(content),
        _ => state.observe(event, tell),
    }
}

impl Branch {
    fn take(&mut self, at: At, change: &BranchChange<'_>) {
        match change {
            BranchChange::Seen { head, new, .. } => {
                self.tombstoned = None;
                self.seen.extend(new.map(|nth| Seen { at, commit: *head, nth }));
            }
            BranchChange::Tombstoned { .. } => self.tombstoned = Some(at),
            BranchChange::Removed { .. } => self.away = Some(Away::Removed(at)),
            BranchChange::Forgotten { .. } => self.forget(at),
            BranchChange::MoveStarted(started) => {
                let (from, to, nth) = (started.from, started.to, started.seen);
                let started = Some((at, Box::new((*started).clone())));
                self.moves.push(Move { from, to, nth, started, finished: None, adopted: false, diverged: None });
            }
            // The head is waiting again, as if the move had never started.
            BranchChange::MoveGivenUp { to, .. } => {
                drop(self.moves.pop_if(|last| last.to == *to && last.finished.is_none() && last.diverged.is_none()));
            }
            BranchChange::MoveFinished { from, to, seen, .. } => self.finish(*from, *to, *seen, at),
            BranchChange::Adopted { shown, found } => {
                let (from, to, finished) = (*shown, *found, Some(at));
                self.moves.push(Move { from, to, nth: 0, started: None, finished, adopted: true, diverged: None });
                self.away = None;
            }
            BranchChange::Diverged { .. } => {
                let last = self.moves.last_mut();
                last.map(|last| last.diverged.get_or_insert(at));
            }
            _ => {}
        }
    }

    /// Forgets where the branch is on the mirror; a move in progress is not continued.
    fn forget(&mut self, at: At) {
        self.away = Some(Away::Unknown(at));
        drop(self.moves.pop_if(|last| last.finished.is_none() && last.diverged.is_none()));
    }

    /// Ends the move in progress. If there is none, the branch was there already.
    fn finish(&mut self, from: Option<CommitId>, to: CommitId, nth: u64, at: At) {
        self.away = None;
        match self.moves.last_mut().filter(|last| last.to == to && last.finished.is_none()) {
            Some(last) => last.finished = Some(at),
            None => {
                let there = Move { from, to, nth, started: None, finished: Some(at), adopted: false, diverged: None };
                self.moves.push(there);
            }
        }
    }

    /// The move that brought the mirror's branch to where it is, as far as this journal knows its position.
    #[must_use]
    pub fn shown(&self) -> Option<&Move> {
        self.moves.iter().rev().find(|found| found.finished.is_some()).filter(|_| self.away.is_none())
    }
}
