//! The durable log. It takes records and writes group commits; each is acknowledged only when it survives a power cut.
//!
//! It owns the journal's directory and everything in it. It does not know what a record means: payloads are opaque
//! bytes with a kind and a version. [`Log::commit`] encodes a frame, appends it to the segment, inserts it into the hot
//! store, waits until both are synced, then moves HEAD and syncs that. [`Log::open`] reads everything back, repairs
//! what can be repaired, and passes every record to a [`Replay`]. `FORMAT.md` describes the bytes.
//!
//! One thread owns a `Log`. A second one lives only while a commit's segment is synced, so an idle log costs nothing. A
//! failed write or sync latches the log: every later call returns [`CommitError::PreviousFailure`], and the process has
//! to end.

mod bytes;
mod catalog;
mod chain;
pub mod disk;
mod error;
pub mod fault;
mod footer;
mod format_file;
mod frame;
mod head;
pub mod hot;
mod import;
mod layout;
mod loss;
mod offline;
mod options;
mod recovery;
pub mod repair;
mod replay;
mod replay_plan;
mod seal;
mod segment;
pub mod snapshot;
mod tally;
mod unpack;
mod upkeep;
mod walk;
mod window;

use std::path::Path;

pub use self::catalog::Stage;
pub use self::chain::{LinkFault, Position};
pub use self::error::{CommitError, OpenError};
pub use self::footer::{FOOTER_BYTES, Footer, FooterFault, FooterHash};
pub use self::format_file::FORMAT_VERSION;
pub use self::frame::{
    FRAME_BYTES_LIMIT, FRAME_VERSION, Frame, FrameFault, FrameHash, HEADER_BYTES, RECORD_BYTES_LIMIT, RawRecord, Stamp,
};
pub use self::import::{ImportError, Importer};
pub use self::loss::Acknowledgement;
pub use self::offline::{
    FooterSeen, ScanError, ScanOptions, ScanReport, ScanStart, SegmentSeen, scan, scan_on, scan_options_on, scan_with,
};
pub use self::options::Options;
pub use self::recovery::{Recovery, RecoveryAction, Witness};
pub use self::replay::{Replay, ReplayRefused};
pub use self::seal::{OpenSegment, SealedSegment};
pub use self::snapshot::SnapshotHeader;
pub use self::upkeep::{
    Archived, SegmentFile, UpkeepError, archive_segment, compress_segment, remove_segment, sealed_segments,
    verify_segment,
};
pub use self::walk::{FrameInfo, SegmentStart};

use self::disk::Disk;
use self::disk::real::RealDisk;
use self::format_file::Identity;
use self::head::Slot;
use self::hot::HotOpener;
use self::hot::sled_store::SledOpener;
use self::recovery::Opened;
use self::window::Kept;
use crate::ids::Seq;
use crate::mutant;

/// The identity with which a journal is created if there is none yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewJournal {
    /// Random. The hash chain starts from it.
    pub uuid: [u8; 16],
    /// The current time in milliseconds since 1970; informational.
    pub wall_ms: u64,
}

impl NewJournal {
    fn identity(self) -> Identity {
        Identity { uuid: self.uuid, created_ms: self.wall_ms }
    }
}

/// The storage that the log runs on.
pub struct Ports {
    /// The journal's directory.
    pub disk: Box<dyn Disk>,
    /// The hot store, which holds the second copy of the newest frames.
    pub hot: Box<dyn HotOpener>,
}

/// What a commit made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Number of the first record.
    pub first_seq: Seq,
    /// Number of the last record.
    pub last_seq: Seq,
    /// Hash of the frame.
    pub frame_hash: FrameHash,
    /// Size of the frame.
    pub frame_bytes: usize,
}

/// The end of what is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The last durable record; 0 before the first.
    pub durable_seq: Seq,
    /// Hash of its frame; before the first, a hash of the journal's id.
    pub frame_hash: FrameHash,
    /// Arrival checks in the journal.
    pub checks_total: u64,
    /// Counts the openings of the journal; this is the current one.
    pub writer_epoch: u64,
}

