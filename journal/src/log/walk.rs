//! The scan over a journal. It follows the chain frame by frame and segment by segment, and takes frames from the hot
//! store where a segment is damaged. Recovery, the offline reader, and through them every consumer of records use it.
//!
//! This module owns following the chain and comparing footers with it. It writes nothing and does not decide what
//! happens on a fault. Memory: the reader's window, and one frame if that came from the hot store.

use std::io;

use super::catalog::{Entry, SegmentDir};
use super::chain::Position;
use super::error::OpenError;
use super::footer::{FOOTER_BYTES, FooterHash};
use super::frame::{Frame, FrameFault, FrameHash};
use super::hot::{HotError, HotStore};
use super::replay::{Replay, ReplayRefused};
use super::segment::{At, Reader};
use super::tally::{Ending, Tally};
use crate::ids::Seq;

/// The start of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentStart {
    /// Number of its first record, which is also its name.
    pub first_seq: Seq,
    /// Hash of the previous frame.
    pub prev_hash: FrameHash,
    /// Arrival checks in the journal before it.
    pub checks_before: u64,
    /// Hash of the previous segment's footer; zeros if there is none or it is not known.
    pub prev_footer: FooterHash,
}

/// A frame's place and the fields of its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameInfo {
    /// Number of its first record.
    pub first_seq: Seq,
    /// Number of its last record.
    pub last_seq: Seq,
    /// The opening of the journal that wrote it.
    pub writer_epoch: u64,
    /// Arrival checks in the journal up to and including this frame.
    pub checks_total: u64,
    /// Wall time of the commit in milliseconds since 1970, as the caller gave it; informational.
    pub wall_ms: u64,
    /// Low half of the state's digest after this frame; 0 in a frame that is no checkpoint.
    pub state_digest: u64,
    /// BLAKE3 of the frame.
    pub hash: FrameHash,
    /// BLAKE3 of the previous frame.
    pub prev_hash: FrameHash,
    /// Its segment.
    pub segment: SegmentStart,
    /// Frames of that segment up to and including this one.
    pub segment_frames: u64,
    /// Its offset in the segment.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u32,
}

/// The result of a step.
#[derive(Debug)]
pub(super) enum Next {
    /// A frame, which the walker holds now.
    Frame {
        info: FrameInfo,
        /// The frame came from the hot store, because the segment does not have it.
        from_hot: bool,
    },
    /// A segment ends, and the next one begins.
    Sealed { entry: Entry, ending: Ending },
    /// The open segment ends, and the hot store has no further frame.
    End,
    /// Neither copy has the next frame. The text says what is wrong in the segment.
    Fault(String),
}

/// Follows the chain.
pub(super) struct Walker<'a> {
    segments_dir: &'a SegmentDir<'a>,
    hot: Option<&'a dyn HotStore>,
    /// The segment that is read, and those after it.
    entries: std::collections::VecDeque<Entry>,
    reader: Reader,
    position: Position,
    tally: Tally,
    offset: u64,
    held: Held,
}

/// Where the last frame found is held.
enum Held {
    /// In the reader's window, with this many bytes before the offset.
    Window(u32),
    Hot(Vec<u8>),
}

/// What the current segment has at the current offset.
enum Found {
    Frame(FrameInfo),
    /// A footer where the open segment may end.
    Rolled(Ending),
    End,
    Fault(String),
}

impl<'a> Walker<'a> {
    /// Starts at the first of `entries`, which is not empty and has no gaps. `position` is the end of what precedes it,
    /// and `tally` is that of an empty segment there.
    pub(super) fn new(
        segments_dir: &'a SegmentDir<'a>,
        hot: Option<&'a dyn HotStore>,
        entries: Vec<Entry>,
        position: Position,
        tally: Tally,
    ) -> Result<Self, OpenError> {
        let mut entries = std::collections::VecDeque::from(entries);
        if entries.is_empty() {
            entries.push_back(Entry::missing(position.next_seq(), None));
        }
        let reader = match entries.front_mut() {
            Some(entry) => segments_dir.open(entry)?,
            None => Reader::new(None).map_err(|error| OpenError::io("read", String::new(), error))?,
        };
        Ok(Self { segments_dir, hot, entries, reader, position, tally, offset: 0, held: Held::Window(0) })
    }

    /// The end of the frames that were walked.
    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// The offset of the next frame in the segment.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The tally of the segment up to here.
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The hash over the segment up to here.
    pub(super) fn hasher(&mut self) -> blake3::Hasher {
        self.reader.hasher(self.offset)
    }

    /// The segment's length, if it is not compressed.
    pub(super) fn segment_size(&self) -> u64 {
        self.reader.size().unwrap_or(self.offset)
    }

