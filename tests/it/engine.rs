//! The engine with its production wiring: two sandboxes over loopback HTTP, a replication that can be held, and
//! `run::serve` with a parsed configuration. The assertions are about what the mirror's lakeFS shows and the
//! destination bucket contains. Every wait is bounded; nothing depends on timing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lakemirror::clock::Clock as _;
use lakemirror::clock::system::{OsEntropy, SystemClock};
use lakemirror::config::Config;
use lakemirror::run::{self, RunError};
use lakemirror::sandbox::faults::{Fault, Rule};
use lakemirror::sandbox::lake::{Attributes, CreateBranch, CreateRepository, Listed, NewCommit, Page};
use lakemirror::sandbox::replication::{Behaviour, Replication};
use lakemirror::sandbox::{self, Sandbox};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::several::call;

/// Maximum time of any wait.
const PATIENCE: Duration = Duration::from_secs(40);

/// Two lakeFS installations, and the replication between their buckets.
pub(crate) struct Pair {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) east: Sandbox,
    pub(crate) west: Sandbox,
    pub(crate) urls: [String; 2],
    replication: Arc<Replication>,
}

async fn open(dir: PathBuf) -> (Sandbox, String) {
    let options = sandbox::Options { caches: false, ..sandbox::Options::new(dir) };
    let sandbox = Sandbox::open(options, Arc::new(SystemClock::new()), Arc::new(OsEntropy)).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = sandbox.clone();
    tokio::spawn(async move { serving.serve(listener, std::future::pending()).await });
    (sandbox, url)
}

