//! A long run of the journal as the service writes it: memory during the run, bytes on the volume, and the restart
//! after it.
//!
//! `cargo bench --bench long_run [-- CHECKS]` (default 300 million). The source of one mirror repeatedly makes a commit
//! of 64 new ranges, 4.2 M objects each; objects are checked in batches of 4096, one in a hundred is missing at the
//! first check and checked again; every commit is promoted. Recorder, journal writer, upkeep and snapshots are the
//! service's own, with the default seal policy in bytes. Memory is the kernel's peak for this process (VmHWM). The
//! restart runs in its own process, so that its memory is measured separately. Goals: below 150 MB throughout, and
//! below 2 s to a state with 100 M checks.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench fails by panicking")]
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "a bench prints, and reads the clock")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lakemirror::clock::system::SystemClock;
use lakemirror::engine::ports::CommitRecord;
use lakemirror::engine::recorder::{self, Recorder};
use lakemirror::run::journal_writer::{Journal, SealPolicy};
use lakemirror::run::upkeep::plan::Rules;
use lakemirror::run::upkeep::{Settings, Upkeep};
use lakemirror_journal::bits::Bits;
use lakemirror_journal::command::MirrorCommand;
use lakemirror_journal::event::{ArrivalsCheckedV1, RangeReadV1};
use lakemirror_journal::ids::{CommitId, Incarnation, MetarangeId, RangeId};
use lakemirror_journal::state::mirror::{Definition, Source};

const MIRROR: Incarnation = Incarnation([1; 16]);
const BATCH: u32 = 4096;
const ENTRIES: u32 = 16 * BATCH;
const RANGES: u32 = 64;
const CHECKS: u64 = 300_000_000;

fn id(round: u32, number: u32) -> [u8; 32] {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&round.to_be_bytes());
    id[4..8].copy_from_slice(&number.to_be_bytes());
    // Content addresses are effectively random and do not compress.
    *blake3::hash(&id).as_bytes()
}

fn commit(round: u32) -> CommitRecord {
    CommitRecord {
        id: CommitId(id(round, u32::MAX)),
        parents: (round > 0).then(|| CommitId(id(round - 1, u32::MAX))).into_iter().collect(),
        committer: "somebody".to_owned(),
        message: "more of the same".to_owned(),
        creation_date: i64::from(round),
        metarange: Some(MetarangeId(id(round, u32::MAX - 1))),
        metadata: BTreeMap::new(),
        generation: i64::from(round) + 1,
        version: 1,
    }
}

async fn define(recorder: &Recorder) {
    let definition = Definition {
        name: "sample-mirror".to_owned(),
        source_repository: "sample".to_owned(),
        source_region: "us-east-1".to_owned(),
        region: "us-west-2".to_owned(),
        storage_namespace: "s3://west/sample".to_owned(),
        created_ms: 1,
    };
    let source = Source {
        storage_namespace: "s3://east/sample".to_owned(),
        default_branch: "main".to_owned(),
        creation_date: 5,
    };
    for ask in [
        MirrorCommand::Define(definition),
        MirrorCommand::IdentifySource(source),
        MirrorCommand::IntendRepository,
        MirrorCommand::RepositoryReady { adopted: false },
    ] {
        recorder.ask(MIRROR, ask).await.unwrap();
    }
}

/// Whether an object exists at the first check.
fn there_at_once(round: u32, range: u32, ordinal: u32) -> bool {
    let mixed =
        (u64::from(round) << 40 ^ u64::from(range) << 20 ^ u64::from(ordinal)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 33) % 100 != 0
}

fn batch(range: RangeId, base: u32, asked: &Bits, present: Bits, now: u64) -> ArrivalsCheckedV1 {
    ArrivalsCheckedV1 {
        mirror: MIRROR,
        range,
        base,
        asked: asked.encode(),
        present: present.encode(),
        exceptions: Vec::new(),
        started_ms: now,
        finished_ms: now,
    }
}

/// Checks one range as the verifier does: all objects, then the missing ones. Returns the number of checks.
async fn check(recorder: &Recorder, round: u32, number: u32, now: u64) -> u64 {
    let range = RangeId(id(round, number));
    let bases = || (0..ENTRIES).step_by(BATCH as usize);
    let missing = |base| move |at: &u32| !there_at_once(round, number, base + at);
    let first = bases().map(|base| {
        let present = Bits::from_ordinals(BATCH, (0..BATCH).filter(|at| !missing(base)(at)));
        batch(range, base, &Bits::all(BATCH), present, now)
    });
    recorder.ask(MIRROR, MirrorCommand::CheckArrivals(first.collect())).await.unwrap();
    let again = bases().map(|base| Bits::from_ordinals(BATCH, (0..BATCH).filter(missing(base))));
    let again: Vec<(u32, Bits)> = bases().zip(again).filter(|(_, asked)| !asked.is_none()).collect();
    let more: u64 = again.iter().map(|(_, asked)| u64::from(asked.count())).sum();
    let batches = again.iter().map(|(base, asked)| batch(range, *base, asked, Bits::all(asked.count()), now));
    recorder.ask(MIRROR, MirrorCommand::CheckArrivals(batches.collect())).await.unwrap();
    u64::from(ENTRIES) + more
}

