//! Several processes with one mirrors database: two regions that share nothing else, and two processes of one region,
//! one of which is killed, stopped and resumed. Real processes, DynamoDB Local and PostgreSQL.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lakemirror::clock::Clock as _;
use lakemirror::clock::system::SystemClock;
use lakemirror::engine::lease::LEASE_TTL;
use lakemirror::sandbox;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use crate::engine::{Pair, nap, until};
use crate::items::line::{Line, State};
use crate::items::postgres;
use crate::process::{Process, lakemirror};
use crate::servers;

const PATIENCE: Duration = Duration::from_secs(60);

/// Calls a service's API; 503 if nothing responds.
pub(crate) async fn call(address: &str, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let key = STANDARD.encode(format!("{}:{}", sandbox::EXAMPLE_ACCESS_KEY_ID, sandbox::EXAMPLE_SECRET_ACCESS_KEY));
    let body = body.map_or(String::new(), |body| body.to_string());
    let request = format!(
        "{method} /service/replication/v1{path} HTTP/1.1\r\nhost: x\r\nauthorization: Basic {key}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut answer = Vec::new();
    let Ok(mut stream) = tokio::net::TcpStream::connect(address).await else { return (503, Value::Null) };
    if stream.write_all(request.as_bytes()).await.is_err() {
        return (503, Value::Null);
    }
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or(("HTTP/1.1 503", ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(503);
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

/// A process and the address of its API.
struct Region {
    process: Process,
    address: String,
}

impl Region {
    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        call(&self.address, method, path, body).await
    }
}

/// What the processes share: the pair of lakeFS, and the database.
struct World {
    pair: Pair,
    database: String,
}

impl World {
    fn config(&self, region: &str, name: &str) -> PathBuf {
        let [east, west] = &self.pair.urls;
        let (home, home_url, other, other_url) = match region {
            "east" => (&self.pair.east, east, "west", west),
            _ => (&self.pair.west, west, "east", east),
        };
        let text = format!(
            "region: {region}\norganization_id: acme\nregional_endpoint: {home_url}\n\
             dst_endpoints: {{ {other}: '{other_url}' }}\nlisten_address: 127.0.0.1:0\n\
             lakefs_access_key_id: {}\nlakefs_secret_access_key: {}\nauth: {{ encrypt: {{ secret_key: {} }} }}\n\
             mirrors_database: {}\nmirrors_manager: {{ process_mirrors_interval_duration: 1s }}\n\
             blockstore: {{ type: local, local: {{ path: {} }} }}\n\
             journal: {{ path: {}/{name}-journal }}\ncommit_sensor: {{ process_branches_duration: 200ms }}\n",
            sandbox::EXAMPLE_ACCESS_KEY_ID,
            sandbox::EXAMPLE_SECRET_ACCESS_KEY,
            sandbox::EXAMPLE_SECRET_KEY,
            self.database,
            home.lake().blocks_root().display(),
            self.pair.dir.path().display(),
        );
        let file = self.pair.dir.path().join(format!("{name}.yaml"));
        std::fs::write(&file, text).unwrap();
        file
    }

    /// Starts a process of a region; processes of the same name share a journal.
    fn start(&self, region: &str, name: &str) -> Region {
        let file = self.config(region, name);
        let mut command = lakemirror();
        for variable in ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"]
        {
            command.env_remove(variable);
        }
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        let mut process = Process::start(command.args(["run", "--config"]).arg(&file));
        let line = process.until("the API listens at http://", PATIENCE);
        let address = line.split("http://127.0.0.1:").nth(1).unwrap_or_default();
        let port: String = address.chars().take_while(char::is_ascii_digit).collect();
        process.until("the journal is open", PATIENCE);
        Region { process, address: format!("127.0.0.1:{port}") }
    }
}

fn dynamodb(test: &str, table: &str) -> Option<String> {
    let endpoint = &servers::dynamodb(test)?.endpoint;
    Some(format!(
        "{{ type: dynamodb, dynamodb: {{ table_name: {table}, aws_region: us-east-1, endpoint: '{endpoint}', \
         aws_access_key_id: several, aws_secret_access_key: canary }} }}"
    ))
}

async fn sql(test: &str, schema: &str) -> Option<String> {
    let (address, _) = postgres::server(test)?;
    postgres::make_schema(address, schema).await;
    let login = postgres::login(address, schema);
    Some(format!("{{ type: postgres, postgres: {{ connection_string: '{login}' }} }}"))
}

async fn create(at: &Region, repository: &str, region: &str, mirror: &str) {
    let namespace = format!("local://data/{repository}");
    let body = json!({"name": mirror, "region": region, "storage_namespace": namespace});
    let path = format!("/repositories/{repository}/mirrors");
    for _ in 0..500 {
        match at.call("POST", &path, Some(body.clone())).await.0 {
            201 => return,
            409 | 503 => nap().await,
            other => panic!("{mirror} is not created: {other}"),
        }
    }
    panic!("{mirror} is not created");
}

/// What the branches of mirrors showed, in order, while it was watched.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<BTreeMap<String, Vec<String>>>>);

impl Shown {
    fn watch(&self, world: &World, mirrors: &[String]) -> CancellationToken {
        let (done, west, shown) = (CancellationToken::new(), world.pair.west.clone(), self.clone());
        let (stop, mirrors) = (done.clone(), mirrors.to_vec());
        tokio::spawn(async move {
            while !stop.is_cancelled() {
                for mirror in &mirrors {
                    let Ok(head) = west.lake().get_branch(mirror, "main") else { continue };
                    let mut shown = shown.0.lock().unwrap();
                    let heads = shown.entry(mirror.clone()).or_default();
                    if heads.last() != Some(&head) {
                        heads.push(head);
                    }
                }
                nap().await;
            }
        });
        done
    }

    /// Asserts that the mirror only showed heads of the source, and never moved back.
    fn only_forward(&self, mirror: &str, source: &[String]) {
        let shown = self.0.lock().unwrap();
        let places: Vec<Option<usize>> =
            shown[mirror].iter().map(|head| source.iter().position(|commit| commit == head)).collect();
        assert!(places.iter().all(Option::is_some), "{mirror}: {places:?}");
        assert!(places.is_sorted(), "{mirror} moved back: {places:?}");
    }
}

async fn regions_share_only_the_table(database: String) {
    let world = World { pair: Pair::open().await, database };
    let pair = &world.pair;
    pair.create("one");
    let (east, west) = (world.start("east", "east"), world.start("west", "west"));
    let first = pair.push("one", "main", "a");
    create(&east, "one", "west", "one-m").await;
    pair.promoted("one-m", "main", &first).await;

    // The source's region reports what the other one published, and its age.
    let path = "/repositories/one/mirrors/one-m";
    for attempt in 0..3000 {
        let (status, mirror) = east.call("GET", path, None).await;
        let synced = mirror["branches"][0]["promoted_commit_id"] == first.as_str();
        if status == 200 && synced && mirror["status_age_seconds"].is_number() {
            break;
        }
        assert!(attempt < 2000, "{status} {mirror:#}");
        nap().await;
    }
    assert_eq!(west.call("DELETE", path, None).await.0, 404, "only where the source is");

    // The destination's process dies and returns with its journal; meanwhile the source changes.
    west.process.kill();
    let second = pair.push("one", "main", "b");
    let west = world.start("west", "west");
    pair.promoted("one-m", "main", &second).await;

    // The mirror is deleted while the destination is down, and created again under the same name at once.
    west.process.kill();
    assert_eq!(east.call("DELETE", path, None).await.0, 204);
    create(&east, "one", "west", "one-m").await;
    let mark = || pair.west.lake().metadata("one-m").ok().and_then(|all| all.get("lakemirror.incarnation").cloned());
    let old = mark().unwrap();
    let third = pair.push("one", "main", "c");
    let west = world.start("west", "west");
    until("the new mirror is marked", || mark().filter(|mark| *mark != old)).await;
    pair.promoted("one-m", "main", &third).await;
    for region in [east, west] {
        region.process.signal("TERM");
        let (code, said) = region.process.end(PATIENCE);
        assert_eq!(code, 0, "{said}");
        assert!(!said.contains("canary"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_regions_share_only_a_dynamodb_table() {
    let Some(database) = dynamodb("two regions over DynamoDB", "two_regions") else { return };
    regions_share_only_the_table(database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_regions_share_only_a_postgres_table() {
    let Some(database) = sql("two regions over PostgreSQL", "two_regions").await else { return };
    regions_share_only_the_table(database).await;
}

/// Two processes of one region: one acquires the other's mirrors when it is stopped, and the one that resumes changes
/// nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_process_is_replaced_and_changes_nothing_when_it_resumes() {
    let Some(database) = sql("two processes of a region", "two_processes").await else { return };
    let world = World { pair: Pair::open().await, database };
    let pair = &world.pair;
    let east = world.start("east", "east");
    let mut sources: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mirrors: Vec<String> = (0..3).map(|number| format!("mirror-{number}")).collect();
    let push = |sources: &mut BTreeMap<String, Vec<String>>, path: &str| {
        for number in 0..3 {
            let commit = pair.push(&format!("source-{number}"), "main", path);
            sources.entry(format!("mirror-{number}")).or_default().push(commit);
        }
    };
    (0..3).for_each(|number| pair.create(&format!("source-{number}")));
    push(&mut sources, "a");
    let first = world.start("west", "first");
    for number in 0..3 {
        create(&east, &format!("source-{number}"), "west", &format!("mirror-{number}")).await;
    }
    let shown = Shown::default();
    let done = shown.watch(&world, &mirrors);
    let level = async |sources: &BTreeMap<String, Vec<String>>| {
        for (mirror, commits) in sources {
            pair.promoted(mirror, "main", commits.last().unwrap()).await;
        }
    };
    level(&sources).await;

    // It is stopped during work, and the other one takes over.
    let second = world.start("west", "second");
    push(&mut sources, "b");
    first.process.signal("STOP");
    push(&mut sources, "c");
    level(&sources).await;
    push(&mut sources, "d");
    first.process.signal("CONT");
    push(&mut sources, "e");
    level(&sources).await;

    // The new driver dies; the process that resumed acquires everything again.
    second.process.kill();
    push(&mut sources, "f");
    level(&sources).await;

    // A process that ends gracefully hands over at once; its successor does not have its journal.
    let third = world.start("west", "third");
    first.process.signal("TERM");
    push(&mut sources, "g");
    level(&sources).await;
    let (code, said) = first.process.end(PATIENCE);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("taken over from another process"), "{said}");
    done.cancel();
    for (mirror, commits) in &sources {
        shown.only_forward(mirror, commits);
    }
    drop(third);
}

/// No branch moves without a valid lease, observed commits are still verified, and everything continues on its own;
/// also for a process that starts without the database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_database_a_process_verifies_and_moves_nothing() {
    let Some((address, _)) = postgres::server("a database that goes away") else { return };
    postgres::make_schema(address, "goes_away").await;
    let line = Line::to(address, State::Whole).await;
    let login = postgres::login(&line.address, "goes_away");
    let database = format!("{{ type: postgres, postgres: {{ connection_string: '{login}' }} }}");
    let world = World { pair: Pair::open().await, database };
    let pair = &world.pair;
    pair.create("one");
    let (east, mut west) = (world.start("east", "east"), world.start("west", "west"));
    let first = pair.push("one", "main", "a");
    create(&east, "one", "west", "one-m").await;
    pair.promoted("one-m", "main", &first).await;

    // Without the database for longer than a lease is valid: the process reports it, and a new commit is verified and
    // not promoted.
    line.set(State::Cut).await;
    west.process.until("no heartbeat reaches the mirrors database", PATIENCE);
    SystemClock::new().sleep(LEASE_TTL).await;
    let second = pair.push("one", "main", "b");
    let waits_for_its_lease = async || {
        for _ in 0..2000 {
            let checked = journal(&world, "west");
            if checked.contains(&second) && checked.contains("main") {
                assert_eq!(pair.west.lake().get_branch("one-m", "main").ok().as_deref(), Some(first.as_str()));
                return;
            }
            nap().await;
        }
        panic!("the commit is not observed");
    };
    waits_for_its_lease().await;

    // It dies, and starts again without the database: the same.
    west.process.kill();
    let mut west = world.start("west", "west");
    west.process.until("verified as the journal knows it, not promoted", PATIENCE);
    let third = pair.push("one", "main", "c");
    until("the third commit is observed", || journal(&world, "west").contains(&third).then_some(())).await;
    assert_eq!(pair.west.lake().get_branch("one-m", "main").ok().as_deref(), Some(first.as_str()));

    line.set(State::Whole).await;
    pair.promoted("one-m", "main", &third).await;
}

/// Waits until a process reports the expected status of a mirror.
async fn told(at: &Region, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..6000 {
        let (status, mirror) = at.call("GET", "/repositories/one/mirrors/one-m", None).await;
        if status == 200 && wanted(&mirror) {
            return mirror;
        }
        last = mirror;
        nap().await;
    }
    panic!("{what}: {last:#}");
}

fn is_well(mirror: &Value) -> bool {
    mirror["state"] == "synced" && mirror["problems"] == json!([]) && mirror["lag_seconds"] == 0
}

fn complains(mirror: &Value, of: &str) -> bool {
    let problems = mirror["problems"].to_string();
    mirror["state"] == "stuck" && problems.contains(of) && problems.contains("(since 20")
}

/// A server that does not respond is reported at both ends, with its name and since when, in the state too, until it
/// responds again. A killed driver is reported by the other processes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outage_is_reported_by_both_regions() {
    let Some(database) = sql("what is gone is told", "gone_is_told").await else { return };
    let world = World { pair: Pair::open().await, database };
    let pair = &world.pair;
    pair.create("one");
    let (east, west) = (world.start("east", "east"), world.start("west", "west"));
    let first = pair.push("one", "main", "a");
    create(&east, "one", "west", "one-m").await;
    pair.promoted("one-m", "main", &first).await;
    for at in [&east, &west] {
        told(at, "all is well", is_well).await;
    }
    told(&east, "its age is known", |mirror| mirror["status_age_seconds"].as_u64().is_some_and(|age| age < 15)).await;

    for (lakefs, other, text) in [
        (&pair.west, [&east, &west], "the mirror's lakeFS (region west)"),
        (&pair.east, [&west, &east], "the source's lakeFS (region east)"),
    ] {
        lakefs.faults().set_unreachable(true);
        // Also by the process whose own lakeFS it is: it remembers its credentials.
        for at in other {
            told(at, text, |mirror| complains(mirror, text)).await;
        }
        lakefs.faults().set_unreachable(false);
        for at in [&east, &west] {
            told(at, "it is over", is_well).await;
        }
    }

    west.process.kill();
    let _unseen = pair.push("one", "main", "b");
    let gone =
        |mirror: &Value| mirror["state"] == "unknown" && mirror["problems"].to_string().contains("does not answer");
    let mirror = told(&east, "the driver is silent", gone).await;
    let lag = mirror["lag_seconds"].as_u64().unwrap_or_default();
    assert!(lag > 0, "{mirror:#}");
    told(&east, "the lag grows", |mirror| mirror["lag_seconds"].as_u64() > Some(lag)).await;
    let west = world.start("west", "west");
    told(&east, "it is back", is_well).await;
    west.process.signal("TERM");
    let (code, said) = west.process.end(PATIENCE);
    assert_eq!(code, 0, "{said}");
}

/// The log of events for the mirror from a process's journal, read while the process runs.
fn journal(world: &World, name: &str) -> String {
    let directory = world.pair.dir.path().join(format!("{name}-journal"));
    let mut command = lakemirror();
    let out = command.args(["journal", "export"]).arg(directory).args(["--format", "jsonl"]).output().unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned()
}
