//! The service on such a table: three regions, each with a lakeFS and a process, that share nothing else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lakemirror::clock::Clock as _;
use lakemirror::clock::system::{OsEntropy, SystemClock};
use lakemirror::config::Config;
use lakemirror::mirrors::records::Records;
use lakemirror::run::{self, RunError};
use lakemirror::sandbox::lake::{Attributes, CreateRepository, NewCommit};
use lakemirror::sandbox::replication::{Behaviour, Replication};
use lakemirror::sandbox::{self, Sandbox};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::REGIONS;
use super::replicator::Replicator;
use crate::engine::{nap, until};
use crate::several::call;

struct Site {
    lakefs: Sandbox,
    url: String,
    address: String,
    stop: CancellationToken,
    serving: Option<JoinHandle<Result<(), RunError>>>,
}

/// Three regions; messages between their copies of the table arrive late, out of order and repeatedly.
struct World {
    dir: tempfile::TempDir,
    table: Arc<Replicator>,
    sites: Vec<Site>,
}

impl World {
    async fn open() -> Self {
        let (dir, table, mut sites) = (tempfile::tempdir().unwrap(), Replicator::new(&REGIONS), Vec::new());
        for region in REGIONS {
            let options = sandbox::Options { caches: false, ..sandbox::Options::new(dir.path().join(region)) };
            let lakefs = Sandbox::open(options, Arc::new(SystemClock::new()), Arc::new(OsEntropy)).unwrap();
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let serving = lakefs.clone();
            tokio::spawn(async move { serving.serve(listener, std::future::pending()).await });
            let stop = CancellationToken::new();
            sites.push(Site { lakefs, url, address: String::new(), stop, serving: None });
        }
        let mut world = Self { dir, table, sites };
        for region in 0..REGIONS.len() {
            world.start(region).await;
        }
        let table = Arc::clone(&world.table);
        tokio::spawn(async move {
            for draw in 1usize.. {
                let number = draw.wrapping_mul(2_654_435_761);
                table.deliver(number >> 3, number % 11 == 0);
                SystemClock::new().sleep(Duration::from_millis(3)).await;
            }
        });
        world
    }

    fn config(&self, region: usize) -> Config {
        let others: Vec<String> = (0..REGIONS.len())
            .filter(|other| *other != region)
            .map(|other| format!("{}: '{}'", REGIONS[other], self.sites[other].url))
            .collect();
        let (root, name) = (self.dir.path().display(), REGIONS[region]);
        let text = format!(
            "region: {name}\norganization_id: acme\nregional_endpoint: {}\ndst_endpoints: {{ {} }}\n\
             lakefs_access_key_id: {}\nlakefs_secret_access_key: {}\nauth: {{ encrypt: {{ secret_key: {} }} }}\n\
             mirrors_database: {{ type: local, local: {{ path: {root}/{name}-unused }} }}\n\
             mirrors_manager: {{ process_mirrors_interval_duration: 1s }}\n\
             blockstore: {{ type: local, local: {{ path: {} }} }}\njournal: {{ path: {root}/{name}-journal }}\n\
             commit_sensor: {{ process_branches_duration: 200ms }}\n",
            self.sites[region].url,
            others.join(", "),
            sandbox::EXAMPLE_ACCESS_KEY_ID,
            sandbox::EXAMPLE_SECRET_ACCESS_KEY,
            sandbox::EXAMPLE_SECRET_KEY,
            self.sites[region].lakefs.lake().blocks_root().display(),
        );
        Config::parse(Path::new("test.yaml"), &text, &BTreeMap::new()).unwrap().0
    }

    /// Starts a region's process with its copy of the table.
    async fn start(&mut self, region: usize) {
        let clock = Arc::new(SystemClock::new());
        let mut ports = run::connect(&self.config(region), clock.clone(), Arc::new(OsEntropy)).await.unwrap();
        ports.records = Arc::new(Records::new(self.table.copy(region), clock));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let site = &mut self.sites[region];
        site.address = listener.local_addr().unwrap().to_string();
        site.stop = CancellationToken::new();
        site.serving = Some(tokio::spawn(run::serve(ports, listener, site.stop.clone())));
    }

