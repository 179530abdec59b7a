//! What every mirror showed at a point: the branches where this journal's own records put them.
//!
//! Only what was durable by then counts: a move is seen once its `MoveFinished` is in a committed frame. A move that
//! was started and not finished is said, because the branch may have shown either end of it; so is a branch that
//! somebody else had moved.

use std::collections::BTreeMap;

use lakemirror_core::ids::{CommitId, Incarnation};
use lakemirror_journal::log::{FrameInfo, RawRecord, Replay, ReplayRefused, SnapshotHeader};
use lakemirror_journal::state::State;
use lakemirror_journal::state::branch::Branch;
use lakemirror_journal::state::lifecycle::Gap;
use lakemirror_journal::state::mirror::{Definition, Mirror};
use lakemirror_journal::state::transition::{self, BranchChange, Change, Transition};

use super::begin::{begins_at, restored};
use super::point::PointInTime;
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

/// What every mirror of the journal in `source` showed at `point`, or at the journal's end.
///
/// # Errors
/// As for every reading; and [`EvidenceError::NotSeen`] for a record's number that the journal has not come to, and for a
/// point before what is at hand.
pub fn heads(source: &Source, point: Option<PointInTime>) -> Result<Heads, EvidenceError> {
    let mut follow = Follow { point, state: State::default(), marks: BTreeMap::new(), heads: Heads::default() };
    let scan = source.read(&mut follow)?;
    point.map_or(Ok(()), |point| point.check(&follow.heads.at, scan.snapshot.as_ref()))?;
    Ok(Heads { more: scan.stopped, begins_at: begins_at(&scan), ..follow.answer() })
}

/// The state, and which records put the branches where it has them.
struct Follow {
    point: Option<PointInTime>,
    state: State,
    marks: BTreeMap<Incarnation, BTreeMap<String, Marks>>,
    heads: Heads,
}

/// The records that say what the state has of a branch, as far as they are at hand.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    /// What it shows: the record, its time, and whether it was found there.
    shown: Option<(u64, u64, bool)>,
    moving: Option<u64>,
    diverged: Option<u64>,
}

impl Replay for Follow {
    fn record(&mut self, seq: u64, record: RawRecord<'_>, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        if self.point.is_some_and(|point| !point.includes(seq, frame)) {
            return Err(ReplayRefused::stop());
        }
        if let Some(event) = decode_about_branches(&record)? {
            self.heads.gaps.extend(transition::gap(&event).map(Gap::of));
            let Self { state, marks, .. } = self;
            state.observe(&event, |transition| mark(marks, seq, &transition));
        }
        let frame_hash = (seq == frame.last_seq).then_some(frame.hash);
        self.heads.at = End { seq, wall_ms: frame.wall_ms, frame_hash };
        Ok(())
    }

    fn restore(&mut self, snapshot: &SnapshotHeader, image: &[u8]) -> Result<(), ReplayRefused> {
        self.state = restored(snapshot, image)?;
        self.heads.gaps.clone_from(&self.state.lifecycle.gaps);
        self.heads.at = End::of(snapshot);
        Ok(())
    }
}

/// Notes which record put a branch where the state has it now.
fn mark(marks: &mut BTreeMap<Incarnation, BTreeMap<String, Marks>>, seq: u64, transition: &Transition<'_>) {
    let Change::Branch { name, change } = &transition.change else { return };
    let branches = marks.entry(transition.mirror).or_default();
    let mark = branches.entry((*name).to_owned()).or_default();
    match change {
        BranchChange::MoveStarted(_) => mark.moving = Some(seq),
        BranchChange::MoveFinished { .. } => mark.shown = Some((seq, transition.at_ms, false)),
        BranchChange::Adopted { .. } => mark.shown = Some((seq, transition.at_ms, true)),
        BranchChange::Diverged { .. } => mark.diverged = Some(seq),
        _ => {}
    }
}

impl Follow {
    /// What the state says, with the records that say so.
    fn answer(mut self) -> Heads {
        let none = BTreeMap::new();
        let mirrors = self.state.mirrors.iter().map(|(id, mirror)| {
            let marks = self.marks.get(id).unwrap_or(&none);
            (*id, MirrorHeads::of(mirror, marks))
        });
        self.heads.mirrors = mirrors.collect();
        self.heads
    }
}

impl MirrorHeads {
    fn of(mirror: &Mirror, marks: &BTreeMap<String, Marks>) -> Self {
        let Definition { name, source_repository, .. } = &mirror.definition;
        let branches = mirror.branches.iter().map(|(name, branch)| {
            let marks = marks.get(name).copied().unwrap_or_default();
            (name.clone(), BranchHead::of(branch, marks))
        });
        let branches = branches.filter(|(_, head)| *head != BranchHead::default()).collect();
        Self { name: name.clone(), source_repository: source_repository.clone(), branches }
    }
}

impl BranchHead {
    fn of(branch: &Branch, marks: Marks) -> Self {
        let shown = |commit| match marks.shown {
            Some((seq, since_ms, adopted)) => Shown { commit, seq: Some(seq), since_ms, adopted: Some(adopted) },
            // A snapshot tells of it. One that never moved was taken over where it was.
            None => {
                let adopted = (branch.moved_ms == 0).then_some(true);
                Shown { commit, seq: None, since_ms: branch.moved_ms, adopted }
            }
        };
        Self {
            shown: branch.mirror.map(shown),
            moving: branch.moving.map(|under_way| (under_way.to, marks.moving)),
            diverged: branch.diverged().map(|divergence| (divergence.found, marks.diverged)),
        }
    }
}
