//! Reading a journal without opening it: segments and HEAD only, nothing written, no lock, sled never touched.
//!
//! Works on a copied volume and beside a running service, whose last frame may be half written: whatever lies after the
//! watermark is reported and not an error.

use std::io;
use std::path::Path;

use super::chain::Position;
use super::disk::real::RealDisk;
use super::disk::{Access, Disk};
use super::error::{OpenError, ReplayRefused};
use super::format_file::FORMAT_NAME;
use super::head;
use super::layout::{self, HEAD_NAME};
use super::segment::{self, Reader};
use super::walk::{Next, Replay, WalkError, Walker, agrees};
use crate::ids::Seq;

/// HEAD is read while it may be written: of so many tries, one finds a whole slot.
const HEAD_TRIES: usize = 3;

/// What a scan found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanReport {
    /// The journal's id.
    pub uuid: [u8; 16],
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// The last acknowledged record when the scan began.
    pub durable_seq: Seq,
    /// The end of what was read; at least the acknowledged.
    pub end: Position,
    /// Frames read.
    pub frames: u64,
    /// A slot of HEAD that is unreadable.
    pub bad_head_slot: Option<u64>,
    /// Bytes after the last whole frame, and what is wrong there.
    pub tail: Option<(u64, String)>,
}

/// Why a scan found no sound journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// There is none.
    #[error("{path} holds no journal: it has no FORMAT; give the directory that `run` uses, or a copy of it")]
    NoJournal {
        /// The directory.
        path: String,
    },
    /// What is wrong is the same as when it is opened.
    #[error(transparent)]
    Unsound(#[from] OpenError),
}

/// Reads the journal in `dir` from the first record, handing each to `replay`.
///
/// # Errors
/// If the directory holds no journal, or one that is damaged at or before its watermark.
pub fn scan(dir: &Path, replay: &mut dyn Replay) -> Result<ScanReport, ScanError> {
    scan_on(&RealDisk::new(dir), replay)
}

/// As [`scan`], on any disk.
///
/// # Errors
/// As [`scan`].
pub fn scan_on(disk: &dyn Disk, replay: &mut dyn Replay) -> Result<ScanReport, ScanError> {
    let no_journal = || ScanError::NoJournal { path: disk.show("") };
    let identity = layout::read_identity(disk)?.ok_or_else(no_journal)?;
    // Before the segment: then the segment has at least what HEAD says.
    let found = read_head(disk)?;
    let path = segment::open_path(layout::open_segment(disk)?);
    let shown = disk.show(&path);
    let failed = |error| OpenError::io("read", shown.clone(), error);
    let file = match disk.open(&path, Access::Read) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error).into()),
    };
    let reader = Reader::new(file.as_deref()).map_err(failed)?;
    let mut walker = Walker::new(reader, None, Position::genesis(identity.uuid));
    let durable = found.0;
    let (frames, fault) = follow(&mut walker, &durable, &shown, replay)?;
    let (end, offset) = (walker.position(), walker.offset());
    if end.last_seq < durable.last_seq {
        let (from, durable) = (end.last_seq.saturating_add(1), durable.last_seq);
        let fault = fault.unwrap_or_else(|| "the file ends".to_owned());
        return Err(OpenError::Lost { path: shown, offset, from, durable, fault }.into());
    }
    let tail = fault.map(|fault| (walker.segment_size().saturating_sub(offset), fault));
    let (uuid, created_ms, durable_seq) = (identity.uuid, identity.created_ms, durable.last_seq);
    Ok(ScanReport { uuid, created_ms, durable_seq, end, frames, bad_head_slot: found.1, tail })
}

fn read_head(disk: &dyn Disk) -> Result<(Position, Option<u64>), OpenError> {
    let lost = || OpenError::HeadLost { path: disk.show(HEAD_NAME) };
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => lost(),
        _ => OpenError::io("read", disk.show(HEAD_NAME), error),
    };
    let file = disk.open(HEAD_NAME, Access::Read).map_err(failed)?;
    for _ in 0..HEAD_TRIES {
        let found = head::read(&*file).map_err(failed)?;
        if let Some(slot) = found.newest {
            return Ok((slot.position, found.bad));
        }
    }
    Err(lost())
}

/// Walks to the end; frames read, and what is wrong where the walk ends.
fn follow(
    walker: &mut Walker<'_>,
    durable: &Position,
    path: &str,
    replay: &mut dyn Replay,
) -> Result<(u64, Option<String>), OpenError> {
    if durable.last_seq == 0 && durable.hash != walker.position().hash {
        return Err(OpenError::HeadDisagrees { path: FORMAT_NAME.to_owned(), seq: 0 });
    }
    let mut frames = 0;
    loop {
        match walker.next().map_err(|error| unreadable(path, error))? {
            Next::Frame { info, .. } => {
                if !agrees(durable, &info) {
                    return Err(OpenError::HeadDisagrees { path: path.to_owned(), seq: durable.last_seq });
                }
                let refused = |(seq, source): (Seq, ReplayRefused)| OpenError::Refused { seq, source };
                walker.replay(&info, replay).map_err(refused)?;
                frames += 1;
            }
            Next::End => return Ok((frames, None)),
            Next::Fault(fault) => return Ok((frames, Some(fault))),
            Next::Newer(what) => {
                return Err(OpenError::NewerFrame { path: path.to_owned(), offset: walker.offset(), what });
            }
        }
    }
}

fn unreadable(path: &str, error: WalkError) -> OpenError {
    match error {
        WalkError::Disk(error) => OpenError::io("read", path.to_owned(), error),
        WalkError::Hot(source) => OpenError::Hot { path: path.to_owned(), source },
    }
}