    async fn stop(&mut self, region: usize) {
        self.sites[region].stop.cancel();
        self.sites[region].serving.take().unwrap().await.unwrap().unwrap();
    }

    /// A repository of a region, whose bucket prefix is copied to other regions, each with its own bucket.
    fn repository(&self, region: usize, name: &str, copies: &[(usize, &str)]) {
        let storage_namespace = format!("local://data/{name}");
        let wanted = CreateRepository { name: name.into(), storage_namespace, ..CreateRepository::default() };
        self.sites[region].lakefs.lake().create_repository(wanted).unwrap();
        for (to, bucket) in copies {
            let quick = Duration::from_millis(20);
            let behaviour =
                Behaviour { scan_every: quick, delay_min: Duration::ZERO, delay_max: quick, ..Behaviour::default() };
            let at =
                |site: &Site, bucket: &str| -> PathBuf { site.lakefs.lake().blocks_root().join(bucket).join(name) };
            let (from, into) = (at(&self.sites[region], "data"), at(&self.sites[*to], bucket));
            std::fs::create_dir_all(&from).unwrap();
            let log = self.dir.path().join(format!("copies-{name}-{to}-{bucket}"));
            let clock = Arc::new(SystemClock::new());
            let copying = Replication::new(from, into, log, behaviour, clock, Arc::new(OsEntropy)).unwrap();
            tokio::spawn(Arc::new(copying).run(CancellationToken::new(), |_| {}));
        }
    }

    fn push(&self, region: usize, repository: &str, path: &str) -> String {
        let lake = self.sites[region].lakefs.lake();
        let mut upload = lake.begin_upload(repository, "main").unwrap();
        upload.pending.write(path.as_bytes()).unwrap();
        let about = Attributes { size: path.len() as i64, checksum: path.to_owned(), ..Attributes::default() };
        lake.finish_upload(upload, "main", path, about).unwrap();
        let wanted = NewCommit { message: "again".into(), ..NewCommit::default() };
        lake.commit_branch(repository, "main", wanted).unwrap().id.clone()
    }

    async fn call(&self, region: usize, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        call(&self.sites[region].address, method, path, body).await
    }

    /// Creates a mirror at the source's region; returns the last response that does not come from a starting process.
    async fn ask(&self, from: usize, repository: &str, to: usize, mirror: &str, bucket: &str) -> (u16, Value) {
        let namespace = format!("local://{bucket}/{repository}");
        let body = json!({"name": mirror, "region": REGIONS[to], "storage_namespace": namespace});
        let path = format!("/repositories/{repository}/mirrors");
        for _ in 0..500 {
            match self.call(from, "POST", &path, Some(body.clone())).await {
                (503, _) => nap().await,
                answer => return answer,
            }
        }
        panic!("no answer");
    }

    async fn create(&self, from: usize, repository: &str, to: usize, mirror: &str, bucket: &str) {
        let (status, said) = self.ask(from, repository, to, mirror, bucket).await;
        assert_eq!(status, 201, "{said:#}");
    }

    fn head(&self, region: usize, mirror: &str) -> Option<String> {
        self.sites[region].lakefs.lake().get_branch(mirror, "main").ok()
    }

    fn mark(&self, region: usize, mirror: &str) -> Option<String> {
        self.sites[region].lakefs.lake().metadata(mirror).ok()?.get("lakemirror.incarnation").cloned()
    }

    async fn promoted(&self, region: usize, mirror: &str, commit: &str) {
        let what = format!("{mirror} of {} at {commit}", REGIONS[region]);
        until(&what, || (self.head(region, mirror).as_deref() == Some(commit)).then_some(())).await;
    }

    /// Waits until the source's region reports that a mirror shows a commit.
    async fn told(&self, from: usize, repository: &str, mirror: &str, commit: &str) {
        let path = format!("/repositories/{repository}/mirrors/{mirror}");
        for attempt in 0..4000 {
            let (status, said) = self.call(from, "GET", &path, None).await;
            // Its age is not known before a new heartbeat of the driver was read.
            let shown = status == 200 && said["branches"][0]["promoted_commit_id"] == commit;
            if shown && said["status_age_seconds"].is_number() {
                return;
            }
            assert!(attempt < 3000, "{status} {said:#}");
            nap().await;
        }
    }
}

