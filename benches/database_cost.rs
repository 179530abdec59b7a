//! Measures the cost of the mirrors database: writes, reads, bytes and dollars per process and per mirror, idle and
//! busy.
//!
//! `cargo bench --bench database_cost [-- SECONDS]` (default 60; each of four runs takes that long). Two regions with a
//! lakeFS sandbox and a process each, at the default intervals, share an in-memory table that counts as DynamoDB bills:
//! a write is one unit per KB of the item, a failed conditional write counts, a strongly consistent read is one unit
//! per 4 KB of its result and at least one. There is a run with 1 mirror and one with 11, so the cost of one more
//! mirror is a tenth of the difference. Busy means a commit on every mirrored repository each 5 s, with one branch
//! each. Prices are those of on-demand tables in us-east-1 (0.625 and 0.125 dollars per million, November 2024); in a
//! global table each write is billed again in every other region.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench fails by panicking")]
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "a bench prints, and reads the clock")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use lakemirror::clock::system::{OsEntropy, SystemClock};
use lakemirror::config::Config;
use lakemirror::engine::ports::{Fault, Incarnation};
use lakemirror::mirrors::records::{NewMirror, Records};
use lakemirror::mirrors::{Expect, Item, Items, Memory, Page, PutError};
use lakemirror::run;
use lakemirror::sandbox::lake::{Attributes, CreateRepository, NewCommit};
use lakemirror::sandbox::replication::{Behaviour, Replication};
use lakemirror::sandbox::{self, Sandbox};
use tokio_util::sync::CancellationToken;

const REGIONS: [&str; 2] = ["east", "west"];
const DAY: f64 = 86_400.0;
const DOLLARS_PER_WRITE: f64 = 0.625 / 1e6;
const DOLLARS_PER_READ: f64 = 0.125 / 1e6;
/// Bytes of attribute names, partition and version in addition to key and value.
const ITEM_EXTRA: usize = 120;

#[derive(Default)]
struct Bill {
    writes: AtomicU64,
    write_units: AtomicU64,
    bytes: AtomicU64,
    reads: AtomicU64,
    read_units: AtomicU64,
}

/// Totals of a bill: writes, their units and bytes, reads and their units.
type Numbers = [f64; 5];

impl Bill {
    fn now(&self) -> Numbers {
        [&self.writes, &self.write_units, &self.bytes, &self.reads, &self.read_units]
            .map(|number| number.load(Ordering::Relaxed) as f64)
    }

    fn write(&self, bytes: usize) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.write_units.fetch_add(bytes.div_ceil(1024).max(1) as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn read(&self, bytes: usize) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.read_units.fetch_add(bytes.div_ceil(4096).max(1) as u64, Ordering::Relaxed);
    }
}

/// The shared table, which counts.
struct Counting {
    table: Arc<Memory>,
    bill: Arc<Bill>,
}

fn size(key: &str, item: &Item) -> usize {
    key.len() + item.value.len() + ITEM_EXTRA
}

#[async_trait]
impl Items for Counting {
    fn place(&self) -> &str {
        "a table that counts"
    }

    async fn get(&self, key: &str) -> Result<Option<Item>, Fault> {
        let found = self.table.get(key).await;
        self.bill.read(found.as_ref().ok().and_then(Option::as_ref).map_or(0, |item| size(key, item)));
        found
    }

    async fn query(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, Fault> {
        let page = self.table.query(prefix, after, limit).await?;
        self.bill.read(page.items.iter().map(|(key, item)| size(key, item)).sum());
        Ok(page)
    }

    async fn put(&self, key: &str, value: Bytes, expect: Expect) -> Result<u64, PutError> {
        self.bill.write(key.len() + value.len() + ITEM_EXTRA);
        self.table.put(key, value, expect).await
    }

    async fn delete(&self, key: &str, version: u64) -> Result<(), PutError> {
        self.bill.write(self.table.get(key).await?.map_or(0, |item| size(key, &item)));
        self.table.delete(key, version).await
    }
}

/// Two regions with `mirrors` mirrors from the first to the second.
struct World {
    _dir: tempfile::TempDir,
    source: Sandbox,
    mirror: Sandbox,
    bill: Arc<Bill>,
    stop: CancellationToken,
    mirrors: usize,
}

async fn lakefs(dir: &Path) -> (Sandbox, String) {
    let options = sandbox::Options::new(dir.to_owned());
    let sandbox = Sandbox::open(options, Arc::new(SystemClock::new()), Arc::new(OsEntropy)).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = sandbox.clone();
    tokio::spawn(async move { serving.serve(listener, std::future::pending()).await });
    (sandbox, url)
}

fn config(region: usize, urls: &[String; 2], blocks: &Path, dir: &Path) -> Config {
    let (name, other, dir) = (REGIONS[region], REGIONS[1 - region], dir.display());
    let text = format!(
        "region: {name}\norganization_id: acme\nregional_endpoint: {}\ndst_endpoints: {{ {other}: '{}' }}\n\
         lakefs_access_key_id: {}\nlakefs_secret_access_key: {}\nauth: {{ encrypt: {{ secret_key: {} }} }}\n\
         mirrors_database: {{ type: local, local: {{ path: {dir}/{name}-unused }} }}\n\
         blockstore: {{ type: local, local: {{ path: {} }} }}\njournal: {{ path: {dir}/{name}-journal }}\n",
        urls[region],
        urls[1 - region],
        sandbox::EXAMPLE_ACCESS_KEY_ID,
        sandbox::EXAMPLE_SECRET_ACCESS_KEY,
        sandbox::EXAMPLE_SECRET_KEY,
        blocks.display(),
    );
    Config::parse(Path::new("bench.yaml"), &text, &BTreeMap::new()).unwrap().0
}

impl World {
    async fn open(mirrors: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (source, source_url) = lakefs(&dir.path().join("east")).await;
        let (mirror, mirror_url) = lakefs(&dir.path().join("west")).await;
        let quick = Duration::from_millis(50);
        let behaviour = Behaviour { scan_every: quick, delay_min: quick, delay_max: quick, ..Behaviour::default() };
        let (from, to) = (source.lake().blocks_root(), mirror.lake().blocks_root());
        let copying = Replication::new(
            from,
            to,
            dir.path().join("copies"),
            behaviour,
            Arc::new(SystemClock::new()),
            Arc::new(OsEntropy),
        );
        let stop = CancellationToken::new();
        tokio::spawn(Arc::new(copying.unwrap()).run(stop.clone(), |_| {}));
        let (table, bill, urls) = (Arc::new(Memory::new()), Arc::new(Bill::default()), [source_url, mirror_url]);
        for (region, sandbox) in [&source, &mirror].into_iter().enumerate() {
            let clock = Arc::new(SystemClock::new());
            let config = config(region, &urls, sandbox.lake().blocks_root(), dir.path());
            let mut ports = run::connect(&config, clock.clone(), Arc::new(OsEntropy)).await.unwrap();
            let items = Counting { table: Arc::clone(&table), bill: Arc::clone(&bill) };
            ports.records = Arc::new(Records::new(Arc::new(items), clock));
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            tokio::spawn(run::serve(ports, listener, stop.clone()));
        }
        let world = Self { _dir: dir, source, mirror, bill, stop, mirrors };
        world.define(&table).await;
        world
    }