impl Pair {
    pub(crate) async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (east, east_url) = open(dir.path().join("east")).await;
        let (west, west_url) = open(dir.path().join("west")).await;
        let quick = Duration::from_millis(20);
        let behaviour =
            Behaviour { scan_every: quick, delay_min: Duration::ZERO, delay_max: quick, ..Behaviour::default() };
        let (from, to) = (east.lake().blocks_root(), west.lake().blocks_root());
        let clock = Arc::new(SystemClock::new());
        let replication =
            Replication::new(from, to, dir.path().join("copies"), behaviour, clock, Arc::new(OsEntropy)).unwrap();
        let replication = Arc::new(replication);
        tokio::spawn(Arc::clone(&replication).run(CancellationToken::new(), |_| {}));
        Self { dir, east, west, urls: [east_url, west_url], replication }
    }

    pub(crate) fn create(&self, repository: &str) {
        let storage_namespace = format!("local://data/{repository}");
        let wanted = CreateRepository { name: repository.into(), storage_namespace, ..CreateRepository::default() };
        self.east.lake().create_repository(wanted).unwrap();
    }

    pub(crate) fn put(&self, repository: &str, branch: &str, path: &str) {
        let mut upload = self.east.lake().begin_upload(repository, branch).unwrap();
        upload.pending.write(path.as_bytes()).unwrap();
        let about = Attributes { size: path.len() as i64, checksum: path.to_owned(), ..Attributes::default() };
        self.east.lake().finish_upload(upload, branch, path, about).unwrap();
    }

    /// Uploads an object that does not arrive until the returned key is released.
    async fn put_held(&self, repository: &str, branch: &str, path: &str) -> String {
        let all = format!("data/{repository}/data/*");
        let before = self.replication.held();
        self.replication.hold(&*all);
        self.put(repository, branch, path);
        let new = || self.replication.held().into_iter().find(|key| !before.contains(key));
        let key = until("the object is held", new).await;
        self.replication.hold(&*key);
        self.replication.release(&all);
        key
    }

    fn commit(&self, repository: &str, branch: &str) -> String {
        let wanted = NewCommit { message: "m".into(), allow_empty: true, ..NewCommit::default() };
        self.east.lake().commit_branch(repository, branch, wanted).unwrap().id.clone()
    }

    pub(crate) fn push(&self, repository: &str, branch: &str, path: &str) -> String {
        self.put(repository, branch, path);
        self.commit(repository, branch)
    }

    pub(crate) fn branch(&self, repository: &str, name: &str, from: &str, hidden: bool) {
        let wanted = CreateBranch { name: name.into(), source: from.into(), hidden, ..CreateBranch::default() };
        self.east.lake().create_branch(repository, wanted).unwrap();
    }

    pub(crate) fn head(&self, mirror: &str, branch: &str) -> Option<String> {
        self.west.lake().get_branch(mirror, branch).ok()
    }

    /// Waits until a branch of a mirror is at a commit, and checks each of its objects.
    pub(crate) async fn promoted(&self, mirror: &str, branch: &str, commit: &str) {
        let what = format!("{branch} of {mirror} is at {commit}");
        until(&what, || (self.head(mirror, branch).as_deref() == Some(commit)).then_some(())).await;
        self.complete(mirror, commit);
    }

    /// Asserts that every object of a commit is in the destination's bucket, with its size.
    fn complete(&self, mirror: &str, commit: &str) {
        let lake = self.west.lake();
        let repository = lake.repository(mirror).unwrap();
        let page = Page { amount: 100_000, ..Page::default() };
        for line in lake.list(mirror, commit, &page, "").unwrap().lines {
            let Listed::Item(path, entry) = line else { continue };
            let found = std::fs::metadata(lake.file_of(&repository, &entry).unwrap());
            assert_eq!(found.map(|file| file.len()).ok(), Some(entry.size as u64), "{path} of {commit}");
        }
    }

    /// Starts a service for the pair, with additional settings.
    pub(crate) async fn serve(&self, more: &str) -> Service {
        let start = || async {
            let config = self.config(more);
            let ports = run::connect(&config, Arc::new(SystemClock::new()), Arc::new(OsEntropy)).await.ok()?;
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let stop = CancellationToken::new();
            let task = tokio::spawn(run::serve(ports, listener, stop.clone()));
            let service = Service { address, stop, task };
            // The previous service may still be closing its files: then this one fails at once.
            loop {
                if service.task.is_finished() {
                    return None;
                }
                if service.call("GET", "/repositories/none/mirrors", None).await.0 != 503 {
                    return Some(service);
                }
                nap().await;
            }
        };
        for _ in 0..400 {
            if let Some(service) = start().await {
                return service;
            }
            nap().await;
        }
        panic!("the service does not start");
    }

    pub(crate) fn config(&self, more: &str) -> Config {
        let [east, west] = &self.urls;
        let (root, blocks) =
            (self.dir.path().display(), |sandbox: &Sandbox| sandbox.lake().blocks_root().display().to_string());
        let (east_blocks, west_blocks) = (blocks(&self.east), blocks(&self.west));
        let text = format!(
            "region: east\norganization_id: acme\nregional_endpoint: {east}\ndst_endpoints: {{ west: '{west}' }}\n\
             lakefs_access_key_id: {}\nlakefs_secret_access_key: {}\nauth: {{ encrypt: {{ secret_key: {} }} }}\n\
             mirrors_database: {{ type: local, local: {{ path: {root}/mirrors }} }}\n\
             blockstore: {{ type: local, local: {{ path: {east_blocks} }} }}\n\
             also_serves: {{ west: {{ blockstore: {{ type: local, local: {{ path: {west_blocks} }} }} }} }}\n\
             journal: {{ path: {root}/journal }}\ncommit_sensor: {{ process_branches_duration: 100ms }}\n{more}",
            sandbox::EXAMPLE_ACCESS_KEY_ID,
            sandbox::EXAMPLE_SECRET_ACCESS_KEY,
            sandbox::EXAMPLE_SECRET_KEY,
        );
        Config::parse(Path::new("test.yaml"), &text, &BTreeMap::new()).unwrap().0
    }
}

/// A running service.
pub(crate) struct Service {
    address: String,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), RunError>>,
}

impl Service {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        call(&self.address, method, path, body).await
    }

    pub(crate) async fn mirror(&self, repository: &str, mirror: &str) -> u16 {
        let namespace = format!("local://data/{repository}");
        let body = json!({"name": mirror, "region": "west", "storage_namespace": namespace});
        self.call("POST", &format!("/repositories/{repository}/mirrors"), Some(body)).await.0
    }

    /// Waits until the status of a branch is as expected.
    pub(crate) async fn status(
        &self,
        repository: &str,
        mirror: &str,
        branch: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let path = format!("/repositories/{repository}/mirrors/{mirror}");
        let mut last = Value::Null;
        for _ in 0..PATIENCE.as_millis() / 20 {
            last = self.call("GET", &path, None).await.1;
            let found = last["branches"].as_array().into_iter().flatten().find(|other| other["id"] == branch);
            if let Some(found) = found.filter(|found| wanted(found)) {
                return found.clone();
            }
            nap().await;
        }
        panic!("the status of {branch} of {mirror} does not become what it should: {last:#}");
    }
}

