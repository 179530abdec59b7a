//! The consumer of a scan, which receives frames and records in order.
//!
//! This module owns the port and its refusal. The state at start, the verifier, the dump and every other reader
//! implement it.

use super::frame::RawRecord;
use super::snapshot::SnapshotHeader;
use super::walk::FrameInfo;
use crate::ids::Seq;

/// The error with which a consumer stops a scan.
#[derive(Debug, thiserror::Error)]
#[error("the record cannot be applied")]
pub struct ReplayRefused(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// The consumer has what it needs.
#[derive(Debug, thiserror::Error)]
#[error("the reader has seen enough")]
struct Enough;

/// The consumer does not use snapshots.
#[derive(Debug, thiserror::Error)]
#[error("the reader starts with the first record")]
struct NoSnapshots;

impl ReplayRefused {
    /// Ends a scan early without an error. An opening cannot end early; there this is a refusal.
    #[must_use]
    pub fn stop() -> Self {
        Self(Box::new(Enough))
    }

    /// Whether it is [`ReplayRefused::stop`].
    #[must_use]
    pub fn is_stop(&self) -> bool {
        self.0.is::<Enough>()
    }

    /// Whether the consumer does not restore from snapshots.
    pub(super) fn is_without_snapshots(&self) -> bool {
        self.0.is::<NoSnapshots>()
    }
}

/// A consumer of the scan. It receives the records in order, each once.
pub trait Replay {
    /// Receives one record.
    ///
    /// # Errors
    /// An error ends the scan; the journal is then not opened.
    fn record(&mut self, seq: Seq, record: RawRecord<'_>, frame: &FrameInfo) -> Result<(), ReplayRefused>;

    /// Receives a frame before its records.
    ///
    /// # Errors
    /// As [`Replay::record`].
    fn frame(&mut self, _frame: &FrameInfo) -> Result<(), ReplayRefused> {
        Ok(())
    }

    /// Whether [`Replay::record`] is to be called. Called for each frame, after [`Replay::frame`].
    fn wants_records(&self) -> bool {
        true
    }

    /// Called after the last record of a frame whose `state_digest` is not 0. The state has to have that digest.
    ///
    /// # Errors
    /// As [`Replay::record`].
    fn checkpoint(&mut self, _frame: &FrameInfo) -> Result<(), ReplayRefused> {
        Ok(())
    }

    /// Restores the state after `snapshot.seq` from an image, before any record. The next record is the one after.
    ///
    /// # Errors
    /// If the image is not that state (it does not have `snapshot.state_digest`, or cannot be read), or the consumer
    /// does not use snapshots. The consumer is then unchanged, and an older snapshot or the first record follows.
    fn restore(&mut self, _snapshot: &SnapshotHeader, _image: &[u8]) -> Result<(), ReplayRefused> {
        Err(ReplayRefused(Box::new(NoSnapshots)))
    }
}
