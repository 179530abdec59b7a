//! What every store must do, as plain functions over the port. Each backend stores objects in its own way.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use lakemirror::clock::system::{OsEntropy, SystemClock};
use lakemirror::engine::ports::{Destination as _, Effort, FaultKind, Fetched, Location, Outcome, Wanted};
use lakemirror::objects::checker::{Checker, Limits};
use lakemirror::objects::self_test::self_test;
use lakemirror::objects::{Found, Store};

/// A store under test, and the way to fill it.
#[async_trait]
pub(super) trait Backend: Send + Sync {
    fn store(&self) -> Arc<dyn Store>;
    /// Creates an empty bucket for one test.
    async fn create_bucket(&self, bucket: &str);
    async fn put(&self, bucket: &str, key: &str, bytes: &[u8]);
    async fn delete(&self, bucket: &str, key: &str);
    /// Whether any key may exist next to any other (`a/b` next to `a`), as in S3 itself.
    fn holds_any_key(&self) -> bool;
    /// Whether keys are listed in byte order even where UTF-16 order differs.
    fn orders_by_bytes(&self) -> bool {
        true
    }
    /// Whether listing a missing bucket fails, instead of returning an empty result.
    fn knows_buckets(&self) -> bool;
}

fn at(bucket: &str, key: &str) -> Location {
    Location { bucket: bucket.into(), key: key.into() }
}

async fn put_all(backend: &dyn Backend, bucket: &str, keys: &[&str]) {
    backend.create_bucket(bucket).await;
    for key in keys {
        backend.put(bucket, key, key.as_bytes()).await;
    }
}

/// All pages of a listing, each with at most `max` keys.
async fn listed(store: &dyn Store, bucket: &str, prefix: &str, after: &str, max: usize) -> Vec<(String, u64)> {
    let (mut keys, mut from) = (Vec::new(), after.to_owned());
    for _ in 0..1000 {
        let page = store.list(bucket, prefix, &from, max).await.unwrap();
        page.in_order(prefix, &from).unwrap();
        assert!(page.len() <= max, "{} keys of at most {max}", page.len());
        keys.extend(page.iter().filter(|(key, _)| **key > *from).map(|(key, size)| (key.to_owned(), size)));
        if !page.more {
            return keys;
        }
        from = page.last().unwrap().to_owned();
    }
    panic!("the listing does not end");
}

pub(super) async fn reads_whole_objects_up_to_the_limit(backend: &dyn Backend) {
    let (store, bucket) = (backend.store(), "t1-read");
    backend.create_bucket(bucket).await;
    let big: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    backend.put(bucket, "_lakefs/big", &big).await;
    backend.put(bucket, "_lakefs/empty", b"").await;
    let length = u64::try_from(big.len()).unwrap();
    assert_eq!(store.get(&at(bucket, "_lakefs/big"), length).await, Ok(Fetched::Bytes(big.into())));
    let fault = store.get(&at(bucket, "_lakefs/big"), length - 1).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Refused, "{fault}");
    assert!(fault.message.contains("300000"), "{fault}");
    assert_eq!(store.get(&at(bucket, "_lakefs/empty"), 0).await, Ok(Fetched::Bytes(Vec::new().into())));
    assert_eq!(store.get(&at(bucket, "_lakefs/none"), 9).await, Ok(Fetched::Absent));
}

pub(super) async fn tells_size_and_absence(backend: &dyn Backend) {
    let (store, bucket) = (backend.store(), "t1-head");
    put_all(backend, bucket, &["data/p/one"]).await;
    backend.put(bucket, "data/p/empty", b"").await;
    assert_eq!(store.head(bucket, "data/p/one").await, Ok(Found::Present { size: 10 }));
    assert_eq!(store.head(bucket, "data/p/empty").await, Ok(Found::Present { size: 0 }));
    for absent in ["data/p/none", "data/p", "data/p/", "data/p/one/below", "", &"k".repeat(2000)] {
        assert_eq!(store.head(bucket, absent).await, Ok(Found::Absent), "{absent}");
    }
    backend.put(bucket, "data/p/one", b"longer than it was").await;
    assert_eq!(store.head(bucket, "data/p/one").await, Ok(Found::Present { size: 18 }));
}

pub(super) async fn a_missing_bucket_is_never_a_wrong_answer(backend: &dyn Backend) {
    let (store, bucket) = (backend.store(), "t1-never-made");
    assert_eq!(store.head(bucket, "k").await, Ok(Found::Absent), "HEAD cannot know");
    let (got, list) = (store.get(&at(bucket, "k"), 1).await, store.list(bucket, "", "", 1).await);
    if backend.knows_buckets() {
        let (got, list) = (got.unwrap_err(), list.unwrap_err());
        assert_eq!((got.kind, list.kind), (FaultKind::Refused, FaultKind::Refused), "{got} {list}");
        assert!(list.to_string().contains("bucket"), "{list}");
    } else {
        assert_eq!(got, Ok(Fetched::Absent));
        assert!(list.unwrap().is_empty());
    }
}

