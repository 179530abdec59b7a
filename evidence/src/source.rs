//! Where a journal is read from, how it is read, and the errors of reading it.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lakemirror_core::causes::chain;
use lakemirror_journal::codec::{self, CodecError};
use lakemirror_journal::event::Event;
use lakemirror_journal::log::{
    FrameInfo, OpenError, RawRecord, Replay, ReplayRefused, ScanError, ScanOptions, ScanReport, ScanStart,
    SnapshotHeader, scan_with,
};

/// Called for each frame that was read.
pub type Watch = dyn Fn(&FrameInfo) + Send + Sync;

/// Where a journal is read from.
#[derive(Clone)]
pub struct Source {
    dir: PathBuf,
    archives: Vec<PathBuf>,
    watch: Arc<Watch>,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The directory holds no sound journal.
    #[error(transparent)]
    Scan(ScanError),
    /// A file or directory cannot be read.
    #[error("cannot read {path}: check that it is there and that this user may read it")]
    Unreadable {
        /// Which file or directory.
        path: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A record's payload cannot be decoded.
    #[error("record {seq} cannot be used")]
    Record {
        /// Which record.
        seq: u64,
        /// Why.
        source: CodecError,
    },
    /// The answer could not be written.
    #[error("cannot write the answer")]
    Output(#[source] io::Error),
    /// The journal does not contain what was asked for; the text says what it contains.
    #[error("{0}")]
    NotSeen(String),
}

impl EvidenceError {
    /// The message with all its causes.
    #[must_use]
    pub fn with_causes(&self) -> String {
        chain(self)
    }
}

/// Ends the scan because the consumer's output is closed or full.
pub(crate) fn output_failed(error: io::Error) -> ReplayRefused {
    ReplayRefused(Box::new(error))
}

impl Source {
    /// A journal in `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), archives: Vec::new(), watch: Arc::new(|_| {}) }
    }

    /// The same, with directories that hold segments dropped from the journal's own directory.
    #[must_use]
    pub fn with_archives(self, archives: Vec<PathBuf>) -> Self {
        Self { archives, ..self }
    }

    /// The same, with a callback that is informed of the progress of a scan.
    #[must_use]
    pub fn watched(self, watch: Arc<Watch>) -> Self {
        Self { watch, ..self }
    }

    /// Passes every record to `replay`, to the end or until the consumer stops. Starts at the first record; if that is
    /// not available and the consumer accepts snapshots, at the oldest sound snapshot.
    ///
    /// # Errors
    /// There is no journal, or it is damaged, or it has neither first records nor a snapshot, or a file cannot be read,
    /// or the consumer failed.
    pub(crate) fn read(&self, replay: &mut dyn Replay) -> Result<ScanReport, EvidenceError> {
        self.read_from(ScanStart::OldestState, replay)
    }

    /// As [`Source::read`], from the newest sound snapshot: for the state at the end.
    pub(crate) fn read_newest(&self, replay: &mut dyn Replay) -> Result<ScanReport, EvidenceError> {
        self.read_from(ScanStart::NewestSnapshotAtOrBefore(u64::MAX), replay)
    }

    /// As [`Source::read`], from the first record after which none is missing.
    pub(crate) fn read_oldest(&self, replay: &mut dyn Replay) -> Result<ScanReport, EvidenceError> {
        self.read_from(ScanStart::Oldest, replay)
    }

    /// The journal's directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    fn read_from(&self, start: ScanStart, replay: &mut dyn Replay) -> Result<ScanReport, EvidenceError> {
        let options = ScanOptions { archives: self.archives.clone(), start, stop_after: None };
        let mut watched = Watched { inner: replay, watch: &*self.watch };
        scan_with(&self.dir, &options, &mut watched).map_err(|error| match error {
            ScanError::Unsound(error) => sort(error),
            error => EvidenceError::Scan(error),
        })
    }
}

impl EvidenceError {
    /// Whether the journal's first records are not available; it may be sound nevertheless.
    pub(crate) fn is_without_start(&self) -> bool {
        matches!(self, Self::Scan(ScanError::Unsound(OpenError::NoStart { .. })))
    }
}

/// Separates stops by the consumer from faults of the journal, and unreadable files from damaged ones.
fn sort(error: OpenError) -> EvidenceError {
    match error {
        OpenError::Refused { seq, source } => refused(seq, source.0),
        OpenError::NotWritable { path, source }
        | OpenError::DiskFull { path, source }
        | OpenError::Io { path, source, .. } => EvidenceError::Unreadable { path, source },
        other => EvidenceError::Scan(ScanError::Unsound(other)),
    }
}

pub(crate) fn refused(seq: u64, cause: Box<dyn Error + Send + Sync>) -> EvidenceError {
    let cause = match cause.downcast::<CodecError>() {
        Ok(source) => return EvidenceError::Record { seq, source: *source },
        Err(cause) => cause,
    };
    match cause.downcast::<io::Error>() {
        Ok(error) => EvidenceError::Output(*error),
        Err(cause) => EvidenceError::Scan(OpenError::Refused { seq, source: ReplayRefused(cause) }.into()),
    }
}

/// The event in a record.
pub(crate) fn decode(record: &RawRecord<'_>) -> Result<Event, ReplayRefused> {
    codec::decode(record.kind, record.version, record.payload).map_err(|error| ReplayRefused(Box::new(error)))
}

/// Kinds of content records: trees, ranges, checks, probes, and their invalidations. They are nearly all bytes of a
/// journal and say nothing about which commit a branch shows, so questions about branches do not decode them.
const CONTENT_KINDS: std::ops::RangeInclusive<u16> = 49..=55;

/// The event in a record, unless it is a content record.
pub(crate) fn decode_about_branches(record: &RawRecord<'_>) -> Result<Option<Event>, ReplayRefused> {
    if CONTENT_KINDS.contains(&record.kind) {
        return Ok(None);
    }
    decode(record).map(Some)
}

/// Informs the watcher of each frame before the consumer gets it.
struct Watched<'a> {
    inner: &'a mut dyn Replay,
    watch: &'a Watch,
}

impl Replay for Watched<'_> {
    fn record(&mut self, seq: u64, record: RawRecord<'_>, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        self.inner.record(seq, record, frame)
    }

    fn frame(&mut self, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        (self.watch)(frame);
        self.inner.frame(frame)
    }

    fn wants_records(&self) -> bool {
        self.inner.wants_records()
    }

    fn checkpoint(&mut self, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        self.inner.checkpoint(frame)
    }

    fn restore(&mut self, snapshot: &SnapshotHeader, image: &[u8]) -> Result<(), ReplayRefused> {
        self.inner.restore(snapshot, image)
    }
}
