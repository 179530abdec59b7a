//! What every implementation of the items port must do, as plain functions over the port.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use lakemirror::engine::ports::{Fault, FaultKind};
use lakemirror::mirrors::{Expect, Item, Items, KEY_BYTES_MAX, PAGE_ITEMS_MAX, PutError, VALUE_BYTES_MAX};

/// An implementation under test.
pub(super) struct Backend {
    /// An empty partition.
    pub(super) items: Arc<dyn Items>,
    /// Another empty partition of the same database, if it supports several at a time.
    pub(super) neighbour: Option<Arc<dyn Items>>,
    /// Keeps resources alive: a directory, a runtime.
    pub(super) _kept: Option<tempfile::TempDir>,
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn conflict(key: &str) -> PutError {
    PutError::Conflict { key: key.to_owned() }
}

fn refused<T>(answer: Result<T, PutError>) -> bool {
    matches!(answer, Err(PutError::Fault(Fault { kind: FaultKind::Refused, .. })))
}

async fn keys(items: &dyn Items, prefix: &str, after: Option<&str>, limit: usize) -> (Vec<String>, bool) {
    let page = items.query(prefix, after, limit).await.unwrap();
    (page.items.into_iter().map(|(key, _)| key).collect(), page.more)
}

/// All items with a prefix, page by page. A page without items that reports more would never end.
async fn walk(items: &dyn Items, prefix: &str, limit: usize) -> Vec<(String, Item)> {
    let (mut found, mut after) = (Vec::new(), None);
    for _ in 0..10_000 {
        let page = items.query(prefix, after.as_deref(), limit).await.unwrap();
        assert!(page.items.len() <= limit, "{} items of at most {limit}", page.items.len());
        after = page.items.last().map(|(key, _)| key.clone());
        found.extend(page.items);
        if !page.more {
            return found;
        }
        assert!(after.is_some(), "an empty page cannot have more behind it");
    }
    panic!("the query does not end");
}

pub(super) async fn a_write_needs_what_it_expects(Backend { items, .. }: &Backend) {
    assert_eq!(items.get("a").await, Ok(None));
    assert_eq!(items.put("a", bytes("0"), Expect::Version(1)).await, Err(conflict("a")));
    assert_eq!(items.get("a").await, Ok(None), "a refused write leaves nothing");
    let first = items.put("a", bytes("1"), Expect::Absent).await.unwrap();
    assert_eq!(items.get("a").await, Ok(Some(Item { value: bytes("1"), version: first })));
    assert_eq!(items.put("a", bytes("2"), Expect::Absent).await, Err(conflict("a")));
    let second = items.put("a", bytes("1"), Expect::Version(first)).await.unwrap();
    assert_ne!(first, second, "the same value written again is another version");
    assert_eq!(items.put("a", bytes("3"), Expect::Version(first)).await, Err(conflict("a")));
    assert_eq!(items.get("a").await, Ok(Some(Item { value: bytes("1"), version: second })));
    let third = items.put("a", bytes("4"), Expect::Any).await.unwrap();
    assert_eq!(items.get("a").await, Ok(Some(Item { value: bytes("4"), version: third })));
    items.put("new", bytes("5"), Expect::Any).await.unwrap();
    assert_eq!(items.get("new").await.unwrap().unwrap().value, bytes("5"));
}

pub(super) async fn every_write_has_a_version_of_its_own(Backend { items, .. }: &Backend) {
    let mut versions = HashSet::new();
    let mut last = items.put("a", bytes("0"), Expect::Absent).await.unwrap();
    versions.insert(last);
    for _ in 0..50 {
        last = items.put("a", bytes("0"), Expect::Version(last)).await.unwrap();
        assert!(versions.insert(last), "{last} came again");
    }
}

pub(super) async fn a_deletion_needs_the_version(Backend { items, .. }: &Backend) {
    assert_eq!(items.delete("a", 1).await, Err(conflict("a")));
    let version = items.put("a", bytes("1"), Expect::Absent).await.unwrap();
    let newer = items.put("a", bytes("2"), Expect::Any).await.unwrap();
    assert_eq!(items.delete("a", version).await, Err(conflict("a")));
    items.delete("a", newer).await.unwrap();
    assert_eq!(items.get("a").await, Ok(None));
    assert_eq!(items.delete("a", newer).await, Err(conflict("a")));
    assert_eq!(items.put("a", bytes("3"), Expect::Version(newer)).await, Err(conflict("a")), "gone is not as expected");
    items.put("a", bytes("3"), Expect::Absent).await.unwrap();
}

pub(super) async fn queries_are_in_the_order_of_bytes(Backend { items, .. }: &Backend) {
    // Neighbours of the prefix, and characters that sort differently by bytes than by alphabet or UTF-16.
    let odd =
        ["q/", "q/A", "q/Z", "q/a", "q/a%", "q/a/b", "q/a_", "q/b", "q/\\x41", "q/ü", "q/\u{ffee}", "q/\u{1f600}"];
    for key in odd.iter().rev().chain(&["q0", "p", "q", "q.", "Q/a"]) {
        items.put(key, bytes(key), Expect::Any).await.unwrap();
    }
    let mut all: Vec<String> = odd.map(str::to_owned).to_vec();
    all.sort_unstable_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    assert_eq!(keys(&**items, "q/", None, 100).await, (all.clone(), false));
    for limit in [1, 2, 3, 5, 11, 12, 13] {
        let found = walk(&**items, "q/", limit).await;
        assert_eq!(found.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(), all, "{limit} at a time");
        assert!(found.iter().all(|(key, item)| item.value == bytes(key)));
    }
    let everything = walk(&**items, "", 4).await;
    assert_eq!(everything.len(), 17);
    assert!(everything.is_sorted_by(|(a, _), (b, _)| a.as_bytes() < b.as_bytes()));
}

pub(super) async fn queries_begin_after_a_key_and_end_with_the_prefix(Backend { items, .. }: &Backend) {
    assert_eq!(keys(&**items, "q/", None, 10).await, (Vec::new(), false), "nothing is there");
    for key in ["q/a", "q/a/b", "q/b", "q/c", "r"] {
        items.put(key, bytes(key), Expect::Any).await.unwrap();
    }
    let all = ["q/a", "q/a/b", "q/b", "q/c"].map(str::to_owned);
    assert_eq!(keys(&**items, "q/", Some("q/a"), 100).await.0, all[1..]);
    assert_eq!(keys(&**items, "q/", Some("q/aa"), 100).await.0, all[2..], "after need not exist");
    assert_eq!(keys(&**items, "q/", Some("q/"), 100).await.0, all);
    assert_eq!(keys(&**items, "q/", Some(""), 100).await.0, all);
    assert_eq!(keys(&**items, "q/", Some("a"), 100).await.0, all, "before the prefix");
    assert_eq!(keys(&**items, "q/", Some("z"), 100).await, (Vec::new(), false), "behind the prefix");
    assert_eq!(keys(&**items, "q/", Some("q/c"), 100).await, (Vec::new(), false), "the last one");
    assert_eq!(keys(&**items, "q/a", None, 2).await, (all[..2].to_vec(), false), "exactly full is not more");
    assert_eq!(keys(&**items, "q/a", None, 1).await, (all[..1].to_vec(), true));
    assert_eq!(keys(&**items, "", None, 5).await.0.len(), 5);
    assert!(!keys(&**items, "", None, 5).await.1);
    assert_eq!(keys(&**items, "q/", None, 0).await, (all[..1].to_vec(), true), "a limit of nothing is one");
}

pub(super) async fn more_items_than_a_page_come_in_bounded_pages(Backend { items, .. }: &Backend) {
    let mut written = BTreeMap::new();
    for chunk in (0..1100_u32).collect::<Vec<_>>().chunks(50) {
        let puts = chunk.iter().map(|n| async move {
            let key = format!("many/{n:05}");
            (key.clone(), items.put(&key, bytes(&n.to_string()), Expect::Absent).await.unwrap())
        });
        written.extend(futures_util::future::join_all(puts).await);
    }
    let page = items.query("many/", None, 1_000_000).await.unwrap();
    assert!(page.more && page.items.len() == PAGE_ITEMS_MAX);
    for limit in [1000, 400] {
        let found = walk(&**items, "many/", limit).await;
        let found: BTreeMap<String, u64> = found.into_iter().map(|(key, item)| (key, item.version)).collect();
        assert_eq!(found, written, "{limit} at a time");
    }
}

pub(super) async fn big_values_come_whole_and_over_pages(Backend { items, .. }: &Backend) {
    // 0.4 to 9.6 MB: more than a page of the server, and more than one of ours.
    let value = |n: u8| Bytes::from((0..=u8::MAX).cycle().take(VALUE_BYTES_MAX).map(|at| at ^ n).collect::<Vec<_>>());
    for n in 0..25_u8 {
        items.put(&format!("big/{n:02}"), value(n), Expect::Absent).await.unwrap();
    }
    for limit in [1, 3, 24, 25, 1000] {
        let found = walk(&**items, "big/", limit).await;
        assert_eq!(found.len(), 25, "{limit} at a time");
        for (n, (key, item)) in (0..25_u8).zip(found) {
            assert_eq!(key, format!("big/{n:02}"));
            assert!(item.value == value(n), "{key}");
        }
    }
}

pub(super) async fn any_bytes_and_keys_come_back(Backend { items, .. }: &Backend) {
    let all: Vec<u8> = (0..=255).collect();
    for (key, value) in [
        ("k/all", all.as_slice()),
        ("k/zeros", &[0; 64]),
        ("k/empty", &[]),
        ("k/with \u{0} zero", b"z"),
        ("k/new\nline", b"n"),
        ("k/'; DROP TABLE lakemirror_kv; --", b"s"),
        ("k/:partition", b"p"),
        ("\u{10ffff}", b"last"),
    ] {
        let version = items.put(key, Bytes::copy_from_slice(value), Expect::Absent).await.unwrap();
        assert_eq!(items.get(key).await, Ok(Some(Item { value: Bytes::copy_from_slice(value), version })), "{key:?}");
    }
    assert_eq!(walk(&**items, "k/", 3).await.len(), 7);
    assert_eq!(keys(&**items, "\u{10ffff}", None, 9).await.0, ["\u{10ffff}"]);
}

pub(super) async fn limits_are_refused_and_named(Backend { items, .. }: &Backend) {
    let longest = "k".repeat(KEY_BYTES_MAX);
    items.put(&longest, Bytes::from(vec![7; VALUE_BYTES_MAX]), Expect::Any).await.unwrap();
    assert_eq!(items.get(&longest).await.unwrap().unwrap().value.len(), VALUE_BYTES_MAX);
    assert!(refused(items.put(&"k".repeat(KEY_BYTES_MAX + 1), bytes("1"), Expect::Any).await));
    assert!(refused(items.put("", bytes("1"), Expect::Any).await));
    assert!(refused(items.put("l", Bytes::from(vec![7; VALUE_BYTES_MAX + 1]), Expect::Any).await));
    assert_eq!(items.get("l").await, Ok(None));
}

pub(super) async fn one_of_many_writers_wins(Backend { items, .. }: &Backend) {
    for expectation in ["version", "absent"] {
        let key = format!("race/{expectation}");
        let mut expect = Expect::Absent;
        if expectation == "version" {
            expect = Expect::Version(items.put(&key, bytes("start"), Expect::Any).await.unwrap());
        }
        let writers = (0..16).map(|writer: u32| {
            let (items, key) = (Arc::clone(items), key.clone());
            tokio::spawn(async move { (writer, items.put(&key, bytes(&writer.to_string()), expect).await) })
        });
        let mut winners = Vec::new();
        for writer in writers.collect::<Vec<_>>() {
            match writer.await.unwrap() {
                (writer, Ok(version)) => winners.push(Item { value: bytes(&writer.to_string()), version }),
                (_, Err(error)) => assert_eq!(error, conflict(&key)),
            }
        }
        assert_eq!(winners.len(), 1, "{expectation}");
        assert_eq!(items.get(&key).await.unwrap(), winners.pop(), "the winner's value is there");
    }
}

pub(super) async fn no_increment_is_lost(Backend { items, .. }: &Backend) {
    items.put("count", bytes("0"), Expect::Absent).await.unwrap();
    let workers = (0..8).map(|_| {
        let items = Arc::clone(items);
        tokio::spawn(async move {
            let mut left = 10;
            while left > 0 {
                let found = items.get("count").await.unwrap().unwrap();
                let next = str::from_utf8(&found.value).unwrap().parse::<u32>().unwrap() + 1;
                match items.put("count", bytes(&next.to_string()), Expect::Version(found.version)).await {
                    Ok(_) => left -= 1,
                    Err(error) => assert_eq!(error, conflict("count")),
                }
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    assert_eq!(items.get("count").await.unwrap().unwrap().value, bytes("80"));
}

pub(super) async fn partitions_do_not_see_each_other(Backend { items, neighbour, .. }: &Backend) {
    let Some(neighbour) = neighbour else { return };
    let version = items.put("a", bytes("mine"), Expect::Absent).await.unwrap();
    assert_eq!(neighbour.get("a").await, Ok(None));
    assert_eq!(neighbour.delete("a", version).await, Err(conflict("a")));
    neighbour.put("a", bytes("theirs"), Expect::Absent).await.unwrap();
    neighbour.put("b", bytes("theirs"), Expect::Absent).await.unwrap();
    assert_eq!(keys(&**items, "", None, 9).await.0, ["a"]);
    assert_eq!(items.get("a").await, Ok(Some(Item { value: bytes("mine"), version })));
}

/// The suite as tests of one backend, which `$backend` creates; `None` skips.
macro_rules! conformance {
    ($module:ident, $backend:expr) => {
        mod $module {
            use super::*;

            conformance!(@tests $backend;
                a_write_needs_what_it_expects,
                every_write_has_a_version_of_its_own,
                a_deletion_needs_the_version,
                queries_are_in_the_order_of_bytes,
                queries_begin_after_a_key_and_end_with_the_prefix,
                more_items_than_a_page_come_in_bounded_pages,
                big_values_come_whole_and_over_pages,
                any_bytes_and_keys_come_back,
                limits_are_refused_and_named,
                one_of_many_writers_wins,
                no_increment_is_lost,
                partitions_do_not_see_each_other,
            );
        }
    };
    (@tests $backend:expr; $($test:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                if let Some(backend) = $backend(stringify!($test)).await {
                    crate::items::conformance::$test(&backend).await;
                }
            }
        )*
    };
}
pub(super) use conformance;
