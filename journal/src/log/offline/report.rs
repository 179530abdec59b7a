//! The result of a scan, or why it found no intact journal.

use crate::ids::Seq;
use crate::log::catalog::Stage;
use crate::log::chain::Position;
use crate::log::error::OpenError;
use crate::log::footer::{Footer, FooterHash};
use crate::log::snapshot::SnapshotHeader;

/// An existing segment, read or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentSeen {
    /// Its first record.
    pub first: Seq,
    /// Its last record; `None` for the open segment.
    pub last: Option<Seq>,
    /// Bytes of the file.
    pub bytes: u64,
    /// Its stage.
    pub stage: Stage,
    /// The file.
    pub path: String,
    /// It is in an archive and not in the journal's own directory.
    pub archived: bool,
}

/// A segment that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FooterSeen {
    /// The footer that the frames require.
    pub footer: Footer,
    /// Its hash: the segment's.
    pub hash: FooterHash,
    /// What is wrong with the footer in the file. The segment is then not proven, although its frames are.
    pub fault: Option<String>,
}

/// The result of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanReport {
    /// The journal's id.
    pub uuid: [u8; 16],
    /// The time of creation in milliseconds since 1970.
    pub created_ms: u64,
    /// The last acknowledged record when the scan began.
    pub durable_seq: Seq,
    /// The end of what was read: at least the acknowledged records, unless the scan was stopped.
    pub end: Position,
    /// Frames read.
    pub frames: u64,
    /// The slot of HEAD that is unreadable.
    pub bad_head_slot: Option<u64>,
    /// The number of bytes after the last intact frame, and what is wrong there.
    pub tail: Option<(u64, String)>,
    /// Every existing segment, in order.
    pub segments: Vec<SegmentSeen>,
    /// The first record that was read; the chain is proven from here on.
    pub proven_from: Seq,
    /// The footers that were reached, in order, each linked to the previous one.
    pub footers: Vec<FooterSeen>,
    /// The snapshot from which the scan started.
    pub snapshot: Option<SnapshotHeader>,
    /// Snapshots that were tried and not used, and why.
    pub snapshots_refused: Vec<(Seq, String)>,
    /// The scan ended early, as the consumer or the options requested.
    pub stopped: bool,
}

/// Why a scan found no intact journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// There is no journal.
    #[error("{path} holds no journal: it has no FORMAT; give the directory that `run` uses, or a copy of it")]
    NoJournal {
        /// The directory.
        path: String,
    },
    /// The scan could not begin.
    #[error("the scan cannot begin: {reason}")]
    Start {
        /// The reason.
        reason: String,
    },
    /// The same fault that an opening would report.
    #[error(transparent)]
    Unsound(#[from] OpenError),
}
