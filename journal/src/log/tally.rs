//! The running numbers of a segment, from which its footer is computed.
//!
//! This module owns the arithmetic and the comparison with a footer. It does not read or write anything.

use super::chain::Position;
use super::footer::{Footer, FooterFault, FooterHash, NO_FOOTER};
use super::walk::SegmentStart;

/// The counted frames of one segment.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    pub(super) start: SegmentStart,
    /// What precedes the segment has been read or is known from a snapshot. If not, its footer's fields about it are
    /// trusted.
    pub(super) anchored: bool,
    pub(super) frames: u64,
    pub(super) first_wall_ms: u64,
    pub(super) last_wall_ms: u64,
}

/// A segment that ends.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    /// The footer as it should be.
    pub(super) footer: Footer,
    /// What is wrong with the footer in the file.
    pub(super) fault: Option<String>,
}

impl Tally {
    /// An empty tally of the segment that begins after `position`.
    pub(super) fn new(position: &Position, prev_footer: Option<FooterHash>) -> Self {
        let start = SegmentStart {
            first_seq: position.next_seq(),
            prev_hash: position.hash,
            checks_before: position.checks_total,
            prev_footer: prev_footer.unwrap_or(NO_FOOTER),
        };
        Self { start, anchored: prev_footer.is_some(), frames: 0, first_wall_ms: 0, last_wall_ms: 0 }
    }

    /// Adds a frame.
    pub(super) fn add(&mut self, wall_ms: u64) {
        if self.frames == 0 {
            self.first_wall_ms = wall_ms;
        }
        self.last_wall_ms = wall_ms;
        self.frames = self.frames.saturating_add(1);
    }

    /// The footer of the segment if it ends with `position`.
    pub(super) fn footer(&self, position: &Position, frame_bytes: u64, frames_hash: [u8; 32]) -> Footer {
        let SegmentStart { first_seq, prev_hash, checks_before, prev_footer } = self.start;
        Footer {
            first_seq,
            last_seq: position.last_seq,
            frames: self.frames,
            frame_bytes,
            checks_before,
            checks_total: position.checks_total,
            writer_epoch: position.writer_epoch,
            first_wall_ms: self.first_wall_ms,
            last_wall_ms: self.last_wall_ms,
            prev_hash,
            last_hash: position.hash,
            frames_hash,
            prev_footer,
        }
    }

    /// Compares the footer in the file with the expected one.
    ///
    /// # Errors
    /// If a newer version wrote it.
    pub(super) fn judge(&self, mut expected: Footer, found: &[u8]) -> Result<Ending, &'static str> {
        let found = match Footer::decode(found) {
            Ok(found) => found,
            Err(FooterFault::Newer(what)) => return Err(what),
            Err(fault) => return Ok(Ending { footer: expected, fault: Some(fault.to_string()) }),
        };
        if !self.anchored {
            expected.checks_before = found.checks_before;
            expected.prev_footer = found.prev_footer;
        }
        let fault = difference(&expected, &found).map(|what| format!("the footer has another {what} than the frames"));
        Ok(Ending { footer: expected, fault })
    }
}

fn difference(expected: &Footer, found: &Footer) -> Option<&'static str> {
    let same = [
        ("first record", expected.first_seq == found.first_seq),
        ("last record", expected.last_seq == found.last_seq),
        ("number of frames", expected.frames == found.frames),
        ("number of bytes", expected.frame_bytes == found.frame_bytes),
        ("total of checks before it", expected.checks_before == found.checks_before),
        ("total of checks", expected.checks_total == found.checks_total),
        ("writer epoch", expected.writer_epoch == found.writer_epoch),
        ("time of the first frame", expected.first_wall_ms == found.first_wall_ms),
        ("time of the last frame", expected.last_wall_ms == found.last_wall_ms),
        ("hash of the frame before it", expected.prev_hash == found.prev_hash),
        ("hash of the last frame", expected.last_hash == found.last_hash),
        ("hash of all bytes", expected.frames_hash == found.frames_hash),
        ("hash of the footer before it", expected.prev_footer == found.prev_footer),
    ];
    same.iter().find(|(_, same)| !same).map(|(what, _)| *what)
}
