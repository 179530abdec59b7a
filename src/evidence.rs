//! The journal as evidence: questions about a journal's directory, answered from its segments alone.
//!
//! Owns one way of reading ([`Source::read`]) and what can go wrong in it; each question is a consumer of that one scan
//! in a file under `evidence/`. Nothing here writes into the journal, takes its lock, opens the hot store, or prints:
//! directories in; plain answers out, or an [`EvidenceError`] that says what to do.

pub mod diff;
pub mod heads;
pub mod json;
pub mod mirrors;
pub mod moment;
pub mod reflog;
pub mod replay;
pub mod stat;
pub mod verify;

use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lakemirror_journal::codec::{self, CodecError};
use lakemirror_journal::event::Event;
use lakemirror_journal::log::{FrameInfo, OpenError, RawRecord, Replay, ReplayRefused, ScanError, ScanReport, scan};

/// No `FORMAT` is longer.
const FORMAT_BYTES_MAX: u64 = 4096;

/// Is told of each frame that was read.
pub type Watch = dyn Fn(&FrameInfo) + Send + Sync;

/// Where a journal is read from.
#[derive(Clone)]
pub struct Source {
    dir: PathBuf,
    watch: Arc<Watch>,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The directory holds no sound journal.
    #[error(transparent)]
    Scan(ScanError),
    /// A file or directory cannot be read.
    #[error("cannot read {path}: check that it is there and that this user may read it")]
    Unreadable {
        /// Which one.
        path: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A record's payload cannot be decoded.
    #[error("record {seq} cannot be used")]
    Record {
        /// Which one.
        seq: u64,
        /// Why.
        source: CodecError,
    },
    /// The answer could not be written.
    #[error("cannot write the answer")]
    Output(#[source] io::Error),
    /// The journal has nothing of what was asked for; the text says what it has.
    #[error("{0}")]
    NotSeen(String),
}

impl EvidenceError {
    /// The message with all of its causes.
    #[must_use]
    pub fn with_causes(&self) -> String {
        with_causes(self)
    }
}

/// An error and its causes, joined by colons.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// What a consumer returns when it needs no further record.
#[derive(Debug, thiserror::Error)]
#[error("the consumer has what it needs")]
struct Enough;

/// A consumer's way of ending the scan early, with success.
fn enough() -> ReplayRefused {
    ReplayRefused(Box::new(Enough))
}

/// A consumer's way of ending the scan because its output is closed or full.
fn output_failed(error: io::Error) -> ReplayRefused {
    ReplayRefused(Box::new(error))
}

impl Source {
    /// The journal in `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), watch: Arc::new(|_| {}) }
    }

    /// The same, with somebody who is told how far a scan is.
    #[must_use]
    pub fn watched(self, watch: Arc<Watch>) -> Self {
        Self { watch, ..self }
    }

    /// Hands every record to `replay`, from the first on. `None` if the consumer had enough before the end.
    ///
    /// # Errors
    /// No journal, a damaged one, an unreadable file, or what the consumer could not do.
    pub(crate) fn read(&self, replay: &mut dyn Replay) -> Result<Option<ScanReport>, EvidenceError> {
        let mut watched = Watched { inner: replay, watch: &*self.watch };
        match scan(&self.dir, &mut watched) {
            Ok(report) => Ok(Some(report)),
            Err(ScanError::Unsound(error)) => sort(error),
            Err(error) => Err(EvidenceError::Scan(error)),
        }
    }

    /// The journal's id. For answers from a part of a journal; a whole scan says it, too.
    ///
    /// # Errors
    /// The file that has it cannot be read or does not say it.
    pub(crate) fn uuid(&self) -> Result<String, EvidenceError> {
        let path = self.dir.join("FORMAT");
        let unreadable = |source| EvidenceError::Unreadable { path: path.display().to_string(), source };
        let mut text = String::new();
        let file = File::open(&path).map_err(unreadable)?;
        file.take(FORMAT_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
        let format: Option<serde_json::Value> = serde_json::from_str(&text).ok();
        let uuid = format.as_ref().and_then(|format| format["journal_uuid"].as_str());
        uuid.map(ToOwned::to_owned).ok_or_else(|| unreadable(io::ErrorKind::InvalidData.into()))
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Tells a consumer's own ends from faults of the journal, and a file that cannot be read from one that is wrong.
fn sort(error: OpenError) -> Result<Option<ScanReport>, EvidenceError> {
    match error {
        OpenError::Refused { seq, source } => refused(seq, source.0),
        OpenError::NotWritable { path, source }
        | OpenError::DiskFull { path, source }
        | OpenError::Io { path, source, .. } => Err(EvidenceError::Unreadable { path, source }),
        other => Err(EvidenceError::Scan(ScanError::Unsound(other))),
    }
}

fn refused(seq: u64, cause: Box<dyn Error + Send + Sync>) -> Result<Option<ScanReport>, EvidenceError> {
    let cause = match cause.downcast::<CodecError>() {
        Ok(source) => return Err(EvidenceError::Record { seq, source: *source }),
        Err(cause) => cause,
    };
    let cause = match cause.downcast::<io::Error>() {
        Ok(error) => return Err(EvidenceError::Output(*error)),
        Err(cause) => cause,
    };
    match cause.is::<Enough>() {
        true => Ok(None),
        false => Err(EvidenceError::Scan(OpenError::Refused { seq, source: ReplayRefused(cause) }.into())),
    }
}

/// The fact in a record.
fn decode(record: &RawRecord<'_>) -> Result<Event, ReplayRefused> {
    codec::decode(record.kind, record.version, record.payload).map_err(|error| ReplayRefused(Box::new(error)))
}

/// Records of content (trees, ranges, checks, probes): nearly all bytes of a journal, and nothing about which commit a
/// branch shows, so questions about branches do not decode them.
const CONTENT_KINDS: std::ops::RangeInclusive<u16> = 49..=53;

/// The fact in a record, unless it is one about content.
fn decode_about_branches(record: &RawRecord<'_>) -> Result<Option<Event>, ReplayRefused> {
    if CONTENT_KINDS.contains(&record.kind) {
        return Ok(None);
    }
    decode(record).map(Some)
}

/// Tells the watcher of each frame, after the consumer took its last record.
struct Watched<'a> {
    inner: &'a mut dyn Replay,
    watch: &'a Watch,
}

impl Replay for Watched<'_> {
    fn record(&mut self, seq: u64, record: RawRecord<'_>, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        self.inner.record(seq, record, frame)?;
        if seq == frame.last_seq {
            (self.watch)(frame);
        }
        Ok(())
    }
}
