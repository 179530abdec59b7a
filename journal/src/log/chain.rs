//! How one frame follows another: sequence numbers without gaps, hashes, running totals, writer epochs.
//!
//! Owns the position at the end of a run of frames; does not read or write any. Frames that `frame` found whole go in;
//! the position after them comes out.

use super::frame::{Frame, FrameHash};
use crate::ids::Seq;

/// What the genesis hash is computed over, before the journal's UUID.
const GENESIS_PREFIX: &[u8; 4] = b"jrnl";

/// The end of a run of frames: what the next one has to carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Number of the last record; 0 before the first.
    pub last_seq: Seq,
    /// Hash of the last frame; before the first one, that of the journal's UUID.
    pub hash: FrameHash,
    /// Arrival checks so far.
    pub checks_total: u64,
    /// Epoch of the last frame.
    pub writer_epoch: u64,
}

/// Why a whole frame is not the next one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkFault {
    /// Another number than the next.
    #[error("record {found} where {expected} follows")]
    Seq {
        /// The number that follows.
        expected: Seq,
        /// The frame's first number.
        found: Seq,
    },
    /// It follows another frame than the one before it.
    #[error("its hash of the frame before is not that frame's")]
    Hash,
    /// Totals never fall.
    #[error("its total of checks falls from {before} to {found}")]
    Checks {
        /// Total before.
        before: u64,
        /// Total in the frame.
        found: u64,
    },
    /// Epochs never fall.
    #[error("its writer epoch falls from {before} to {found}")]
    Epoch {
        /// Epoch before.
        before: u64,
        /// Epoch in the frame.
        found: u64,
    },
}

impl Position {
    /// Before the first frame of the journal with this UUID.
    #[must_use]
    pub fn genesis(uuid: [u8; 16]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(GENESIS_PREFIX).update(&uuid);
        Self { last_seq: 0, hash: *hasher.finalize().as_bytes(), checks_total: 0, writer_epoch: 0 }
    }

    /// Number of the next record.
    #[must_use]
    pub fn next_seq(&self) -> Seq {
        self.last_seq.saturating_add(1)
    }

    /// Whether `frame` is the next one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn admit(&self, frame: &Frame<'_>) -> Result<(), LinkFault> {
        let stamp = &frame.stamp;
        if stamp.first_seq != self.next_seq() {
            return Err(LinkFault::Seq { expected: self.next_seq(), found: stamp.first_seq });
        }
        if stamp.prev_hash != self.hash {
            return Err(LinkFault::Hash);
        }
        if stamp.checks_total < self.checks_total {
            return Err(LinkFault::Checks { before: self.checks_total, found: stamp.checks_total });
        }
        if stamp.writer_epoch < self.writer_epoch {
            return Err(LinkFault::Epoch { before: self.writer_epoch, found: stamp.writer_epoch });
        }
        Ok(())
    }

    /// The position after `frame`, whose hash is `hash`.
    #[must_use]
    pub fn after(frame: &Frame<'_>, hash: FrameHash) -> Self {
        let stamp = &frame.stamp;
        Self { last_seq: frame.last_seq(), hash, checks_total: stamp.checks_total, writer_epoch: stamp.writer_epoch }
    }
}