pub(super) async fn lists_in_the_order_of_bytes(backend: &dyn Backend) {
    let (store, bucket) = (backend.store(), "t1-list");
    let mut keys = vec!["A", "a-b", "a.b", "a/b", "a/c/d", "a0", "b/1", "b/2", "b/3", "ba", "z~", "é", "\u{ffee}"];
    if backend.orders_by_bytes() {
        keys.push("\u{1f600}");
    }
    if backend.holds_any_key() {
        keys.extend(["a", "a/", "a/b/c", "a//b", "b/2/x"]);
    }
    put_all(backend, bucket, &keys).await;
    let all: BTreeMap<&str, u64> = keys.iter().map(|key| (*key, u64::try_from(key.len()).unwrap())).collect();
    let mut starts = vec!["", "A", "a", "a!", "a-b", "a/", "a/b", "a/b~", "b/2", "b/", "z"];
    if backend.orders_by_bytes() {
        starts.extend(["\u{1f600}", "\u{10ffff}"]);
    }
    for prefix in ["", "a", "a/", "b/", "b/2", "nothing/"] {
        for after in starts.iter().copied() {
            let expected: Vec<(String, u64)> = all
                .iter()
                .filter(|(key, _)| key.starts_with(prefix) && **key > after)
                .map(|(key, size)| ((*key).to_owned(), *size))
                .collect();
            for max in [1000, 3] {
                let found = listed(&*store, bucket, prefix, after, max).await;
                assert_eq!(found, expected, "prefix {prefix:?} after {after:?} by {max}");
            }
        }
    }
}

pub(super) async fn odd_keys_come_through(backend: &dyn Backend) {
    let (store, bucket) = (backend.store(), "t1-odd");
    let keys = [
        "data/a b",
        "data/a+b",
        "data/a%20b",
        "data/a%2Fb",
        "data/a&b",
        "data/a<b>c",
        "data/a\"b'c",
        "data/a?b#c",
        "data/a=b;c,d:e@f",
        "data/ü/日本語",
        "data/~x",
        "data/a\\b",
        "data/{a}[b]|c^d`e",
        "data/x,Ab-_9",
    ];
    put_all(backend, bucket, &keys).await;
    for key in keys {
        let size = u64::try_from(key.len()).unwrap();
        assert_eq!(store.head(bucket, key).await, Ok(Found::Present { size }), "{key}");
        assert_eq!(store.get(&at(bucket, key), 100).await, Ok(Fetched::Bytes(key.as_bytes().to_vec().into())), "{key}");
    }
    let mut expected = keys.map(str::to_owned).to_vec();
    expected.sort();
    let found = listed(&*store, bucket, "data/", "", 4).await;
    assert_eq!(found.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), expected);
}

pub(super) async fn the_self_test_passes_and_names_what_is_wrong(backend: &dyn Backend) {
    let (store, bucket) = (backend.store(), "t1-self");
    put_all(backend, bucket, &["ns/data/x"]).await;
    self_test(&*store, bucket, "ns/", &OsEntropy).await.unwrap();
    if backend.knows_buckets() {
        let fault = self_test(&*store, "t1-no-such", "ns/", &OsEntropy).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Refused);
        assert!(fault.message.contains("no such bucket"), "{fault}");
    }
}

/// The answers of a checker, by tag.
pub(super) async fn checked(
    store: Arc<dyn Store>,
    bucket: &str,
    wanted: Vec<Wanted>,
    effort: Effort,
) -> HashMap<u64, Outcome> {
    let checker = Checker::new(store, Limits::S3, Arc::new(SystemClock::new()), Arc::new(OsEntropy));
    let answers = Mutex::new(HashMap::new());
    let count = wanted.len();
    checker
        .check(bucket, wanted, effort, &|batch| {
            for answer in batch {
                assert_eq!(answers.lock().unwrap().insert(answer.tag, answer.outcome), None);
            }
        })
        .await
        .unwrap();
    let answers = answers.into_inner().unwrap();
    assert_eq!(answers.len(), count);
    answers
}

pub(super) async fn presence_is_told_of_many_keys(backend: &dyn Backend) {
    let (store, bucket, count) = (backend.store(), "t1-many", 300_u64);
    backend.create_bucket(bucket).await;
    for n in (0..count).filter(|n| n % 7 != 0) {
        let bytes = if n % 10 == 0 { "wrong" } else { "right!" };
        backend.put(bucket, &format!("ns/data/p{}/{n:05}", n % 3), bytes.as_bytes()).await;
    }
    let key = |n: u64| format!("ns/data/p{}/{n:05}", n % 3).into();
    let wanted: Vec<_> = (0..count).map(|n| Wanted { key: key(n), size: 6, tag: n }).collect();
    for effort in [Effort::Sweep, Effort::Recheck] {
        for (n, outcome) in checked(Arc::clone(&store), bucket, wanted.clone(), effort).await {
            let expected = match n {
                _ if n % 7 == 0 => Outcome::Absent,
                _ if n % 10 == 0 => Outcome::WrongSize { found: 5 },
                _ => Outcome::Present,
            };
            assert_eq!(outcome, expected, "{n}");
        }
    }
    backend.put(bucket, "ns/data/p0/00000", b"right!").await;
    backend.delete(bucket, "ns/data/p1/00001").await;
    let few = wanted.into_iter().take(2).collect();
    let answers = checked(store, bucket, few, Effort::Recheck).await;
    assert_eq!(answers.get(&0), Some(&Outcome::Present));
    assert!(matches!(answers.get(&1), Some(Outcome::Absent | Outcome::Deleted)), "{answers:?}");
}

/// The suite as tests of one backend, which `$backend` creates; `None` skips.
macro_rules! conformance {
    ($module:ident, $backend:expr) => {
        mod $module {
            use super::*;

            conformance!(@tests $backend;
                reads_whole_objects_up_to_the_limit,
                tells_size_and_absence,
                a_missing_bucket_is_never_a_wrong_answer,
                lists_in_the_order_of_bytes,
                odd_keys_come_through,
                the_self_test_passes_and_names_what_is_wrong,
                presence_is_told_of_many_keys,
            );
        }
    };
    (@tests $backend:expr; $($test:ident,)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let make: fn(&'static str) -> _ = $backend;
                if let Some(backend) = make(stringify!($test)).await {
                    crate::objects::conformance::$test(&backend).await;
                }
            }
        )*
    };
}
pub(super) use conformance;
