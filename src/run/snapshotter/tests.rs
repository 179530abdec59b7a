//! The snapshotter beside a recorder, on a journal in a directory of its own.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lakemirror_core::ids::Incarnation;
use lakemirror_engine::recorder::{self, Entry, JournalWriter as _, RecorderThread};
use lakemirror_journal::codec;
use lakemirror_journal::command::MirrorCommand;
use lakemirror_journal::event::{Event, ServiceStartedV1};
use lakemirror_journal::log::{RecoveryAction, ScanReport};
use lakemirror_journal::state::mirror::Definition;

use super::*;
use crate::run::journal_writer::{Journal, SealPolicy};

/// Every commit is a checkpoint.
const BUSY: SealPolicy = SealPolicy {
    seal_bytes_max: u64::MAX,
    seal_age_ms_max: u64::MAX,
    checkpoint_bytes_max: 1,
    checkpoint_age_ms_max: u64::MAX,
};

const QUIET: SealPolicy = SealPolicy { checkpoint_bytes_max: u64::MAX, ..BUSY };

/// A second later whenever it is asked.
#[derive(Default)]
struct Ticking(AtomicU64);

#[async_trait::async_trait]
impl Clock for Ticking {
    fn wall_ms(&self) -> u64 {
        1_000_000 + 1000 * self.0.fetch_add(1, Ordering::Relaxed)
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
    async fn sleep(&self, _: Duration) {}
}

struct Service {
    recorder: Recorder,
    thread: RecorderThread,
    clock: Arc<dyn Clock>,
    dir: tempfile::TempDir,
    mirrors: u8,
}

impl Service {
    /// A service over the journal in `dir`, whose state was changed behind its back.
    fn start(dir: tempfile::TempDir, seal_policy: SealPolicy, tamper: impl FnOnce(&mut State)) -> Self {
        let (journal, mut state, _) = Journal::open(dir.path(), [7; 16], 1).unwrap();
        tamper(&mut state);
        let mirrors = u8::try_from(state.mirrors.len()).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(Ticking::default());
        let (recorder, thread) =
            recorder::start(state, Box::new(journal.with_seal_policy(seal_policy)), Arc::clone(&clock)).unwrap();
        Self { recorder, thread, clock, dir, mirrors }
    }

    fn new(seal_policy: SealPolicy) -> Self {
        Self::start(tempfile::tempdir().unwrap(), seal_policy, |_| {})
    }

    /// Some facts.
    async fn work(&mut self) {
        self.mirrors += 1;
        let definition = Definition {
            name: format!("mirror-{}", self.mirrors),
            source_repository: "sample".to_owned(),
            source_region: "us-east-1".to_owned(),
            region: "us-west-2".to_owned(),
            storage_namespace: "s3://west/sample".to_owned(),
            created_ms: 1,
        };
        self.recorder.ask(Incarnation([self.mirrors; 16]), MirrorCommand::Define(definition)).await.unwrap();
    }

    async fn snapshotter(&self) -> Result<Option<Taken>, ShadowError> {
        take_snapshot(&self.recorder, self.dir.path(), &self.clock).await
    }

    async fn state(&self) -> State {
        self.recorder.read(State::clone).await.unwrap()
    }

