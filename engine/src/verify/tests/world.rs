//! A world in memory for the verifier: a store, a source, a clock moved by hand, and a journal without a disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use lakemirror_core::ids::{CommitId, Incarnation, MetarangeId, RangeId};
use lakemirror_graveler::entry::{AddressType, Entry};
use lakemirror_graveler::writer::{MetarangeWriter, RangeWriter};
use lakemirror_journal::command::{MirrorCommand, UpkeepStep};
use lakemirror_journal::state::State;
use lakemirror_journal::state::mirror::{Definition, Mirror, Source};
use lakemirror_journal::state::tree::Completeness;
use lakemirror_ports::clock::{Clock, Entropy};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::ports::*;
use crate::recorder::{self, Digest, Entry as Fact, Halt, JournalWriter, Recorder};
use crate::verify::status::VerifyStatus;
use crate::verify::{Settings, Verifier};

pub(super) const MIRROR: Incarnation = Incarnation([7; 16]);

#[derive(Default)]
pub(crate) struct Hand {
    now: watch::Sender<Duration>,
    /// How far the wall clock was put forward, milliseconds.
    pub(super) forward_ms: AtomicU64,
    pub(crate) sleepers: Mutex<usize>,
}

impl Hand {
    pub(crate) fn advance(&self, duration: Duration) {
        self.now.send_modify(|now| *now += duration);
    }
}

struct Sleeper<'a>(&'a Hand);

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        *self.0.sleepers.lock().unwrap() -= 1;
    }
}

#[async_trait]
impl Clock for Hand {
    fn wall_ms(&self) -> u64 {
        1_000_000 + self.forward_ms.load(Ordering::Relaxed) + self.now.borrow().as_millis() as u64
    }
    fn monotonic(&self) -> Duration {
        *self.now.borrow()
    }
    async fn sleep(&self, duration: Duration) {
        *self.sleepers.lock().unwrap() += 1;
        let _sleeper = Sleeper(self);
        let until = self.monotonic() + duration;
        let mut now = self.now.subscribe();
        now.wait_for(|now| *now >= until).await.unwrap();
    }
}

impl Entropy for Hand {
    fn random_u64(&self) -> u64 {
        4
    }
}

pub(crate) struct NoDisk;

impl JournalWriter for NoDisk {
    fn commit(&mut self, _: &[Fact], _: u64, _: Digest<'_>) -> Result<Option<UpkeepStep>, Halt> {
        Ok(None)
    }
    fn head(&self) -> (u64, [u8; 32]) {
        (0, [0; 32])
    }
}

