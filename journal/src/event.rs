//! What has happened: facts in the past tense. A fact is one record of the journal, and state is nothing but the facts.
//!
//! Each payload struct is frozen under its `(kind, version)`: once released, a struct here is never changed, a new
//! version gets a struct of its own and an upcast. Numbers are assigned once, in [`Event::kind`], and never reused.
//! No struct holds a float, a hash map or a clock of its own: times are fields, stamped by whoever observed.

use rkyv::{Archive, Deserialize, Serialize};

use crate::bits::EncodedBits;
use crate::commit::CommitRecord;
use crate::ids::{CommitId, Incarnation, MetarangeId, RangeId};

macro_rules! payloads {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident : $type:ty),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
            pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
        )*
    };
}

mod conditions;
mod deletions;
mod evidence;
mod upkeep;

pub use conditions::*;
pub use deletions::*;
pub use evidence::*;
pub use upkeep::*;

payloads! {
    /// A process opened the journal and drives from here on.
    ServiceStartedV1 {
        /// The journal's writer epoch, one higher with every opening.
        writer_epoch: u64,
        /// The software's version, for people.
        software: String,
        /// Wall clock, milliseconds since 1970.
        at_ms: u64,
    }
    /// The policy that decisions follow from here on; written when it differs from the last one.
    PolicySetV1 {
        /// 0 complete, 1 head.
        history: u8,
        /// 0 strict, 1 report.
        size: u8,
        /// 0 check, 1 ignore, 2 block.
        imports: u8,
        /// 0 report, 1 restore.
        on_divergence: u8,
        /// How long a positive check counts, milliseconds.
        evidence_age_ms_max: u64,
        /// How long a branch that is gone stays as a tombstone, milliseconds.
        deletion_grace_ms: u64,
        /// Thousandths of a mirror's branches that may vanish at once.
        deletion_permille_max: u16,
    }
    /// A mirror was asked for.
    MirrorDefinedV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// Its name, which is the mirror repository's.
        name: String,
        /// The repository that it mirrors.
        source_repository: String,
        /// The region of the source.
        source_region: String,
        /// The region of the mirror.
        region: String,
        /// The mirror repository's storage namespace.
        storage_namespace: String,
        /// When it was created, milliseconds since 1970.
        at_ms: u64,
    }
    /// The source repository answered who it is; written when it differs from the last answer.
    SourceIdentifiedV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// The source's storage namespace.
        storage_namespace: String,
        /// The source's default branch.
        default_branch: String,
        /// The source's creation date, seconds since 1970.
        creation_date: i64,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// The mirror repository is about to be created: from here on a repository of that name may be ours.
    RepositoryIntendedV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// The mirror repository is there and marked as this mirror's.
    RepositoryReadyV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// Whether it was there already: this journal's history of it begins here.
        adopted: bool,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// The mirror as a whole cannot go on until somebody does something; an empty text ends it.
    TroubleNotedV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// What is wrong and what to do; empty when it is over.
        text: String,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// This process drives the mirror from here on. Where another one did so since this journal last had it, what the
    /// journal has of the branches of the mirror is not known to be true any more.
    MirrorTakenV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// The lease's epoch in the mirrors database: higher with every taking.
        epoch: u64,
        /// Whether this journal was the last one that drove it.
        resumed: bool,
        /// The process that drove it before, for people; empty if there was none.
        before: String,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// Deletion of the mirror was asked for.
    MirrorDeletionStartedV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// The mirror repository is gone, and with it the mirror.
    MirrorGoneV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// The source branch was seen to point to a commit, other than the last one seen.
    BranchSeenV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// The branch's name.
        branch: String,
        /// The commit it points to.
        head: CommitId,
        /// Whether the branch is hidden.
        hidden: bool,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// A complete listing lacked the branch, the repository answered, and the branch itself answered that it is gone.
    BranchMissedV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// The branch's name.
        branch: String,
        /// The writer epoch of the run that saw it.
        writer_epoch: u64,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// The branch was missed twice in succession: its time of grace begins.
    BranchTombstonedV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// The branch's name.
        branch: String,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// The time of grace is over: the mirror's branch is about to be deleted.
    BranchRemovalStartedV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// The branch's name.
        branch: String,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// The mirror's branch is gone.
    BranchRemovedV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// The branch's name.
        branch: String,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// A commit record was read from the source and its id recomputed.
    CommitObservedV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// Its id.
        id: CommitId,
        /// Its parents, in stored order.
        parents: Vec<CommitId>,
        /// Its committer.
        committer: String,
        /// Its message.
        message: String,
        /// Its date, seconds since 1970.
        creation_date: i64,
        /// Its tree; none for the empty id.
        metarange: Option<MetarangeId>,
        /// Its metadata, sorted by key.
        metadata: Vec<(String, String)>,
        /// Its generation.
        generation: i64,
        /// Its version.
        version: i32,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// A metarange file was read from the destination and its id recomputed. A long list comes in several parts.
    MetarangeReadV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// Its id.
        metarange: MetarangeId,
        /// The ranges of the whole file.
        total: u32,
        /// The place of this part's first range.
        first: u32,
        /// Ranges in key order, each with its count of entries.
        ranges: Vec<(RangeId, u32)>,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// A range file was read from the destination and its id recomputed.
    RangeReadV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// Its id.
        range: RangeId,
        /// How many entries it has.
        entries: u32,
        /// The entries with a full address, outside of the namespace.
        imports: EncodedBits,
        /// The entries that stand with the same key, address and size in ranges of `inherited_from`, where they were
        /// found present: they need no check of their own.
        inherited: EncodedBits,
        /// Where the inherited answers come from.
        inherited_from: Vec<RangeId>,
        /// The oldest check behind any inherited answer, milliseconds since 1970; `u64::MAX` for none.
        inherited_oldest_ms: u64,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// Arrival checks of one range: each is one bit of exactly one such record.
    ArrivalsCheckedV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// Which range.
        range: RangeId,
        /// The first ordinal that the batch may speak of.
        base: u32,
        /// Which of the ordinals from `base` on were asked for.
        asked: EncodedBits,
        /// Which of the ordinals that were asked for, counted among these only, are there with the right size.
        present: EncodedBits,
        /// Answers other than present and absent.
        exceptions: Vec<ArrivalExceptionV1>,
        /// When the first was asked, milliseconds since 1970.
        started_ms: u64,
        /// When the last was answered, milliseconds since 1970.
        finished_ms: u64,
    }
    /// An arrival check whose answer was neither present nor plainly absent.
    ArrivalExceptionV1 {
        /// The ordinal in the range.
        ordinal: u32,
        /// 1 deleted, 2 wrong size, 3 forbidden, 4 unknown, 5 archived.
        code: u8,
        /// The size found, for a wrong size; the number of its class, for an archived object.
        found: u64,
    }
    /// The source was asked whether it still has the bytes of entries that do not arrive.
    SourceProbedV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// Which range.
        range: RangeId,
        /// Ordinals whose bytes are gone at the source, by its own 410.
        gone: Vec<u32>,
        /// Ordinals whose bytes are there.
        there: Vec<u32>,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// The checks behind these ranges count no longer: all of their entries are to be asked for again.
    RangesReopenedV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// Which ranges.
        ranges: Vec<RangeId>,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// A branch of the mirror is about to move: the evidence is complete.
    MoveStartedV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// The branch's name.
        branch: String,
        /// Where the branch is, as far as this journal knows.
        from: Option<CommitId>,
        /// Where it goes.
        to: CommitId,
        /// Which of the branch's seen heads it is, counted from 1.
        seen: u64,
        /// Ranges of the tree.
        ranges: u32,
        /// Entries of the tree.
        entries: u64,
        /// The oldest check that the move rests on, milliseconds since 1970; `u64::MAX` for an empty tree.
        oldest_evidence_ms: u64,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// Commit records are on the mirror.
    RecordsWrittenV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// Which commits.
        commits: Vec<CommitId>,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// The branch was read after the move and points to the commit.
    MoveFinishedV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// The branch's name.
        branch: String,
        /// Where it was.
        from: Option<CommitId>,
        /// Where it is.
        to: CommitId,
        /// Which of the branch's seen heads it is, counted from 1.
        seen: u64,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// The branch of the mirror is not where this journal left it: somebody else moved, made or deleted it.
    BranchDivergedV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// The branch's name.
        branch: String,
        /// Where it was expected.
        expected: Option<CommitId>,
        /// Where it was found; none where it is not there.
        found: Option<CommitId>,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// Where the branch is on the mirror, and what of it is to be shown there, is not known any more: it is found out
    /// again, and what the source shows counts from now on.
    BranchForgottenV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// The branch's name.
        branch: String,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// A branch that this journal did not make was found to be a past head of the source, and is driven from here on.
    BranchAdoptedV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// The branch's name.
        branch: String,
        /// Where it was found.
        found: CommitId,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// A summary reached the mirrors database.
    SummaryPublishedV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// The summary's number.
        number: u64,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// What opening the journal had to mend; written by the opening itself.
    JournalRecoveredV1 {
        /// What was found and done.
        text: String,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
}