pub(crate) async fn nap() {
    SystemClock::new().sleep(Duration::from_millis(20)).await;
}

pub(crate) async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..PATIENCE.as_millis() / 20 {
        if let Some(found) = look() {
            return found;
        }
        nap().await;
    }
    panic!("it does not come to it that {what}");
}

fn waits(branch: &Value) -> bool {
    branch["state"] == "waiting" && branch["source_commit_id"] != branch["promoted_commit_id"]
}

fn kinds(branch: &Value) -> Vec<&str> {
    branch["waiting"].as_array().into_iter().flatten().filter_map(|waiting| waiting["kind"].as_str()).collect()
}

pub(crate) fn rule(method: &str, path: &str, fault: Fault, times: Option<u64>) -> Rule {
    Rule { method: Some(method.into()), path: format!("/api/v1/repositories/{path}"), fault, skip: 0, times }
}

pub(crate) fn status(code: u16, message: &str) -> Fault {
    Fault::Status { code, message: message.into() }
}

pub(crate) fn calls(sandbox: &Sandbox, route: &str) -> u64 {
    sandbox.faults().calls().get(route).copied().unwrap_or(0)
}

/// Waits until a route was called this many more times.
pub(crate) async fn called(sandbox: &Sandbox, route: &str, more: u64) {
    let from = calls(sandbox, route);
    until(route, || (calls(sandbox, route) >= from + more).then_some(())).await;
}

