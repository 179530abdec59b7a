//! A journal of one mirror, built event by event: `main` at commit 1 on checked evidence, and whatever a test adds.

use std::path::Path;

use lakemirror_journal::bits::Bits;
use lakemirror_journal::codec;
use lakemirror_journal::event::*;
use lakemirror_journal::ids::{CommitId, Incarnation, MetarangeId, RangeId};
use lakemirror_journal::log::{FrameInfo, Log, NewJournal, Options, RawRecord, Replay, ReplayRefused};

/// 2026-11-24T12:00:00Z.
pub(super) const NOON: u64 = 1_795_521_600_000;
pub(super) const MIRROR: Incarnation = Incarnation([0xa1; 16]);

pub(super) fn commit(n: u8) -> CommitId {
    CommitId([n; 32])
}

pub(super) fn tree(n: u8) -> MetarangeId {
    MetarangeId([n; 32])
}

pub(super) fn range(n: u8) -> RangeId {
    RangeId([n; 32])
}

pub(super) fn at(second: u64) -> u64 {
    NOON + second * 1000
}

struct Ignore;

impl Replay for Ignore {
    fn record(&mut self, _: u64, _: RawRecord<'_>, _: &FrameInfo) -> Result<(), ReplayRefused> {
        Ok(())
    }
}

/// An open journal, with the time of the next commit in seconds after noon.
pub(super) struct World {
    pub(super) log: Log,
    pub(super) second: u64,
    /// When the last frame was committed, milliseconds since 1970.
    wall_ms: u64,
}

impl World {
    /// Record 1 is the start, 2 to 4 define the mirror.
    pub(super) fn new(dir: &Path) -> Self {
        let identity = NewJournal { uuid: [9; 16], wall_ms: NOON };
        let log = Log::open(dir, &Options::default(), identity, &mut Ignore).unwrap().0;
        let mut world = Self { log, second: 0, wall_ms: 0 };
        let started = ServiceStartedV1 { writer_epoch: 1, software: "0.1.0".into(), at_ms: at(0) };
        world.add(&[Event::ServiceStarted(started)]);
        world.add(&[
            Event::MirrorDefined(MirrorDefinedV1 {
                mirror: MIRROR,
                name: "lake".into(),
                source_repository: "sample".into(),
                source_region: "east".into(),
                region: "west".into(),
                storage_namespace: "local://sample".into(),
                at_ms: at(1),
            }),
            Event::RepositoryIntended(RepositoryIntendedV1 { mirror: MIRROR, at_ms: at(1) }),
            Event::RepositoryReady(RepositoryReadyV1 { mirror: MIRROR, adopted: false, at_ms: at(1) }),
        ]);
        world
    }

    /// Opens an existing journal.
    pub(super) fn reopen(dir: &Path) -> Self {
        let identity = NewJournal { uuid: [0; 16], wall_ms: 0 };
        Self { log: Log::open(dir, &Options::default(), identity, &mut Ignore).unwrap().0, second: 1000, wall_ms: 0 }
    }

    /// Commits one frame, a second after the previous one.
    pub(super) fn add(&mut self, events: &[Event]) {
        let payloads: Vec<_> = events.iter().map(|event| codec::encode(event).unwrap()).collect();
        let records: Vec<_> = payloads
            .iter()
            .map(|payload| RawRecord { kind: payload.kind, version: payload.version, payload: &payload.bytes })
            .collect();
        let checks = events.iter().map(|event| match event {
            Event::ArrivalsChecked(batch) => lakemirror_journal::state::checks_of(batch),
            _ => 0,
        });
        // A frame is not older than its events.
        let stamps = events.iter().map(|event| match event {
            Event::ArrivalsChecked(batch) => batch.finished_ms,
            Event::RangeRead(read) => read.at_ms,
            Event::MoveStarted(started) => started.at_ms,
            _ => 0,
        });
        self.wall_ms = stamps.chain([at(self.second), self.wall_ms]).max().unwrap_or_default();
        self.log.commit(&records, checks.sum(), self.wall_ms, 0).unwrap();
        self.second += 1;
    }
}

pub(super) fn seen(branch: &str, n: u8, second: u64) -> Event {
    let (branch, head, at_ms) = (branch.to_owned(), commit(n), at(second));
    Event::BranchSeen(BranchSeenV1 { mirror: MIRROR, branch, head, hidden: false, at_ms })
}

