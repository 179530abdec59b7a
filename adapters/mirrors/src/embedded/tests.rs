//! Durability, exclusiveness and clear errors of the embedded mirrors database.

use std::path::Path;
use std::time::Duration;

use super::*;
use lakemirror_ports::clock::Clock as _;
use lakemirror_ports::clock::system::SystemClock;

async fn put(items: &Embedded, key: &str, value: &str, expect: Expect) -> u64 {
    items.put(key, Bytes::copy_from_slice(value.as_bytes()), expect).await.unwrap()
}

/// Opens what was closed just now. A child that another test starts has every lock of this process until it executes its
/// program: then it is tried again.
async fn reopened(path: &Path, organization: &str) -> Embedded {
    for _ in 0..500 {
        match Embedded::open(path, organization, Alarm::default()).await {
            Err(OpenError::InUse { .. }) => SystemClock::new().sleep(Duration::from_millis(10)).await,
            opened => return opened.unwrap(),
        }
    }
    panic!("{} stays locked", path.display());
}

/// The directory as a crash would leave it: a copy taken while the store is open and was never closed.
fn crash_image(of: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(of).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            crash_image(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn every_acknowledged_write_is_there_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let live = directory.path().join("live");
    let items = Embedded::open(&live, "acme", Alarm::default()).await.unwrap();
    let mut versions = Vec::new();
    for round in 0..12u32 {
        versions.push(put(&items, &format!("k/{round:02}"), &"v".repeat(round as usize * 100), Expect::Absent).await);
        if round % 3 == 0 {
            items.delete(&format!("k/{round:02}"), versions[round as usize]).await.unwrap();
        }
        let image = directory.path().join(format!("image-{round}"));
        crash_image(&live, &image);
        let survived = Embedded::open(&image, "acme", Alarm::default()).await.unwrap();
        let expected = items.query("k/", None, 100).await.unwrap();
        assert_eq!(survived.query("k/", None, 100).await.unwrap(), expected, "after {round}");
    }
}

#[tokio::test]
async fn versions_go_on_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let items = Embedded::open(directory.path(), "acme", Alarm::default()).await.unwrap();
    let before = put(&items, "a", "1", Expect::Absent).await;
    drop(items);
    let items = reopened(directory.path(), "acme").await;
    let after = put(&items, "a", "2", Expect::Version(before)).await;
    assert!(after > before);
}

#[tokio::test]
async fn organizations_do_not_see_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let items = Embedded::open(directory.path(), "acme", Alarm::default()).await.unwrap();
    put(&items, "a", "1", Expect::Absent).await;
    drop(items);
    let items = reopened(directory.path(), "acm").await;
    assert_eq!(items.query("", None, 10).await.unwrap(), Page::default());
}

#[tokio::test]
async fn a_second_opener_is_told_who_is_in_the_way() {
    let directory = tempfile::tempdir().unwrap();
    let first = Embedded::open(directory.path(), "acme", Alarm::default()).await.unwrap();
    let error = Embedded::open(directory.path(), "acme", Alarm::default()).await.err().unwrap();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("in use by another process"), "{error}");
    drop(first);
    reopened(directory.path(), "acme").await;
}

#[tokio::test]
async fn an_unusable_path_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "x").unwrap();
    for path in [file.clone(), file.join("below"), Path::new("/proc/lakemirror").to_owned()] {
        let error = Embedded::open(&path, "acme", Alarm::default()).await.err().unwrap();
        assert!(matches!(error, OpenError::Unusable { .. }), "{error:?}");
        assert!(error.to_string().contains("mirrors_database.local.path"), "{error}");
    }
}

#[tokio::test]
async fn nothing_is_written_after_a_failed_write() {
    let directory = tempfile::tempdir().unwrap();
    let items = Embedded::open(directory.path(), "acme", Alarm::default()).await.unwrap();
    put(&items, "a", "1", Expect::Absent).await;
    let broken =
        items.change(|shared| shared.writer()?.durably(shared, |_| Err(std::io::ErrorKind::StorageFull.into()))).await;
    assert!(matches!(broken, Err(PutError::Fault(_))));
    let error = items.put("b", Bytes::new(), Expect::Any).await.unwrap_err();
    let PutError::Fault(fault) = error else { panic!("{error}") };
    assert!(fault.message.contains("no storage space") && fault.message.contains("restart"), "{fault}");
    assert_eq!(items.get("b").await.unwrap(), None);
    assert!(items.get("a").await.unwrap().is_some(), "reading goes on");
}

#[tokio::test]
async fn a_conflict_does_not_stop_writing() {
    let directory = tempfile::tempdir().unwrap();
    let items = Embedded::open(directory.path(), "acme", Alarm::default()).await.unwrap();
    assert!(items.put("a", Bytes::new(), Expect::Version(7)).await.is_err());
    put(&items, "a", "1", Expect::Absent).await;
}
