//! Sealed, compressed, archived and dropped segments: the answers do not depend on where the records are.

use std::fs;
use std::path::Path;

use lakemirror_journal::log::compress_segment;
use lakemirror_journal::log::disk::real::RealDisk;
use tempfile::TempDir;

use super::fixture::{self, sample};
use super::{ask, json, shown};

const FIRST_SEGMENT: &str = "0000000000000001-0000000000000011.jseg.zst";

/// Segments with records 1 to 11 (compressed), 12 to 19 (sealed), and the rest (open).
fn in_segments() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut log = fixture::open(dir.path());
    for (index, frame) in sample().iter().enumerate() {
        fixture::append(&mut log, frame);
        if index == 4 || index == 10 {
            log.seal().unwrap();
        }
    }
    drop(log);
    compress_segment(&RealDisk::new(dir.path()), 1, 11).unwrap();
    dir
}

/// Moves the first segment of a journal to an archive.
fn archive(dir: &Path) -> TempDir {
    let archive = tempfile::tempdir().unwrap();
    let file = dir.join("seg").join(FIRST_SEGMENT);
    fs::copy(&file, archive.path().join(FIRST_SEGMENT)).unwrap();
    fs::remove_file(file).unwrap();
    archive
}

#[test]
fn answers_do_not_depend_on_where_records_are() {
    let (plain, segments) = (tempfile::tempdir().unwrap(), in_segments());
    fixture::write(plain.path(), &sample());
    let (archived, dropped) = (in_segments(), in_segments());
    let archive = archive(dropped.path());
    for words in [
        &["replay", "--state", "-"][..],
        &["log", "sample-mirror"],
        &["heads", "--at", "12:34:56"],
        &["verify", "--deep"],
    ] {
        let ask_of = |dir: &Path, more: &[&str]| {
            let (code, out, err) = ask(&[&words[..1], &[shown(dir)], &words[1..], more].concat());
            assert_eq!((code, err.as_str()), (0, ""), "{words:?}: {out}");
            out.lines().filter(|line| !line.starts_with("segments ")).collect::<Vec<_>>().join("\n")
        };
        let expected = ask_of(plain.path(), &[]);
        assert_eq!(ask_of(segments.path(), &[]), expected);
        assert_eq!(ask_of(archived.path(), &["--archive", shown(archive.path())]), expected, "there twice");
        assert_eq!(ask_of(dropped.path(), &["--archive", shown(archive.path())]), expected);
    }
    let words = ["diff", shown(plain.path()), shown(dropped.path()), "--archive-b", shown(archive.path())];
    assert_eq!(ask(&words).0, 0);
}

#[test]
fn segments_are_counted() {
    let dir = in_segments();
    assert!(ask(&["verify", shown(dir.path())]).1.contains("segments  2 sealed ones, footers linked one to the next"));
    let found = json(&["stat", shown(dir.path()), "-o", "json"]);
    let stages: Vec<&str> =
        found["segments"].as_array().unwrap().iter().map(|segment| segment["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["compressed", "sealed", "open"]);
}

#[test]
fn unavailable_records_are_reported() {
    let dir = in_segments();
    let whole = json(&["verify", shown(dir.path()), "-o", "json"]);
    let archive = archive(dir.path());
    let path = shown(dir.path());
    // This journal has neither a record that they were dropped nor a snapshot that covers them.
    let (code, out, _) = ask(&["verify", path]);
    assert!(code == 1 && out.contains("proven from record 12; records 1 to 11: their hashes only"), "{out}");
    assert!(out.contains("records   12 to 30, in 12 frames") && out.contains("no sound snapshot shows"), "{out}");
    assert!(out.contains(whole["head_hash"].as_str().unwrap()), "{out}");
    let (code, out, _) = ask(&["verify", path, "--deep"]);
    assert!(code == 1 && out.contains("FAULT     nothing was decoded or counted"), "{out}");
    let (code, out, _) = ask(&["verify", path, "--anchor", &format!("5:{}", "00".repeat(32))]);
    assert!(code == 1 && out.contains("is before record 12"), "{out}");
    let (code, _, err) = ask(&["replay", path]);
    assert!(code == 70 && err.contains("begins with record 12"), "{err}");
    let (code, _, err) = ask(&["log", path, "sample"]);
    assert!(code == 1 && err.contains("records 1 to 11 are not at hand"), "{err}");
    let stat = json(&["stat", path, "-o", "json"]);
    assert_eq!((&stat["proven_from"], &stat["records"], &stat["strays"]), (&12.into(), &19.into(), &().into()));
    let both = json(&["diff", path, shown(in_segments().path()), "-o", "json"]);
    assert_eq!((&both["frames_same"], &both["branches"]), (&12.into(), &().into()));
    // A damaged copy in the archive is as bad as none, and is reported.
    fs::write(archive.path().join(FIRST_SEGMENT), "x").unwrap();
    let (code, out, err) = ask(&["verify", path, "--archive", shown(archive.path())]);
    assert!(code == 1 && out.contains("FAULT"), "{code}: {out}{err}");
}
