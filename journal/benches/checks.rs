//! Arrival checks: how many a second become durable, what one costs in bytes, and how fast they are replayed.
//!
//! `cargo bench -p lakemirror-journal --bench checks`. Goals: 50 M checks/s made durable, 0.2 bytes of journal for each
//! where all are present, 2 M checks/s replayed. Before the rates it prints the bytes.
#![allow(missing_docs, reason = "criterion's macros")]
#![allow(clippy::unwrap_used, clippy::disallowed_macros, reason = "a bench fails by panicking, and prints")]

use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use lakemirror_journal::bits::Bits;
use lakemirror_journal::codec::{self, Payload};
use lakemirror_journal::event::{
    ArrivalsCheckedV1, CommitObservedV1, Event, MetarangeReadV1, MirrorDefinedV1, RangeReadV1,
};
use lakemirror_journal::ids::{CommitId, Incarnation, MetarangeId, RangeId};
use lakemirror_journal::log::{FrameInfo, Log, NewJournal, Options, RawRecord, Replay, ReplayRefused, scan};
use lakemirror_journal::state::State;

/// As many as one batch may have.
const BATCH: u32 = 4096;
/// Entries of a range, as lakeFS makes them near 20 MiB.
const ENTRIES: u32 = 16 * BATCH;
const RANGES: u8 = 64;
const CHECKS: u64 = RANGES as u64 * ENTRIES as u64;
const MIRROR: Incarnation = Incarnation([1; 16]);
const METARANGE: MetarangeId = MetarangeId([6; 32]);
const NEW: NewJournal = NewJournal { uuid: [7; 16], wall_ms: 0 };
/// Records of one commit.
const GROUP: usize = 512;

fn range(number: u8) -> RangeId {
    RangeId([number; 32])
}

/// A mirror with a commit, whose ranges were read and nothing in them looked for.
fn beginning() -> Vec<Event> {
    let defined = MirrorDefinedV1 {
        mirror: MIRROR,
        name: "sample-mirror".to_owned(),
        source_repository: "sample".to_owned(),
        source_region: "us-east-1".to_owned(),
        region: "us-west-2".to_owned(),
        storage_namespace: "s3://west/sample".to_owned(),
        at_ms: 1,
    };
    let commit = CommitObservedV1 {
        mirror: MIRROR,
        id: CommitId([2; 32]),
        parents: Vec::new(),
        committer: "somebody".to_owned(),
        message: "a message".to_owned(),
        creation_date: 1,
        metarange: Some(METARANGE),
        metadata: Vec::new(),
        generation: 1,
        version: 1,
        at_ms: 1,
    };
    let ranges = (0..RANGES).map(|number| (range(number), ENTRIES)).collect();
    let tree =
        MetarangeReadV1 { mirror: MIRROR, metarange: METARANGE, total: RANGES.into(), first: 0, ranges, at_ms: 1 };
    let read = |number| RangeReadV1 {
        mirror: MIRROR,
        range: range(number),
        entries: ENTRIES,
        imports: Bits::none(ENTRIES).encode(),
        inherited: Bits::none(ENTRIES).encode(),
        inherited_from: Vec::new(),
        inherited_oldest_ms: u64::MAX,
        at_ms: 1,
    };
    let events = [Event::MirrorDefined(defined), Event::CommitObserved(commit), Event::MetarangeRead(tree)];
    events.into_iter().chain((0..RANGES).map(|number| Event::RangeRead(read(number)))).collect()
}

/// Which of a batch's objects are there.
#[derive(Clone, Copy)]
enum There {
    All,
    /// All but one in so many, without a pattern.
    AllBut(u32),
}

fn batches(there: There, size: u32) -> Vec<ArrivalsCheckedV1> {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut present = |_: &u32| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        matches!(there, There::AllBut(part) if !(random >> 33).is_multiple_of(u64::from(part)))
            || matches!(there, There::All)
    };
    let mut batch = |number, base| ArrivalsCheckedV1 {
        mirror: MIRROR,
        range: range(number),
        base,
        asked: Bits::all(size).encode(),
        present: Bits::from_ordinals(size, (0..size).filter(&mut present)).encode(),
        exceptions: Vec::new(),
        started_ms: 2,
        finished_ms: 3,
    };
    let bases = |number| (0..ENTRIES).step_by(size as usize).map(move |base| (number, base));
    (0..RANGES).flat_map(bases).map(|(number, base)| batch(number, base)).collect()
}