    async fn define(&self, table: &Arc<Memory>) {
        let records = Records::new(Arc::clone(table) as Arc<dyn Items>, Arc::new(SystemClock::new()));
        for number in 0..self.mirrors {
            let storage_namespace = format!("local://data/source-{number}");
            let wanted = CreateRepository {
                name: format!("source-{number}"),
                storage_namespace: storage_namespace.clone(),
                ..CreateRepository::default()
            };
            self.source.lake().create_repository(wanted).unwrap();
            let new = NewMirror {
                name: format!("mirror-{number}"),
                incarnation: Incarnation([number as u8 + 1; 16]),
                source_repository: format!("source-{number}"),
                source_region: REGIONS[0].to_owned(),
                region: REGIONS[1].to_owned(),
                storage_namespace,
                created_by: String::new(),
                source_store: lakemirror::engine::ports::StoreIdentity::Unknown,
            };
            records.create(&new).await.unwrap();
        }
    }

    fn commit(&self, round: u64) {
        for number in 0..self.mirrors {
            let (lake, repository, path) = (self.source.lake(), format!("source-{number}"), format!("{round}"));
            let mut upload = lake.begin_upload(&repository, "main").unwrap();
            upload.pending.write(path.as_bytes()).unwrap();
            let about = Attributes { size: path.len() as i64, checksum: path.clone(), ..Attributes::default() };
            lake.finish_upload(upload, "main", &path, about).unwrap();
            let wanted = NewCommit { message: "m".into(), ..NewCommit::default() };
            lake.commit_branch(&repository, "main", wanted).unwrap();
        }
    }

    /// Waits until every mirror is in sync with its source.
    async fn level(&self) {
        let head = |lakefs: &Sandbox, name: String| lakefs.lake().get_branch(&name, "main").ok();
        let one = |number| {
            let shown = head(&self.mirror, format!("mirror-{number}"));
            shown.is_some() && shown == head(&self.source, format!("source-{number}"))
        };
        while !(0..self.mirrors).all(one) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The cost per day at the rate of `seconds`, with a commit each 5 s or without.
    async fn day(&self, seconds: u64, busy: bool) -> Numbers {
        let (before, begun, mut round) = (self.bill.now(), Instant::now(), 0);
        while begun.elapsed() < Duration::from_secs(seconds) {
            if busy {
                round += 1;
                self.commit(round);
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        let (after, elapsed) = (self.bill.now(), begun.elapsed().as_secs_f64());
        std::array::from_fn(|number| (after[number] - before[number]) / elapsed * DAY)
    }
}

fn line(name: &str, [writes, write_units, bytes, reads, read_units]: Numbers) {
    let dollars = write_units * DOLLARS_PER_WRITE + read_units * DOLLARS_PER_READ;
    let global = dollars + write_units * DOLLARS_PER_WRITE;
    println!(
        "{name:<34} {writes:>9.0} {write_units:>9.0} {:>9.1} {reads:>9.0} {read_units:>10.0} {dollars:>9.4} {global:>9.4}",
        bytes / 1e6
    );
}

async fn bench(seconds: u64) {
    println!(
        "per day                               writes     units  MB written   reads      units   dollars  2 regions"
    );
    for (word, busy) in [("idle", false), ("busy, a commit each 5 s", true)] {
        let mut days: Vec<Numbers> = Vec::new();
        for mirrors in [1, 11] {
            let world = World::open(mirrors).await;
            world.level().await;
            tokio::time::sleep(Duration::from_secs(20)).await;
            days.push(world.day(seconds, busy).await);
            world.stop.cancel();
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        let one_more: Numbers = std::array::from_fn(|number| (days[1][number] - days[0][number]) / 10.0);
        let base: Numbers = std::array::from_fn(|number| (days[0][number] - one_more[number]) / 2.0);
        line(&format!("a process, {word}"), base);
        line(&format!("one more mirror, {word}"), one_more);
    }
}

fn main() {
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(60);
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(bench(seconds));
}
