//! The one scan over a journal: frame after frame along the chain, from the segment, or where that is damaged from the
//! hot store. Recovery, the offline reader and with them every consumer of records use it.
//!
//! Owns following the chain and comparing it with what HEAD acknowledged. Writes nothing and decides nothing about what
//! it finds. Memory: two frames and the reader's window.

use std::io;

use super::chain::Position;
use super::error::ReplayRefused;
use super::frame::{Frame, FrameFault, FrameHash, RawRecord};
use super::hot::{HotError, HotStore};
use super::segment::{At, Reader};
use crate::ids::Seq;

/// Where a frame lies and what its header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameInfo {
    /// Number of its first record.
    pub first_seq: Seq,
    /// Number of its last record.
    pub last_seq: Seq,
    /// Which opening of the journal wrote it.
    pub writer_epoch: u64,
    /// Arrival checks in the journal up to and with this frame.
    pub checks_total: u64,
    /// Wall time of the commit in milliseconds since 1970, as the caller gave it; informational.
    pub wall_ms: u64,
    /// BLAKE3 of the frame.
    pub hash: FrameHash,
    /// BLAKE3 of the frame before.
    pub prev_hash: FrameHash,
    /// Where it starts in its segment.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u32,
}

/// A consumer of the scan. Records come in order, each once.
pub trait Replay {
    /// Takes one record.
    ///
    /// # Errors
    /// Ends the scan: the journal is then not opened.
    fn record(&mut self, seq: Seq, record: RawRecord<'_>, frame: &FrameInfo) -> Result<(), ReplayRefused>;
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    /// A frame, which the walker now holds.
    Frame {
        info: FrameInfo,
        /// The segment does not have it, the hot store does.
        from_hot: bool,
    },
    /// The segment ends, and the hot store goes no further.
    End,
    /// Neither has the next frame; what is wrong in the segment.
    Fault(String),
    /// A newer version wrote it.
    Newer(&'static str),
}

/// Why the scan could not look.
#[derive(Debug)]
pub(super) enum WalkError {
    Disk(io::Error),
    Hot(HotError),
}

/// Follows the chain.
pub(super) struct Walker<'a> {
    reader: Reader<'a>,
    hot: Option<&'a dyn HotStore>,
    position: Position,
    offset: u64,
    frame: Vec<u8>,
}

impl<'a> Walker<'a> {
    /// From the journal's start.
    pub(super) fn new(reader: Reader<'a>, hot: Option<&'a dyn HotStore>, genesis: Position) -> Self {
        Self { reader, hot, position: genesis, offset: 0, frame: Vec::new() }
    }

    /// The end of what has been walked.
    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// Where the next frame starts in the segment.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The segment's length.
    pub(super) fn segment_size(&self) -> u64 {
        self.reader.size()
    }

    /// One frame further.
    pub(super) fn next(&mut self) -> Result<Next, WalkError> {
        let stop = match self.read_segment().map_err(WalkError::Disk)? {
            Next::Newer(what) => return Ok(Next::Newer(what)),
            found @ Next::Frame { .. } => return Ok(found),
            stop @ (Next::End | Next::Fault(_)) => stop,
        };
        Ok(self.ask_hot().map_err(WalkError::Hot)?.unwrap_or(stop))
    }

    fn read_segment(&mut self) -> io::Result<Next> {
        match self.reader.at(self.offset)? {
            At::End => return Ok(Next::End),
            At::Fault(fault) => return Ok(Next::Fault(fault.to_string())),
            At::Bytes(bytes) => {
                self.frame.clear();
                self.frame.extend_from_slice(bytes);
            }
        }
        Ok(self.accept(false))
    }

    fn ask_hot(&mut self) -> Result<Option<Next>, HotError> {
        let Some(hot) = self.hot else { return Ok(None) };
        let Some(frame) = hot.get(self.position.next_seq())? else { return Ok(None) };
        self.frame = frame;
        Ok(match self.accept(true) {
            Next::Fault(_) | Next::End => None,
            found @ (Next::Frame { .. } | Next::Newer(_)) => Some(found),
        })
    }

    /// Checks the held frame and steps over it if it is the next one.
    fn accept(&mut self, from_hot: bool) -> Next {
        let frame = match Frame::check(&self.frame) {
            Ok(frame) => frame,
            Err(FrameFault::Newer(what)) => return Next::Newer(what),
            Err(fault) => return Next::Fault(fault.to_string()),
        };
        if let Err(fault) = self.position.admit(&frame) {
            return Next::Fault(fault.to_string());
        }
        let info = describe(&frame, self.offset);
        self.position = Position::after(&frame, info.hash);
        self.offset = self.offset.saturating_add(u64::from(info.bytes));
        Next::Frame { info, from_hot }
    }

    /// Hands the records of the frame that was found last to `replay`. With an error comes the record's number.
    pub(super) fn replay(&self, info: &FrameInfo, replay: &mut dyn Replay) -> Result<(), (Seq, ReplayRefused)> {
        let records = Frame::trusted(&self.frame).into_iter().flat_map(|frame| frame.records());
        for (seq, record) in (info.first_seq..).zip(records) {
            replay.record(seq, record, info).map_err(|refused| (seq, refused))?;
        }
        Ok(())
    }
}

/// What is remembered of a frame.
pub(super) fn describe(frame: &Frame<'_>, offset: u64) -> FrameInfo {
    FrameInfo {
        first_seq: frame.stamp.first_seq,
        last_seq: frame.last_seq(),
        writer_epoch: frame.stamp.writer_epoch,
        checks_total: frame.stamp.checks_total,
        wall_ms: frame.stamp.wall_ms,
        hash: frame.hash(),
        prev_hash: frame.stamp.prev_hash,
        offset,
        bytes: u32::try_from(frame.bytes().len()).unwrap_or(u32::MAX),
    }
}

/// Whether a walk agrees with an acknowledged position as far as it has come.
pub(super) fn agrees(acknowledged: &Position, info: &FrameInfo) -> bool {
    let last = acknowledged.last_seq;
    if info.last_seq == last {
        return info.hash == acknowledged.hash && info.checks_total == acknowledged.checks_total;
    }
    // A frame is acknowledged whole: none begins before the watermark and ends after it.
    info.last_seq < last || info.first_seq > last
}