fn records(payloads: &[Payload]) -> Vec<RawRecord<'_>> {
    payloads
        .iter()
        .map(|Payload { kind, version, bytes }| RawRecord { kind: *kind, version: *version, payload: bytes })
        .collect()
}

struct Rebuild(State);

impl Replay for Rebuild {
    fn record(&mut self, _: u64, record: RawRecord<'_>, _: &FrameInfo) -> Result<(), ReplayRefused> {
        self.0.apply(&codec::decode(record.kind, record.version, record.payload).unwrap());
        Ok(())
    }
}

fn open(dir: &Path) -> Log {
    Log::open(dir, &Options::default(), NEW, &mut Rebuild(State::default())).unwrap().0
}

fn journal(dir: &Path, there: There, size: u32, keep: usize) -> (u64, u64) {
    let mut log = open(dir);
    let encode = |events: Vec<Event>| events.iter().map(|event| codec::encode(event).unwrap()).collect::<Vec<_>>();
    for payload in encode(beginning()) {
        log.commit(&records(&[payload]), 0, 0, 0).unwrap();
    }
    let before = std::fs::metadata(dir.join("seg/0000000000000001.jseg.open")).unwrap().len();
    let mut checks = 0;
    let events: Vec<Event> = batches(there, size).into_iter().take(keep).map(Event::ArrivalsChecked).collect();
    for group in encode(events).chunks(GROUP / 2) {
        log.commit(&records(group), group.len() as u64 * u64::from(size), 0, 0).unwrap();
        checks += group.len() as u64 * u64::from(size);
    }
    let after = std::fs::metadata(dir.join("seg/0000000000000001.jseg.open")).unwrap().len();
    (checks, after - before)
}

fn write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("checks made durable, encoding included");
    for (name, count) in [("a batch a commit", 1), ("16 batches a commit", 16), ("512 batches a commit", GROUP)] {
        let root = tempfile::tempdir().unwrap();
        let mut log = open(root.path());
        let checks = count as u64 * u64::from(BATCH);
        group.throughput(Throughput::Elements(checks)).sample_size(20);
        let answers = Bits::all(BATCH);
        let all: Vec<_> = batches(There::All, BATCH).into_iter().take(count).collect();
        group.bench_function(name, |bench| {
            bench.iter_batched(
                || all.clone(),
                |all| {
                    let event = |batch| {
                        let (asked, present) = (answers.encode(), answers.encode());
                        codec::encode(&Event::ArrivalsChecked(ArrivalsCheckedV1 { asked, present, ..batch })).unwrap()
                    };
                    let payloads: Vec<Payload> = all.into_iter().map(event).collect();
                    log.commit(&records(&payloads), checks, 0, 0).unwrap()
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

fn replay(criterion: &mut Criterion) {
    for (name, there, size, keep) in [
        ("all there, batches of 4096", There::All, BATCH, usize::MAX),
        ("1 of 100 missing, batches of 4096", There::AllBut(100), BATCH, usize::MAX),
        ("half missing, batches of 4096", There::AllBut(2), BATCH, usize::MAX),
        ("all there, each in a record of its own", There::All, 1, 500_000),
    ] {
        let root = tempfile::tempdir().unwrap();
        let (checks, bytes) = journal(root.path(), there, size, keep);
        println!("{name}: {bytes} bytes for {checks} checks, {:.4} for each", bytes as f64 / checks as f64);
        assert!(!name.starts_with("all there, batches") || bytes * 5 <= checks, "over 0.2 bytes for a check");
        let mut group = criterion.benchmark_group("checks replayed into a state");
        group.throughput(Throughput::Elements(checks)).sample_size(10);
        group.bench_function(name, |bench| {
            bench.iter(|| {
                let mut rebuild = Rebuild(State::default());
                scan(root.path(), &mut rebuild).unwrap();
                assert_eq!((rebuild.0.checks, rebuild.0.ignored_events), (checks, 0));
                assert!(checks <= CHECKS);
            });
        });
        group.finish();
    }
}

criterion_group!(benches, write, replay);
criterion_main!(benches);
