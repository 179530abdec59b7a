//! Creates a journal from known frames: the same records in the same frames and segments, byte for byte.
//!
//! This module owns the order of creation. The journal grows in a directory beside its final one and is renamed when
//! everything is durable. Existing files are never overwritten; an import that was not finished is removed. The hot
//! store is not created: the first opening rebuilds it from the segments.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::NewJournal;
use super::chain::{LinkFault, Position};
use super::disk::real::RealDisk;
use super::disk::{Access, Disk, DiskFile, replace_file};
use super::format_file::FORMAT_NAME;
use super::frame::{
    self, FRAME_BYTES_LIMIT, Frame, FrameFault, FrameHash, HEADER_BYTES, RECORD_BYTES_LIMIT, RawRecord, Stamp,
};
use super::head;
use super::layout::{FIRST_SEQ, HEAD_NAME};
use super::segment::{self, SEGMENT_DIR};
use super::tally::Tally;
use crate::ids::Seq;

/// Readable by its owner only, like every journal.
const DIR_MODE: u32 = 0o700;

/// Why a journal could not be created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Something exists there already.
    #[error("{path} exists and is not empty: name a new directory; nothing is ever written over")]
    Exists {
        /// The directory.
        path: String,
    },
    /// Another import is running or was killed.
    #[error("{path} is there from an import that did not end: wait for that one, or remove the directory")]
    Unfinished {
        /// The directory.
        path: String,
    },
    /// A frame without records, or with records that are too large.
    #[error("a frame that no journal can have: {0}")]
    Size(&'static str),
    /// The frame is invalid.
    #[error("the frame cannot be: {0}")]
    Frame(FrameFault),
    /// The frame does not follow the previous one.
    #[error("the frame does not follow the one before it: {0}")]
    Link(LinkFault),
    /// The frame neither belongs to the previous frame's segment nor begins one.
    #[error("the frame of record {0} says another segment than the frames around it")]
    Segment(Seq),
    /// The disk failed.
    #[error("cannot {action} {path}: check the volume")]
    Io {
        /// The operation that failed.
        action: &'static str,
        /// The file.
        path: String,
        /// What the operating system said.
        source: io::Error,
    },
}

/// A journal that is being created.
pub struct Importer {
    dir: PathBuf,
    part: PathBuf,
    disk: RealDisk,
    identity: NewJournal,
    position: Position,
    tally: Tally,
    hasher: blake3::Hasher,
    file: Box<dyn DiskFile>,
    bytes: u64,
    buffer: Vec<u8>,
    done: bool,
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> ImportError + 'a {
    move |source| ImportError::Io { action, path: path.display().to_string(), source }
}

