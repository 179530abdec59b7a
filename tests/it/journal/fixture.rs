//! A journal with a little of everything, byte for byte the same each time: a mirror that moves twice, a branch that is
//! adopted and removed, a branch that another writer moved, and a mirror name that is used again.

use std::path::Path;

use lakemirror_journal::bits::Bits;
use lakemirror_journal::codec;
use lakemirror_journal::event::*;
use lakemirror_journal::ids::{CommitId, Incarnation, MetarangeId, RangeId};
use lakemirror_journal::log::{Log, NewJournal, Options, RawRecord, Replay, ReplayRefused};

/// 2026-11-24T12:00:00Z.
pub(super) const NOON: u64 = 1_795_521_600_000;
pub(super) const FIRST: Incarnation = Incarnation([0xa1; 16]);
pub(super) const SECOND: Incarnation = Incarnation([0xb2; 16]);
const RANGE: RangeId = RangeId([0x0f; 32]);
const TREE: MetarangeId = MetarangeId([0x0e; 32]);

/// A frame: its time in seconds after [`NOON`], and its events.
pub(super) type Frame = (u64, Vec<Event>);

pub(super) fn commit(n: u8) -> CommitId {
    CommitId([n; 32])
}

/// Opens the journal in `dir`, or creates it.
pub(super) fn open(dir: &Path) -> Log {
    struct Ignore;
    impl Replay for Ignore {
        fn record(
            &mut self,
            _: u64,
            _: RawRecord<'_>,
            _: &lakemirror_journal::log::FrameInfo,
        ) -> Result<(), ReplayRefused> {
            Ok(())
        }
    }
    Log::open(dir, &Options::default(), NewJournal { uuid: [7; 16], wall_ms: NOON }, &mut Ignore).unwrap().0
}

/// Commits one frame.
pub(super) fn append(log: &mut Log, (second, events): &Frame) {
    let payloads: Vec<_> = events.iter().map(|event| codec::encode(event).unwrap()).collect();
    let records: Vec<_> = payloads
        .iter()
        .map(|payload| RawRecord { kind: payload.kind, version: payload.version, payload: &payload.bytes })
        .collect();
    let checks = events.iter().map(|event| match event {
        Event::ArrivalsChecked(batch) => lakemirror_journal::state::checks_of(batch),
        _ => 0,
    });
    log.commit(&records, checks.sum(), NOON + second * 1000, 0).unwrap();
}

/// A journal of these frames in `dir`, closed.
pub(super) fn write(dir: &Path, frames: &[Frame]) {
    let mut log = open(dir);
    frames.iter().for_each(|frame| append(&mut log, frame));
}

/// All frames.
pub(super) fn sample() -> Vec<Frame> {
    let mut frames = first_move();
    frames.extend(second_move());
    frames.extend(other_branches());
    frames.extend(name_used_again());
    frames
}

/// Records 1 to 14: the mirror is created, and `main` moves to commit 1 at 12:34:00.
pub(super) fn first_move() -> Vec<Frame> {
    let at_ms = |second: u64| NOON + second * 1000;
    let (mirror, branch) = (FIRST, "main".to_owned());
    let started = ServiceStartedV1 { writer_epoch: 1, software: "0.1.0".into(), at_ms: at_ms(0) };
    let seen = BranchSeenV1 { mirror, branch: branch.clone(), head: commit(1), hidden: false, at_ms: at_ms(20) };
    let ranges = vec![(RANGE, 5)];
    let tree = MetarangeReadV1 { mirror, metarange: TREE, total: 1, first: 0, ranges, at_ms: at_ms(30) };
    let move_started = MoveStartedV1 {
        mirror,
        branch: branch.clone(),
        from: None,
        to: commit(1),
        seen: 1,
        ranges: 1,
        entries: 5,
        oldest_evidence_ms: at_ms(40),
        at_ms: at_ms(2030),
    };
    let finished = MoveFinishedV1 { mirror, branch, from: None, to: commit(1), seen: 1, at_ms: at_ms(2040) };
    vec![
        (0, vec![Event::ServiceStarted(started)]),
        (10, defined(FIRST, at_ms(10))),
        (20, vec![Event::BranchSeen(seen), observed(1, at_ms(20))]),
        (30, vec![Event::MetarangeRead(tree), range_read(at_ms(30))]),
        (40, vec![arrivals(0..4, at_ms(40)), arrivals(4..5, at_ms(50))]),
        (2030, vec![Event::MoveStarted(move_started)]),
        (2040, vec![Event::RecordsWritten(RecordsWrittenV1 { mirror, commits: vec![commit(1)], at_ms: at_ms(2035) })]),
        (2040, vec![Event::MoveFinished(finished)]),
    ]
}

