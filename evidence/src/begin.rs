//! Where the available part of a journal begins: at its first record or, if the first segments were dropped, at a
//! snapshot.
//!
//! This module turns a snapshot's image into a state, and computes the state at both ends of the available records.

use lakemirror_journal::codec;
use lakemirror_journal::log::{FrameInfo, RawRecord, Replay, ReplayRefused, ScanReport, SnapshotHeader};
use lakemirror_journal::state::State;
use lakemirror_journal::state::image;

use super::{EvidenceError, Source};

/// The first record that was read individually; 1 if none is missing.
#[must_use]
pub fn begins_at(scan: &ScanReport) -> u64 {
    scan.snapshot.map_or(scan.proven_from, |snapshot| snapshot.seq.saturating_add(1)).max(1)
}

/// The advice for a question about records before `from`.
#[must_use]
pub fn not_at_hand(from: u64) -> String {
    format!("records 1 to {} are not at hand: add the archive that has them (--archive DIR)", from.saturating_sub(1))
}

/// The same, for a journal that begins with a snapshot: some of the records before `from` may be available.
#[must_use]
pub fn not_all_at_hand(from: u64) -> String {
    format!("not all records before {from} are at hand: add the archive that has them (--archive DIR)")
}

/// Decodes the state in a snapshot. The image must have the digest that the header states.
pub(super) fn restored(snapshot: &SnapshotHeader, image: &[u8]) -> Result<State, ReplayRefused> {
    if image::digest_of(image) != snapshot.state_digest {
        return Err(ReplayRefused("its image has another digest than its header says".into()));
    }
    image::read(image).map_err(|error| ReplayRefused(Box::new(error)))
}

/// The snapshot with which the available part begins, and its state. `None` if the first record is available, or if
/// there is no snapshot either.
pub(super) fn beginning(source: &Source) -> Result<Option<(SnapshotHeader, State)>, EvidenceError> {
    let mut begin = Begin(None);
    match source.read(&mut begin) {
        Err(error) if error.is_without_start() => Ok(None),
        scan => scan.map(|_| begin.0),
    }
}

/// Stops after the first frame or snapshot.
struct Begin(Option<(SnapshotHeader, State)>);

impl Replay for Begin {
    fn record(&mut self, _: u64, _: RawRecord<'_>, _: &FrameInfo) -> Result<(), ReplayRefused> {
        Ok(())
    }

    fn frame(&mut self, _: &FrameInfo) -> Result<(), ReplayRefused> {
        Err(ReplayRefused::stop())
    }

    fn restore(&mut self, snapshot: &SnapshotHeader, image: &[u8]) -> Result<(), ReplayRefused> {
        self.0 = Some((*snapshot, restored(snapshot, image)?));
        Ok(())
    }
}

/// The state at the journal's end, computed from the newest snapshot. `None` if neither the first record nor a sound
/// snapshot is available. Records of kinds that only a later version knows are skipped.
pub(super) fn at_end(source: &Source) -> Result<Option<State>, EvidenceError> {
    let mut end = AtEnd(State::default());
    match source.read_newest(&mut end) {
        Err(error) if error.is_without_start() => Ok(None),
        scan => scan.map(|_| Some(end.0)),
    }
}

struct AtEnd(State);

impl Replay for AtEnd {
    fn record(&mut self, _: u64, record: RawRecord<'_>, _: &FrameInfo) -> Result<(), ReplayRefused> {
        if let Ok(event) = codec::decode(record.kind, record.version, record.payload) {
            self.0.apply(&event);
        }
        Ok(())
    }

    fn restore(&mut self, snapshot: &SnapshotHeader, image: &[u8]) -> Result<(), ReplayRefused> {
        self.0 = restored(snapshot, image)?;
        Ok(())
    }
}
