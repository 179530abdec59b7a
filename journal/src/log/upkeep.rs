//! Operations on sealed segments: verify from the disk, compress, remove.
//!
//! This module owns the file operations. The caller decides when and in which order they run, and handles archives.
//! Each function is complete by itself and may be repeated; a crash in it leaves the state before or after it. They
//! need no lock, because the one process that has the journal open is the only caller.

mod archive;

pub use archive::{Archived, archive_segment};

use std::io;

use super::catalog::{Entry, SegmentDir, Stage};
use super::chain::Position;
use super::disk::{Access, Disk, DiskFile};
use super::error::OpenError;
use super::footer::Footer;
use super::frame::RawRecord;
use super::replay::{Replay, ReplayRefused};
use super::replay_plan::{Failed, Ground, ReplayPlan, Start, Step};
use super::segment::{self, SEGMENT_DIR};
use super::unpack::{Unpacked, pack};
use super::walk::FrameInfo;
use crate::ids::Seq;

const READ_BYTES: usize = 256 * 1024;

/// Why a segment was not verified, compressed or removed. The segment is unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpkeepError {
    /// There is no such sealed segment.
    #[error("{path} has no sealed segment with records {first} to {last}")]
    Missing {
        /// The directory.
        path: String,
        /// The first record of the segment.
        first: Seq,
        /// The last record of the segment.
        last: Seq,
    },
    /// Its frames or its footer are not what was written.
    #[error("{path} is damaged at byte {offset}: {fault}; restart to have it repaired, or put it back from a copy")]
    Damaged {
        /// The file.
        path: String,
        /// The offset of the fault.
        offset: u64,
        /// What is wrong.
        fault: String,
    },
    /// The compressed file does not decompress to the same bytes.
    #[error("{path} does not unpack to the segment that it was made of: check memory and volume")]
    Differs {
        /// The compressed file.
        path: String,
    },
    /// The next segment needs the hash of this one's footer.
    #[error("the newest sealed segment, with records {first} to {last}, has to stay: nothing was removed")]
    Newest {
        /// Its first record.
        first: Seq,
        /// Its last record.
        last: Seq,
    },
    /// The disk failed.
    #[error("cannot {action} {path}")]
    Io {
        /// The operation that failed.
        action: &'static str,
        /// The file.
        path: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The list of segments cannot be read.
    #[error("the segments cannot be read")]
    Unreadable(#[from] OpenError),
}

fn failed(disk: &dyn Disk, action: &'static str, path: &str) -> impl Fn(io::Error) -> UpkeepError + use<> {
    let path = disk.show(path);
    move |source| UpkeepError::Io { action, path: path.clone(), source }
}

fn find(disk: &dyn Disk, first: Seq, last: Seq) -> Result<Entry, UpkeepError> {
    let found = SegmentDir::new(disk, &[]).list()?.into_iter();
    let mut found =
        found.filter(|entry| (entry.first, entry.last) == (first, Some(last)) && entry.stage != Stage::Open);
    found.next().ok_or_else(|| UpkeepError::Missing { path: disk.show(SEGMENT_DIR), first, last })
}

/// The sealed segments in the journal's directory, oldest first, with the lengths of their files in bytes.
///
/// # Errors
/// If the directory cannot be read, or its segments do not fit together.
pub fn sealed_segments(disk: &dyn Disk) -> Result<Vec<SegmentFile>, UpkeepError> {
    let segments_dir = SegmentDir::new(disk, &[]);
    let mut kept = Vec::new();
    for entry in segments_dir.list()? {
        let Some(last) = entry.last.filter(|_| entry.stage != Stage::Open && !entry.missing) else { continue };
        let path = entry.path();
        let bytes = segments_dir.file_bytes(&entry).map_err(failed(disk, "read", &path))?;
        kept.push(SegmentFile { first: entry.first, last, bytes, packed: entry.stage == Stage::Compressed });
    }
    Ok(kept)
}

/// A sealed segment on the journal's volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentFile {
    /// Number of its first record.
    pub first: Seq,
    /// Number of its last record.
    pub last: Seq,
    /// Bytes of its file.
    pub bytes: u64,
    /// Whether it is compressed.
    pub packed: bool,
}

impl SegmentFile {
    /// Its path in the journal's directory.
    #[must_use]
    pub fn path(&self) -> String {
        if self.packed {
            segment::compressed_path(self.first, self.last)
        } else {
            segment::sealed_path(self.first, self.last)
        }
    }
}

/// A consumer that ignores the records.
struct Frames;

impl Replay for Frames {
    fn record(&mut self, _: Seq, _: RawRecord<'_>, _: &FrameInfo) -> Result<(), ReplayRefused> {
        Ok(())
    }

    fn wants_records(&self) -> bool {
        false
    }
}

