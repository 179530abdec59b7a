//! Keys, files, and what is neither.

use super::*;

fn store() -> (tempfile::TempDir, Local) {
    let dir = tempfile::tempdir().unwrap();
    let store = Local::new(&Settings { path: dir.path().join("root") });
    (dir, store)
}

fn write(dir: &tempfile::TempDir, path: &str, bytes: &[u8]) {
    let path = dir.path().join("root").join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn at(bucket: &str, key: &str) -> Location {
    Location { bucket: bucket.into(), key: key.into() }
}

#[tokio::test]
async fn keys_that_leave_the_directory_are_refused_to_read_and_absent_to_look_at() {
    let (dir, store) = store();
    write(&dir, "b/a/k", b"1");
    write(&dir, "secret", b"1");
    std::fs::write(dir.path().join("outside"), b"1").unwrap();
    let absolute = dir.path().join("outside").display().to_string();
    for (bucket, key) in [
        ("b", "../secret"),
        ("b", "a/../a/k"),
        ("b", "../../outside"),
        ("b", "./a/k"),
        ("b", "a//k"),
        ("b", "/a/k"),
        ("b", "a/k/"),
        ("b", ""),
        ("b", "a/k\0"),
        ("..", "outside"),
        (".", "secret"),
        ("", "secret"),
        ("b/a", "k"),
        ("b", absolute.as_str()),
    ] {
        assert_eq!(store.head(bucket, key).await, Ok(Found::Absent), "{bucket:?} {key:?}");
        let kind = store.get(&at(bucket, key), 9).await.unwrap_err().kind;
        assert_eq!(kind, FaultKind::Refused, "{bucket:?} {key:?}");
    }
    assert_eq!(store.head("b", "a/k").await, Ok(Found::Present { size: 1 }));
    for (bucket, prefix) in [("..", ""), ("b", "../"), ("b", "/"), ("b", "a//"), ("b/a", ""), ("b", "a/../")] {
        assert!(store.list(bucket, prefix, "", 9).await.unwrap().is_empty(), "{bucket:?} {prefix:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn symbolic_links_are_not_objects() {
    use std::os::unix::fs::symlink;
    let (dir, store) = store();
    write(&dir, "b/real/k", b"1");
    let root = dir.path().join("root");
    std::fs::create_dir(dir.path().join("outside")).unwrap();
    std::fs::write(dir.path().join("outside/k"), b"1").unwrap();
    symlink(dir.path().join("outside"), root.join("linked-bucket")).unwrap();
    symlink(dir.path().join("outside"), root.join("b/linked")).unwrap();
    symlink(root.join("b"), root.join("b/real/loop")).unwrap();
    symlink(dir.path().join("outside/k"), root.join("b/file")).unwrap();
    for (bucket, key) in [("linked-bucket", "k"), ("b", "linked/k"), ("b", "file"), ("b", "real/loop/real/k")] {
        assert_eq!(store.head(bucket, key).await, Ok(Found::Absent), "{bucket}/{key}");
        assert_eq!(store.get(&at(bucket, key), 9).await, Ok(Fetched::Absent), "{bucket}/{key}");
    }
    let page = store.list("b", "", "", 9).await.unwrap();
    assert_eq!(page.iter().collect::<Vec<_>>(), [("real/k", 1)]);
    assert!(store.list("b", "linked/", "", 9).await.unwrap().is_empty());
    assert!(store.list("linked-bucket", "", "", 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_missing_namespace_is_empty_and_a_missing_path_is_a_fault() {
    let (dir, store) = store();
    let fault = store.head("b", "k").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Refused);
    assert!(fault.message.contains("blockstore.local.path"), "{fault}");
    assert_eq!(store.list("b", "", "", 1).await.unwrap_err().kind, FaultKind::Refused);
    assert_eq!(store.get(&at("b", "k"), 1).await.unwrap_err().kind, FaultKind::Refused);
    std::fs::create_dir(dir.path().join("root")).unwrap();
    assert_eq!(store.head("b", "k").await, Ok(Found::Absent));
    assert_eq!(store.get(&at("b", "k"), 1).await, Ok(Fetched::Absent));
    assert_eq!(store.list("b", "x/", "", 1).await, Ok(Page::default()));
    let file = Local::new(&Settings { path: dir.path().join("root/file") });
    write(&dir, "file", b"");
    assert_eq!(file.head("b", "k").await.unwrap_err().kind, FaultKind::Refused);
}

#[test]
fn errors_are_told_apart() {
    let kind = |kind: ErrorKind| io_fault("c".into(), &io::Error::from(kind)).kind;
    assert_eq!(kind(ErrorKind::PermissionDenied), FaultKind::Denied);
    assert_eq!(kind(ErrorKind::TimedOut), FaultKind::Retry);
    assert!(means_absent(&ErrorKind::NotADirectory.into()) && !means_absent(&ErrorKind::PermissionDenied.into()));
}

#[tokio::test]
async fn a_key_below_a_file_or_of_a_directory_is_absent() {
    let (dir, store) = store();
    write(&dir, "b/a/k", b"12");
    for key in ["a", "a/k/below", &"x".repeat(300)] {
        assert_eq!(store.head("b", key).await, Ok(Found::Absent), "{key}");
        assert_eq!(store.get(&at("b", key), 9).await, Ok(Fetched::Absent), "{key}");
    }
}
