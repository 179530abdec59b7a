//! What every mirror showed at a point in time: the commits to which this journal's records moved the branches.
//!
//! Only durable records count: a move is done once its `MoveFinished` is in a committed frame. Moves that were started
//! and not finished are reported, because the branch may have shown either commit. Branches that another writer had
//! moved are reported, too.

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
    /// Whether the journal continues after that.
    pub more: bool,
    /// The first record that was read individually; the state before it came from a snapshot.
    pub begins_at: u64,
    /// Gaps: the journal was restored from an older copy and does not contain what branches showed in the meantime.
    pub gaps: Vec<Gap>,
    /// Mirrors that existed, by incarnation.
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

/// One branch of a mirror. Record numbers are `None` if a snapshot replaced the records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BranchHead {
    /// What it showed and since when; `None` while its first move was in progress.
    pub shown: Option<Shown>,
    /// A move in progress: its target, and the record that started it.
    pub moving: Option<(CommitId, Option<u64>)>,
    /// Another writer had moved it: the commit at which it was found (`None` if it was deleted), and the record of
    /// that.
    pub diverged: Option<(Option<CommitId>, Option<u64>)>,
}

/// What a branch showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The commit.
    pub commit: CommitId,
    /// The record of that.
    pub seq: Option<u64>,
    /// When the move was done or the branch was found there, milliseconds since 1970; 0 if not known.
    pub since_ms: u64,
    /// Whether the branch was found there and adopted, instead of moved by this journal; `None` if known only from a
    /// snapshot.
    pub adopted: Option<bool>,
}

/// What every mirror of the journal in `source` showed at `point`, or at the journal's end.
///
/// # Errors
/// As for every read; [`EvidenceError::NotSeen`] for a record number after the end of the journal, and for a point
/// before the available records.
pub fn heads(source: &Source, point: Option<PointInTime>) -> Result<Heads, EvidenceError> {
    let mut follow = Follow { point, state: State::default(), marks: BTreeMap::new(), heads: Heads::default() };
    let scan = source.read(&mut follow)?;
    point.map_or(Ok(()), |point| point.check(&follow.heads.at, scan.snapshot.as_ref()))?;
    Ok(Heads { more: scan.stopped, begins_at: begins_at(&scan), ..follow.answer() })
}

/// The state, and the records that moved the branches to where they are.
struct Follow {
    point: Option<PointInTime>,
    state: State,
    marks: BTreeMap<Incarnation, BTreeMap<String, Marks>>,
    heads: Heads,
}

/// The records behind the state of a branch, as far as they are available.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    /// The record of the shown commit, its time, and whether the branch was found there.
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

/// Stores which record moved a branch to where the state has it.
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
    /// The answer: the state with the records behind it.
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
            // Known only from a snapshot. A branch that never moved was adopted where it was found.
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
