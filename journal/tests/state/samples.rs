//! One fact of every kind, every field filled. Their bytes are the golden file: never change a sample of a version
//! that was released, add one for the new version.

use lakemirror_journal::bits::{Bits, EncodedBits};
use lakemirror_journal::event::*;
use lakemirror_journal::ids::{CommitId, Incarnation, MetarangeId, RangeId};

const MIRROR: Incarnation = Incarnation([1; 16]);
const AT_MS: u64 = 1_795_451_810_123;

fn name() -> String {
    "main".to_owned()
}

fn commit(byte: u8) -> CommitId {
    CommitId([byte; 32])
}

fn bits(len: u32, ordinals: &[u32]) -> EncodedBits {
    Bits::from_ordinals(len, ordinals.iter().copied()).encode()
}

/// In the order of the golden file's lines: that in which they came to be.
pub fn one_of_each() -> Vec<Event> {
    let parts = [
        service(),
        mirror(),
        branch(),
        content(),
        moves(),
        upkeep(),
        taken(),
        taken_back(),
        archived(),
        deletions(),
        restored(),
        conditions(),
    ];
    parts.concat()
}

fn taken() -> Vec<Event> {
    let before = "pod-1".to_owned();
    vec![
        Event::MirrorTaken(MirrorTakenV1 { mirror: MIRROR, epoch: 7, resumed: false, before, at_ms: AT_MS }),
        Event::BranchForgotten(BranchForgottenV1 { mirror: MIRROR, branch: name(), at_ms: AT_MS }),
    ]
}

fn taken_back() -> Vec<Event> {
    let (mirror, at_ms, range) = (MIRROR, AT_MS, RangeId([5; 32]));
    vec![
        Event::WrongSizesGone(WrongSizesGoneV1 { mirror, range, once: vec![5, 7], twice: vec![6], at_ms }),
        Event::TreesTakenBack(TreesTakenBackV1 { mirror, metaranges: vec![MetarangeId([6; 32])], at_ms }),
        Event::MoveGivenUp(MoveGivenUpV1 { mirror, branch: name(), to: commit(2), seen: 4, at_ms }),
    ]
}

fn archived() -> Vec<Event> {
    let (mirror, range, at_ms) = (MIRROR, RangeId([5; 32]), AT_MS);
    vec![
        Event::PolicySetV2(PolicySetV2 {
            history: 1,
            size: 1,
            archived: 1,
            imports: 2,
            on_divergence: 1,
            evidence_age_ms_max: 86_400_000,
            deletion_grace_ms: 600_000,
            deletion_permille_max: 500,
        }),
        Event::ArchivedShown(ArchivedShownV1 { mirror, range, ordinals: vec![5, 7], at_ms }),
    ]
}

fn deletions() -> Vec<Event> {
    let (mirror, at_ms, branches) = (MIRROR, AT_MS, vec![name(), "a branch with a longer name".to_owned()]);
    let (held, released, by) = (branches.clone(), branches.clone(), "operator@example".to_owned());
    vec![
        Event::DeletionsApproved(DeletionsApprovedV1 { mirror, branches, by, at_ms }),
        Event::BranchVisibilityChanged(BranchVisibilityChangedV1 { mirror, branch: name(), hidden: true, at_ms }),
        Event::BranchRemakeStarted(BranchRemakeStartedV1 { mirror, branch: name(), hidden: true, at_ms }),
        Event::DeletionsHeld(DeletionsHeldV1 { mirror, branches: held, reason: 1, vanished: 12, live: 20, at_ms }),
        Event::DeletionsReleased(DeletionsReleasedV1 { mirror, branches: released, at_ms }),
    ]
}

fn conditions() -> Vec<Event> {
    let (mirror, at_ms, text) = (MIRROR, AT_MS, "the mirror repository was deleted, with \u{e9}".to_owned());
    vec![
        Event::ConditionRaised(ConditionRaisedV1 { mirror, condition: 2, text, at_ms }),
        Event::ConditionResolved(ConditionResolvedV1 { mirror, condition: 2, at_ms }),
    ]
}

fn restored() -> Vec<Event> {
    let at_ms = AT_MS;
    vec![
        Event::JournalGapFound(JournalGapFoundV1 {
            after: 900,
            published: 1400,
            hash: [13; 32],
            mirror: "sample-mirror".to_owned(),
            writer_epoch: 4,
            at_ms,
        }),
        Event::DatabaseItemWritten(DatabaseItemWrittenV1 {
            generation: 2,
            key: "definitions/us-east-1/sample-mirror".to_owned(),
            value: "{}".to_owned(),
            removed: false,
            at_ms,
        }),
        Event::DatabaseRebuilt(DatabaseRebuiltV1 {
            found: 0,
            generation: 3,
            items: 1,
            reason: "it was empty".to_owned(),
            at_ms,
        }),
    ]
}

fn service() -> Vec<Event> {
    vec![
        Event::ServiceStarted(ServiceStartedV1 { writer_epoch: 3, software: "0.1.0".to_owned(), at_ms: AT_MS }),
        Event::PolicySet(PolicySetV1 {
            history: 1,
            size: 1,
            imports: 2,
            on_divergence: 1,
            evidence_age_ms_max: 86_400_000,
            deletion_grace_ms: 600_000,
            deletion_permille_max: 500,
        }),
        Event::JournalRecovered(JournalRecoveredV1 { text: "cut 12 bytes".to_owned(), at_ms: AT_MS }),
    ]
}