/// A fact. The variant's order here means nothing; the number in [`Event::kind`] is what stands on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is documented at its payload")]
pub enum Event {
    ServiceStarted(ServiceStartedV1),
    PolicySet(PolicySetV1),
    MirrorDefined(MirrorDefinedV1),
    SourceIdentified(SourceIdentifiedV1),
    RepositoryIntended(RepositoryIntendedV1),
    RepositoryReady(RepositoryReadyV1),
    TroubleNoted(TroubleNotedV1),
    ConditionRaised(ConditionRaisedV1),
    ConditionResolved(ConditionResolvedV1),
    MirrorDeletionStarted(MirrorDeletionStartedV1),
    MirrorGone(MirrorGoneV1),
    BranchSeen(BranchSeenV1),
    BranchMissed(BranchMissedV1),
    BranchTombstoned(BranchTombstonedV1),
    BranchRemovalStarted(BranchRemovalStartedV1),
    BranchRemoved(BranchRemovedV1),
    CommitObserved(CommitObservedV1),
    MetarangeRead(MetarangeReadV1),
    RangeRead(RangeReadV1),
    ArrivalsChecked(ArrivalsCheckedV1),
    SourceProbed(SourceProbedV1),
    RangesReopened(RangesReopenedV1),
    MoveStarted(MoveStartedV1),
    RecordsWritten(RecordsWrittenV1),
    MoveFinished(MoveFinishedV1),
    BranchDiverged(BranchDivergedV1),
    BranchAdopted(BranchAdoptedV1),
    SummaryPublished(SummaryPublishedV1),
    JournalRecovered(JournalRecoveredV1),
    SegmentSealed(SegmentSealedV1),
    SegmentArchived(SegmentArchivedV1),
    SegmentDropped(SegmentDroppedV1),
    SnapshotTaken(SnapshotTakenV1),
    LossAcknowledged(LossAcknowledgedV1),
    JournalGapFound(JournalGapFoundV1),
    DatabaseItemWritten(DatabaseItemWrittenV1),
    DatabaseRebuilt(DatabaseRebuiltV1),
    MirrorTaken(MirrorTakenV1),
    BranchForgotten(BranchForgottenV1),
    WrongSizesGone(WrongSizesGoneV1),
    TreesTakenBack(TreesTakenBackV1),
    MoveGivenUp(MoveGivenUpV1),
    PolicySetV2(PolicySetV2),
    ArchivedShown(ArchivedShownV1),
    DeletionsApproved(DeletionsApprovedV1),
    BranchVisibilityChanged(BranchVisibilityChangedV1),
    BranchRemakeStarted(BranchRemakeStartedV1),
    DeletionsHeld(DeletionsHeldV1),
    DeletionsReleased(DeletionsReleasedV1),
}

impl CommitObservedV1 {
    /// The fact that `record` was observed for `mirror`.
    #[must_use]
    pub fn new(mirror: Incarnation, record: &CommitRecord, at_ms: u64) -> Self {
        Self {
            mirror,
            id: record.id,
            parents: record.parents.clone(),
            committer: record.committer.clone(),
            message: record.message.clone(),
            creation_date: record.creation_date,
            metarange: record.metarange,
            metadata: record.metadata.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            generation: record.generation,
            version: record.version,
            at_ms,
        }
    }

    /// The commit record as lakeFS has it.
    #[must_use]
    pub fn record(&self) -> CommitRecord {
        CommitRecord {
            id: self.id,
            parents: self.parents.clone(),
            committer: self.committer.clone(),
            message: self.message.clone(),
            creation_date: self.creation_date,
            metarange: self.metarange,
            metadata: self.metadata.iter().cloned().collect(),
            generation: self.generation,
            version: self.version,
        }
    }
}
