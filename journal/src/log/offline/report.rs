//! What a scan found, or why it found no sound journal.

use crate::ids::Seq;
use crate::log::catalog::Stage;
use crate::log::chain::Position;
use crate::log::error::OpenError;
use crate::log::footer::{Footer, FooterHash};
use crate::log::snapshot::SnapshotHeader;

/// A segment that is there, read or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentSeen {
    /// Its first record.
    pub first: Seq,
    /// Its last record; `None` of the open one.
    pub last: Option<Seq>,
    /// Bytes of the file.
    pub bytes: u64,
    /// How far it has come.
    pub stage: Stage,
    /// The file.
    pub path: String,
    /// It is in an archive, and not in the journal's own directory.
    pub archived: bool,
}

/// A segment whose end was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FooterSeen {
    /// The footer as the frames demand it.
    pub footer: Footer,
    /// Its hash: the segment's.
    pub hash: FooterHash,
    /// What is wrong with the one that is there: then the segment is not proven, though its frames are.
    pub fault: Option<String>,
}

/// What a scan found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanReport {
    /// The journal's id.
    pub uuid: [u8; 16],
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// The last acknowledged record when the scan began.
    pub durable_seq: Seq,
    /// The end of what was read; at least the acknowledged, if the scan was not stopped.
    pub end: Position,
    /// Frames read.
    pub frames: u64,
    /// A slot of HEAD that is unreadable.
    pub bad_head_slot: Option<u64>,
    /// Bytes after the last whole frame, and what is wrong there.
    pub tail: Option<(u64, String)>,
    /// Every segment that is there, in order.
    pub segments: Vec<SegmentSeen>,
    /// The first record that was read: from here on the chain is proven.
    pub proven_from: Seq,
    /// The footers that were reached, in order, each linked to the one before it.
    pub footers: Vec<FooterSeen>,
    /// The snapshot that was the start.
    pub snapshot: Option<SnapshotHeader>,
    /// Snapshots that were tried and not used, and why.
    pub snapshots_refused: Vec<(Seq, String)>,
    /// The scan ended before the end, as it was asked to.
    pub stopped: bool,
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
    /// The scan could not begin.
    #[error("the scan cannot begin: {reason}")]
    Start {
        /// Why.
        reason: String,
    },
    /// What is wrong is the same as when it is opened.
    #[error(transparent)]
    Unsound(#[from] OpenError),
}
