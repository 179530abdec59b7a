//! How one frame follows another: sequence numbers without gaps, hashes, running totals, writer epochs.
//!
//! This module owns the position at the end of a run of frames; it does not read or write frames. The input is a frame
//! that `frame` found intact; the output is the position after it.

use super::frame::{Frame, FrameHash};
use crate::ids::Seq;

/// The prefix of the journal's UUID in the input of the genesis hash.
const GENESIS_PREFIX: &[u8; 4] = b"jrnl";

/// The end of a run of frames, which the next frame has to continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Number of the last record; 0 before the first.
    pub last_seq: Seq,
    /// Hash of the last frame; before the first frame, the hash of the journal's UUID.
    pub hash: FrameHash,
    /// Arrival checks so far.
    pub checks_total: u64,
    /// Epoch of the last frame.
    pub writer_epoch: u64,
}

/// Why an intact frame is not the next one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkFault {
    /// The record number is not the next one.
    #[error("record {found} where {expected} follows")]
    Seq {
        /// The next record number.
        expected: Seq,
        /// The frame's first number.
        found: Seq,
    },
    /// It does not follow the previous frame.
    #[error("its hash of the frame before is not that frame's")]
    Hash,
    /// The total of checks fell. Totals never fall.
    #[error("its total of checks falls from {before} to {found}")]
    Checks {
        /// Total before.
        before: u64,
        /// Total in the frame.
        found: u64,
    },
    /// The writer epoch fell. Epochs never fall.
    #[error("its writer epoch falls from {before} to {found}")]
    Epoch {
        /// Epoch before.
        before: u64,
        /// Epoch in the frame.
        found: u64,
    },
}

impl Position {
    /// The position before the first frame of the journal with this UUID.
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

    /// Checks that `frame` is the next one.
    ///
    /// # Errors
    /// Why it is not.
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