/// An open journal.
pub struct Log {
    options: Options,
    latched: bool,
    buffer: Vec<u8>,
    disk: Box<dyn Disk>,
    // Holds the lock, therefore dropped last.
    opened: Opened,
}

impl Log {
    /// Opens the journal in `dir` and replays every record. Creates it with `identity` if there is none.
    ///
    /// # Errors
    /// See [`OpenError`]. Nothing that could be evidence has been removed.
    pub fn open(
        dir: &Path,
        options: &Options,
        identity: NewJournal,
        replay: &mut dyn Replay,
    ) -> Result<(Self, Recovery), OpenError> {
        let hot = SledOpener::new(dir, options.hot_open_seconds_max);
        let ports = Ports { disk: Box::new(RealDisk::new(dir)), hot: Box::new(hot) };
        Self::open_on(ports, options, identity, replay)
    }

    /// As [`Log::open`], on other ports.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open_on(
        mut ports: Ports,
        options: &Options,
        identity: NewJournal,
        replay: &mut dyn Replay,
    ) -> Result<(Self, Recovery), OpenError> {
        let (opened, mut recovery) = recovery::open(&mut ports, options, identity, replay)?;
        let mut log = Self { options: options.clone(), latched: false, buffer: Vec::new(), disk: ports.disk, opened };
        recovery.actions.extend(loss::complete(&mut log, replay)?);
        recovery.records = log.opened.position.last_seq;
        Ok((log, recovery))
    }

    /// The end of what is durable.
    #[must_use]
    pub fn head(&self) -> Head {
        let Position { last_seq, hash, checks_total, .. } = self.opened.position;
        let writer_epoch = self.opened.slot.position.writer_epoch;
        Head { durable_seq: last_seq, frame_hash: hash, checks_total, writer_epoch }
    }

    /// Where the journal's files are.
    #[must_use]
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Commits `records` as one frame. All of them are durable when this returns. `checks_added` is the number of
    /// arrival checks in them; `wall_ms` is informational. `state_digest` is the low half of the state's digest after
    /// these records and makes the frame a checkpoint; 0 means no checkpoint.
    ///
    /// # Errors
    /// See [`CommitError`]. Sizes are refused before anything is written; any other error latches the log.
    pub fn commit(
        &mut self,
        records: &[RawRecord<'_>],
        checks_added: u64,
        wall_ms: u64,
        state_digest: u64,
    ) -> Result<Committed, CommitError> {
        if self.latched {
            return Err(CommitError::PreviousFailure);
        }
        let next = self.encode(records, checks_added, wall_ms, state_digest)?;
        // Latched until everything has succeeded, so that an early return leaves it latched.
        self.latched = true;
        self.check_fence()?;
        if mutant::is_on("head_before_frame") {
            let generation = self.opened.slot.generation.saturating_add(1);
            let early = Slot { generation, position: next.position };
            early.write(&mut *self.opened.head_file).map_err(|error| CommitError::io(&*self.disk, "HEAD", error))?;
        }
        self.append()?;
        self.insert(next.first_seq)?;
        if !mutant::is_on("frame_unsynced") {
            self.opened.segment.sync().map_err(|error| CommitError::io(&*self.disk, "segment", error))?;
        }
        self.advance(&next)?;
        self.latched = false;
        let Next { first_seq, position, .. } = next;
        let frame_bytes = self.buffer.len();
        Ok(Committed { first_seq, last_seq: position.last_seq, frame_hash: position.hash, frame_bytes })
    }

    /// Encodes the frame into the buffer.
    fn encode(
        &mut self,
        records: &[RawRecord<'_>],
        checks_added: u64,
        wall_ms: u64,
        state_digest: u64,
    ) -> Result<Next, CommitError> {
        self.check_sizes(records)?;
        let before = self.opened.position;
        let full = |what| CommitError::CounterFull { what };
        let last_seq = before.last_seq.checked_add(records.len() as u64).filter(|&last| last < Seq::MAX);
        let last_seq = last_seq.ok_or_else(|| full("record number"))?;
        let checks_total = before.checks_total.checked_add(checks_added).ok_or_else(|| full("total of checks"))?;
        let writer_epoch = self.opened.slot.position.writer_epoch;
        let first_seq = before.next_seq();
        let stamp = Stamp { first_seq, writer_epoch, checks_total, wall_ms, state_digest, prev_hash: before.hash };
        let hash = frame::encode(&mut self.buffer, &stamp, records);
        Ok(Next { first_seq, wall_ms, position: Position { last_seq, hash, checks_total, writer_epoch } })
    }

    fn check_sizes(&self, records: &[RawRecord<'_>]) -> Result<(), CommitError> {
        if records.is_empty() {
            return Err(CommitError::Empty);
        }
        let max = self.options.record_limit();
        if let Some((index, large)) = records.iter().enumerate().find(|(_, record)| record.payload.len() > max) {
            return Err(CommitError::RecordTooLarge { index, bytes: large.payload.len(), max });
        }
        let bytes = records.iter().fold(HEADER_BYTES, |sum, record| sum.saturating_add(record.framed_bytes()));
        let max = self.options.frame_limit();
        if bytes > max { Err(CommitError::FrameTooLarge { bytes, max }) } else { Ok(()) }
    }

    /// Detects another process that opened the journal, which can happen on volumes where locks have no effect. Its
    /// first write went to the slot that we would write next.
    fn check_fence(&self) -> Result<(), CommitError> {
        let ours = self.opened.slot;
        let after = ours.generation.saturating_add(1);
        let other = head::read_place(&*self.opened.head_file, after)
            .map_err(|error| CommitError::io(&*self.disk, "HEAD", error))?;
        match other {
            Some(slot) if slot.generation > ours.generation => {
                let theirs = Some(slot.position.writer_epoch);
                Err(CommitError::Fenced { ours: ours.position.writer_epoch, theirs })
            }
            _ => Ok(()),
        }
    }

    fn append(&mut self) -> Result<(), CommitError> {
        let Opened { segment, segment_end, .. } = &mut self.opened;
        let failed = |error| CommitError::io(&*self.disk, "segment", error);
        segment.write_at(*segment_end, &self.buffer).map_err(failed)?;
        // The two copies sync in parallel. It does not matter which of them has an unacknowledged frame after a crash:
        // opening writes it to the other.
        segment.begin_sync();
        Ok(())
    }

    fn insert(&mut self, first_seq: Seq) -> Result<(), CommitError> {
        let Opened { hot, window, segment_end, tally, .. } = &mut self.opened;
        let failed = |error| CommitError::hot(&*self.disk, error);
        let bytes = u32::try_from(self.buffer.len()).unwrap_or(u32::MAX);
        window.push(Kept { first_seq, segment: tally.start.first_seq, offset: *segment_end, bytes });
        if window.is_overfull() {
            // The flush below makes the removals durable. All removed frames have been durable in the segment since
            // earlier commits.
            while let Some(oldest) = window.pop_excess() {
                hot.remove(oldest.first_seq).map_err(failed)?;
            }
        }
        hot.insert(first_seq, &self.buffer).map_err(failed)?;
        if mutant::is_on("frame_unsynced") {
            return Ok(());
        }
        hot.flush().map_err(failed)
    }

    /// Moves HEAD, and only after that the end that this process knows.
    fn advance(&mut self, next: &Next) -> Result<(), CommitError> {
        let generation = self.opened.slot.generation.saturating_add(1);
        let slot = Slot { generation, position: next.position };
        slot.write(&mut *self.opened.head_file).map_err(|error| CommitError::io(&*self.disk, "HEAD", error))?;
        self.opened.slot = slot;
        self.opened.position = next.position;
        self.opened.tally.add(next.wall_ms);
        self.opened.hasher.update(&self.buffer);
        self.opened.segment_end = self.opened.segment_end.saturating_add(self.buffer.len() as u64);
        Ok(())
    }
}

/// The frame in the buffer, which is not written yet.
struct Next {
    first_seq: Seq,
    wall_ms: u64,
    /// The end after it.
    position: Position,
}