const LISTING: &str = "GET /api/v1/repositories/*/branches";
const RECORDS: &str = "POST /api/v1/repositories/*/commits";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn branches_follow_the_source_when_their_own_objects_are_there() {
    let pair = Pair::open().await;
    pair.create("one");
    let service = pair.serve("").await;
    assert_eq!(service.mirror("one", "one-m").await, 201);
    assert_eq!(service.mirror("one", "one-m").await, 409);
    let first = pair.push("one", "main", "a");
    pair.promoted("one-m", "main", &first).await;

    // A held object holds only its own branch.
    pair.branch("one", "dev", "main", false);
    let key = pair.put_held("one", "main", "held").await;
    let stuck = pair.commit("one", "main");
    let dev = pair.push("one", "dev", "b");
    pair.promoted("one-m", "dev", &dev).await;
    let waiting = service.status("one", "one-m", "main", waits).await;
    assert_eq!((&waiting["source_commit_id"], &waiting["promoted_commit_id"]), (&json!(stuck), &json!(first)));
    assert_eq!(pair.head("one-m", "main").as_ref(), Some(&first));

    // A hard reset past the stuck head is followed, and so are later commits; the stuck head never appears.
    pair.east.lake().hard_reset("one", "main", &first, false).unwrap();
    let newer = pair.push("one", "main", "c");
    pair.promoted("one-m", "main", &newer).await;
    pair.replication.release(&key);

    // Hidden branches stay hidden.
    pair.branch("one", "hid", "main", true);
    pair.promoted("one-m", "hid", &newer).await;
    let shown = pair.west.lake().branches("one-m", &Page { amount: 100, ..Page::default() }, false).unwrap().0;
    assert!(shown.iter().all(|(name, _)| name != "hid"), "{shown:?}");

    // An ancestor whose object does not exist at the source either is skipped.
    pair.put_held("one", "main", "gone").await;
    let expired = pair.commit("one", "main");
    let (lake, repository) = (pair.east.lake(), pair.east.lake().repository("one").unwrap());
    let entry = lake.entry("one", "main", "gone").unwrap();
    std::fs::remove_file(lake.file_of(&repository, &entry).unwrap()).unwrap();
    lake.delete_object("one", "main", "gone", false).unwrap();
    let after = pair.commit("one", "main");
    pair.promoted("one-m", "main", &after).await;
    assert!(pair.west.lake().get_commit("one-m", &expired).is_ok(), "its record is there");

    // Back to an earlier head; and a commit that cannot be mirrored delays only its own branch.
    pair.east.lake().hard_reset("one", "main", &newer, false).unwrap();
    pair.promoted("one-m", "main", &newer).await;
    pair.branch("one", "fat", "main", false);
    let fat = NewCommit { message: "m".repeat(200_000), allow_empty: true, ..NewCommit::default() };
    pair.east.lake().commit_branch("one", "fat", fat).unwrap();
    called(&pair.east, LISTING, 3).await;
    let last = pair.push("one", "main", "d");
    pair.promoted("one-m", "main", &last).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn branch_is_removed_only_with_proof_of_its_deletion() {
    let pair = Pair::open().await;
    pair.create("two");
    let service = pair.serve("deletion: { grace: 200ms }\n").await;
    assert_eq!(service.mirror("two", "two-m").await, 201);
    let head = pair.push("two", "main", "a");
    for name in ["x", "y", "z"] {
        pair.branch("two", name, "main", false);
    }
    for name in ["main", "x", "y", "z"] {
        pair.promoted("two-m", name, &head).await;
    }

    // Listings that fail, in whatever way, prove nothing.
    let (lake, faults) = (pair.east.lake(), pair.east.faults());
    for fault in [status(500, "no"), status(404, "repository not found"), Fault::Drop] {
        faults.add(rule("GET", "two/branches", fault, None));
        lake.delete_branch("two", "x", false).ok();
        called(&pair.east, LISTING, 4).await;
        assert_eq!(pair.head("two-m", "x").as_ref(), Some(&head));
        faults.clear();
        pair.branch("two", "x", "main", false);
    }
    // Nor does a 404 for a branch whose message is about something else; and it delays no other branch.
    faults.add(rule("GET", "two/branches/y", status(404, "repository not found"), None));
    faults.add(rule("GET", "two/branches/y", status(500, "no"), None));
    lake.delete_branch("two", "y", false).unwrap();
    let moved = pair.push("two", "main", "b");
    pair.promoted("two-m", "main", &moved).await;
    called(&pair.east, "GET /api/v1/repositories/*/branches/*", 6).await;
    assert_eq!(pair.head("two-m", "y").as_ref(), Some(&head));
    faults.clear();
    until("y is gone", || pair.head("two-m", "y").is_none().then_some(())).await;

    // A branch that comes back while it is being removed is mirrored again.
    pair.west.faults().add(rule("DELETE", "two-m/branches/z", Fault::Delay { ms: 1500 }, Some(1)));
    let deleting = "DELETE /api/v1/repositories/*/branches/*";
    let before = calls(&pair.west, deleting);
    lake.delete_branch("two", "z", false).unwrap();
    until("z is being removed", || (calls(&pair.west, deleting) > before).then_some(())).await;
    pair.branch("two", "z", "main", false);
    pair.promoted("two-m", "z", &moved).await;
    assert_eq!(pair.head("two-m", "x").as_ref(), Some(&head), "x was there all along");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mirror_recovers_from_errors_restarts_and_losses() {
    let pair = Pair::open().await;
    pair.create("three");
    let west = pair.west.faults();
    west.add(rule("POST", "three-m/commits", status(500, "no"), Some(4)));
    west.add(rule("POST", "three-m/commits", Fault::LoseAnswer, Some(1)));
    west.add(rule("POST", "three-m/branches", Fault::LoseAnswer, Some(1)));
    west.add(rule("PUT", "three-m/branches/*", Fault::LoseAnswer, Some(1)));
    let service = pair.serve("").await;
    let first = pair.push("three", "main", "a");
    assert_eq!(service.mirror("three", "three-m").await, 201);
    pair.promoted("three-m", "main", &first).await;
    let second = pair.push("three", "main", "b");
    pair.promoted("three-m", "main", &second).await;
    service.status("three", "three-m", "main", |main| main["state"] == "synced").await;
    service.stop().await;

    // A restart writes no commit record again.
    let records = calls(&pair.west, RECORDS);
    let service = pair.serve("").await;
    let third = pair.push("three", "main", "c");
    pair.promoted("three-m", "main", &third).await;
    assert_eq!(calls(&pair.west, RECORDS), records + 1);

    // If the source is lost, what was observed is still promoted.
    let key = pair.put_held("three", "main", "d").await;
    let fourth = pair.commit("three", "main");
    service.status("three", "three-m", "main", |main| waits(main) && kinds(main) == ["objects"]).await;
    pair.east.faults().set_unreachable(true);
    pair.replication.release(&key);
    pair.promoted("three-m", "main", &fourth).await;
    pair.east.faults().set_unreachable(false);
    service.stop().await;

    // If the journal is lost, the mirror is adopted as it is and continues from there.
    std::fs::remove_dir_all(pair.dir.path().join("journal")).unwrap();
    let key = pair.put_held("three", "main", "e").await;
    let fifth = pair.commit("three", "main");
    let service = pair.serve("").await;
    service.status("three", "three-m", "main", |main| main["source_commit_id"] == json!(fifth)).await;
    called(&pair.east, LISTING, 3).await;
    assert_eq!(pair.head("three-m", "main").as_ref(), Some(&fourth));
    pair.replication.release(&key);
    pair.promoted("three-m", "main", &fifth).await;

    // Another writer moves the branch: it is reported and left alone, or restored if configured.
    pair.west.lake().hard_reset("three-m", "main", &first, true).unwrap();
    let sixth = pair.push("three", "main", "f");
    service.status("three", "three-m", "main", |main| main["state"] == "diverged").await;
    assert_eq!(pair.head("three-m", "main").as_ref(), Some(&first));
    service.stop().await;
    let service = pair.serve("promotion: { on_divergence: restore }\n").await;
    pair.promoted("three-m", "main", &sixth).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sizes_and_imports_count_as_configured() {
    let pair = Pair::open().await;
    pair.create("four");
    let service = pair.serve("").await;
    assert_eq!(service.mirror("four", "four-m").await, 201);
    let first = pair.push("four", "main", "a");
    pair.promoted("four-m", "main", &first).await;

    let key = pair.put_held("four", "main", "sized").await;
    let file = pair.west.lake().blocks_root().join(&key);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "another size").unwrap();
    let sized = pair.commit("four", "main");
    let waiting = service
        .status("four", "four-m", "main", |main| main.to_string().contains(": 12 bytes, its entry says 5"))
        .await;
    assert_eq!(waiting["promoted_commit_id"], json!(first), "{waiting}");
    service.stop().await;
    let service = pair.serve("verification: { size: report }\n").await;
    let what = "a size is only reported";
    until(what, || (pair.head("four-m", "main").as_ref() == Some(&sized)).then_some(())).await;

    pair.replication.hold("elsewhere/*");
    let import = |name: &str| {
        let file = pair.east.lake().blocks_root().join("elsewhere").join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "x").unwrap();
        let about = Attributes { size: 1, checksum: "x".into(), ..Attributes::default() };
        let address = format!("local://{}", file.display());
        pair.east.lake().stage_physical("four", ("main", name), &address, about, false).unwrap();
        pair.commit("four", "main")
    };
    let imported = import("i1");
    service.status("four", "four-m", "main", |main| waits(main) && main["source_commit_id"] == json!(imported)).await;
    assert_eq!(pair.head("four-m", "main").as_ref(), Some(&sized), "an import is looked for");
    service.stop().await;
    let report = "verification: { size: report }\n";
    let service = pair.serve(&format!("imports: ignore\n{report}")).await;
    until("imports are ignored", || (pair.head("four-m", "main").as_ref() == Some(&imported)).then_some(())).await;
    service.stop().await;
    pair.replication.release_all();
    let service = pair.serve(&format!("imports: block\n{report}")).await;
    let blocked = import("i2");
    service.status("four", "four-m", "main", |main| waits(main) && main["source_commit_id"] == json!(blocked)).await;
    called(&pair.east, LISTING, 5).await;
    assert_eq!(pair.head("four-m", "main").as_ref(), Some(&imported), "an import blocks");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mirror_is_deleted_and_created_again_under_its_name() {
    let pair = Pair::open().await;
    pair.create("five");
    let service = pair.serve("").await;
    let head = pair.push("five", "main", "a");
    assert_eq!(service.mirror("five", "five-m").await, 201);
    pair.promoted("five-m", "main", &head).await;
    let mark = || pair.west.lake().metadata("five-m").ok().and_then(|all| all.get("lakemirror.incarnation").cloned());
    let old = mark().unwrap();
    assert_eq!(service.call("DELETE", "/repositories/five/mirrors/five-m", None).await.0, 204);
    assert_eq!(service.call("GET", "/repositories/five/mirrors/five-m", None).await.0, 404);
    assert_eq!(service.mirror("five", "five-m").await, 201);
    let next = pair.push("five", "main", "b");
    until("the new mirror is marked", || mark().filter(|mark| *mark != old)).await;
    pair.promoted("five-m", "main", &next).await;
    service.stop().await;
}
