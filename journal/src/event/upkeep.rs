//! Facts about the journal itself: segments that were sealed, archived and dropped, snapshots, and losses.
//!
//! They hold what proves a file that is no longer there: the hashes of dropped segments stay in the journal, so the
//! chain of hashes never has a hole. Owns the payloads; what they do to the state is `state::ladder`'s.

use rkyv::{Archive, Deserialize, Serialize};

use crate::ids::Seq;

payloads! {
    /// A segment was ended: its footer is durable, and nothing is written to it any more.
    SegmentSealedV1 {
        /// Number of its first record.
        first: Seq,
        /// Number of its last record.
        last: Seq,
        /// Its frames.
        frames: u64,
        /// Bytes of its frames, without the footer.
        bytes: u64,
        /// Arrival checks in the journal up to its end.
        checks: u64,
        /// BLAKE3 of its footer.
        hash: [u8; 32],
        /// BLAKE3 of its last frame.
        last_frame: [u8; 32],
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// A sealed segment was verified, copied to an archive, and the copy compared.
    SegmentArchivedV1 {
        /// Number of its first record.
        first: Seq,
        /// Number of its last record.
        last: Seq,
        /// BLAKE3 of its footer.
        hash: [u8; 32],
        /// Bytes of the archived file.
        bytes: u64,
        /// BLAKE3 of the archived file.
        file_hash: [u8; 32],
        /// Where it is: a path or an address.
        place: String,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// A sealed segment goes from the journal's volume. The fact comes first, then the file goes.
    SegmentDroppedV1 {
        /// Number of its first record.
        first: Seq,
        /// Number of its last record.
        last: Seq,
        /// BLAKE3 of its footer.
        hash: [u8; 32],
        /// Whether an archive has it; if not, retention gave it up.
        archived: bool,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// A snapshot of the state is durable, made by replaying the journal anew and found equal to the checkpoints.
    SnapshotTakenV1 {
        /// The record after which it is the state.
        seq: Seq,
        /// BLAKE3 of the state's image.
        digest: [u8; 32],
        /// Bytes of the image.
        bytes: u64,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// An operator gave up records that could not be read any more.
    LossAcknowledgedV1 {
        /// The first record that was given up.
        from: Seq,
        /// The last one that had been acknowledged.
        to: Seq,
        /// Why, in the operator's words.
        reason: String,
        /// Who.
        who: String,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
}
