//! Two lakeFS, a gate, an engine and a database that can be switched off.

use super::*;
use async_trait::async_trait;

pub(super) const NOW_MS: u64 = 1_795_451_319_500;

/// A clock that is set by hand, in milliseconds since it began; whoever waits waits no time.
#[derive(Default)]
pub(super) struct Hand(pub(super) AtomicU64);

impl Hand {
    pub(super) fn pass(&self, time: Duration) {
        self.0.fetch_add(time.as_millis() as u64, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for Hand {
    fn wall_ms(&self) -> u64 {
        NOW_MS + self.0.load(Ordering::SeqCst)
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
    async fn sleep(&self, _: Duration) {}
}

#[derive(Default)]
pub(super) struct Counting(AtomicU64);

impl Entropy for Counting {
    fn random_u64(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// Asks for any credentials at all and notes what for.
#[derive(Default)]
pub(super) struct OpenGate(pub(super) Mutex<Vec<String>>);

#[async_trait]
impl Gate for OpenGate {
    async fn check(&self, caller: &Caller, action: Action<'_>) -> Result<User, Denied> {
        self.0.lock().unwrap().push(format!("{action:?}"));
        match &caller.credentials {
            Credentials::Anonymous => Err(Denied::Unauthenticated("error authenticating request".to_owned())),
            _ => Ok(User { name: "admin".to_owned() }),
        }
    }
}

#[derive(Default)]
pub(super) struct Engine(pub(super) Mutex<BTreeMap<Incarnation, Status>>, pub(super) Mutex<Vec<MirrorDefinition>>);

#[async_trait]
impl StatusProvider for Engine {
    async fn status(&self, incarnation: Incarnation) -> Option<Status> {
        self.0.lock().unwrap().get(&incarnation).cloned()
    }
    async fn known(&self) -> Vec<MirrorDefinition> {
        self.1.lock().unwrap().clone()
    }
}

#[derive(Default)]
pub(super) struct Switched {
    inner: Memory,
    pub(super) down: AtomicBool,
}

impl Switched {
    fn up(&self) -> Result<(), Fault> {
        if self.down.load(Ordering::SeqCst) { Err(fault(FaultKind::Retry)) } else { Ok(()) }
    }
}

#[async_trait]
impl Items for Switched {
    fn place(&self) -> &str {
        "test"
    }
    async fn get(&self, key: &str) -> Result<Option<Item>, Fault> {
        self.up()?;
        self.inner.get(key).await
    }
    async fn query(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, Fault> {
        self.up()?;
        self.inner.query(prefix, after, limit).await
    }
    async fn put(&self, key: &str, value: Bytes, expect: Expect) -> Result<u64, PutError> {
        self.up()?;
        self.inner.put(key, value, expect).await
    }
    async fn delete(&self, key: &str, version: u64) -> Result<(), PutError> {
        self.up()?;
        self.inner.delete(key, version).await
    }
}

fn fault(kind: FaultKind) -> Fault {
    Fault { kind, call: "call".to_owned(), status: None, message: "down".to_owned() }
}

/// A lakeFS with some repositories, all with the same metadata and no branches.
#[derive(Default)]
pub(super) struct Fake {
    repositories: BTreeMap<String, Repository>,
    metadata: BTreeMap<String, String>,
    pub(super) down: AtomicBool,
}

impl Fake {
    pub(super) fn of(repositories: &[Repository], metadata: BTreeMap<String, String>) -> Self {
        let repositories = repositories.iter().map(|one| (one.id.clone(), one.clone())).collect();
        Self { repositories, metadata, down: AtomicBool::new(false) }
    }

    fn find(&self, repository: &str) -> Result<&Repository, Fault> {
        if self.down.load(Ordering::SeqCst) {
            return Err(fault(FaultKind::Retry));
        }
        self.repositories.get(repository).ok_or_else(|| fault(FaultKind::Absent))
    }
}

#[async_trait]
impl Lakefs for Fake {
    fn endpoint(&self) -> &str {
        "http://fake"
    }
    async fn repository(&self, repository: &str) -> Result<Repository, Fault> {
        self.find(repository).cloned()
    }
    async fn branches(&self, repository: &str, _: bool) -> Result<Vec<BranchHead>, Fault> {
        self.find(repository).map(|_| Vec::new())
    }
    async fn metadata(&self, repository: &str) -> Result<BTreeMap<String, String>, Fault> {
        self.find(repository).map(|_| self.metadata.clone())
    }
    async fn branch(&self, _: &str, _: &str) -> Result<CommitId, Fault> {
        unreachable!()
    }
    async fn commit(&self, _: &str, _: &CommitId) -> Result<CommitRecord, Fault> {
        unreachable!()
    }
    async fn log(&self, _: &str, _: &CommitId, _: usize) -> Result<Vec<CommitRecord>, Fault> {
        unreachable!()
    }
    async fn create_mirror_repository(&self, _: &str, _: &str, _: &str) -> Result<CreateOutcome, Fault> {
        unreachable!("the service changes nothing")
    }
    async fn delete_repository(&self, _: &str) -> Result<(), Fault> {
        unreachable!("the service changes nothing")
    }
    async fn set_metadata(&self, _: &str, _: &BTreeMap<String, String>) -> Result<(), Fault> {
        unreachable!("the service changes nothing")
    }
    async fn put_commit(&self, _: &str, _: &CommitRecord) -> Result<CreateOutcome, Fault> {
        unreachable!("the service changes nothing")
    }
    async fn create_branch(&self, _: &str, _: &str, _: &CommitId, _: bool) -> Result<CreateOutcome, Fault> {
        unreachable!("the service changes nothing")
    }
    async fn reset_branch(&self, _: &str, _: &str, _: &CommitId) -> Result<(), Fault> {
        unreachable!("the service changes nothing")
    }
    async fn delete_branch(&self, _: &str, _: &str) -> Result<(), Fault> {
        unreachable!("the service changes nothing")
    }
    async fn probe_object(&self, _: &str, _: &CommitId, _: &[u8]) -> Result<SourceObject, Fault> {
        unreachable!()
    }
}

pub(super) fn repository(id: &str, storage_namespace: &str, read_only: bool) -> Repository {
    Repository {
        id: id.to_owned(),
        creation_date: 1,
        default_branch: "main".to_owned(),
        storage_namespace: storage_namespace.to_owned(),
        read_only,
    }
}

pub(super) fn caller() -> Caller {
    let (access_key_id, secret_access_key) = ("AKIA".to_owned(), lakemirror_api::server::Hidden::new("secret"));
    let credentials = Credentials::Basic { access_key_id, secret_access_key };
    Caller { credentials, forwarded_for: None, real_ip: None, peer: None }
}

pub(super) fn creation(name: &str) -> MirrorCreation {
    MirrorCreation {
        name: name.to_owned(),
        region: "us-west-2".to_owned(),
        storage_namespace: "s3://west/sample".to_owned(),
    }
}

pub(super) fn creation_in(name: &str, namespace: &str) -> MirrorCreation {
    MirrorCreation { storage_namespace: namespace.to_owned(), ..creation(name) }
}

pub(super) fn new_mirror(name: &str) -> NewMirror {
    NewMirror {
        name: name.to_owned(),
        incarnation: Incarnation([1; 16]),
        source_repository: "sample".to_owned(),
        source_region: "us-east-1".to_owned(),
        region: "us-west-2".to_owned(),
        storage_namespace: "s3://west/sample".to_owned(),
        created_by: "admin".to_owned(),
        source_store: StoreIdentity::Unknown,
    }
}

pub(super) fn store(endpoint: &str) -> StoreIdentity {
    StoreIdentity::S3 { endpoint: endpoint.to_owned(), machine: None }
}

/// The service and handles on what is behind it.
pub(super) struct Rig {
    pub(super) service: MirrorService,
    pub(super) records: Arc<Records>,
    pub(super) items: Arc<Switched>,
    pub(super) east: Arc<Fake>,
    pub(super) west: Arc<Fake>,
    pub(super) gate: Arc<OpenGate>,
    pub(super) engine: Arc<Engine>,
    pub(super) clock: Arc<Hand>,
    /// How many mirrors there are before the refused call.
    pub(super) before: usize,
}

impl Rig {
    pub(super) fn of(parts: Parts) -> Self {
        Self { records: Arc::clone(&parts.records), service: MirrorService::new(parts), ..rig() }
    }
}

/// A clock during whose naps a process of another region beats.
pub(super) struct HeartbeatTask {
    pub(super) records: Arc<Records>,
    pub(super) region: &'static str,
    pub(super) count: AtomicU64,
}

#[async_trait]
impl Clock for HeartbeatTask {
    fn wall_ms(&self) -> u64 {
        NOW_MS
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
    async fn sleep(&self, _: Duration) {
        let count = self.count.fetch_add(1, Ordering::SeqCst);
        self.records.beat(self.region, &heartbeat(count)).await.unwrap();
    }
}

pub(super) fn heartbeat(count: u64) -> lakemirror_ports::Heartbeat {
    let text = str::to_owned;
    let (process, node, about) = (text("p"), text("n"), text("pod-far"));
    lakemirror_ports::Heartbeat { process, node, about, count, ended: false }
}

fn visible(lakefs: Arc<Fake>) -> Region {
    Region { visible: Some(Visible { lakefs, blockstore: Blockstore { scheme: Scheme::S3, identity: store("west") } }) }
}

pub(super) fn rig() -> Rig {
    let east = Fake::of(
        &[repository("sample", "s3://east/sample", false), repository("empty", "s3://east/empty", false)],
        BTreeMap::new(),
    );
    let (east, west) = (Arc::new(east), Arc::new(Fake::default()));
    let (items, gate, engine) = (Arc::<Switched>::default(), Arc::<OpenGate>::default(), Arc::<Engine>::default());
    let clock = Arc::<Hand>::default();
    let records = Arc::new(Records::new(items.clone(), clock.clone()));
    let destinations = BTreeMap::from([
        ("us-west-2".to_owned(), visible(west.clone())),
        ("eu-north-1".to_owned(), Region { visible: None }),
    ]);
    let service = MirrorService::new(Parts {
        region: "us-east-1".to_owned(),
        lakefs: east.clone(),
        blockstore: Blockstore { scheme: Scheme::S3, identity: store("east") },
        sources: BTreeMap::from([
            ("us-east-1".to_owned(), east.clone() as Arc<dyn Lakefs>),
            ("us-west-2".to_owned(), west.clone() as Arc<dyn Lakefs>),
        ]),
        destinations,
        gate: gate.clone(),
        records: records.clone(),
        status: engine.clone(),
        alarm: Alarm::default(),
        clock: clock.clone(),
        entropy: Arc::new(Counting::default()),
    });
    Rig { service, records, items, east, west, gate, engine, clock, before: 0 }
}

pub(super) fn parts() -> Parts {
    rig().service.parts
}

pub(super) fn parts_with_west(repositories: &[Repository], metadata: BTreeMap<String, String>) -> Parts {
    let mut parts = parts();
    parts.destinations.insert("us-west-2".to_owned(), visible(Arc::new(Fake::of(repositories, metadata))));
    parts
}