async fn round(recorder: &Recorder, round: u32) -> u64 {
    let record = commit(round);
    let (head, metarange) = (record.id, record.metarange.unwrap());
    let now = 1_700_000_000_000 + u64::from(round);
    let listed = vec![("main".to_owned(), head)];
    let ranges = (0..RANGES).map(|number| (RangeId(id(round, number)), ENTRIES)).collect();
    let observed = MirrorCommand::ObserveBranches { listed, hidden: [].into(), proven_gone: Vec::new() };
    for ask in
        [observed, MirrorCommand::ObserveCommits(vec![record]), MirrorCommand::ReadMetarange { metarange, ranges }]
    {
        recorder.ask(MIRROR, ask).await.unwrap();
    }
    let mut checks = 0;
    for number in 0..RANGES {
        let none = Bits::none(ENTRIES).encode();
        let read = RangeReadV1 {
            mirror: MIRROR,
            range: RangeId(id(round, number)),
            entries: ENTRIES,
            imports: none.clone(),
            inherited: none,
            inherited_from: Vec::new(),
            inherited_oldest_ms: u64::MAX,
            at_ms: now,
        };
        recorder.ask(MIRROR, MirrorCommand::ReadRange(read)).await.unwrap();
        checks += check(recorder, round, number, u64::MAX >> 1).await;
    }
    let moves = recorder.ask(MIRROR, MirrorCommand::PlanMoves).await.unwrap();
    assert_eq!(moves.len(), 1, "the commit is complete");
    recorder.ask(MIRROR, MirrorCommand::RecordsWritten(vec![head])).await.unwrap();
    recorder.ask(MIRROR, MirrorCommand::FinishMove { branch: "main".to_owned() }).await.unwrap();
    checks
}

/// Peak memory of this process in MB.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1000
}

fn bytes_under(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| if entry.path().is_dir() { bytes_under(&entry.path()) } else { entry.metadata().unwrap().len() })
        .sum()
}

async fn run(dir: &Path, wanted: u64) {
    let clock = Arc::new(SystemClock::new());
    let (journal, state, _) = Journal::open(dir, [7; 16], 1).unwrap();
    let journal = journal.with_seal_policy(SealPolicy { seal_bytes_max: 8 << 20, ..SealPolicy::default() });
    let (recorder, thread) = recorder::start(state, Box::new(journal), clock.clone()).unwrap();
    let rules = Rules { compress: true, archive: false, age_ms_max: u64::MAX, bytes_max: 1 << 30 };
    let settings = Settings { rules, archive: None, snapshot_interval: Duration::ZERO };
    let mut upkeep = Upkeep::new(dir.to_owned(), settings, recorder.clone(), clock);
    define(&recorder).await;
    let (begun, mut checks) = (Instant::now(), 0);
    for number in 0.. {
        if checks >= wanted {
            break;
        }
        checks += round(&recorder, number).await;
        if number % 4 == 0 {
            upkeep.snapshot().await.unwrap();
        }
        upkeep.turn().await.unwrap();
        if number % 8 == 7 || checks >= wanted {
            let spent = begun.elapsed().as_secs_f64();
            println!(
                "{:>5} M checks  peak {:>4} MB  volume {:>5.1} MB  {:.1} M checks/s",
                checks / 1_000_000,
                peak_mb(),
                bytes_under(dir) as f64 / 1e6,
                checks as f64 / spent / 1e6
            );
        }
    }
    drop((recorder, upkeep));
    thread.join().unwrap();
}

fn restart(dir: &Path) {
    let begun = Instant::now();
    let (_, state, recovery) = Journal::open(dir, [7; 16], 1).unwrap();
    println!(
        "restart: {:.2} s to a state with {} M checks behind it, {} records read, peak {} MB",
        begun.elapsed().as_secs_f64(),
        state.checks / 1_000_000,
        recovery.records,
        peak_mb()
    );
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [word, dir] = &words[..]
        && word == "restart"
    {
        return restart(Path::new(dir));
    }
    let wanted = words.first().map_or(CHECKS, |word| word.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run(dir.path(), wanted));
    let again = std::process::Command::new(std::env::current_exe().unwrap()).arg("restart").arg(dir.path()).status();
    assert!(again.unwrap().success());
}