    /// The segment that is being read.
    pub(super) fn entry(&self) -> Entry {
        self.entries.front().cloned().unwrap_or_else(|| Entry::missing(self.position.next_seq(), None))
    }

    /// The segment's path for messages.
    pub(super) fn path(&self) -> String {
        self.segments_dir.show(&self.entry())
    }

    fn last(&self) -> Option<Seq> {
        self.entries.front().and_then(|entry| entry.last)
    }

    /// Advances by one step.
    pub(super) fn next(&mut self) -> Result<Next, OpenError> {
        if self.last() == Some(self.position.last_seq) {
            let ending = self.ending()?;
            return self.enter_next(ending);
        }
        let stop = match self.read_segment()? {
            Found::Frame(info) => return Ok(self.step(info, false)),
            Found::Rolled(ending) => return self.enter_next(ending),
            stop @ (Found::End | Found::Fault(_)) => stop,
        };
        if let Some(info) = self.ask_hot()? {
            return Ok(self.step(info, true));
        }
        Ok(match stop {
            Found::Fault(fault) => Next::Fault(fault),
            _ if self.last().is_some() => Next::Fault("the file ends".to_owned()),
            _ => Next::End,
        })
    }

    fn disk_error(&self, error: io::Error) -> OpenError {
        OpenError::io("read", self.path(), error)
    }

    fn newer(&self, what: &'static str) -> OpenError {
        OpenError::NewerFrame { path: self.path(), offset: self.offset, what }
    }

    fn read_segment(&mut self) -> Result<Found, OpenError> {
        let last = self.last();
        let before = (&self.position, &self.tally, self.offset);
        let found = match self.reader.at(self.offset) {
            Ok(At::End) => return Ok(Found::End),
            Ok(At::Fault(fault)) => return Ok(Found::Fault(fault.to_string())),
            Ok(At::Footer(_)) if last.is_none() && self.tally.frames > 0 => Ok(None),
            Ok(At::Footer(_)) => return Ok(Found::Fault("a footer is there instead of a frame".to_owned())),
            Ok(At::Frame(bytes)) => judge(before, last, bytes).map(Some),
            Err(error) => return Err(self.disk_error(error)),
        };
        match found {
            Ok(Some(info)) => {
                self.held = Held::Window(info.bytes);
                Ok(Found::Frame(info))
            }
            Ok(None) => self.rolled(),
            Err(Unfit::Newer(what)) => Err(self.newer(what)),
            Err(Unfit::Fault(fault)) => Ok(Found::Fault(fault)),
        }
    }

    /// Handles a footer at the end of the open segment. A footer that is not intact and true is an unfinished write
    /// like any other.
    fn rolled(&mut self) -> Result<Found, OpenError> {
        let ending = self.ending()?;
        Ok(match ending.fault {
            None => Found::Rolled(ending),
            Some(fault) => Found::Fault(fault),
        })
    }

    fn ask_hot(&mut self) -> Result<Option<FrameInfo>, OpenError> {
        let Some(hot) = self.hot else { return Ok(None) };
        let failed = |source: HotError, path| OpenError::Hot { path, source };
        let frame = match hot.get(self.position.next_seq()) {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(None),
            Err(error) => return Err(failed(error, self.path())),
        };
        match judge((&self.position, &self.tally, self.offset), self.last(), &frame) {
            Ok(info) => {
                self.reader.substitute(self.offset, &frame);
                self.held = Held::Hot(frame);
                Ok(Some(info))
            }
            Err(Unfit::Newer(what)) => Err(self.newer(what)),
            Err(Unfit::Fault(_)) => Ok(None),
        }
    }

    fn step(&mut self, info: FrameInfo, from_hot: bool) -> Next {
        let FrameInfo { last_seq, hash, checks_total, writer_epoch, .. } = info;
        self.position = Position { last_seq, hash, checks_total, writer_epoch };
        self.offset = self.offset.saturating_add(u64::from(info.bytes));
        self.tally.add(info.wall_ms);
        Next::Frame { info, from_hot }
    }

    /// Compares the footer here with the frames before it.
    fn ending(&mut self) -> Result<Ending, OpenError> {
        let frames_hash = *self.reader.hasher(self.offset).finalize().as_bytes();
        let expected = self.tally.footer(&self.position, self.offset, frames_hash);
        let judged = match self.reader.at(self.offset) {
            Ok(At::Footer(bytes)) => self.tally.judge(expected, bytes),
            Ok(At::End) => Ok(Ending { footer: expected, fault: Some("the footer is missing".to_owned()) }),
            Ok(At::Frame(_) | At::Fault(_)) => {
                Ok(Ending { footer: expected, fault: Some("the footer is damaged".to_owned()) })
            }
            Err(error) => return Err(self.disk_error(error)),
        };
        let mut ending = judged.map_err(|what| self.newer(what))?;
        let more = self.reader.has_more(self.offset.saturating_add(FOOTER_BYTES as u64));
        if ending.fault.is_none() && more.map_err(|error| self.disk_error(error))? {
            ending.fault = Some("bytes follow the footer".to_owned());
        }
        Ok(ending)
    }

