//! What every mirror showed at a moment: the branches where this journal's own records put them.
//!
//! Only what was durable by then counts: a move is seen once its `MoveFinished` is in a committed frame. A move that
//! was started and not finished is said, because the branch may have shown either end of it; so is a branch that
//! somebody else had moved.

use std::collections::BTreeMap;

use lakemirror_journal::event::Event;
use lakemirror_journal::ids::{CommitId, Incarnation};
use lakemirror_journal::log::{FrameInfo, RawRecord, Replay, ReplayRefused};

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
    /// The record that defined it.
    pub defined_seq: u64,
    /// Its branches, by name.
    pub branches: BTreeMap<String, BranchHead>,
}

/// One branch of a mirror.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BranchHead {
    /// What it showed, and why; none while only a first move was under way.
    pub shown: Option<Shown>,
    /// A move under way: where to, and the record that started it.
    pub moving: Option<(CommitId, u64)>,
    /// Somebody else had moved it: where it was found (none where it was gone), and the record that says so.
    pub diverged: Option<(Option<CommitId>, u64)>,
}

/// What a branch showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The commit.
    pub commit: CommitId,
    /// The record that says so.
    pub seq: u64,
    /// When the move was seen to be done, or the branch was found there, milliseconds since 1970.
    pub since_ms: u64,
    /// Whether it was found there and taken over, and not moved by this journal.
    pub adopted: bool,
}

/// What every mirror of the journal in `source` showed at `moment`.
///
/// # Errors
/// As for every reading; and [`EvidenceError::NotSeen`] for a record's number that the journal has not come to.
pub fn heads(source: &Source, moment: Moment) -> Result<Heads, EvidenceError> {
    let mut follow = Follow { moment, heads: Heads::default() };
    let scan = source.read(&mut follow)?;
    moment.check(&follow.heads.at)?;
    Ok(Heads { more: scan.stopped, ..follow.heads })
}

struct Follow {
    moment: Moment,
    heads: Heads,
}

impl Replay for Follow {
    fn record(&mut self, seq: u64, record: RawRecord<'_>, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        if !self.moment.includes(seq, frame) {
            return Err(ReplayRefused::stop());
        }
        if let Some(event) = decode_about_branches(&record)? {
            self.heads.apply(seq, &event);
        }
        let frame_hash = (seq == frame.last_seq).then_some(frame.hash);
        self.heads.at = End { seq, wall_ms: frame.wall_ms, frame_hash };
        Ok(())
    }
}

impl Heads {
    fn apply(&mut self, seq: u64, event: &Event) {
        match event {
            Event::MirrorDefined(e) => {
                self.mirrors.entry(e.mirror).or_insert_with(|| MirrorHeads {
                    name: e.name.clone(),
                    source_repository: e.source_repository.clone(),
                    defined_seq: seq,
                    branches: BTreeMap::new(),
                });
            }
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
                self.branches.entry(e.branch.clone()).or_default().moving = Some((e.to, seq));
            }
            Event::MoveFinished(e) => {
                let shown = Shown { commit: e.to, seq, since_ms: e.at_ms, adopted: false };
                self.branches.insert(e.branch.clone(), BranchHead { shown: Some(shown), ..BranchHead::default() });
            }
            Event::BranchAdopted(e) => {
                let shown = Shown { commit: e.found, seq, since_ms: e.at_ms, adopted: true };
                self.branches.insert(e.branch.clone(), BranchHead { shown: Some(shown), ..BranchHead::default() });
            }
            Event::BranchDiverged(e) => {
                let head = self.branches.entry(e.branch.clone()).or_default();
                (head.diverged, head.moving) = (Some((e.found, seq)), None);
            }
            Event::BranchRemoved(e) => drop(self.branches.remove(&e.branch)),
            _ => {}
        }
    }
}
