//! The state at any point in time: the events up to it, applied in order as the service applied them.

use lakemirror_journal::log::{FrameHash, FrameInfo, RawRecord, Replay, ReplayRefused, SnapshotHeader};
use lakemirror_journal::state::State;

use super::begin::{begins_at, restored};
use super::point::PointInTime;
use super::{EvidenceError, Source, decode};

/// A state and its point in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// The journal's id, 32 hexadecimal digits.
    pub uuid: String,
    /// The state.
    pub state: State,
    /// The end of what was applied.
    pub at: End,
    /// Whether the journal continues after that.
    pub more: bool,
    /// The first record that was read individually; the state before it came from a snapshot.
    pub begins_at: u64,
}

/// The end of what was replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct End {
    /// The last record; 0 before the first.
    pub seq: u64,
    /// When its frame was committed, milliseconds since 1970; 0 before the first record.
    pub wall_ms: u64,
    /// Hash of that frame, if the record is its last one.
    pub frame_hash: Option<FrameHash>,
}

impl End {
    /// The end of what a snapshot covers.
    pub(super) fn of(snapshot: &SnapshotHeader) -> Self {
        Self { seq: snapshot.seq, wall_ms: snapshot.wall_ms, frame_hash: Some(snapshot.frame_hash) }
    }
}

/// Replays the journal in `source` up to `until`, or to its end. The state before the first record is empty.
///
/// # Errors
/// As for every read; [`EvidenceError::NotSeen`] for a record number after the end of the journal, and for a point
/// before the available records.
pub fn replay(source: &Source, until: Option<PointInTime>) -> Result<Replayed, EvidenceError> {
    let mut rebuild = Rebuild { until, state: State::default(), at: End::default() };
    let scan = source.read(&mut rebuild)?;
    let Rebuild { state, at, .. } = rebuild;
    until.map_or(Ok(()), |until| until.check(&at, scan.snapshot.as_ref()))?;
    Ok(Replayed { uuid: hex::encode(scan.uuid), state, at, more: scan.stopped, begins_at: begins_at(&scan) })
}

struct Rebuild {
    until: Option<PointInTime>,
    state: State,
    at: End,
}

impl Replay for Rebuild {
    fn record(&mut self, seq: u64, record: RawRecord<'_>, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        if self.until.is_some_and(|until| !until.includes(seq, frame)) {
            return Err(ReplayRefused::stop());
        }
        self.state.apply(&decode(&record)?);
        let frame_hash = (seq == frame.last_seq).then_some(frame.hash);
        self.at = End { seq, wall_ms: frame.wall_ms, frame_hash };
        Ok(())
    }

    fn restore(&mut self, snapshot: &SnapshotHeader, image: &[u8]) -> Result<(), ReplayRefused> {
        self.state = restored(snapshot, image)?;
        self.at = End::of(snapshot);
        Ok(())
    }
}
