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
async fn keys_are_cleaned_as_paths_and_none_leaves_the_directory() {
    let (dir, store) = store();
    write(&dir, "b/a/k", b"1");
    write(&dir, "b/outside", b"22");
    std::fs::write(dir.path().join("outside"), b"1").unwrap();
    for key in ["a/k", "./a/k", "a//k", "/a/k", "a/k/", "a/./k", "a/../a/k", "../b/a/k"] {
        assert_eq!(store.head("b", key).await, Ok(Found::Present { size: 1 }), "{key:?}");
        assert_eq!(store.get(&at("b", key), 9).await, Ok(Fetched::Bytes(b"1".as_slice().into())), "{key:?}");
    }
    for (bucket, key) in [
        ("b", "../../outside"),
        ("b", "a/../../../outside"),
        ("b", ""),
        ("b", "a/k\0"),
        ("..", "outside"),
        (".", "b/a/k"),
        ("", "b/a/k"),
        ("b/a", "k"),
    ] {
        assert_eq!(store.head(bucket, key).await, Ok(Found::Absent), "{bucket:?} {key:?}");
        let kind = store.get(&at(bucket, key), 9).await.unwrap_err().kind;
        assert_eq!(kind, FaultKind::Refused, "{bucket:?} {key:?}");
    }
    let absolute = dir.path().join("outside").display().to_string();
    assert_eq!(store.head("b", &absolute).await, Ok(Found::Absent));
    for (bucket, prefix) in [("..", ""), ("b", "../../"), ("b/a", "")] {
        assert!(store.list(bucket, prefix, "", 9).await.unwrap().is_empty(), "{bucket:?} {prefix:?}");
    }
    let page = store.list("b", "a//", "", 9).await.unwrap();
    assert_eq!(page.iter().collect::<Vec<_>>(), [("a//k", 1)], "the keys are as they are asked for");
}

#[tokio::test]
async fn a_link_below_the_directory_is_followed() {
    use std::os::unix::fs::symlink;
    let (dir, store) = store();
    write(&dir, "b/real/k", b"1");
    let root = dir.path().join("root");
    symlink("b", root.join("linked-bucket")).unwrap();
    symlink("../b/real", root.join("b/linked")).unwrap();
    symlink(root.join("b"), root.join("b/real/loop")).unwrap();
    symlink("real/k", root.join("b/file")).unwrap();
    symlink("real/not-there-yet", root.join("b/waits")).unwrap();
    for (bucket, key) in
        [("linked-bucket", "real/k"), ("b", "linked/k"), ("b", "file"), ("b", "real/loop/real/k"), ("b", "real/k")]
    {
        assert_eq!(store.head(bucket, key).await, Ok(Found::Present { size: 1 }), "{bucket}/{key}");
        assert_eq!(store.get(&at(bucket, key), 9).await, Ok(Fetched::Bytes(b"1".as_slice().into())), "{bucket}/{key}");
    }
    assert_eq!(store.head("b", "waits").await, Ok(Found::Absent));
    let page = store.list("b", "", "", 9).await.unwrap();
    let keys = [("file", 1), ("linked/k", 1), ("real/k", 1)];
    assert_eq!(page.iter().collect::<Vec<_>>(), keys, "a link back to a folder above is not walked again");
    let page = store.list("b", "linked/", "", 9).await.unwrap();
    let keys = [("linked/k", 1), ("linked/loop/file", 1)];
    assert_eq!(page.iter().collect::<Vec<_>>(), keys, "below the loop, it began elsewhere");
    assert!(store.list("linked-bucket", "real/k", "", 9).await.unwrap().iter().eq([("real/k", 1)]));

    // The directory itself may be a link.
    let link = dir.path().join("link");
    symlink(&root, &link).unwrap();
    let by_link = Local::new(&Settings { path: link });
    assert_eq!(by_link.head("b", "linked/k").await, Ok(Found::Present { size: 1 }));
}

#[tokio::test]
async fn a_link_that_leaves_the_directory_or_has_no_end_is_a_fault_that_names_it() {
    use std::os::unix::fs::symlink;
    let (dir, store) = store();
    write(&dir, "b/real/k", b"1");
    let root = dir.path().join("root");
    std::fs::create_dir(dir.path().join("outside")).unwrap();
    std::fs::write(dir.path().join("outside/k"), b"1").unwrap();
    symlink(dir.path().join("outside"), root.join("linked-bucket")).unwrap();
    symlink("../../outside", root.join("b/linked")).unwrap();
    symlink(dir.path().join("outside/k"), root.join("b/file")).unwrap();
    symlink("/mnt/not-mounted/here", root.join("b/unmounted")).unwrap();
    symlink("round", root.join("b/round")).unwrap();
    for (bucket, key, link) in [
        ("linked-bucket", "k", "root/linked-bucket leads out"),
        ("b", "linked/k", "b/linked leads out"),
        ("b", "file", "b/file leads out"),
        ("b", "unmounted/k", "b/unmounted leads out"),
        ("b", "round/k", "b/round cannot be followed"),
    ] {
        let head = store.head(bucket, key).await.unwrap_err();
        let get = store.get(&at(bucket, key), 9).await.unwrap_err();
        for fault in [head, get] {
            assert_eq!(fault.kind, FaultKind::Refused, "{fault}");
            assert!(fault.message.contains(link), "{fault}");
        }
    }
    assert_eq!(store.list("b", "", "", 9).await.unwrap_err().kind, FaultKind::Refused);
    assert_eq!(store.list("b", "real/", "", 9).await.unwrap().len(), 1, "what is not asked for does not matter");
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