    fn enter_next(&mut self, ending: Ending) -> Result<Next, OpenError> {
        let mut entry = self.entries.pop_front().unwrap_or_else(|| Entry::missing(ending.footer.first_seq, None));
        entry.last = Some(ending.footer.last_seq);
        if self.entries.is_empty() {
            // A running service may have started a new segment since the segments were listed.
            let next = self.position.next_seq();
            let mut found = self.segments_dir.list()?;
            found.retain(|entry| entry.first >= next);
            self.entries = super::catalog::without_gaps(found, next).into();
        }
        if let Some(next) = self.entries.front_mut() {
            self.reader = self.segments_dir.open(next)?;
        }
        let known = self.tally.anchored || ending.fault.is_none();
        self.tally = Tally::new(&self.position, known.then(|| ending.footer.hash()));
        self.offset = 0;
        Ok(Next::Sealed { entry, ending })
    }

    /// Continues behind a part of the segment that cannot be read, at the end of the frame that ends at `position`.
    /// Returns `false` if the segment is shorter.
    pub(super) fn jump(&mut self, position: Position, offset: u64, tally: Tally) -> Result<bool, OpenError> {
        let passed = offset >= self.offset && self.reader.pass(offset).map_err(|error| self.disk_error(error))?;
        if passed {
            self.position = position;
            self.offset = offset;
            self.tally = tally;
        }
        Ok(passed)
    }

    /// Passes the last frame found to `replay`. An error carries the record's number.
    pub(super) fn replay(&self, info: &FrameInfo, replay: &mut dyn Replay) -> Result<(), (Seq, ReplayRefused)> {
        replay.frame(info).map_err(|refused| (info.first_seq, refused))?;
        if replay.wants_records() {
            let bytes = match &self.held {
                Held::Window(len) => self.reader.held(info.offset, *len as usize),
                Held::Hot(frame) => frame,
            };
            let records = Frame::trusted(bytes).into_iter().flat_map(|frame| frame.records());
            for (seq, record) in (info.first_seq..).zip(records) {
                replay.record(seq, record, info).map_err(|refused| (seq, refused))?;
            }
        }
        if info.state_digest != 0 {
            replay.checkpoint(info).map_err(|refused| (info.last_seq, refused))?;
        }
        Ok(())
    }
}

/// Why bytes are not the next frame.
enum Unfit {
    Fault(String),
    Newer(&'static str),
}

/// Checks the bytes that should be the next frame.
fn judge(before: (&Position, &Tally, u64), last: Option<Seq>, bytes: &[u8]) -> Result<FrameInfo, Unfit> {
    let (position, tally, offset) = before;
    let frame = match Frame::check(bytes) {
        Ok(frame) => frame,
        Err(FrameFault::Newer(what)) => return Err(Unfit::Newer(what)),
        Err(fault) => return Err(Unfit::Fault(fault.to_string())),
    };
    position.admit(&frame).map_err(|fault| Unfit::Fault(fault.to_string()))?;
    if last.is_some_and(|last| frame.last_seq() > last) {
        return Err(Unfit::Fault("the frame goes past the segment's last record".to_owned()));
    }
    Ok(describe(&frame, tally, offset))
}

/// Collects the frame's data.
fn describe(frame: &Frame<'_>, tally: &Tally, offset: u64) -> FrameInfo {
    FrameInfo {
        first_seq: frame.stamp.first_seq,
        last_seq: frame.last_seq(),
        writer_epoch: frame.stamp.writer_epoch,
        checks_total: frame.stamp.checks_total,
        wall_ms: frame.stamp.wall_ms,
        state_digest: frame.stamp.state_digest,
        hash: frame.hash(),
        prev_hash: frame.stamp.prev_hash,
        segment: tally.start,
        segment_frames: tally.frames.saturating_add(1),
        offset,
        bytes: u32::try_from(frame.bytes().len()).unwrap_or(u32::MAX),
    }
}

/// Whether the walk so far agrees with an acknowledged position.
pub(super) fn agrees(acknowledged: &Position, info: &FrameInfo) -> bool {
    let last = acknowledged.last_seq;
    if info.last_seq == last {
        return info.hash == acknowledged.hash && info.checks_total == acknowledged.checks_total;
    }
    // A frame is acknowledged as a whole: none begins before the watermark and ends after it.
    info.last_seq < last || info.first_seq > last
}
