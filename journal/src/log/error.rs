//! The errors of opening, writing and offline reading of the log. Each message says what happened, to what, and what to
//! do next. A cause is in `source` and not repeated.

use std::io;

use super::disk::Disk;
use super::disk::real::SymbolicLink;
use super::frame::FRAME_VERSION;
use super::hot::HotError;
use super::replay::ReplayRefused;
use crate::ids::Seq;

/// Why the journal could not be opened. Nothing that could be evidence has been removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The volume or the directory cannot be written.
    #[error(
        "{path} cannot be written: mount the volume read-write and give the directory to this user, then start again"
    )]
    NotWritable {
        /// The file or directory.
        path: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// No space is left.
    #[error("no space is left for {path}: free some on that volume, then start again; nothing is lost")]
    DiskFull {
        /// The file.
        path: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// Any other failure of the disk.
    #[error("cannot {action} {path}: check the volume, then start again")]
    Io {
        /// The operation that failed.
        action: &'static str,
        /// The file.
        path: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A symbolic link is where a file or directory of the journal should be.
    #[error(
        "{path} is a symbolic link, and none is followed below the journal's directory: put the file or directory itself there, then start again"
    )]
    Linked {
        /// The link.
        path: String,
    },
    /// Another process has the journal open.
    #[error("the journal in {path} is in use by another process: stop that one, or configure another directory")]
    InUse {
        /// The journal's directory.
        path: String,
    },
    /// The directory holds something else.
    #[error("{path} is not a journal and not empty (it has {found:?}): configure an empty or new directory")]
    NotAJournal {
        /// The directory.
        path: String,
        /// One entry in it that is not ours.
        found: String,
    },
    /// `FORMAT` is missing or damaged although records exist.
    #[error(
        "{path} is missing or damaged, while the journal beside it has records: restore it from a copy of the volume"
    )]
    FormatDamaged {
        /// The file.
        path: String,
    },
    /// A later version wrote it.
    #[error("{path} says format {found}, and this version knows up to {known}: use the newer version that wrote it")]
    NewerFormat {
        /// The file.
        path: String,
        /// Its format.
        found: u64,
        /// The highest format that this version knows.
        known: u64,
    },
    /// A later version wrote a frame.
    #[error(
        "{path} has a frame at byte {offset} that a newer version wrote ({what}; this one knows frame version {FRAME_VERSION}): use that version"
    )]
    NewerFrame {
        /// The segment.
        path: String,
        /// The frame's offset in the segment.
        offset: u64,
        /// The part that is unknown.
        what: &'static str,
    },
    /// A file among the segments that this version does not write.
    #[error(
        "{path} is no segment of this version: use the version that wrote it, or move the file away if it is not the journal's"
    )]
    ForeignSegment {
        /// The file.
        path: String,
    },
    /// Two segments claim the same records, or one is beyond the end of the chain.
    #[error(
        "{path} does not fit the segments beside it: the directory holds parts of two journals; restore it from one copy"
    )]
    MisplacedSegment {
        /// The file.
        path: String,
    },
    /// Both slots are damaged.
    #[error(
        "both slots of {path} are damaged, so what was acknowledged is not known: restore the volume from a copy, or move the directory away to start a new journal"
    )]
    HeadLost {
        /// The file.
        path: String,
    },
    /// The last acknowledged frame is not the one that exists.
    #[error(
        "record {seq} in {path} is not the one that HEAD acknowledged: the files are of different times or were changed; restore them together from a copy, or move the directory away to start a new journal"
    )]
    HeadDisagrees {
        /// The segment.
        path: String,
        /// The last acknowledged record.
        seq: Seq,
    },
    /// Acknowledged records are in neither copy.
    #[error(
        "records {from} to {durable} were acknowledged and are readable neither in {path} (at byte {offset}: {fault}) nor in the hot store: all files are as they were; restore the volume from a copy, or move the directory away to start a new journal"
    )]
    Lost {
        /// The segment.
        path: String,
        /// Where reading ended.
        offset: u64,
        /// First lost record.
        from: Seq,
        /// Last acknowledged record.
        durable: Seq,
        /// What is wrong there.
        fault: String,
    },
    /// The two copies have different frames, both intact.
    #[error(
        "the segments and the hot store have different frames for record {seq}: the directory holds parts of two journals; restore it from one copy"
    )]
    WitnessesDisagree {
        /// The frame's first record.
        seq: Seq,
    },
    /// Opening sled did not end.
    #[error(
        "the hot store did not open: start the process again, the next start sets it aside and rebuilds it from the segments"
    )]
    HotStuck {
        /// What happened.
        source: HotError,
    },
    /// The hot store failed in a way that a rebuild does not repair.
    #[error("the hot store beside {path} cannot be written: check the volume, then start again")]
    Hot {
        /// The journal's directory.
        path: String,
        /// The store's error.
        source: HotError,
    },
    /// Earlier segments are missing, and no snapshot can replace them.
    #[error(
        "{path} begins with record {first}, and no snapshot says what was before ({refused}): put the earlier segments back from the archive, or a snapshot from a copy of the volume"
    )]
    NoStart {
        /// The directory.
        path: String,
        /// The oldest record that exists.
        first: Seq,
        /// The snapshots, and what is wrong with each.
        refused: String,
    },
    /// The file that describes the accepted loss cannot be read.
    #[error(
        "{path} is damaged: a loss was accepted, and what was lost can no longer be said from it; `lakemirror journal repair --accept-loss --reason …` sets it aside and records that"
    )]
    LossDamaged {
        /// The file.
        path: String,
    },
    /// A loss was accepted, and its record cannot be written.
    #[error(
        "{path} has a loss that was accepted, and the record of it cannot be committed: check the volume, then start again"
    )]
    LossUnrecorded {
        /// The file.
        path: String,
        /// The reason.
        source: CommitError,
    },
    /// The consumer of the scan stopped it.
    #[error("record {seq} was read whole but not accepted: this version cannot continue this journal")]
    Refused {
        /// The record.
        seq: Seq,
        /// The consumer's reason.
        source: ReplayRefused,
    },
}