const EAST: usize = 0;
const WEST: usize = 1;
const EU: usize = 2;

/// One source to two regions and twice to one of them, two sources to one region, both directions between two regions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_topology_at_once_in_three_regions() {
    let world = World::open().await;
    world.repository(EAST, "sales", &[(WEST, "data"), (WEST, "second"), (EU, "data")]);
    world.repository(EU, "stock", &[(WEST, "data")]);
    world.repository(WEST, "ledger", &[(EAST, "data")]);
    let heads = [world.push(EAST, "sales", "a"), world.push(EU, "stock", "a"), world.push(WEST, "ledger", "a")];
    let mirrors = [
        (EAST, "sales", WEST, "sales-west", "data", 0),
        (EAST, "sales", WEST, "sales-west-2", "second", 0),
        (EAST, "sales", EU, "sales-eu", "data", 0),
        (EU, "stock", WEST, "stock-west", "data", 1),
        (WEST, "ledger", EAST, "ledger-east", "data", 2),
    ];
    for (from, repository, to, mirror, bucket, _) in mirrors {
        world.create(from, repository, to, mirror, bucket).await;
    }
    for (from, repository, to, mirror, _, head) in mirrors {
        world.promoted(to, mirror, &heads[head]).await;
        world.told(from, repository, mirror, &heads[head]).await;
    }

    let (status, said) = world.ask(WEST, "sales-west", EU, "chain", "data").await;
    assert_eq!(status, 400, "a mirror of a mirror: {said:#}");
    assert!(said["message"].as_str().unwrap().contains("mirror"), "{said:#}");

    // One region is partitioned from the others' table: what it knows continues, what it is told comes later.
    world.table.cut(EAST, EU, true);
    world.table.cut(WEST, EU, true);
    let sales = world.push(EAST, "sales", "b");
    for (to, mirror) in [(WEST, "sales-west"), (WEST, "sales-west-2"), (EU, "sales-eu")] {
        world.promoted(to, mirror, &sales).await;
    }
    world.told(EAST, "sales", "sales-west", &sales).await;
    world.table.cut(EAST, EU, false);
    world.table.cut(WEST, EU, false);
    world.told(EAST, "sales", "sales-eu", &sales).await;
}

/// A mirror is deleted and created again while the destination is partitioned, and its process dies meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mirror_is_deleted_and_created_again_during_a_partition() {
    let mut world = World::open().await;
    world.repository(EAST, "sales", &[(WEST, "data")]);
    let first = world.push(EAST, "sales", "a");
    world.create(EAST, "sales", WEST, "again", "data").await;
    world.promoted(WEST, "again", &first).await;
    let old = world.mark(WEST, "again").unwrap();

    world.table.cut(EAST, WEST, true);
    assert_eq!(world.call(EAST, "DELETE", "/repositories/sales/mirrors/again", None).await.0, 204);
    assert_eq!(world.call(EAST, "GET", "/repositories/sales/mirrors/again", None).await.0, 404);
    world.create(EAST, "sales", WEST, "again", "data").await;
    let second = world.push(EAST, "sales", "b");
    // The destination has not learned of it, so the old mirror continues, as it must.
    world.promoted(WEST, "again", &second).await;
    assert_eq!(world.mark(WEST, "again").as_ref(), Some(&old));
    world.stop(WEST).await;
    world.table.cut(EAST, WEST, false);
    world.start(WEST).await;
    let new = until("the new mirror is marked", || world.mark(WEST, "again").filter(|mark| *mark != old)).await;
    world.promoted(WEST, "again", &second).await;
    world.told(EAST, "sales", "again", &second).await;

    // Late repetitions of all earlier messages change nothing.
    for pick in 0..3000 {
        world.table.deliver(pick, true);
    }
    let third = world.push(EAST, "sales", "c");
    world.promoted(WEST, "again", &third).await;
    assert_eq!(world.mark(WEST, "again"), Some(new));
    assert_eq!(world.call(EAST, "DELETE", "/repositories/sales/mirrors/again", None).await.0, 204);
    until("the mirror is gone", || world.mark(WEST, "again").is_none().then_some(())).await;
}
