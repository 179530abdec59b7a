//! The lakeFS sandbox from outside: what survives a restart, races, the files that commits and merges write, faults.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use lakemirror::graveler::{metarange, range};
use lakemirror::sandbox::faults::{Fault, Rule};
use lakemirror::sandbox::lake::{
    Attributes, CommitRecordCreation, CreateBranch, CreateRepository, Listed, LogQuery, Merge, NewCommit, Page,
};
use lakemirror::sandbox::model::Commit;
use lakemirror::sandbox::{self, Lake, Outcome, Sandbox};
use lakemirror_journal::ids::{MetarangeId, RangeId};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::tape::{Counting, TapeClock};

fn open(dir: &Path) -> Sandbox {
    let clock = Arc::new(TapeClock(AtomicU64::new(0)));
    Sandbox::open(sandbox::Options::new(dir), clock, Arc::new(Counting(AtomicU64::new(1)))).unwrap()
}

fn create(lake: &Lake) {
    let wanted =
        CreateRepository { name: "one".into(), storage_namespace: "local://one/ns".into(), ..Default::default() };
    lake.create_repository(wanted).unwrap();
}

fn put(lake: &Lake, branch: &str, path: &str, content: &str) {
    let mut upload = lake.begin_upload("one", branch).unwrap();
    upload.pending.write(content.as_bytes()).unwrap();
    let about = Attributes { size: content.len() as i64, checksum: content.to_owned(), ..Attributes::default() };
    lake.finish_upload(upload, branch, path, about).unwrap();
}

fn commit(lake: &Lake, branch: &str) -> Outcome<Arc<Commit>> {
    lake.commit_branch("one", branch, NewCommit { message: "m".into(), ..NewCommit::default() })
}

/// Path and checksum of everything that a ref lists.
fn list(lake: &Lake, reference: &str) -> BTreeMap<String, String> {
    let page = Page { amount: usize::MAX - 1, ..Page::default() };
    let listing = lake.list("one", reference, &page, "").unwrap();
    let lines = listing.lines.into_iter().map(|line| match line {
        Listed::Item(path, entry) => (path, entry.checksum.clone()),
        Listed::Prefix(path) => panic!("{path}"),
    });
    lines.collect()
}

/// The keys of a tree's ranges, read and verified by lakemirror's own reader.
fn ranges(dir: &Path, commit: &Commit) -> Vec<Vec<String>> {
    let file = |id: &str| std::fs::read(dir.join("blocks/one/ns/_lakefs").join(id)).unwrap().into();
    let infos = metarange::read(file(&commit.metarange), MetarangeId::parse(&commit.metarange).unwrap()).unwrap();
    let keys = infos.iter().map(|info| {
        let mut keys = Vec::new();
        let read = range::scan(file(&info.id.to_string()), RangeId(info.id.0), |_, key, entry| {
            assert!(entry.identity_matches());
            keys.push(String::from_utf8(key.to_vec()).unwrap());
        });
        assert_eq!(u64::from(read.unwrap().count()), info.count);
        keys
    });
    keys.collect()
}

#[test]
fn everything_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let everything = |sandbox: &Sandbox| {
        let lake = sandbox.lake();
        let page = Page { amount: 100, ..Page::default() };
        let log = lake.log("one", &LogQuery { from: "main".into(), amount: 100, ..LogQuery::default() }).unwrap();
        let refs = (lake.branches("one", &page, true).unwrap(), lake.branches("one", &page, false).unwrap());
        let changes = lake.diff_uncommitted("one", "main").unwrap();
        (
            lake.repositories(&page, ""),
            refs,
            lake.tags("one", &page).unwrap(),
            log,
            changes,
            list(lake, "main"),
            lake.installation(),
        )
    };
    let sandbox = open(dir.path());
    let lake = sandbox.lake();
    create(lake);
    put(lake, "main", "a", "1");
    put(lake, "main", "b", "2");
    commit(lake, "main").unwrap();
    let branch = CreateBranch { name: "hid".into(), source: "main".into(), hidden: true, ..CreateBranch::default() };
    lake.create_branch("one", branch).unwrap();
    lake.create_tag("one", "v1", "main", false).unwrap();
    lake.delete_object("one", "main", "a", false).unwrap();
    put(lake, "main", "c", "3");
    let before = everything(&sandbox);
    // No graceful end: the process could as well have been killed here.
    drop(sandbox);
    assert_eq!(everything(&open(dir.path())), before);
}

