//! Where what is known of a journal begins, when its first segments were dropped: with a snapshot of the state.
//!
//! Owns how a snapshot's image becomes a state, and the states at both ends of what is at hand. Reads by the one scan.

use lakemirror_journal::codec;
use lakemirror_journal::log::{FrameInfo, RawRecord, Replay, ReplayRefused, ScanReport, SnapshotHeader};
use lakemirror_journal::state::State;
use lakemirror_journal::state::image;

use super::{EvidenceError, Source};

/// The first record that was read one by one; 1 where nothing is missing.
#[must_use]
pub fn begins_at(scan: &ScanReport) -> u64 {
    scan.snapshot.map_or(scan.proven_from, |snapshot| snapshot.seq.saturating_add(1)).max(1)
}

/// What to do about records before `from`.
#[must_use]
pub fn not_at_hand(from: u64) -> String {
    format!("records 1 to {} are not at hand: add the archive that has them (--archive DIR)", from.saturating_sub(1))
}

/// The same where a snapshot stands for what was before `from`, of which some records may be there.
#[must_use]
pub fn not_all_at_hand(from: u64) -> String {
    format!("not all records before {from} are at hand: add the archive that has them (--archive DIR)")
}

/// The state in a snapshot, which has to have the digest that the snapshot says.
pub(super) fn restored(snapshot: &SnapshotHeader, image: &[u8]) -> Result<State, ReplayRefused> {
    if image::digest_of(image) != snapshot.state_digest {
        return Err(ReplayRefused("its image has another digest than its header says".into()));
    }
    image::read(image).map_err(|error| ReplayRefused(Box::new(error)))
}

/// The snapshot with which what is at hand begins, and its state; none where the first record is at hand, and where there
/// is no snapshot either.
pub(super) fn beginning(source: &Source) -> Result<Option<(SnapshotHeader, State)>, EvidenceError> {
    let mut begin = Begin(None);
    match source.read(&mut begin) {
        Err(error) if error.is_without_start() => Ok(None),
        scan => scan.map(|_| begin.0),
    }
}

/// Stops behind the start.
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

/// The state at the journal's end, from the newest snapshot on; none where neither the first record nor a sound snapshot
/// is there. Records of kinds that only a later version knows are left out.
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
