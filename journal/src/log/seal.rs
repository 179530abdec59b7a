//! Seals the open segment and begins the next one.
//!
//! This module owns the order of the steps. The next opening completes them after a crash between any two. The footer
//! is computed from what was counted during writing; `upkeep` and every scan prove that the file agrees with it.

use super::Log;
use super::chain::Position;
use super::disk::Access;
use super::error::CommitError;
use super::footer::{Footer, FooterHash};
use super::segment::{self, SEGMENT_DIR};
use super::tally::Tally;
use crate::ids::Seq;

/// A sealed segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedSegment {
    /// What the segment holds.
    pub footer: Footer,
    /// BLAKE3 of the footer: the segment's hash.
    pub hash: FooterHash,
    /// Bytes of the file: frames and footer.
    pub bytes: u64,
}

/// The segment that is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenSegment {
    /// Its first record, which may not be written yet.
    pub first_seq: Seq,
    /// Its frames.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Wall time of the first frame in milliseconds since 1970, as the caller gave it; 0 without frames.
    pub first_wall_ms: u64,
}

impl Log {
    /// The content of the open segment.
    #[must_use]
    pub fn open_segment(&self) -> OpenSegment {
        let Tally { start, frames, first_wall_ms, .. } = self.opened.tally;
        OpenSegment { first_seq: start.first_seq, frames, bytes: self.opened.segment_end, first_wall_ms }
    }

    /// Seals the open segment and begins a new one. Both are durable when this returns.
    ///
    /// # Errors
    /// [`CommitError::NothingToSeal`] if the open segment is empty. Any other error latches the log, and the next
    /// opening completes the steps.
    pub fn seal(&mut self) -> Result<SealedSegment, CommitError> {
        if self.latched {
            return Err(CommitError::PreviousFailure);
        }
        if self.opened.tally.frames == 0 {
            return Err(CommitError::NothingToSeal);
        }
        self.latched = true;
        self.check_fence()?;
        let footer = self.write_footer()?;
        self.begin_segment(&footer)?;
        self.latched = false;
        Ok(SealedSegment { footer, hash: footer.hash(), bytes: footer.file_bytes() })
    }

    fn write_footer(&mut self) -> Result<Footer, CommitError> {
        let opened = &mut self.opened;
        let frames_hash = *opened.hasher.finalize().as_bytes();
        let footer = opened.tally.footer(&opened.position, opened.segment_end, frames_hash);
        let written = opened.segment.write_at(opened.segment_end, &footer.encode());
        written
            .and_then(|()| opened.segment.sync())
            .map_err(|error| CommitError::io(&*self.disk, "segment's footer", error))?;
        Ok(footer)
    }

    /// Creates the new file before the old name is removed, so that an opening that finds the new name can continue.
    fn begin_segment(&mut self, footer: &Footer) -> Result<(), CommitError> {
        let disk = &*self.disk;
        let failed = |error| CommitError::io(disk, "new segment", error);
        let mut next =
            self.disk.open(&segment::open_path(footer.last_seq.saturating_add(1)), Access::Create).map_err(failed)?;
        next.sync().map_err(failed)?;
        let sealed = segment::sealed_path(footer.first_seq, footer.last_seq);
        self.disk.rename(&segment::open_path(footer.first_seq), &sealed).map_err(failed)?;
        self.disk.sync_dir(SEGMENT_DIR).map_err(failed)?;
        let position: Position = self.opened.position;
        self.opened.segment = next;
        self.opened.segment_end = 0;
        self.opened.tally = Tally::new(&position, Some(footer.hash()));
        self.opened.hasher = blake3::Hasher::new();
        Ok(())
    }
}