#[test]
fn racing_commits_of_one_branch_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = open(dir.path());
    create(sandbox.lake());
    let made: Vec<usize> = std::thread::scope(|scope| {
        let work = |writer: usize| {
            let lake = sandbox.lake();
            let mut made = 0;
            for at in 0..10 {
                put(lake, "main", &format!("{writer}/{at}"), "x");
                match commit(lake, "main") {
                    Ok(_) => made += 1,
                    Err(failure) => assert_eq!(failure.message, "commit: no changes", "another one took it along"),
                }
            }
            made
        };
        let running: Vec<_> = (0..4).map(|writer| scope.spawn(move || work(writer))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let lake = sandbox.lake();
    assert_eq!(list(lake, "main@").len(), 40);
    let query = LogQuery { from: "main".into(), amount: 1000, ..LogQuery::default() };
    let (log, _) = lake.log("one", &query).unwrap();
    assert_eq!(log.len(), 1 + made.iter().sum::<usize>());
    assert!(log.windows(2).all(|pair| pair[0].parents == [pair[1].id.clone()]), "one line of history");
}

fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[test]
fn ranges_end_where_lakefs_ends_them_and_unchanged_ones_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = open(dir.path());
    let lake = sandbox.lake();
    create(lake);
    let mut last: Vec<String> =
        (0..).map(|at| format!("k{at}")).filter(|key| fnv1a(key).is_multiple_of(50_000)).take(2).collect();
    last.sort();
    let mut keys: Vec<String> = (100..400).map(|at| format!("k{at}x")).chain(last.iter().cloned()).collect();
    keys.sort();
    for key in &keys {
        put(lake, "main", key, key);
    }
    let first = ranges(dir.path(), &commit(lake, "main").unwrap());
    assert_eq!(first.concat(), keys);
    let ends: Vec<&String> = first.iter().map(|range| range.last().unwrap()).collect();
    let mut wanted: Vec<&String> = last.iter().collect();
    wanted.push(keys.last().unwrap());
    wanted.dedup();
    assert_eq!(ends, wanted);
    // A key after all ranges opens a new one; the others are reused.
    put(lake, "main", "z", "z");
    let second = ranges(dir.path(), &commit(lake, "main").unwrap());
    assert_eq!(second[..first.len()], first);
    assert_eq!(second[first.len()..], [vec!["z".to_owned()]]);
}

#[test]
fn log_is_ordered_by_date_and_not_by_ancestry() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = open(dir.path());
    let lake = sandbox.lake();
    create(lake);
    let record = |message: &str, seconds: i64, parents: &[&Commit]| {
        let mut commit = Commit {
            id: String::new(),
            committer: "c".into(),
            message: message.into(),
            seconds,
            nanos: 0,
            metarange: String::new(),
            metadata: BTreeMap::new(),
            parents: parents.iter().map(|parent| parent.id.clone()).collect(),
            version: 1,
            generation: 1,
        };
        // The failure reveals the correct id only if it is one, so it is computed with lakemirror's own code.
        let typed = lakemirror_journal::commit::CommitRecord {
            id: lakemirror_journal::ids::CommitId([0; 32]),
            parents: commit.parents.iter().map(|id| lakemirror_journal::ids::CommitId::parse(id).unwrap()).collect(),
            committer: commit.committer.clone(),
            message: commit.message.clone(),
            creation_date: seconds,
            metarange: None,
            metadata: BTreeMap::new(),
            generation: 1,
            version: 1,
        };
        commit.id = lakemirror::graveler::commit::commit_id(&typed).to_string();
        lake.create_commit_record("one", CommitRecordCreation { commit: commit.clone(), force: false }).unwrap();
        commit
    };
    let root = record("root", 50, &[]);
    let old = record("old", 10, &[&root]);
    let new = record("new", 40, &[&root]);
    let merge = record("merge", 30, &[&old, &new]);
    let messages = |query: LogQuery| {
        let (log, more) = lake.log("one", &LogQuery { from: merge.id.clone(), ..query }).unwrap();
        (log.iter().map(|commit| commit.message.clone()).collect::<Vec<_>>(), more)
    };
    let all = || LogQuery { amount: 10, ..LogQuery::default() };
    // The root comes before one of its children.
    assert_eq!(messages(all()).0, ["merge", "new", "root", "old"]);
    assert_eq!(messages(LogQuery { first_parent: true, ..all() }).0, ["merge", "old", "root"]);
    assert_eq!(messages(LogQuery { since: Some((20, 0)), ..all() }).0, ["merge", "new", "root"]);
    assert_eq!(messages(LogQuery { stop_at: new.id.clone(), ..all() }), (vec!["merge".into(), "new".into()], false));
    assert_eq!(messages(LogQuery { amount: 1, ..all() }), (vec!["merge".into()], true));
    assert_eq!(messages(LogQuery { amount: 1, limit: true, ..all() }), (vec!["merge".into()], false));
    assert_eq!(messages(LogQuery { after: new.id, ..all() }).0, ["root", "old"]);
}

