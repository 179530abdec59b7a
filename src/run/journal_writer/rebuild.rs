//! Records into the state: what opening the journal and the snapshotter have in common.
//!
//! Owns the decoding, and the comparison of the state with what snapshots and checkpoints say of it. A difference ends
//! the replay: a state that is not the sum of its records is nothing to go on from.

use lakemirror_core::ids::Seq;
use lakemirror_journal::codec::{self, CodecError};
use lakemirror_journal::log::{FrameInfo, RawRecord, Replay, ReplayRefused, SnapshotHeader};
use lakemirror_journal::state::State;
use lakemirror_journal::state::image::{self, ImageError};

/// Why the journal's records do not make a state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebuildError {
    /// A record cannot be read.
    #[error("record {seq} cannot be read")]
    Record {
        /// Its number.
        seq: Seq,
        /// Why.
        #[source]
        source: CodecError,
    },
    /// The state is not the one that was there when the journal was written.
    #[error(
        "after record {seq} the state has digest {}, and the journal says that it begins with {}: this is a fault of lakemirror, or damage that checksums do not see. Nothing may be done on such a state: keep a copy of the journal's directory, and report it",
        hex::encode(replayed), hex::encode(recorded.to_le_bytes())
    )]
    Checkpoint {
        /// The last record of the checkpoint's frame.
        seq: Seq,
        /// What the frame says: the low half of the state's digest.
        recorded: u64,
        /// The digest of the state that was replayed.
        replayed: [u8; 32],
    },
    /// A snapshot's image is not what its header says.
    #[error("its image has another digest than its header says")]
    Snapshot,
    /// An image cannot be read or written.
    #[error("the state's image is unusable")]
    Image(#[from] ImageError),
}

impl From<RebuildError> for ReplayRefused {
    fn from(error: RebuildError) -> Self {
        Self(Box::new(error))
    }
}

/// A state that grows record by record.
#[derive(Debug, Default)]
pub struct Rebuild {
    /// The sum of the records so far.
    pub state: State,
    /// Bytes of frames since the last checkpoint, the one of a snapshot included.
    pub bytes_since_checkpoint: u64,
    /// Wall time of the last checkpoint, or of the first frame where there was none; 0 without frames.
    pub checkpoint_wall_ms: u64,
    records: u64,
}

impl Rebuild {
    /// Compares the state with what a checkpoint's frame says of it.
    ///
    /// # Errors
    /// [`RebuildError::Checkpoint`].
    pub fn compare(frame: &FrameInfo, replayed: [u8; 32]) -> Result<(), RebuildError> {
        if image::mark(&replayed) == frame.state_digest {
            return Ok(());
        }
        Err(RebuildError::Checkpoint { seq: frame.last_seq, recorded: frame.state_digest, replayed })
    }

    /// Notes that a checkpoint was passed.
    pub fn pass(&mut self, frame: &FrameInfo) {
        (self.bytes_since_checkpoint, self.checkpoint_wall_ms) = (0, frame.wall_ms);
    }
}

impl Replay for Rebuild {
    fn frame(&mut self, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        self.bytes_since_checkpoint = self.bytes_since_checkpoint.saturating_add(u64::from(frame.bytes));
        if self.checkpoint_wall_ms == 0 {
            self.checkpoint_wall_ms = frame.wall_ms;
        }
        Ok(())
    }

    fn record(&mut self, seq: Seq, record: RawRecord<'_>, _frame: &FrameInfo) -> Result<(), ReplayRefused> {
        let event = codec::decode(record.kind, record.version, record.payload)
            .map_err(|source| RebuildError::Record { seq, source })?;
        self.state.apply(&event);
        self.records = self.records.saturating_add(1);
        if self.records.is_multiple_of(1_000_000) {
            tracing::info!(records = self.records, "replaying the journal");
        }
        Ok(())
    }

    fn checkpoint(&mut self, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        let replayed = image::digest(&self.state).map_err(RebuildError::from)?;
        Self::compare(frame, replayed)?;
        self.pass(frame);
        Ok(())
    }

    fn restore(&mut self, snapshot: &SnapshotHeader, image: &[u8]) -> Result<(), ReplayRefused> {
        if image::digest_of(image) != snapshot.state_digest {
            return Err(RebuildError::Snapshot.into());
        }
        self.state = image::read(image).map_err(RebuildError::from)?;
        (self.bytes_since_checkpoint, self.checkpoint_wall_ms) = (0, snapshot.wall_ms);
        Ok(())
    }
}