fn upkeep() -> Vec<Event> {
    let (first, last, hash, at_ms) = (1, 900, [9; 32], AT_MS);
    vec![
        Event::SegmentSealed(SegmentSealedV1 {
            first,
            last,
            frames: 40,
            bytes: 1 << 27,
            checks: 3_000_000,
            hash,
            last_frame: [10; 32],
            at_ms,
        }),
        Event::SegmentArchived(SegmentArchivedV1 {
            first,
            last,
            hash,
            bytes: 1 << 24,
            file_hash: [11; 32],
            place: "s3://archive/journal/".to_owned(),
            at_ms,
        }),
        Event::SegmentDropped(SegmentDroppedV1 { first, last, hash, archived: true, at_ms }),
        Event::SnapshotTaken(SnapshotTakenV1 { seq: 1000, digest: [12; 32], bytes: 70_000, at_ms }),
        Event::LossAcknowledged(LossAcknowledgedV1 {
            from: 1001,
            to: 1010,
            reason: "the volume lost a block".to_owned(),
            who: "op".to_owned(),
            at_ms,
        }),
    ]
}

fn mirror() -> Vec<Event> {
    let (mirror, at_ms) = (MIRROR, AT_MS);
    vec![
        Event::MirrorDefined(MirrorDefinedV1 {
            mirror,
            name: "sample-mirror".to_owned(),
            source_repository: "sample".to_owned(),
            source_region: "us-east-1".to_owned(),
            region: "us-west-2".to_owned(),
            storage_namespace: "s3://west/sample".to_owned(),
            at_ms,
        }),
        Event::SourceIdentified(SourceIdentifiedV1 {
            mirror,
            storage_namespace: "s3://east/sample".to_owned(),
            default_branch: name(),
            creation_date: -5,
            at_ms,
        }),
        Event::RepositoryIntended(RepositoryIntendedV1 { mirror, at_ms }),
        Event::RepositoryReady(RepositoryReadyV1 { mirror, adopted: true, at_ms }),
        Event::TroubleNoted(TroubleNotedV1 { mirror, text: "trouble, with \u{e9}".to_owned(), at_ms }),
        Event::MirrorDeletionStarted(MirrorDeletionStartedV1 { mirror, at_ms }),
        Event::MirrorGone(MirrorGoneV1 { mirror, at_ms }),
    ]
}

fn branch() -> Vec<Event> {
    let (mirror, at_ms, branch) = (MIRROR, AT_MS, name());
    vec![
        Event::BranchSeen(BranchSeenV1 { mirror, branch: name(), head: commit(2), hidden: true, at_ms }),
        Event::BranchMissed(BranchMissedV1 { mirror, branch: name(), writer_epoch: 3, at_ms }),
        Event::BranchTombstoned(BranchTombstonedV1 { mirror, branch: name(), at_ms }),
        Event::BranchRemovalStarted(BranchRemovalStartedV1 { mirror, branch: name(), at_ms }),
        Event::BranchRemoved(BranchRemovedV1 { mirror, branch: name(), at_ms }),
        Event::BranchDiverged(BranchDivergedV1 {
            mirror,
            branch: name(),
            expected: Some(commit(2)),
            found: None,
            at_ms,
        }),
        Event::BranchAdopted(BranchAdoptedV1 { mirror, branch, found: commit(3), at_ms }),
    ]
}

fn content() -> Vec<Event> {
    let (mirror, at_ms, range) = (MIRROR, AT_MS, RangeId([5; 32]));
    vec![
        Event::CommitObserved(CommitObservedV1 {
            mirror,
            id: commit(2),
            parents: vec![commit(3), commit(4)],
            committer: "somebody".to_owned(),
            message: "a message\nof two lines".to_owned(),
            creation_date: 1_700_000_000,
            metarange: Some(MetarangeId([6; 32])),
            metadata: vec![("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())],
            generation: 9,
            version: 1,
            at_ms,
        }),
        Event::MetarangeRead(MetarangeReadV1 {
            mirror,
            metarange: MetarangeId([6; 32]),
            total: 2,
            first: 0,
            ranges: vec![(range, 70), (RangeId([7; 32]), 1)],
            at_ms,
        }),
        Event::RangeRead(RangeReadV1 {
            mirror,
            range,
            entries: 70,
            imports: bits(70, &[69]),
            inherited: bits(70, &[0, 1, 2, 3, 4]),
            inherited_from: vec![RangeId([8; 32])],
            inherited_oldest_ms: AT_MS - 1,
            at_ms,
        }),
        Event::ArrivalsChecked(ArrivalsCheckedV1 {
            mirror,
            range,
            base: 5,
            asked: bits(64, &(0..64).step_by(2).collect::<Vec<_>>()),
            present: bits(32, &(1..32).collect::<Vec<_>>()),
            exceptions: vec![ArrivalExceptionV1 { ordinal: 5, code: 2, found: 1 << 40 }],
            started_ms: AT_MS - 20,
            finished_ms: AT_MS,
        }),
        Event::SourceProbed(SourceProbedV1 { mirror, range, gone: vec![5], there: vec![6, 7], at_ms }),
        Event::RangesReopened(RangesReopenedV1 { mirror, ranges: vec![range], at_ms }),
    ]
}

fn moves() -> Vec<Event> {
    let (mirror, at_ms) = (MIRROR, AT_MS);
    vec![
        Event::MoveStarted(MoveStartedV1 {
            mirror,
            branch: name(),
            from: None,
            to: commit(2),
            seen: 4,
            ranges: 2,
            entries: 71,
            oldest_evidence_ms: AT_MS - 20,
            at_ms,
        }),
        Event::RecordsWritten(RecordsWrittenV1 { mirror, commits: vec![commit(4), commit(3), commit(2)], at_ms }),
        Event::MoveFinished(MoveFinishedV1 {
            mirror,
            branch: name(),
            from: Some(commit(3)),
            to: commit(2),
            seen: 4,
            at_ms,
        }),
        Event::SummaryPublished(SummaryPublishedV1 { mirror, number: 12, at_ms }),
    ]
}