/// Files and objects of the destination: bytes for metadata, sizes for data.
#[derive(Default)]
pub(crate) struct Store {
    pub(super) files: Mutex<BTreeMap<String, Bytes>>,
    pub(super) objects: Mutex<BTreeMap<(String, String), u64>>,
    pub(super) forbidden: Mutex<BTreeSet<String>>,
    pub(super) archived: Mutex<BTreeMap<String, u8>>,
    pub(super) hanging: Mutex<BTreeSet<String>>,
    pub(super) denied: Mutex<bool>,
    pub(super) reads: Mutex<Vec<String>>,
    pub(super) asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Destination for Store {
    async fn read(&self, at: &Location, _: u64) -> Result<Fetched, Fault> {
        self.reads.lock().unwrap().push(at.key.clone());
        if *self.denied.lock().unwrap() {
            let call = format!("read {}", at.key);
            return Err(Fault { kind: FaultKind::Denied, call, status: Some(403), message: "AccessDenied".into() });
        }
        Ok(self.files.lock().unwrap().get(&at.key).cloned().map_or(Fetched::Absent, Fetched::Bytes))
    }

    async fn check(
        &self,
        bucket: &str,
        wanted: Vec<Wanted>,
        _: Effort,
        answers: &(dyn Fn(Vec<Answer>) + Send + Sync),
    ) -> Result<(), Fault> {
        for (one, many) in wanted.into_iter().zip(0usize..) {
            let key = one.key.to_string();
            self.asked.lock().unwrap().push(key.clone());
            if self.hanging.lock().unwrap().contains(&key) {
                std::future::pending::<()>().await;
            }
            let file = self.files.lock().unwrap().get(&key).map(|bytes| bytes.len() as u64);
            let found = self.objects.lock().unwrap().get(&(bucket.to_owned(), key.clone())).copied().or(file);
            let outcome = match found {
                _ if self.forbidden.lock().unwrap().contains(&key) => Outcome::Forbidden,
                Some(size) if size == one.size => {
                    let class = self.archived.lock().unwrap().get(&key).copied();
                    class.map_or(Outcome::Present, |class| Outcome::Archived { class })
                }
                Some(found) => Outcome::WrongSize { found },
                None => Outcome::Absent,
            };
            answers(vec![Answer { tag: one.tag, outcome }]);
            // A long look is not slow: it goes on without the others from its 64th key on.
            if many < 64 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }
}

#[derive(Default)]
pub(crate) struct SourceLake {
    pub(super) gone: Mutex<BTreeSet<String>>,
    pub(super) down: Mutex<bool>,
    /// Objects about which it contradicts itself.
    pub(super) broken: Mutex<BTreeSet<String>>,
    pub(super) probes: Mutex<Vec<String>>,
    /// As a mirror: its branches, and what its repository is marked with.
    pub(crate) heads: Mutex<Vec<BranchHead>>,
    pub(crate) marks: Mutex<BTreeMap<String, String>>,
    pub(crate) listings: AtomicU64,
}

fn unused<T>() -> Result<T, Fault> {
    Err(Fault { kind: FaultKind::Refused, call: "unused".into(), status: None, message: "unused".into() })
}

#[async_trait]
impl Lakefs for SourceLake {
    fn endpoint(&self) -> &str {
        "test"
    }
    async fn repository(&self, _: &str) -> Result<Repository, Fault> {
        unused()
    }
    async fn branches(&self, _: &str, _: bool) -> Result<Vec<BranchHead>, Fault> {
        self.listings.fetch_add(1, Ordering::Relaxed);
        Ok(self.heads.lock().unwrap().clone())
    }
    async fn branch(&self, _: &str, _: &str) -> Result<CommitId, Fault> {
        unused()
    }
    async fn commit(&self, _: &str, _: &CommitId) -> Result<CommitRecord, Fault> {
        unused()
    }
    async fn log(&self, _: &str, _: &CommitId, _: usize) -> Result<Vec<CommitRecord>, Fault> {
        unused()
    }
    async fn create_mirror_repository(&self, _: &str, _: &str, _: &str) -> Result<CreateOutcome, Fault> {
        unused()
    }
    async fn delete_repository(&self, _: &str) -> Result<(), Fault> {
        unused()
    }
    async fn metadata(&self, _: &str) -> Result<BTreeMap<String, String>, Fault> {
        Ok(self.marks.lock().unwrap().clone())
    }
    async fn set_metadata(&self, _: &str, _: &BTreeMap<String, String>) -> Result<(), Fault> {
        unused()
    }
    async fn put_commit(&self, _: &str, _: &CommitRecord) -> Result<CreateOutcome, Fault> {
        unused()
    }
    async fn create_branch(&self, _: &str, _: &str, _: &CommitId, _: bool) -> Result<CreateOutcome, Fault> {
        unused()
    }
    async fn reset_branch(&self, _: &str, _: &str, _: &CommitId) -> Result<(), Fault> {
        unused()
    }
    async fn delete_branch(&self, _: &str, _: &str) -> Result<(), Fault> {
        unused()
    }
    async fn probe_object(&self, repository: &str, _: &CommitId, path: &[u8]) -> Result<SourceObject, Fault> {
        assert_eq!(repository, "sample");
        let path = path.escape_ascii().to_string();
        self.probes.lock().unwrap().push(path.clone());
        if *self.down.lock().unwrap() {
            return Err(Fault { kind: FaultKind::Retry, call: "probe".into(), status: None, message: "down".into() });
        }
        if self.broken.lock().unwrap().contains(&path) {
            let message = "an empty object has content".into();
            return Err(Fault { kind: FaultKind::Contradiction, call: "probe".into(), status: None, message });
        }
        Ok(if self.gone.lock().unwrap().contains(&path) {
            SourceObject::Gone
        } else {
            SourceObject::There { size: None }
        })
    }
}

/// A tree's files, not yet anywhere.
pub(super) struct Files {
    pub(super) id: MetarangeId,
    pub(super) metarange: Bytes,
    pub(super) ranges: Vec<(RangeId, Bytes)>,
}

pub(super) fn entry(address: &str, size: i64) -> Entry {
    let address_type = if address.contains("://") { AddressType::Full } else { AddressType::Relative };
    Entry { address: address.to_owned(), size, address_type, ..Entry::default() }
}

/// A tree with one range for each list of (path, address, size).
pub(super) fn tree(ranges: &[&[(&str, &str, i64)]]) -> Files {
    let ranges: Vec<Vec<_>> = ranges
        .iter()
        .map(|entries| entries.iter().map(|(path, address, size)| (path.as_bytes(), *address, *size)).collect())
        .collect();
    tree_of_bytes(&ranges)
}

/// As [`tree`], with paths of any bytes.
pub(super) fn tree_of_bytes(ranges: &[Vec<(&[u8], &str, i64)>]) -> Files {
    let mut metarange = MetarangeWriter::new();
    let mut files = Vec::new();
    for entries in ranges {
        let mut range = RangeWriter::new();
        for (path, address, size) in entries {
            range.add(path, &entry(address, *size)).unwrap();
        }
        let written = range.finish();
        metarange.add(&written.info).unwrap();
        files.push((written.info.id, Bytes::from(written.bytes)));
    }
    let (id, bytes) = metarange.finish();
    Files { id, metarange: bytes.into(), ranges: files }
}

pub(super) fn id(number: u8) -> CommitId {
    CommitId([number; 32])
}

pub(super) struct World {
    pub(super) clock: Arc<Hand>,
    pub(super) store: Arc<Store>,
    pub(super) source: Arc<SourceLake>,
    pub(super) recorder: Recorder,
    pub(super) status: Arc<Mutex<VerifyStatus>>,
    pub(super) stop: CancellationToken,
    pub(super) running: JoinHandle<()>,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(State::default(), Settings::default()).await
    }

    pub(super) async fn with(state: State, settings: Settings) -> Self {
        let clock = Arc::new(Hand::default());
        let (recorder, _) = recorder::start(state, Box::new(NoDisk), clock.clone()).unwrap();
        let definition = Definition {
            name: "sample-mirror".into(),
            source_repository: "sample".into(),
            source_region: "a".into(),
            region: "b".into(),
            storage_namespace: "s3://there/ns".into(),
            created_ms: 0,
        };
        let source =
            Source { storage_namespace: "s3://here/ns".into(), default_branch: "trunk".into(), creation_date: 1 };
        for ask in [
            MirrorCommand::Define(definition),
            MirrorCommand::IdentifySource(source),
            MirrorCommand::IntendRepository,
            MirrorCommand::RepositoryReady { adopted: false },
        ] {
            recorder.ask(MIRROR, ask).await.unwrap();
        }
        let (store, lake) = (Arc::new(Store::default()), Arc::new(SourceLake::default()));
        let (status, stop) = (Arc::default(), CancellationToken::new());
        let verifier = Verifier {
            mirror: MIRROR,
            recorder: recorder.clone(),
            destination: store.clone(),
            source: lake.clone(),
            clock: clock.clone(),
            entropy: clock.clone(),
            settings,
            status: Arc::clone(&status),
        };
        let running = tokio::spawn(verifier.run(stop.clone()));
        Self { clock, store, source: lake, recorder, status, stop, running }
    }

    pub(super) async fn see(&self, branches: &[(&str, u8)], commits: &[(u8, &[u8], MetarangeId)]) {
        let listed = branches.iter().map(|(name, head)| ((*name).to_owned(), id(*head))).collect();
        let ask = MirrorCommand::ObserveBranches { listed, hidden: BTreeSet::new(), proven_gone: Vec::new() };
        self.recorder.ask(MIRROR, ask).await.unwrap();
        let records = commits.iter().map(|(number, parents, metarange)| CommitRecord {
            id: id(*number),
            parents: parents.iter().copied().map(id).collect(),
            committer: String::new(),
            message: String::new(),
            creation_date: 0,
            metarange: Some(*metarange),
            metadata: BTreeMap::new(),
            generation: i64::from(*number),
            version: 1,
        });
        self.recorder.ask(MIRROR, MirrorCommand::ObserveCommits(records.collect())).await.unwrap();
    }

    pub(super) fn arrive_file(&self, id: impl std::fmt::Display, bytes: &Bytes) {
        self.store.files.lock().unwrap().insert(format!("ns/_lakefs/{id}"), bytes.clone());
    }

    pub(super) fn arrive_files(&self, files: &Files) {
        self.arrive_file(files.id, &files.metarange);
        for (id, bytes) in &files.ranges {
            self.arrive_file(id, bytes);
        }
    }

    pub(super) fn arrive(&self, key: &str, size: u64) {
        self.store.objects.lock().unwrap().insert(("there".into(), format!("ns/{key}")), size);
    }

    pub(super) async fn completeness(&self, tree: MetarangeId) -> Completeness {
        self.look(move |mirror| mirror.trees.metaranges.get(&tree).unwrap().completeness()).await
    }

    pub(super) async fn look<T: Send + 'static>(&self, look: impl FnOnce(&Mirror) -> T + Send + 'static) -> T {
        self.recorder.read(move |state| look(state.mirror(&MIRROR).unwrap())).await.unwrap()
    }