impl Importer {
    /// Begins a journal for `dir`, which must be missing or empty.
    ///
    /// # Errors
    /// If it is not, or any error of the disk; nothing was created then.
    pub fn begin(dir: &Path, identity: NewJournal) -> Result<Self, ImportError> {
        refuse_what_is_there(dir)?;
        let Some(name) = dir.file_name().and_then(|name| name.to_str()) else {
            return Err(ImportError::Exists { path: dir.display().to_string() });
        };
        let name = format!("{name}.importing");
        let part = dir.with_file_name(name);
        let disk = RealDisk::new(&part);
        // Exclusive: the process that created the directory owns it.
        match DirBuilder::new().mode(DIR_MODE).create(&part) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(ImportError::Unfinished { path: part.display().to_string() });
            }
            made => made.map_err(failed("make", &part))?,
        }
        let file = open_segment(&disk, &part, FIRST_SEQ);
        let file = file.inspect_err(|_| drop(fs::remove_dir_all(&part)))?;
        let position = Position::genesis(identity.uuid);
        let tally = Tally::new(&position, Some(super::footer::NO_FOOTER));
        let (hasher, buffer) = (blake3::Hasher::new(), Vec::new());
        Ok(Self {
            dir: dir.to_owned(),
            part,
            disk,
            identity,
            position,
            tally,
            hasher,
            file,
            bytes: 0,
            buffer,
            done: false,
        })
    }

    /// The end of the frames that were added.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Adds a frame to the segment that begins with record `segment`, and returns the frame's hash.
    ///
    /// # Errors
    /// If it is not the next one, or any error of the disk.
    pub fn frame(&mut self, stamp: &Stamp, records: &[RawRecord<'_>], segment: Seq) -> Result<FrameHash, ImportError> {
        check_sizes(records)?;
        let hash = frame::encode(&mut self.buffer, stamp, records);
        let frame = Frame::check(&self.buffer).map_err(ImportError::Frame)?;
        self.position.admit(&frame).map_err(ImportError::Link)?;
        let position = Position::after(&frame, hash);
        if segment == stamp.first_seq && self.tally.frames > 0 {
            self.seal()?;
        }
        if segment != self.tally.start.first_seq {
            return Err(ImportError::Segment(stamp.first_seq));
        }
        self.file.write_at(self.bytes, &self.buffer).map_err(failed("write", &self.part))?;
        self.hasher.update(&self.buffer);
        self.bytes = self.bytes.saturating_add(self.buffer.len() as u64);
        self.tally.add(stamp.wall_ms);
        self.position = position;
        Ok(hash)
    }

    fn seal(&mut self) -> Result<(), ImportError> {
        let frames_hash = *self.hasher.finalize().as_bytes();
        let footer = self.tally.footer(&self.position, self.bytes, frames_hash);
        let written = self.file.write_at(self.bytes, &footer.encode()).and_then(|()| self.file.sync());
        written.map_err(failed("write", &self.part))?;
        let sealed = segment::sealed_path(footer.first_seq, footer.last_seq);
        self.disk.rename(&segment::open_path(footer.first_seq), &sealed).map_err(failed("rename in", &self.part))?;
        self.file = open_segment(&self.disk, &self.part, self.position.next_seq())?;
        self.tally = Tally::new(&self.position, Some(footer.hash()));
        (self.hasher, self.bytes) = (blake3::Hasher::new(), 0);
        Ok(())
    }

    /// Finishes the journal. It is durable under its name when this returns.
    ///
    /// # Errors
    /// Any error of the disk; nothing is left then.
    pub fn finish(mut self) -> Result<Position, ImportError> {
        let disk = &self.disk;
        let watermark = head::initial(self.position);
        let write = |file: &mut dyn DiskFile| file.write_at(0, &watermark).and_then(|()| file.sync());
        self.file
            .sync()
            .and_then(|()| disk.sync_dir(SEGMENT_DIR))
            .and_then(|()| disk.open(HEAD_NAME, Access::Create))
            .and_then(|mut file| write(&mut *file))
            .and_then(|()| disk.sync_dir(""))
            // Last, as in every new journal, because it vouches for everything else.
            .and_then(|()| replace_file(disk, "", FORMAT_NAME, &self.identity.identity().encode()))
            .map_err(failed("write", &self.part))?;
        refuse_what_is_there(&self.dir)?;
        let parent = RealDisk::new(parent_of(&self.dir));
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Fails if something was created in the directory meanwhile.
        parent.rename(&name(&self.part), &name(&self.dir)).map_err(failed("make", &self.dir))?;
        self.done = true;
        parent.sync_dir("").map_err(failed("sync", parent_of(&self.dir)))?;
        Ok(self.position)
    }
}

impl Drop for Importer {
    fn drop(&mut self) {
        if !self.done {
            // It is ours alone, and no process may mistake it for a journal.
            let _ = fs::remove_dir_all(&self.part);
        }
    }
}

fn parent_of(dir: &Path) -> &Path {
    dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn refuse_what_is_there(dir: &Path) -> Result<(), ImportError> {
    match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(ImportError::Exists { path: dir.display().to_string() })
        }
        Err(error) => Err(failed("read", dir)(error)),
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(ImportError::Exists { path: dir.display().to_string() }),
        },
    }
}

fn open_segment(disk: &RealDisk, part: &Path, first: Seq) -> Result<Box<dyn DiskFile>, ImportError> {
    let made = disk.make_dir(SEGMENT_DIR).and_then(|()| disk.open(&segment::open_path(first), Access::Create));
    made.map_err(failed("make", part))
}

fn check_sizes(records: &[RawRecord<'_>]) -> Result<(), ImportError> {
    if records.is_empty() {
        return Err(ImportError::Size("it has no records"));
    }
    if records.iter().any(|record| record.payload.len() > RECORD_BYTES_LIMIT) {
        return Err(ImportError::Size("a record is too large"));
    }
    let bytes = records.iter().fold(HEADER_BYTES, |sum, record| sum.saturating_add(record.framed_bytes()));
    if bytes > FRAME_BYTES_LIMIT { Err(ImportError::Size("it is too large")) } else { Ok(()) }
}