    fn end(self) -> (tempfile::TempDir, Result<(), String>) {
        drop(self.recorder);
        (self.dir, self.thread.join().map_err(|halt| halt.to_string()))
    }
}

fn snapshots(dir: &Path) -> Vec<Seq> {
    snapshot::list(&RealDisk::new(dir)).unwrap()
}

fn replayed(dir: &Path) -> (State, ScanReport) {
    let mut rebuild = Rebuild::default();
    let report = scan_with(dir, &ScanOptions::default(), &mut rebuild).unwrap();
    (rebuild.state, report)
}

#[tokio::test]
async fn a_snapshot_is_the_state_at_the_newest_checkpoint_and_the_next_start_uses_it() {
    let mut service = Service::new(BUSY);
    service.work().await;
    service.work().await;
    let there = service.state().await;
    let taken = service.snapshotter().await.unwrap().unwrap();
    assert_eq!((taken.seq, taken.oldest_seq, taken.digest), (2, 2, image::digest(&there).unwrap()));
    let live = service.state().await;
    let noted = live.lifecycle.snapshot.unwrap();
    assert_eq!((noted.seq, noted.digest, noted.bytes), (2, taken.digest, taken.bytes));
    let (dir, ended) = service.end();
    assert_eq!(ended, Ok(()));
    let (_, state, recovery) = Journal::open(dir.path(), [7; 16], 1).unwrap();
    assert_eq!(recovery.snapshot.map(|header| (header.seq, header.state_digest)), Some((2, taken.digest)));
    assert_eq!(state, live);
    assert_eq!(replayed(dir.path()).0, live);
}

#[tokio::test]
async fn without_a_new_checkpoint_there_is_no_new_snapshot() {
    let mut service = Service::new(QUIET);
    assert!(service.snapshotter().await.unwrap().is_none(), "an empty journal");
    service.work().await;
    assert!(service.snapshotter().await.unwrap().is_none());
    let (dir, _) = service.end();
    assert_eq!(snapshots(dir.path()), [0u64; 0]);
}

#[tokio::test]
async fn three_snapshots_are_kept_and_a_damaged_one_is_passed_over() {
    let mut service = Service::new(BUSY);
    let mut seqs = Vec::new();
    for _ in 0..5 {
        service.work().await;
        let taken = service.snapshotter().await.unwrap().unwrap();
        seqs.push(taken.seq);
        assert_eq!(taken.oldest_seq, seqs[seqs.len().saturating_sub(3)]);
    }
    assert_eq!(snapshots(service.dir.path()), seqs[2..]);
    let path = service.dir.path().join(snapshot::path(seqs[4]));
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    // It falls back on the one before, and makes the damaged one's place good with the next.
    service.work().await;
    let taken = service.snapshotter().await.unwrap().unwrap();
    assert_eq!((snapshots(service.dir.path()).last(), taken.oldest_seq), (Some(&taken.seq), seqs[3]));
    std::fs::write(service.dir.path().join(snapshot::path(taken.seq)), b"nothing").unwrap();
    let live = service.state().await;
    let (dir, _) = service.end();
    let (_, state, recovery) = Journal::open(dir.path(), [7; 16], 1).unwrap();
    assert_eq!(state, live);
    assert_eq!(recovery.snapshot.map(|header| header.seq), Some(seqs[3]));
    let refused = |action: &&RecoveryAction| matches!(action, RecoveryAction::SnapshotRefused { .. });
    assert_eq!(recovery.actions.iter().filter(refused).count(), 2);
}

#[tokio::test]
async fn segments_that_end_are_facts_and_the_state_says_so() {
    let mut service = Service::new(SealPolicy { seal_bytes_max: 1, ..QUIET });
    while service.state().await.lifecycle.segments.len() < 2 {
        service.work().await;
    }
    service.work().await;
    let live = service.state().await;
    let (first, second) =
        (&live.lifecycle.segments[&1], &live.lifecycle.segments[&(live.lifecycle.segments[&1].last + 1)]);
    let taken = service.snapshotter().await.unwrap().unwrap();
    assert_eq!(taken.seq, second.last, "the end of a segment is a checkpoint");
    let (dir, ended) = service.end();
    assert_eq!(ended, Ok(()));
    let (state, report) = replayed(dir.path());
    let footers: Vec<_> = report.footers.iter().map(|seen| (seen.footer.last_seq, seen.hash)).collect();
    assert_eq!(footers, [(first.last, first.hash), (second.last, second.hash)]);
    assert_eq!(state.ignored_events, 0);
}

/// A process that died between the end of a segment and its fact; the next one tells it before anything else.
#[tokio::test]
async fn a_segment_of_which_a_crash_left_no_fact_is_told_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _, _) = Journal::open(dir.path(), [7; 16], 1).unwrap();
    let software = "x".repeat(5000);
    let started = Event::ServiceStarted(ServiceStartedV1 { writer_epoch: 1, software, at_ms: 1 });
    let entry = Entry { payload: codec::encode(&started).unwrap(), checks: 0 };
    let mut state = State::default();
    state.apply(&started);
    let mut journal = journal.with_seal_policy(SealPolicy { seal_bytes_max: 1, ..QUIET });
    let sealed = journal.commit(&[entry], 1, &|| Ok(image::digest(&state).unwrap()));
    assert!(matches!(sealed, Ok(Some(UpkeepStep::Sealed { first: 1, last: 1, .. }))));
    drop(journal);
    let service = Service::start(dir, QUIET, |_| {});
    let lifecycle = service.state().await.lifecycle;
    assert_eq!(lifecycle.segments.values().map(|segment| segment.last).collect::<Vec<_>>(), [1]);
    let (dir, ended) = service.end();
    assert_eq!(ended, Ok(()));
    assert_eq!(replayed(dir.path()).0.lifecycle, lifecycle);
}

#[tokio::test]
async fn a_state_that_was_tampered_with_ends_the_service_and_both_states_are_kept() {
    let mut service = Service::new(BUSY);
    service.work().await;
    service.snapshotter().await.unwrap().unwrap();
    let (dir, _) = service.end();
    let mut service = Service::start(dir, BUSY, |state| state.checks += 41);
    service.work().await;
    let Err(ShadowError::Mismatch(RebuildError::Checkpoint { seq, .. })) = service.snapshotter().await else {
        panic!("a mismatch")
    };
    assert_eq!(seq, 3);
    assert!(matches!(service.recorder.read(|_| ()).await, Err(RecordError::Stopped)));
    let (dir, ended) = service.end();
    let why = ended.unwrap_err();
    let mut states = Vec::new();
    for which in ["live", "replayed"] {
        let path = dir.path().join(image_path(3, which));
        assert!(why.contains(path.to_str().unwrap()), "{why}");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        states.push(image::read(&std::fs::read(path).unwrap()).unwrap());
    }
    assert!(why.contains("after record 3") && why.contains(&hex::encode(image::digest(&states[1]).unwrap())), "{why}");
    assert_eq!((states[0].checks, states[1].checks), (41, 0));
    assert_eq!(State { checks: 0, ..states[0].clone() }, states[1]);
    let Err(error) = Journal::open(dir.path(), [7; 16], 1) else { panic!("the next start refuses as well") };
    assert!(chain(&error).contains("after record 3"));
}
