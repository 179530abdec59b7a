//! The first pass over a journal: what it says of one mirror's branches, commits and trees, without their evidence.
//!
//! Owns which records these are and what is kept of each; checks and ranges, nearly all bytes of a journal, are passed
//! by undecoded. Memory: about 200 bytes a commit, 4 a range of a tree, 80 a distinct range.

mod restore;

use std::collections::BTreeMap;

use lakemirror_core::ids::{CommitId, Incarnation, MetarangeId, RangeId};
use lakemirror_journal::event::{CommitObservedV1, Event, MetarangeReadV1, MoveStartedV1};
use lakemirror_journal::log::{FrameInfo, RawRecord, Replay, ReplayRefused, SnapshotHeader};

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
    /// Since when it is gone from the mirror, if it is.
    pub removed: Option<At>,
    nth: u64,
    pending: Option<(CommitId, u64)>,
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
        if let Event::MirrorDefined(defined) = &event
            && self.wanted.define(defined)
        {
            let graph = || Graph { name: defined.name.clone(), defined: seq, ..Graph::default() };
            self.graphs.entry(defined.mirror).or_insert_with(graph);
        }
        if let Some(graph) = event.mirror().and_then(|mirror| self.graphs.get_mut(&mirror)) {
            graph.apply(seq, event);
        }
        Ok(())
    }

    fn restore(&mut self, snapshot: &SnapshotHeader, image: &[u8]) -> Result<(), ReplayRefused> {
        let state = restored(snapshot, image)?;
        for (id, mirror) in state.mirrors {
            if self.wanted.add(id, &mirror.definition.name) {
                self.graphs.insert(id, restore::graph(mirror));
            }
        }
        self.end = At { seq: snapshot.seq, at_ms: snapshot.wall_ms };
        Ok(())
    }
}

impl Graph {
    fn apply(&mut self, seq: u64, event: Event) {
        match event {
            Event::CommitObserved(e) => self.observe(seq, e),
            Event::MetarangeRead(e) => self.read_tree(seq, &e),
            Event::RecordsWritten(e) => {
                for id in &e.commits {
                    let commit = self.commits.get_mut(id);
                    commit.map(|commit| commit.written.get_or_insert(At { seq, at_ms: e.at_ms }));
                }
            }
            other => {
                let Some(name) = other.branch().map(ToOwned::to_owned) else { return };
                self.branches.entry(name).or_default().apply(seq, other);
            }
        }
    }

    fn observe(&mut self, seq: u64, e: CommitObservedV1) {
        let message = e.message.lines().next().unwrap_or_default();
        let commit = Commit {
            at: At { seq, at_ms: e.at_ms },
            parents: e.parents,
            metarange: e.metarange,
            committer: e.committer,
            message: message.chars().take(MESSAGE_LETTERS_MAX).collect(),
            creation_date: e.creation_date,
            written: None,
        };
        self.commits.entry(e.id).or_insert(commit);
    }

    fn read_tree(&mut self, seq: u64, e: &MetarangeReadV1) {
        let Self { trees, ranges, index, .. } = self;
        let tree = trees.entry(e.metarange).or_default();
        if e.first == 0 {
            tree.under_way = Some((At { seq, at_ms: e.at_ms }, Vec::new()));
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
            tree.readings.push((first, seq));
            tree.ranges = listed;
        }
    }

    /// The ranges of a tree, in key order, with their entries.
    pub(super) fn ranges_of(&self, tree: &Tree) -> Vec<(RangeId, u32)> {
        tree.ranges.iter().filter_map(|at| self.ranges.get(*at as usize)).copied().collect()
    }
}

impl Branch {
    fn apply(&mut self, seq: u64, event: Event) {
        match event {
            Event::BranchSeen(e) => {
                self.tombstoned = None;
                if self.pending.map(|(commit, _)| commit) != Some(e.head) {
                    self.nth += 1;
                    self.pending = Some((e.head, self.nth));
                    self.seen.push(Seen { at: At { seq, at_ms: e.at_ms }, commit: e.head, nth: self.nth });
                }
            }
            Event::BranchTombstoned(e) => {
                (self.tombstoned, self.pending) = (Some(At { seq, at_ms: e.at_ms }), None);
            }
            Event::BranchRemoved(e) => {
                self.removed = Some(At { seq, at_ms: e.at_ms });
                if self.tombstoned.is_some() {
                    (self.nth, self.pending) = (0, None);
                }
            }
            Event::MoveStarted(e) => {
                let (from, to, nth, at) = (e.from, e.to, e.seen, At { seq, at_ms: e.at_ms });
                let started = Some((at, Box::new(e)));
                self.moves.push(Move { from, to, nth, started, finished: None, adopted: false, diverged: None });
            }
            // Its head waits again, as if it had never been begun.
            Event::MoveGivenUp(e) => {
                drop(self.moves.pop_if(|last| last.to == e.to && last.finished.is_none() && last.diverged.is_none()));
            }
            Event::MoveFinished(e) => self.finish(e.from, e.to, e.seen, At { seq, at_ms: e.at_ms }),
            Event::BranchAdopted(e) => {
                let from = self.shown().map(|shown| shown.to);
                let finished = Some(At { seq, at_ms: e.at_ms });
                let found = Move { from, to: e.found, nth: 0, started: None, finished, adopted: true, diverged: None };
                (self.removed, _) = (None, self.moves.push(found));
            }
            Event::BranchDiverged(e) => {
                let last = self.moves.last_mut();
                last.map(|last| last.diverged.get_or_insert(At { seq, at_ms: e.at_ms }));
            }
            _ => {}
        }
    }

    /// A move that was begun ends; without one, the branch was there already.
    fn finish(&mut self, from: Option<CommitId>, to: CommitId, nth: u64, at: At) {
        self.removed = None;
        match self.moves.last_mut().filter(|last| last.to == to && last.finished.is_none()) {
            Some(last) => last.finished = Some(at),
            None => {
                let there = Move { from, to, nth, started: None, finished: Some(at), adopted: false, diverged: None };
                self.moves.push(there);
            }
        }
        self.pending = self.pending.filter(|(_, pending)| *pending > nth);
    }

    /// The move that brought the branch of the mirror where it is, as far as this journal moved it.
    #[must_use]
    pub fn shown(&self) -> Option<&Move> {
        self.moves.iter().rev().find(|found| found.finished.is_some()).filter(|_| self.removed.is_none())
    }
}
