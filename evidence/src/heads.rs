//! What every mirror showed at a moment: the branches where this journal's own records put them.
//!
//! Only what was durable by then counts: a move is seen once its `MoveFinished` is in a committed frame. A move that
//! was started and not finished is said, because the branch may have shown either end of it; so is a branch that
//! somebody else had moved.

use std::collections::BTreeMap;

use lakemirror_core::ids::{CommitId, Incarnation};
use lakemirror_journal::event::Event;
use lakemirror_journal::log::{FrameInfo, RawRecord, Replay, ReplayRefused, SnapshotHeader};
use lakemirror_journal::state::branch::Branch;
use lakemirror_journal::state::ladder::Gap;
use lakemirror_journal::state::mirror::{Definition, Mirror};

use super::begin::{begins_at, restored};
use super::moment::Moment;
use super::replay::End;
use super::{EvidenceError, Source, decode_about_branches};

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heads {
    /// The last record that counted.
    pub at: End,
    /// Whether the journal goes on after that.
    pub more: bool,
    /// The first record that was read one by one; what was before came from a snapshot.
    pub begins_at: u64,
    /// Gaps: the journal was restored from an older copy, and what branches showed meanwhile is not in it.
    pub gaps: Vec<Gap>,
    /// Mirrors that were not gone, by incarnation.
    pub mirrors: BTreeMap<Incarnation, MirrorHeads>,
}

/// One mirror.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MirrorHeads {
    /// Its name.
    pub name: String,
    /// Its source repository.
    pub source_repository: String,
    /// Its branches, by name.
    pub branches: BTreeMap<String, BranchHead>,
}

/// One branch of a mirror. Records that are not at hand, because a snapshot stands for them, are none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BranchHead {
    /// What it showed, and why; none while only a first move was under way.
    pub shown: Option<Shown>,
    /// A move under way: where to, and the record that started it.
    pub moving: Option<(CommitId, Option<u64>)>,
    /// Somebody else had moved it: where it was found (none where it was gone), and the record that says so.
    pub diverged: Option<(Option<CommitId>, Option<u64>)>,
}

/// What a branch showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The commit.
    pub commit: CommitId,
    /// The record that says so.
    pub seq: Option<u64>,
    /// When the move was seen to be done, or the branch was found there, milliseconds since 1970; 0 where that is not at
    /// hand.
    pub since_ms: u64,
    /// Whether it was found there and taken over, and not moved by this journal; none where a snapshot alone tells of it.
    pub adopted: Option<bool>,
}

/// What every mirror of the journal in `source` showed at `moment`, or at the journal's end.
///
/// # Errors
/// As for every reading; and [`EvidenceError::NotSeen`] for a record's number that the journal has not come to, and for a
/// moment before what is at hand.
pub fn heads(source: &Source, moment: Option<Moment>) -> Result<Heads, EvidenceError> {
    let mut follow = Follow { moment, heads: Heads::default() };
    let scan = source.read(&mut follow)?;
    moment.map_or(Ok(()), |moment| moment.check(&follow.heads.at, scan.snapshot.as_ref()))?;
    Ok(Heads { more: scan.stopped, begins_at: begins_at(&scan), ..follow.heads })
}

struct Follow {
    moment: Option<Moment>,
    heads: Heads,
}

impl Replay for Follow {
    fn record(&mut self, seq: u64, record: RawRecord<'_>, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        if self.moment.is_some_and(|moment| !moment.includes(seq, frame)) {
            return Err(ReplayRefused::stop());
        }
        if let Some(event) = decode_about_branches(&record)? {
            self.heads.apply(seq, &event);
        }
        let frame_hash = (seq == frame.last_seq).then_some(frame.hash);
        self.heads.at = End { seq, wall_ms: frame.wall_ms, frame_hash };
        Ok(())
    }

    fn restore(&mut self, snapshot: &SnapshotHeader, image: &[u8]) -> Result<(), ReplayRefused> {
        let state = restored(snapshot, image)?;
        self.heads.mirrors = state.mirrors.iter().map(|(id, mirror)| (*id, MirrorHeads::of(mirror))).collect();
        self.heads.gaps.clone_from(&state.ladder.gaps);
        self.heads.at = End::of(snapshot);
        Ok(())
    }
}

impl MirrorHeads {
    fn of(mirror: &Mirror) -> Self {
        let Definition { name, source_repository, .. } = &mirror.definition;
        let branches = mirror.branches.iter().map(|(name, branch)| (name.clone(), BranchHead::of(branch)));
        let branches = branches.filter(|(_, head)| *head != BranchHead::default()).collect();
        Self { name: name.clone(), source_repository: source_repository.clone(), branches }
    }
}

impl BranchHead {
    fn of(branch: &Branch) -> Self {
        // One that never moved was taken over where it was.
        let adopted = (branch.moved_ms == 0).then_some(true);
        let shown = |commit| Shown { commit, seq: None, since_ms: branch.moved_ms, adopted };
        Self {
            shown: branch.mirror.map(shown),
            moving: branch.moving.map(|under_way| (under_way.to, None)),
            diverged: branch.strayed().map(|divergence| (divergence.found, None)),
        }
    }
}

impl Heads {
    fn apply(&mut self, seq: u64, event: &Event) {
        match event {
            Event::MirrorDefined(e) => {
                self.mirrors.entry(e.mirror).or_insert_with(|| MirrorHeads {
                    name: e.name.clone(),
                    source_repository: e.source_repository.clone(),
                    branches: BTreeMap::new(),
                });
            }
            Event::JournalGapFound(e) => self.gaps.push(Gap::of(e)),
            Event::MirrorGone(e) => drop(self.mirrors.remove(&e.mirror)),
            Event::MirrorTaken(e) if !e.resumed => {
                if let Some(mirror) = self.mirrors.get_mut(&e.mirror) {
                    mirror.branches.clear();
                }
            }
            other => {
                let Some(mirror) = other.mirror().and_then(|id| self.mirrors.get_mut(&id)) else { return };
                mirror.apply(seq, other);
            }
        }
    }
}

impl MirrorHeads {
    fn apply(&mut self, seq: u64, event: &Event) {
        match event {
            Event::MoveStarted(e) => {
                self.branches.entry(e.branch.clone()).or_default().moving = Some((e.to, Some(seq)));
            }
            Event::MoveFinished(e) => {
                let shown = Shown { commit: e.to, seq: Some(seq), since_ms: e.at_ms, adopted: Some(false) };
                self.branches.insert(e.branch.clone(), BranchHead { shown: Some(shown), ..BranchHead::default() });
            }
            Event::MoveGivenUp(e) => {
                if let Some(head) = self.branches.get_mut(&e.branch) {
                    head.moving = None;
                }
                self.branches.retain(|_, head| *head != BranchHead::default());
            }
            Event::BranchAdopted(e) => {
                let shown = Shown { commit: e.found, seq: Some(seq), since_ms: e.at_ms, adopted: Some(true) };
                self.branches.insert(e.branch.clone(), BranchHead { shown: Some(shown), ..BranchHead::default() });
            }
            Event::BranchDiverged(e) => {
                let head = self.branches.entry(e.branch.clone()).or_default();
                (head.diverged, head.moving) = (Some((e.found, Some(seq))), None);
            }
            Event::BranchRemoved(e) => drop(self.branches.remove(&e.branch)),
            Event::BranchForgotten(e) => drop(self.branches.remove(&e.branch)),
            _ => {}
        }
    }
}