/// Changes to up to a few paths: a value, or a deletion.
fn changes() -> impl Strategy<Value = Vec<(u8, Option<u8>)>> {
    prop::collection::vec((0u8..12, prop::option::of(0u8..3)), 0..8)
}

fn make(lake: &Lake, branch: &str, model: &mut BTreeMap<String, String>, changes: &[(u8, Option<u8>)]) {
    for (key, value) in changes {
        let path = format!("p{key:02}");
        match value {
            Some(value) => {
                put(lake, branch, &path, &format!("{path}-{value}"));
                model.insert(path.clone(), format!("{path}-{value}"));
            }
            None => {
                lake.delete_object("one", branch, &path, false).unwrap();
                model.remove(&path);
            }
        }
    }
    // An empty commit may fail; staged changes without effect must not prevent a merge.
    let _ = commit(lake, branch);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn merges_are_what_a_plain_three_way_merge_of_maps_is(
        steps in prop::collection::vec((changes(), changes(), 0u8..3), 1..4),
        base in changes(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let sandbox = open(dir.path());
        let lake = sandbox.lake();
        create(lake);
        let mut main = BTreeMap::new();
        make(lake, "main", &mut main, &base);
        lake.create_branch("one", CreateBranch { name: "dev".into(), source: "main".into(), ..CreateBranch::default() }).unwrap();
        let (mut dev, mut base) = (main.clone(), main.clone());
        for (ours, theirs, strategy) in &steps {
            make(lake, "main", &mut main, ours);
            make(lake, "dev", &mut dev, theirs);
            let strategy = ["", "dest-wins", "source-wins"][usize::from(*strategy)];
            let wanted = merged(&main, &dev, &base, strategy);
            let merge = Merge {
                source: "dev".into(),
                destination: "main".into(),
                strategy: strategy.into(),
                allow_empty: true,
                ..Merge::default()
            };
            match (lake.merge("one", merge), wanted) {
                (Ok(_), Some(wanted)) => {
                    main = wanted;
                    base = dev.clone();
                }
                (Err(failure), None) => prop_assert_eq!(failure.message, "update branch main: conflict found"),
                (found, wanted) => prop_assert!(false, "{found:?} where {wanted:?}"),
            }
            prop_assert_eq!(list(lake, "main"), main.clone());
            prop_assert_eq!(list(lake, "dev@"), dev.clone());
            let head = lake.get_commit("one", "main").unwrap();
            if !head.metarange.is_empty() {
                prop_assert_eq!(ranges(dir.path(), &head).concat(), main.keys().cloned().collect::<Vec<_>>());
            }
        }
    }
}

type Map = BTreeMap<String, String>;

/// The merge of two maps with their base; `None` for a conflict.
fn merged(destination: &Map, source: &Map, base: &Map, strategy: &str) -> Option<Map> {
    let keys = destination.keys().chain(source.keys());
    let mut result = Map::new();
    for key in keys {
        let [d, s, b] = [destination, source, base].map(|map| map.get(key));
        let taken = match () {
            () if d == s || s == b => d,
            () if d == b || strategy == "source-wins" => s,
            () if strategy == "dest-wins" => d,
            () => return None,
        };
        if let Some(taken) = taken {
            result.insert(key.clone(), taken.clone());
        }
    }
    Some(result)
}

async fn serve(sandbox: &Sandbox) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let serving = sandbox.clone();
    tokio::spawn(async move { serving.serve(listener, std::future::pending()).await });
    address
}