/// Reads a sealed segment from the disk, compressed or not, and checks every frame, the chain, and the footer against
/// them. The footer's fields about earlier segments are not checked.
///
/// # Errors
/// What is wrong with it.
pub fn verify_segment(disk: &dyn Disk, first: Seq, last: Seq) -> Result<Footer, UpkeepError> {
    let entries = [find(disk, first, last)?];
    let segments_dir = SegmentDir::new(disk, &[]);
    let path = entries.first().map(|entry| segments_dir.show(entry)).unwrap_or_default();
    let durable = Position { last_seq: 0, hash: [0; 32], checks_total: 0, writer_epoch: 0 };
    let ground = Ground { segments_dir: &segments_dir, hot: None, entries: &entries, durable };
    let damaged = |offset, fault| UpkeepError::Damaged { path: path.clone(), offset, fault };
    let unreadable = |error: Failed| match error {
        Failed::Open(error) => UpkeepError::Unreadable(error),
        Failed::Unsound(fault) => damaged(0, fault),
        Failed::NoSnapshots | Failed::Stopped => damaged(0, String::new()),
    };
    let mut replay_plan = ReplayPlan::begin(ground, Start::Oldest).map_err(unreadable)?;
    loop {
        let offset = replay_plan.walker.offset();
        match replay_plan.next(&mut Frames).map_err(unreadable)? {
            Step::Frame { .. } | Step::Skipped { .. } => {}
            Step::Sealed { ending, .. } => {
                let at = ending.footer.frame_bytes;
                return ending.fault.map_or(Ok(ending.footer), |fault| Err(damaged(at, fault)));
            }
            Step::End => return Err(damaged(offset, "the file ends".to_owned())),
            Step::Fault(fault) => return Err(damaged(offset, fault)),
        }
    }
}

/// Compresses a sealed segment, proves that it decompresses to the same bytes, and removes the uncompressed file.
/// Returns the compressed file's length.
///
/// # Errors
/// Any error of the disk, or a wrong result; the uncompressed file stays then.
pub fn compress_segment(disk: &dyn Disk, first: Seq, last: Seq) -> Result<u64, UpkeepError> {
    let entry = find(disk, first, last)?;
    let (sealed, packed) = (segment::sealed_path(first, last), segment::compressed_path(first, last));
    let packed_bytes = || {
        let size = disk.open(&packed, Access::Read).and_then(|file| file.size());
        size.map_err(failed(disk, "read", &packed))
    };
    if entry.stage == Stage::Compressed {
        return packed_bytes();
    }
    let temporary = format!("{packed}.tmp");
    let from = disk.open(&sealed, Access::Read).map_err(failed(disk, "read", &sealed))?;
    write_packed(disk, &*from, &temporary).map_err(failed(disk, "write", &temporary))?;
    let unpacked = unpacked_hash(disk, &temporary).map_err(failed(disk, "read", &temporary))?;
    if unpacked != Some(hash(&*from).map_err(failed(disk, "read", &sealed))?) {
        disk.remove(&temporary).map_err(failed(disk, "remove", &temporary))?;
        return Err(UpkeepError::Differs { path: disk.show(&temporary) });
    }
    let renamed = disk.rename(&temporary, &packed).and_then(|()| disk.sync_dir(SEGMENT_DIR));
    renamed.map_err(failed(disk, "rename", &temporary))?;
    // Only now, when the compressed file is durable.
    let removed = disk.remove(&sealed).and_then(|()| disk.sync_dir(SEGMENT_DIR));
    removed.map_err(failed(disk, "remove", &sealed))?;
    packed_bytes()
}

fn write_packed(disk: &dyn Disk, from: &dyn DiskFile, path: &str) -> io::Result<()> {
    let mut file = disk.open(path, Access::Create)?;
    file.truncate(0)?;
    pack(&mut *file, from.size()?, from)?;
    file.sync()
}

/// The hash of the file's decompressed bytes, read from the disk; `None` if it does not decompress.
fn unpacked_hash(disk: &dyn Disk, path: &str) -> io::Result<Option<blake3::Hash>> {
    let mut unpacked = Unpacked::new(disk.open(path, Access::Read)?)?;
    match hash_all(|offset, into| unpacked.read_at(offset, into)) {
        Ok(hash) => Ok(Some(hash)),
        Err(error) if Unpacked::is_damage(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn hash(file: &dyn DiskFile) -> io::Result<blake3::Hash> {
    hash_all(|offset, into| file.read_at(offset, into))
}

fn hash_all(mut read_at: impl FnMut(u64, &mut [u8]) -> io::Result<usize>) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut at = 0;
    loop {
        let got = read_at(at, &mut buffer)?;
        if got == 0 {
            return Ok(hasher.finalize());
        }
        hasher.update(buffer.get(..got).unwrap_or_default());
        at = u64::saturating_add(at, got as u64);
    }
}

/// Removes a sealed segment, compressed or not. The caller knows that it is archived or no longer wanted, and that a
/// snapshot replaces it. A segment that does not exist counts as removed.
///
/// # Errors
/// If it is the newest sealed one, or any error of the disk.
pub fn remove_segment(disk: &dyn Disk, first: Seq, last: Seq) -> Result<(), UpkeepError> {
    let entries = SegmentDir::new(disk, &[]).list()?;
    let newest = entries.iter().rfind(|entry| entry.stage != Stage::Open);
    if newest.is_some_and(|entry| (entry.first, entry.last) == (first, Some(last))) {
        return Err(UpkeepError::Newest { first, last });
    }
    // The compressed one first, because the other one takes precedence as long as it exists.
    for path in [segment::compressed_path(first, last), segment::sealed_path(first, last)] {
        match disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(disk, "remove", &path)(error)),
            _ => {}
        }
    }
    disk.sync_dir(SEGMENT_DIR).map_err(failed(disk, "sync", SEGMENT_DIR))
}
