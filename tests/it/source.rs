//! A source that throttles, hangs, or returns values that no record can hold: with the production wiring, observed from
//! outside. Every wait is bounded; nothing depends on timing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lakemirror::sandbox::faults::{Fault, Rule};
use lakemirror::sandbox::lake::NewCommit;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::engine::{Pair, calls, nap, rule, until};

/// Forwards bytes until the open connections are told to drop all traffic.
#[derive(Clone, Default)]
struct Proxy {
    /// Connections of an earlier era than this one drop everything.
    era: Arc<AtomicU64>,
}

impl Proxy {
    /// The proxy's URL.
    async fn open(&self, url: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (proxy, target) = (self.clone(), url.trim_start_matches("http://").to_owned());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&target).await else { continue };
                let era = proxy.era.load(Ordering::SeqCst);
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(proxy.clone().pass_on(era, from_client, to_server));
                tokio::spawn(proxy.clone().pass_on(era, from_server, to_client));
            }
        });
        format!("http://{address}")
    }

    async fn pass_on(
        self,
        era: u64,
        mut from: tokio::net::tcp::OwnedReadHalf,
        mut to: tokio::net::tcp::OwnedWriteHalf,
    ) {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(read) = from.read(&mut bytes).await {
            if read == 0 {
                return;
            }
            if self.era.load(Ordering::SeqCst) == era && to.write_all(&bytes[..read]).await.is_err() {
                return;
            }
        }
    }

    /// Silences every open connection without closing it.
    fn silence(&self) {
        self.era.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_open_connections_go_silent_new_ones_are_used() {
    let mut pair = Pair::open().await;
    let proxy = Proxy::default();
    pair.urls = [proxy.open(&pair.urls[0]).await, proxy.open(&pair.urls[1]).await];
    pair.create("one");
    let service = pair.serve("").await;
    assert_eq!(service.mirror("one", "one-m").await, 201);
    let first = pair.push("one", "main", "a");
    pair.promoted("one-m", "main", &first).await;
    for path in ["b", "c"] {
        proxy.silence();
        let next = pair.push("one", "main", path);
        pair.promoted("one-m", "main", &next).await;
    }
    service.stop().await;
}

fn total(pair: &Pair) -> u64 {
    pair.east.faults().calls().values().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_mirrors_back_off_from_a_throttling_source() {
    let pair = Pair::open().await;
    let service = pair.serve("").await;
    for (source, mirror) in [("one", "one-m"), ("two", "two-m"), ("three", "three-m")] {
        pair.create(source);
        assert_eq!(service.mirror(source, mirror).await, 201);
        let head = pair.push(source, "main", "a");
        pair.promoted(mirror, "main", &head).await;
    }
    let headers = BTreeMap::from([("retry-after".to_owned(), "600".to_owned())]);
    let busy = Fault::Answer { code: 429, headers, body: r#"{"message":"too many requests"}"#.into() };
    let rule = Rule { method: None, path: "/api/v1/*".into(), fault: busy, skip: 0, times: None };
    let listings = || calls(&pair.east, "GET /api/v1/repositories/*/branches");
    let (healthy, from) = (listings(), total(&pair));
    until("each mirror looks ten times", || (listings() >= healthy + 30).then_some(())).await;
    assert!(pair.east.faults().add(rule));
    let before = total(&pair);
    assert!(before >= from + 30);
    // At least as long as this many scans took: only requests that were in flight at its beginning arrive.
    for _ in 0..100 {
        nap().await;
    }
    let asked = total(&pair) - before;
    assert!((1..=6).contains(&asked), "{asked} calls");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oversized_values_stop_neither_the_process_nor_another_mirror() {
    let pair = Pair::open().await;
    pair.create("one");
    pair.create("two");
    let service = pair.serve("").await;
    // The metadata of a repository at the destination.
    let marked = json!({ "lakemirror.incarnation": "x".repeat(200_000) }).to_string();
    let metadata = |body| Fault::Answer { code: 200, headers: BTreeMap::new(), body };
    assert!(pair.west.faults().add(rule("GET", "two-m/metadata", metadata(marked), None)));
    assert_eq!(service.mirror("two", "two-m").await, 201);
    assert_eq!(service.mirror("one", "one-m").await, 201);
    let first = pair.push("one", "main", "a");
    pair.promoted("one-m", "main", &first).await;
    // A branch name that is too long, and one that is listed twice.
    let second = pair.push("one", "main", "b");
    let long = "n".repeat(300_000);
    let item = |id: &str| json!({ "id": id, "commit_id": second });
    let listing = |ids: &[&str]| {
        let results: Vec<_> = ids.iter().map(|id| item(id)).collect();
        let pagination =
            json!({ "has_more": false, "next_offset": "", "results": results.len(), "max_per_page": 1000 });
        json!({ "pagination": pagination, "results": results }).to_string()
    };
    let body = listing(&["main", "main", &long]);
    let answer = Fault::Answer { code: 200, headers: BTreeMap::new(), body };
    assert!(pair.east.faults().add(rule("GET", "one/branches", answer, None)));
    pair.promoted("one-m", "main", &second).await;
    let path = "/repositories/one/mirrors/one-m";
    let mut said = String::new();
    for _ in 0..1500 {
        said = service.call("GET", path, None).await.1.to_string();
        if said.contains("300000 bytes") && said.contains("not in order") {
            break;
        }
        nap().await;
    }
    assert!(said.contains("300000 bytes") && said.contains("not in order"), "{said:.2000}");
    // And again after a restart.
    service.stop().await;
    let service = pair.serve("").await;
    pair.east.faults().clear();
    let third = pair.push("one", "main", "c");
    pair.promoted("one-m", "main", &third).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_that_cannot_be_mirrored_do_not_delay_others() {
    let pair = Pair::open().await;
    pair.create("one");
    let first = pair.push("one", "main", "a");
    let branches: Vec<String> = (0..45).map(|number| format!("fat-{number:02}")).collect();
    for branch in &branches {
        pair.branch("one", branch, "main", false);
        let fat = NewCommit { message: branch.repeat(40_000), allow_empty: true, ..NewCommit::default() };
        pair.east.lake().commit_branch("one", branch, fat).unwrap();
    }
    let service = pair.serve("").await;
    assert_eq!(service.mirror("one", "one-m").await, 201);
    pair.promoted("one-m", "main", &first).await;
    for path in ["b", "c", "d"] {
        let next = pair.push("one", "main", path);
        pair.promoted("one-m", "main", &next).await;
    }
    for branch in &branches {
        pair.east.lake().delete_branch("one", branch, false).unwrap();
    }
    let next = pair.push("one", "main", "e");
    pair.promoted("one-m", "main", &next).await;
    service.stop().await;
    let service = pair.serve("").await;
    for path in ["f", "g", "h"] {
        let next = pair.push("one", "main", path);
        pair.promoted("one-m", "main", &next).await;
    }
    service.stop().await;
}