#[tokio::test]
async fn faults_work_as_specified_and_a_change_with_a_lost_response_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = open(dir.path());
    create(sandbox.lake());
    let address = serve(&sandbox).await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let call = async |method: &str, path: &str, body: Option<Value>| {
        let request = client
            .request(method.parse().unwrap(), format!("{address}{path}"))
            .basic_auth(sandbox::EXAMPLE_ACCESS_KEY_ID, Some(sandbox::EXAMPLE_SECRET_ACCESS_KEY));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let response = request.send().await.ok()?;
        Some((response.status().as_u16(), response.text().await.ok()?))
    };
    let branches = "/api/v1/repositories/one/branches";
    let rule =
        |fault| Rule { method: Some("POST".into()), path: "/api/*/branches".into(), fault, skip: 0, times: Some(1) };

    sandbox.faults().add(rule(Fault::LoseAnswer));
    let body = json!({"name": "lost", "source": "main"});
    assert_eq!(call("POST", branches, Some(body.clone())).await, None);
    assert_eq!(call("POST", branches, Some(body)).await.unwrap().0, 409, "it was made");

    sandbox.faults().add(rule(Fault::Drop));
    let body = json!({"name": "dropped", "source": "main"});
    assert_eq!(call("POST", branches, Some(body.clone())).await, None);
    assert_eq!(call("POST", branches, Some(body)).await.unwrap().0, 201, "it was not made");

    let fault =
        json!({"path": "/api/*/branches/main", "fault": {"status": {"code": 503, "message": "later"}}, "times": 1});
    assert_eq!(call("POST", "/_sandbox/faults", Some(fault)).await.unwrap().0, 204);
    let one = format!("{branches}/main");
    assert_eq!(call("GET", &one, None).await.unwrap(), (503, "{\"message\":\"later\"}\n".to_owned()));
    assert_eq!(call("GET", &one, None).await.unwrap().0, 200);

    assert_eq!(call("POST", "/_sandbox/unreachable", Some(json!({"unreachable": true}))).await.unwrap().0, 204);
    assert_eq!(call("GET", &one, None).await, None);
    assert_eq!(call("DELETE", "/_sandbox/faults", None).await.unwrap().0, 204);
    assert_eq!(call("GET", &one, None).await.unwrap().0, 200);
    assert_eq!(sandbox.faults().calls()["GET /api/v1/repositories/*/branches/*"], 4);

    let anonymous = client.get(format!("{address}/_sandbox/faults")).send().await.unwrap();
    assert_eq!(anonymous.status(), 401);
}

#[test]
fn directory_has_one_sandbox_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    let clock = Arc::new(TapeClock(AtomicU64::new(0)));
    let second = Sandbox::open(sandbox::Options::new(dir.path()), clock, Arc::new(Counting(AtomicU64::new(1))));
    assert!(matches!(second, Err(sandbox::OpenError::InUse { .. })));
    drop(first);
    open(dir.path());
}
