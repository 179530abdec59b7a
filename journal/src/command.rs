//! What may be asked of the state machine. A command carries what was observed, with its time; it decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::commit::CommitRecord;
use crate::event::{ArrivalsCheckedV1, RangeReadV1, SourceProbedV1};
use crate::ids::{CommitId, Incarnation, MetarangeId, RangeId, Seq};
use crate::state::condition::MirrorCondition;
use crate::state::mirror::{Definition, Source};
use crate::state::policy::Policy;

/// A request to the state machine about one mirror, about the service, or about the journal's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A process opened the journal.
    Start {
        /// The journal's new writer epoch.
        writer_epoch: u64,
        /// The software's version.
        software: String,
        /// The configured rules.
        policy: Policy,
        /// What opening the journal had to mend; empty for nothing.
        recovery: String,
        /// Milliseconds since 1970.
        at_ms: u64,
    },
    /// Something about one mirror.
    Mirror {
        /// Which one.
        mirror: Incarnation,
        /// What.
        ask: MirrorCommand,
        /// Milliseconds since 1970.
        at_ms: u64,
    },
    /// Something about the journal's own files.
    Upkeep {
        /// What.
        step: UpkeepStep,
        /// Milliseconds since 1970.
        at_ms: u64,
    },
}

/// What was done with the journal's own files. A step may be repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpkeepStep {
    /// A segment was sealed; they are told in their order.
    Sealed {
        /// Number of its first record.
        first: Seq,
        /// Number of its last record.
        last: Seq,
        /// Its frames.
        frames: u64,
        /// Bytes of its frames, without the footer.
        bytes: u64,
        /// Arrival checks in the journal up to its end.
        checks: u64,
        /// BLAKE3 of its footer.
        hash: [u8; 32],
        /// BLAKE3 of its last frame.
        last_frame: [u8; 32],
    },
    /// A sealed segment was verified and archived, and the archived file was read again and compared.
    Archived {
        /// Number of its first record.
        first: Seq,
        /// Number of its last record.
        last: Seq,
        /// BLAKE3 of the footer that was verified.
        hash: [u8; 32],
        /// Bytes of the archived file.
        bytes: u64,
        /// BLAKE3 of the archived file.
        file_hash: [u8; 32],
        /// Where it is.
        place: String,
    },
    /// A sealed segment is to go. Its file goes when this is durable; a file whose segment the lifecycle says is dropped
    /// is left over from a crash, and goes as well.
    Dropped {
        /// Number of its first record.
        first: Seq,
        /// Number of its last record.
        last: Seq,
        /// BLAKE3 of the footer that was verified.
        hash: [u8; 32],
    },
    /// A snapshot is durable, and it is what the checkpoints say.
    SnapshotTaken {
        /// The record after which it is the state.
        seq: Seq,
        /// BLAKE3 of the state's image.
        digest: [u8; 32],
        /// Bytes of the image.
        bytes: u64,
    },
    /// An operator gave up records that cannot be read.
    LossAcknowledged {
        /// The first one.
        from: Seq,
        /// The last one that had been acknowledged.
        to: Seq,
        /// Why; not empty.
        reason: String,
        /// Who.
        who: String,
    },
    /// The journal lacks records that it had: what an earlier process published of it is not in it.
    GapFound {
        /// The last record that it had when it was opened.
        after: Seq,
        /// The last record that is known to have been there.
        published: Seq,
        /// BLAKE3 of the frame that ended with it.
        hash: [u8; 32],
        /// The name of the mirror that it was published with.
        mirror: String,
    },
    /// An item about definitions is in the embedded mirrors database.
    DatabaseItem {
        /// Of the database, with this change; never less than before.
        generation: u64,
        /// The item's key: 1 to [`DATABASE_KEY_BYTES_MAX`] bytes.
        key: String,
        /// Its value, at most [`DATABASE_VALUE_BYTES_MAX`] bytes; none where it was removed.
        value: Option<String>,
    },
    /// The embedded mirrors database is rebuilt from the journal's copy.
    DatabaseRebuilt {
        /// The generation that it had.
        found: u64,
        /// How many items were written or removed.
        items: u64,
        /// What was found.
        reason: String,
    },
}

/// Longest key of an item of the embedded mirrors database, in bytes.
pub const DATABASE_KEY_BYTES_MAX: usize = 1024;

