//! Facts about the journal itself: segments that were sealed, archived and dropped, snapshots, losses and gaps; and the
//! copy of what the embedded mirrors database has of definitions.
//!
//! They hold what proves a file that is no longer there: the hashes of dropped segments stay in the journal, so the
//! chain of hashes never has a hole. Owns the payloads; what they do to the state is `state::lifecycle`'s.

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
    /// The mirrors database has what an earlier process with this journal published, and the journal does not have the
    /// records that it came from: it was restored from an older copy. What the records said is not known here, and their
    /// numbers are given again.
    JournalGapFoundV1 {
        /// The last record that the journal had when it was opened.
        after: Seq,
        /// The last record that is known to have been there.
        published: Seq,
        /// BLAKE3 of the frame that ended with it.
        hash: [u8; 32],
        /// The name of the mirror that it was published with.
        mirror: String,
        /// The writer epoch of the process that noticed.
        writer_epoch: u64,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// An item about definitions is in the embedded mirrors database, or was removed from it.
    DatabaseItemWrittenV1 {
        /// Counts such changes; the database has the same number.
        generation: u64,
        /// The item's key.
        key: String,
        /// Its value; empty where it was removed.
        value: String,
        /// Whether it was removed.
        removed: bool,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// The embedded mirrors database was older than the journal, and was rebuilt from it.
    DatabaseRebuiltV1 {
        /// The generation that it had; 0 where it had nothing.
        found: u64,
        /// The generation that it has now.
        generation: u64,
        /// How many items were written or removed.
        items: u64,
        /// What was found, for people.
        reason: String,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
}
