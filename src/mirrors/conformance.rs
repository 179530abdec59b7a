//! What every implementation of [`Items`] must do: plain async functions, run against each of them.

use std::sync::Arc;

use super::*;
use crate::engine::ports::FaultKind;

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn conflict(key: &str) -> PutError {
    PutError::Conflict { key: key.to_owned() }
}

async fn keys(items: &dyn Items, prefix: &str, after: Option<&str>, limit: usize) -> (Vec<String>, bool) {
    let page = items.query(prefix, after, limit).await.unwrap();
    (page.items.into_iter().map(|(key, _)| key).collect(), page.more)
}

/// Runs everything on an empty partition.
pub(super) async fn all(items: Arc<dyn Items>) {
    conditional_writes(&*items).await;
    deletes(&*items).await;
    queries(&*items).await;
    limits(&*items).await;
    one_of_many_wins(items).await;
}

async fn conditional_writes(items: &dyn Items) {
    assert_eq!(items.get("c/a").await.unwrap(), None);
    assert_eq!(items.put("c/a", bytes("0"), Expect::Version(1)).await, Err(conflict("c/a")));
    let first = items.put("c/a", bytes("1"), Expect::Absent).await.unwrap();
    assert_eq!(items.get("c/a").await.unwrap(), Some(Item { value: bytes("1"), version: first }));
    assert_eq!(items.put("c/a", bytes("2"), Expect::Absent).await, Err(conflict("c/a")));
    let second = items.put("c/a", bytes("1"), Expect::Version(first)).await.unwrap();
    assert_ne!(first, second, "the same value written again is another version");
    assert_eq!(items.put("c/a", bytes("3"), Expect::Version(first)).await, Err(conflict("c/a")));
    let third = items.put("c/a", bytes("4"), Expect::Any).await.unwrap();
    assert_eq!(items.get("c/a").await.unwrap(), Some(Item { value: bytes("4"), version: third }));
    items.put("c/empty", Bytes::new(), Expect::Any).await.unwrap();
    assert_eq!(items.get("c/empty").await.unwrap().unwrap().value, Bytes::new());
}

async fn deletes(items: &dyn Items) {
    assert_eq!(items.delete("d/a", 1).await, Err(conflict("d/a")));
    let version = items.put("d/a", bytes("1"), Expect::Absent).await.unwrap();
    let newer = items.put("d/a", bytes("2"), Expect::Any).await.unwrap();
    assert_eq!(items.delete("d/a", version).await, Err(conflict("d/a")));
    items.delete("d/a", newer).await.unwrap();
    assert_eq!(items.get("d/a").await.unwrap(), None);
    assert_eq!(items.delete("d/a", newer).await, Err(conflict("d/a")));
    items.put("d/a", bytes("3"), Expect::Absent).await.unwrap();
}

async fn queries(items: &dyn Items) {
    // 0xff-like and neighbouring keys: order is that of bytes, and a prefix ends where it ends.
    for key in ["q/", "q/a", "q/a/b", "q/b", "q/ü", "q0", "p", "q"] {
        items.put(key, bytes(key), Expect::Any).await.unwrap();
    }
    let all: Vec<String> = ["q/", "q/a", "q/a/b", "q/b", "q/ü"].map(str::to_owned).to_vec();
    assert_eq!(keys(items, "q/", None, 100).await, (all.clone(), false));
    assert_eq!(keys(items, "q/", Some("q/a"), 100).await.0, all[2..]);
    assert_eq!(keys(items, "q/", Some("q/aa"), 100).await.0, all[3..], "after need not exist");
    assert_eq!(keys(items, "q/", Some("a"), 100).await.0, all, "before the prefix");
    assert_eq!(keys(items, "q/", Some("z"), 100).await.0, Vec::<String>::new());
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let (page, more) = keys(items, "q/", after.as_deref(), 2).await;
        assert!(page.len() <= 2);
        after = page.last().cloned();
        found.extend(page);
        if !more {
            break;
        }
    }
    assert_eq!(found, all);
    assert_eq!(keys(items, "q/a", None, 2).await, (all[1..3].to_vec(), false), "exactly full is not more");
}

async fn limits(items: &dyn Items) {
    let refused = |error| matches!(error, Err(PutError::Fault(Fault { kind: FaultKind::Refused, .. })));
    items.put(&"k".repeat(KEY_BYTES_MAX), bytes("1"), Expect::Any).await.unwrap();
    assert!(refused(items.put(&"k".repeat(KEY_BYTES_MAX + 1), bytes("1"), Expect::Any).await));
    assert!(refused(items.put("", bytes("1"), Expect::Any).await));
    items.put("l", Bytes::from(vec![7; VALUE_BYTES_MAX]), Expect::Any).await.unwrap();
    assert!(refused(items.put("l", Bytes::from(vec![7; VALUE_BYTES_MAX + 1]), Expect::Any).await));
    assert_eq!(items.get("l").await.unwrap().unwrap().value.len(), VALUE_BYTES_MAX);
}

async fn one_of_many_wins(items: Arc<dyn Items>) {
    let version = items.put("w", bytes("start"), Expect::Any).await.unwrap();
    let writers: Vec<_> = (0..16)
        .map(|writer: u32| {
            let items = Arc::clone(&items);
            tokio::spawn(async move { items.put("w", bytes(&writer.to_string()), Expect::Version(version)).await })
        })
        .collect();
    let mut won = 0;
    for writer in writers {
        match writer.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert_eq!(error, conflict("w")),
        }
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn memory_conforms() {
    all(Arc::new(Memory::new())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_conforms() {
    let directory = tempfile::tempdir().unwrap();
    all(Arc::new(Embedded::open(&directory.path().join("new/deep"), "acme").await.unwrap())).await;
}