pub(super) fn observed(n: u8, parents: &[u8], metarange: Option<u8>, second: u64) -> Event {
    Event::CommitObserved(CommitObservedV1 {
        mirror: MIRROR,
        id: commit(n),
        parents: parents.iter().map(|n| commit(*n)).collect(),
        committer: "ann".into(),
        message: format!("change {n}\nwith more below"),
        creation_date: 1_795_000_000,
        metarange: metarange.map(tree),
        metadata: vec![("=key".into(), "a,\"b\"\n".into())],
        generation: i64::from(n),
        version: 1,
        at_ms: at(second),
    })
}

pub(super) fn listed(n: u8, ranges: &[(u8, u32)], second: u64) -> Event {
    let total = u32::try_from(ranges.len()).unwrap();
    let ranges = ranges.iter().map(|(n, entries)| (range(*n), *entries)).collect();
    Event::MetarangeRead(MetarangeReadV1 {
        mirror: MIRROR,
        metarange: tree(n),
        total,
        first: 0,
        ranges,
        at_ms: at(second),
    })
}

pub(super) fn read(n: u8, entries: u32, imports: &[u32], inherited: Option<(u8, Bits, u64)>, second: u64) -> Event {
    let (from, bits, oldest) = match inherited {
        Some((from, bits, second)) => (vec![range(from)], bits, at(second)),
        None => (vec![], Bits::none(entries), u64::MAX),
    };
    Event::RangeRead(RangeReadV1 {
        mirror: MIRROR,
        range: range(n),
        entries,
        imports: Bits::from_ordinals(entries, imports.iter().copied()).encode(),
        inherited: bits.encode(),
        inherited_from: from,
        inherited_oldest_ms: oldest,
        at_ms: at(second),
    })
}

/// Checks of `len` entries from `base` on; all exist except `absent`.
pub(super) fn checked(n: u8, base: u32, len: u32, absent: &[u32], second: u64) -> Event {
    let present = Bits::from_ordinals(len, (0..len).filter(|rank| !absent.contains(&(base + rank))));
    Event::ArrivalsChecked(ArrivalsCheckedV1 {
        mirror: MIRROR,
        range: range(n),
        base,
        asked: Bits::all(len).encode(),
        present: present.encode(),
        exceptions: vec![],
        started_ms: at(second),
        finished_ms: at(second),
    })
}

/// The three records of a move of `main`.
pub(super) fn moves(from: Option<u8>, n: u8, nth: u64, stated: (u32, u64, u64), second: u64) -> Vec<Vec<Event>> {
    let (mirror, branch, from, to, at_ms) = (MIRROR, "main".to_owned(), from.map(commit), commit(n), at(second));
    let (ranges, entries, oldest_evidence_ms) = stated;
    let started = MoveStartedV1 {
        mirror,
        branch: branch.clone(),
        from,
        to,
        seen: nth,
        ranges,
        entries,
        oldest_evidence_ms,
        at_ms,
    };
    vec![
        vec![Event::MoveStarted(started)],
        vec![Event::RecordsWritten(RecordsWrittenV1 { mirror, commits: vec![to], at_ms })],
        vec![Event::MoveFinished(MoveFinishedV1 { mirror, branch, from, to, seen: nth, at_ms })],
    ]
}

/// Records 5 to 14: `main` moves to commit 1, whose last object arrives with record 11.
pub(super) fn first_move(world: &mut World) {
    world.add(&[seen("main", 1, 10), observed(1, &[], Some(1), 10)]);
    world.add(&[listed(1, &[(1, 6), (2, 3)], 11), read(1, 6, &[], None, 12), read(2, 3, &[], None, 12)]);
    world.add(&[checked(1, 0, 6, &[4], 20)]);
    world.add(&[checked(2, 0, 3, &[], 25)]);
    world.add(&[checked(1, 4, 1, &[], 30)]);
    for events in moves(None, 1, 1, (2, 9, at(12)), 31) {
        world.add(&events);
    }
}

/// Records 15 to 20: commit 2 is observed; its range 3 inherits three entries of range 1, and one of two others exists.
pub(super) fn waiting_head(world: &mut World) {
    world.add(&[seen("main", 2, 40), observed(2, &[1], Some(2), 40), listed(2, &[(3, 5), (2, 3)], 41)]);
    let inherited = Bits::from_ordinals(5, [0, 1, 2]);
    world.add(&[read(3, 5, &[], Some((1, inherited, 20)), 42)]);
    world.add(&[checked(3, 3, 2, &[4], 43)]);
    world.add(&[checked(3, 4, 1, &[4], 50)]);
}