/// Largest value of an item that is copied into the journal, in bytes: it has to fit into a record.
pub const DATABASE_VALUE_BYTES_MAX: usize = 160 * 1024;

/// What may be asked about a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MirrorCommand {
    /// It was asked for.
    Define(Definition),
    /// This process drives it from here on.
    Take {
        /// The lease's epoch in the mirrors database.
        epoch: u64,
        /// Whether this journal was the last one that drove it.
        resumed: bool,
        /// The process that drove it before, for people.
        before: String,
    },
    /// Its source answered who it is.
    IdentifySource(Source),
    /// Its repository is about to be created.
    IntendRepository,
    /// Its repository is there and marked.
    RepositoryReady {
        /// Whether it was there already.
        adopted: bool,
    },
    /// A condition of the mirror as a whole holds: an operator has to do something.
    Raise {
        /// Which condition.
        condition: MirrorCondition,
        /// What is wrong and what to do, for people.
        text: String,
    },
    /// A condition is over, if it held.
    Resolve(MirrorCondition),
    /// Its deletion was asked for.
    StartDeletion,
    /// Its repository is gone.
    Gone,
    /// A complete, error-free listing of the source's branches.
    ObserveBranches {
        /// Every branch and its head.
        listed: Vec<(String, CommitId)>,
        /// Those of the new ones that are hidden.
        hidden: BTreeSet<String>,
        /// Known branches that the listing lacked, after the repository answered and the branch answered 404 itself.
        proven_gone: Vec<String>,
    },
    /// Branches whose visibility at the source was found to be another one than the journal's, twice in succession: their
    /// names, and whether they are hidden.
    ObserveVisibility(BTreeMap<String, bool>),
    /// The mirror's branch has another visibility than the source's: may it be deleted and created again?
    Remake {
        /// Which branch.
        branch: String,
        /// Whether it is hidden on the mirror.
        hidden: bool,
    },
    /// An operator lets held deletions go on.
    ApproveDeletions {
        /// The branches, and where each was on the mirror when that was approved.
        branches: Vec<(String, Option<CommitId>)>,
        /// Who approved.
        by: String,
    },
    /// Commit records of the source, ids recomputed.
    ObserveCommits(Vec<CommitRecord>),
    /// A metarange file of the destination, id recomputed: its ranges with their counts of entries.
    ReadMetarange {
        /// Which.
        metarange: MetarangeId,
        /// Its ranges in key order.
        ranges: Vec<(RangeId, u32)>,
    },
    /// A range file of the destination, id recomputed. (`mirror` and `at_ms` inside are the command's.)
    ReadRange(RangeReadV1),
    /// Answered arrival checks.
    CheckArrivals(Vec<ArrivalsCheckedV1>),
    /// Answers of the source about objects that do not arrive.
    ProbeSource(SourceProbedV1),
    /// Which branches may move now?
    PlanMoves,
    /// Which ranges of the heads that the mirror shows were proven too long ago?
    Scrub,
    /// These commit records are on the mirror.
    RecordsWritten(Vec<CommitId>),
    /// May the move under way still be carried out on the evidence that there is? Asked while the branch is not yet where
    /// it goes; a move that may not is given up.
    Reconsider {
        /// Which branch.
        branch: String,
    },
    /// The branch was read after its move and is where it should be.
    FinishMove {
        /// Which branch.
        branch: String,
    },
    /// The branch of the mirror is somewhere else than this journal left it.
    Diverged {
        /// Which branch.
        branch: String,
        /// Where it is; none where it is not there.
        found: Option<CommitId>,
    },
    /// The branch of the mirror was found at a commit of the source's past, or back where it should be.
    Adopt {
        /// Which branch.
        branch: String,
        /// Where it is.
        found: CommitId,
    },
    /// Which branches' times of grace are over? Asked only after a listing that was believed.
    PlanRemovals {
        /// Branches that this very turn proved gone, as in [`MirrorCommand::ObserveBranches`]; no other is removed. With each, for
        /// how many milliseconds this run has known it as a tombstone, by a clock that nobody sets.
        proven_gone: BTreeMap<String, u64>,
    },
    /// The branch is gone from the mirror.
    FinishRemoval {
        /// Which branch.
        branch: String,
    },
    /// A summary with this number reached the mirrors database.
    Published(u64),
}
