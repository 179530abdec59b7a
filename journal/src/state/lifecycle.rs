//! How far the journal's own files are: segments sealed, archived, dropped; the newest snapshot; what was lost.
//!
//! Owns what the facts say, not the files. A dropped segment stays here with its hashes, about 200 bytes for every
//! 128 MiB of journal, so that the chain of hashes never has a hole. Facts that contradict it change nothing.

use std::collections::BTreeMap;

use crate::event::{
    Event, JournalGapFoundV1, LossAcknowledgedV1, SegmentArchivedV1, SegmentDroppedV1, SegmentSealedV1,
};
use crate::ids::Seq;

mod stage;

pub use stage::Stage;

/// Where an archived copy of a segment is.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Archive {
    /// A path or an address.
    pub place: String,
    /// Bytes of the archived file.
    pub bytes: u64,
    /// BLAKE3 of the archived file.
    pub file_hash: [u8; 32],
    /// When it was archived, milliseconds since 1970.
    pub at_ms: u64,
}

/// A sealed segment.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Segment {
    /// Number of its last record.
    pub last: Seq,
    /// Its frames.
    pub frames: u64,
    /// Bytes of its frames, without the footer.
    pub bytes: u64,
    /// Arrival checks in the journal up to its end.
    pub checks: u64,
    /// BLAKE3 of its footer.
    pub hash: [u8; 32],
    /// BLAKE3 of its last frame.
    pub last_frame: [u8; 32],
    /// When it was sealed, milliseconds since 1970.
    pub sealed_ms: u64,
    /// How far it is.
    pub stage: Stage,
}

/// A snapshot of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Snapshot {
    /// The record after which it is the state.
    pub seq: Seq,
    /// BLAKE3 of the state's image.
    pub digest: [u8; 32],
    /// Bytes of the image.
    pub bytes: u64,
    /// When it was taken, milliseconds since 1970.
    pub at_ms: u64,
}

/// Records that an operator gave up.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Loss {
    /// The first record.
    pub from: Seq,
    /// The last one that had been acknowledged.
    pub to: Seq,
    /// Why.
    pub reason: String,
    /// Who.
    pub who: String,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
}

/// Records that the journal had and has not: it was restored from an older copy.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Gap {
    /// The last record that it had when it was opened.
    pub after: Seq,
    /// The last record that is known to have been there.
    pub published: Seq,
    /// BLAKE3 of the frame that ended with it.
    pub hash: [u8; 32],
    /// The name of the mirror that it was published with.
    pub mirror: String,
    /// The writer epoch of the process that noticed.
    pub writer_epoch: u64,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
}

impl Gap {
    /// As the fact says it.
    #[must_use]
    pub fn of(e: &JournalGapFoundV1) -> Self {
        let JournalGapFoundV1 { after, published, hash, mirror, writer_epoch, at_ms } = e.clone();
        Self { after, published, hash, mirror, writer_epoch, at_ms }
    }
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SegmentLifecycle {
    /// Sealed segments by their first record, dropped ones as well.
    pub segments: BTreeMap<Seq, Segment>,
    /// The newest snapshot.
    pub snapshot: Option<Snapshot>,
    /// What was lost, in the order in which it was acknowledged.
    pub losses: Vec<Loss>,
    /// Gaps, in the order in which they were found.
    pub gaps: Vec<Gap>,
}

impl SegmentLifecycle {
    /// The first record that no sealed segment has.
    #[must_use]
    pub fn open_from(&self) -> Seq {
        self.segments.values().next_back().map_or(1, |newest| newest.last.saturating_add(1))
    }

    /// The oldest segment that is still on the journal's volume.
    #[must_use]
    pub fn oldest_kept(&self) -> Option<(Seq, &Segment)> {
        self.segments
            .iter()
            .find(|(_, segment)| !matches!(segment.stage, Stage::Dropped { .. }))
            .map(|(first, segment)| (*first, segment))
    }

    /// Adds one fact; says whether it made sense.
    pub(crate) fn apply(&mut self, event: &Event) -> bool {
        match event {
            Event::SegmentSealed(e) => self.seal(e),
            Event::SegmentArchived(e) => self.archive(e),
            Event::SegmentDropped(e) => self.drop_segment(e),
            Event::SnapshotTaken(e) => {
                if self.snapshot.is_some_and(|newest| newest.seq >= e.seq) {
                    return false;
                }
                self.snapshot = Some(Snapshot { seq: e.seq, digest: e.digest, bytes: e.bytes, at_ms: e.at_ms });
                true
            }
            Event::LossAcknowledged(e) => {
                self.losses.push(loss(e));
                true
            }
            Event::JournalGapFound(e) => {
                self.gaps.push(Gap::of(e));
                true
            }
            _ => false,
        }
    }

    fn seal(&mut self, e: &SegmentSealedV1) -> bool {
        if e.first != self.open_from() || e.last < e.first {
            return false;
        }
        let segment = Segment {
            last: e.last,
            frames: e.frames,
            bytes: e.bytes,
            checks: e.checks,
            hash: e.hash,
            last_frame: e.last_frame,
            sealed_ms: e.at_ms,
            stage: Stage::Sealed,
        };
        self.segments.insert(e.first, segment);
        true
    }

    fn archive(&mut self, e: &SegmentArchivedV1) -> bool {
        let Some(segment) = self.same(e.first, e.last, &e.hash) else { return false };
        if matches!(segment.stage, Stage::Dropped { .. }) {
            return false;
        }
        let (place, bytes, file_hash, at_ms) = (e.place.clone(), e.bytes, e.file_hash, e.at_ms);
        segment.stage = Stage::Archived(Archive { place, bytes, file_hash, at_ms });
        true
    }

    fn drop_segment(&mut self, e: &SegmentDroppedV1) -> bool {
        let Some(segment) = self.same(e.first, e.last, &e.hash) else { return false };
        let archive = match &segment.stage {
            Stage::Sealed => None,
            Stage::Archived(archive) => Some(archive.clone()),
            Stage::Dropped { .. } => return false,
        };
        if archive.is_some() != e.archived {
            return false;
        }
        segment.stage = Stage::Dropped { archive, at_ms: e.at_ms };
        true
    }

    fn same(&mut self, first: Seq, last: Seq, hash: &[u8; 32]) -> Option<&mut Segment> {
        self.segments.get_mut(&first).filter(|segment| segment.last == last && segment.hash == *hash)
    }
}

fn loss(e: &LossAcknowledgedV1) -> Loss {
    Loss { from: e.from, to: e.to, reason: e.reason.clone(), who: e.who.clone(), at_ms: e.at_ms }
}