impl OpenError {
    /// Classifies a failure of the disk.
    pub(super) fn io(action: &'static str, path: String, source: io::Error) -> Self {
        if let Some(link) = SymbolicLink::within(&source) {
            return Self::Linked { path: link.path.clone() };
        }
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Self::NotWritable { path, source },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path, source },
            _ => Self::Io { action, path, source },
        }
    }
}

/// Why a commit was not made. Sizes are checked before anything is written and leave the log usable. Any other error
/// latches the log: the commit may or may not exist after the next open, and the process should end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// Nothing to commit.
    #[error("a commit needs at least one record")]
    Empty,
    /// A payload is too large.
    #[error(
        "record {index} has {bytes} bytes, more than the {max} that a record may have: nothing was written; split it"
    )]
    RecordTooLarge {
        /// The index of the record.
        index: usize,
        /// The size of its payload.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The open segment has no frame yet.
    #[error("the open segment has no records: nothing was sealed")]
    NothingToSeal,
    /// The records together are too large.
    #[error("the records make a frame of {bytes} bytes, more than {max}: nothing was written; commit them in parts")]
    FrameTooLarge {
        /// The size of the frame.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A counter would overflow.
    #[error("the {what} cannot grow further: nothing was written")]
    CounterFull {
        /// The counter.
        what: &'static str,
    },
    /// No space is left, or no more files can be created.
    #[error(
        "no space is left for the {what} of the journal in {path}: free some space or files on that volume and start again; nothing acknowledged is lost"
    )]
    DiskFull {
        /// What was being written.
        what: &'static str,
        /// The journal's directory.
        path: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// Writing or syncing failed.
    #[error(
        "writing the {what} of the journal in {path} failed: the process has to end; check that volume, then start again"
    )]
    Io {
        /// What was being written.
        what: &'static str,
        /// The journal's directory.
        path: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The hot store failed.
    #[error("the hot store of the journal in {path} failed: the process has to end; nothing acknowledged is lost")]
    Hot {
        /// The journal's directory.
        path: String,
        /// The store's error.
        source: HotError,
    },
    /// Another process has taken over the journal.
    #[error("HEAD was written by another process (epoch {theirs:?}, ours is {ours}): this one has to end")]
    Fenced {
        /// Our epoch.
        ours: u64,
        /// The epoch found, if the slot is readable.
        theirs: Option<u64>,
    },
    /// An earlier commit failed.
    #[error("an earlier write to the journal failed: the process has to end and start again")]
    PreviousFailure,
}

impl CommitError {
    /// Classifies a failure of the disk.
    pub(super) fn io(disk: &dyn Disk, what: &'static str, source: io::Error) -> Self {
        let path = disk.show("");
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { what, path, source },
            _ => Self::Io { what, path, source },
        }
    }

    /// Classifies a failure of the hot store.
    pub(super) fn hot(disk: &dyn Disk, source: HotError) -> Self {
        match source {
            HotError::Io(error) => Self::io(disk, "hot store", error),
            source => Self::Hot { path: disk.show(""), source },
        }
    }

    /// Whether reading or writing failed because the volume is full or fails; the journal itself is intact.
    #[must_use]
    pub fn is_volume(&self) -> bool {
        matches!(self, Self::DiskFull { .. } | Self::Io { .. })
    }
}
