//! The first pass over a journal: what it says of one mirror's branches, commits and trees, without their evidence.
//!
//! Owns which records these are and what is kept of each; checks and ranges, nearly all bytes of a journal, are passed
//! by undecoded. Memory: about 200 bytes a commit, 4 a range of a tree, 80 a distinct range.

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

/// Letters of a commit's message that are kept.
const MESSAGE_LETTERS_MAX: usize = 80;
/// Kinds that the first pass does not need: ranges, checks, probes, what is taken back of them.
const EVIDENCE_KINDS: std::ops::RangeInclusive<u16> = 50..=55;

/// A record, and when it says that it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// Its number; 0 where it is not at hand, and a snapshot says what it did.
    pub seq: u64,
    /// Milliseconds since 1970.
    pub at_ms: u64,
}

/// A commit that was read from the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// By which record.
    pub at: At,
    /// Its parents.
    pub parents: Vec<CommitId>,
    /// Its tree; none for the empty one.
    pub metarange: Option<MetarangeId>,
    /// Its committer.
    pub committer: String,
    /// The beginning of its message's first line.
    pub message: String,
    /// Its date, seconds since 1970.
    pub creation_date: i64,
    /// The record that says that it is on the mirror.
    pub written: Option<At>,
}

/// A metarange file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    /// Each complete reading: its first record with its time, and its last record.
    pub readings: Vec<(At, u64)>,
    /// Its ranges, in key order, as indexes into [`Graph::ranges`].
    pub ranges: Vec<u32>,
    under_way: Option<(At, Vec<u32>)>,
}

/// A head that was seen at the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The record.
    pub at: At,
    /// The commit.
    pub commit: CommitId,
    /// Its number among the heads of the branch, from 1.
    pub nth: u64,
}

/// How a branch of the mirror came to a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Where it was.
    pub from: Option<CommitId>,
    /// Where it goes.
    pub to: CommitId,
    /// Which of the heads that were seen.
    pub nth: u64,
    /// The record that says that the evidence is complete, and what it states. None where the branch was found there.
    pub started: Option<(At, Box<MoveStartedV1>)>,
    /// The record that says that it is there.
    pub finished: Option<At>,
    /// It was found there and taken over.
    pub adopted: bool,
    /// Somebody else moved the branch meanwhile, or after.
    pub diverged: Option<At>,
}

/// One branch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Branch {
    /// Heads seen, in order.
    pub seen: Vec<Seen>,
    /// Its moves, in order.
    pub moves: Vec<Move>,
    /// Since when it is gone at the source, if it is.
    pub tombstoned: Option<At>,
    /// Since when it is gone from the mirror, or where it is there is not known, if so.
    pub away: Option<Away>,
}

/// Why a branch of the mirror shows nothing that this journal knows of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Away {
    /// It is gone from the mirror.
    Removed(At),
    /// Another process may have moved it: where it is was to be found out again.
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
    /// Every range that a tree lists, with its entries.
    pub ranges: Vec<(RangeId, u32)>,
    /// Its branches.
    pub branches: BTreeMap<String, Branch>,
    index: BTreeMap<RangeId, u32>,
}

/// Collects the graphs of the mirrors that are meant.
pub(super) struct Collect {
    pub(super) wanted: Wanted,
    pub(super) graphs: BTreeMap<Incarnation, Graph>,
    pub(super) end: At,
    /// What is known of mirrors and branches; content is only told.
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

    /// The ranges of a tree, in key order, with their entries.
    pub(super) fn ranges_of(&self, tree: &Tree) -> Vec<(RangeId, u32)> {
        tree.ranges.iter().filter_map(|at| self.ranges.get(*at as usize)).copied().collect()
    }
}

/// Takes a fact: what it says of mirrors and branches becomes part of the state, content is only told.
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
            // Its head waits again, as if it had never been begun.
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

    /// Where it is on the mirror is not known any more; a move that was under way is not carried on.
    fn forget(&mut self, at: At) {
        self.away = Some(Away::Unknown(at));
        drop(self.moves.pop_if(|last| last.finished.is_none() && last.diverged.is_none()));
    }

    /// A move that was begun ends; without one, the branch was there already.
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

    /// The move that brought the branch of the mirror where it is, as far as this journal knows where that is.
    #[must_use]
    pub fn shown(&self) -> Option<&Move> {
        self.moves.iter().rev().find(|found| found.finished.is_some()).filter(|_| self.away.is_none())
    }
}