/// Records 15 to 17: a move to commit 2 is in progress from 12:35:00 to 12:36:00.
fn second_move() -> Vec<Frame> {
    let at_ms = |second: u64| NOON + second * 1000;
    let (mirror, branch, from, to) = (FIRST, "main".to_owned(), Some(commit(1)), commit(2));
    let seen = BranchSeenV1 { mirror, branch: branch.clone(), head: to, hidden: false, at_ms: at_ms(2090) };
    let started = MoveStartedV1 {
        mirror,
        branch: branch.clone(),
        from,
        to,
        seen: 2,
        ranges: 1,
        entries: 5,
        oldest_evidence_ms: at_ms(40),
        at_ms: at_ms(2100),
    };
    let finished = MoveFinishedV1 { mirror, branch, from, to, seen: 2, at_ms: at_ms(2160) };
    vec![
        (2100, vec![Event::BranchSeen(seen), Event::MoveStarted(started)]),
        (2160, vec![Event::MoveFinished(finished)]),
    ]
}

/// Records 18 to 24: `dev` is adopted and removed; another writer moves `main`.
fn other_branches() -> Vec<Frame> {
    let at_ms = |second: u64| NOON + second * 1000;
    let (mirror, branch) = (FIRST, "dev".to_owned());
    let seen = BranchSeenV1 { mirror, branch: branch.clone(), head: commit(3), hidden: false, at_ms: at_ms(2200) };
    let adopted = BranchAdoptedV1 { mirror, branch: branch.clone(), found: commit(3), at_ms: at_ms(2210) };
    let missed = BranchMissedV1 { mirror, branch: branch.clone(), writer_epoch: 1, at_ms: at_ms(2300) };
    let tombstoned = BranchTombstonedV1 { mirror, branch: branch.clone(), at_ms: at_ms(2310) };
    let removal = BranchRemovalStartedV1 { mirror, branch: branch.clone(), at_ms: at_ms(2400) };
    let removed = BranchRemovedV1 { mirror, branch, at_ms: at_ms(2400) };
    let (branch, expected, found) = ("main".to_owned(), Some(commit(2)), Some(commit(9)));
    let diverged = BranchDivergedV1 { mirror, branch, expected, found, at_ms: at_ms(2500) };
    vec![
        (2210, vec![Event::BranchSeen(seen), Event::BranchAdopted(adopted)]),
        (2310, vec![Event::BranchMissed(missed), Event::BranchTombstoned(tombstoned)]),
        (2400, vec![Event::BranchRemovalStarted(removal), Event::BranchRemoved(removed)]),
        (2500, vec![Event::BranchDiverged(diverged)]),
    ]
}

/// Records 25 to 30: the mirror is removed, and another one of its name is created.
fn name_used_again() -> Vec<Frame> {
    let at_ms = |second: u64| NOON + second * 1000;
    let deletion = MirrorDeletionStartedV1 { mirror: FIRST, at_ms: at_ms(3000) };
    vec![
        (3000, vec![Event::MirrorDeletionStarted(deletion)]),
        (3010, vec![Event::MirrorGone(MirrorGoneV1 { mirror: FIRST, at_ms: at_ms(3010) })]),
        (3600, defined(SECOND, at_ms(3600))),
    ]
}

fn defined(mirror: Incarnation, at_ms: u64) -> Vec<Event> {
    vec![
        Event::MirrorDefined(MirrorDefinedV1 {
            mirror,
            name: "sample-mirror".into(),
            source_repository: "sample".into(),
            source_region: "east".into(),
            region: "west".into(),
            storage_namespace: "local://sample".into(),
            at_ms,
        }),
        Event::SourceIdentified(SourceIdentifiedV1 {
            mirror,
            storage_namespace: "local://sample".into(),
            default_branch: "main".into(),
            creation_date: 1_795_000_000,
            at_ms,
        }),
        Event::RepositoryIntended(RepositoryIntendedV1 { mirror, at_ms }),
        Event::RepositoryReady(RepositoryReadyV1 { mirror, adopted: false, at_ms }),
    ]
}

fn observed(n: u8, at_ms: u64) -> Event {
    Event::CommitObserved(CommitObservedV1 {
        mirror: FIRST,
        id: commit(n),
        parents: vec![],
        committer: "ann".into(),
        message: "first".into(),
        creation_date: 1_795_000_000,
        metarange: Some(TREE),
        metadata: vec![("key".into(), "value".into())],
        generation: 1,
        version: 1,
        at_ms,
    })
}

fn range_read(at_ms: u64) -> Event {
    Event::RangeRead(RangeReadV1 {
        mirror: FIRST,
        range: RANGE,
        entries: 5,
        imports: Bits::none(5).encode(),
        inherited: Bits::none(5).encode(),
        inherited_from: vec![],
        inherited_oldest_ms: u64::MAX,
        at_ms,
    })
}

fn arrivals(ordinals: std::ops::Range<u32>, ms: u64) -> Event {
    let asked = ordinals.end - ordinals.start;
    Event::ArrivalsChecked(ArrivalsCheckedV1 {
        mirror: FIRST,
        range: RANGE,
        base: ordinals.start,
        asked: Bits::all(asked).encode(),
        present: Bits::all(asked).encode(),
        exceptions: vec![],
        started_ms: ms,
        finished_ms: ms,
    })
}