    /// Lets time pass in small steps; everybody gets to run in each.
    pub(super) async fn pass(&self, duration: Duration) {
        let step = Duration::from_millis(50);
        for _ in 0..duration.as_millis() / step.as_millis() {
            self.clock.now.send_modify(|now| *now += step);
            for _ in 0..10 {
                self.recorder.read(|_| ()).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    }

    pub(super) async fn until_grade(&self, tree: MetarangeId, completeness: Completeness) {
        for _ in 0..4_000 {
            if self.completeness(tree).await == completeness {
                return;
            }
            self.pass(Duration::from_millis(50)).await;
        }
        panic!(
            "the tree is {:?} and not {completeness:?}; {:?}",
            self.completeness(tree).await,
            self.status.lock().unwrap()
        );
    }

    pub(super) async fn until_status(&self, what: &str, holds: impl Fn(&VerifyStatus) -> bool) {
        for _ in 0..4_000 {
            if holds(&self.status.lock().unwrap()) {
                return;
            }
            self.pass(Duration::from_millis(50)).await;
        }
        panic!("never {what}: {:?}", self.status.lock().unwrap());
    }

    pub(super) fn asked(&self, key: &str) -> usize {
        self.store.asked.lock().unwrap().iter().filter(|asked| **asked == format!("ns/{key}")).count()
    }
}
