//! Giving up lost records: only on request, never silently, and nothing if nothing is lost.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::fixture::{self, first_move};
use super::{ask, json, shown};

const SEGMENT: &str = "seg/0000000000000001.jseg.open";

/// A journal of 11 records whose last frame, with records 10 and 11, is in neither copy.
fn lossy() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fixture::write(dir.path(), &first_move()[..5]);
    fs::remove_dir_all(dir.path().join("hot")).unwrap();
    cut(dir.path());
    dir
}

fn cut(dir: &Path) {
    let path = dir.join(SEGMENT);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
}

#[test]
fn loss_is_accepted_only_with_a_reason_and_is_recorded() {
    let dir = lossy();
    let path = shown(dir.path());
    let before = fs::read(dir.path().join(SEGMENT)).unwrap();
    let (code, out, _) = ask(&["repair", path]);
    assert!(code == 1 && out.contains("records 10 to 11 were acknowledged") && out.contains("nothing was changed"));
    assert_eq!(ask(&["repair", path, "--accept-loss"]).0, 2, "no reason");
    assert_eq!(ask(&["repair", path, "--accept-loss", "--reason", " "]).0, 2, "an empty reason");
    assert_eq!(fs::read(dir.path().join(SEGMENT)).unwrap(), before);
    let (code, out, err) = ask(&["repair", path, "--accept-loss", "--reason", "ticket 4711"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("lost      records 10 to 11") && out.contains("recorded  as record 10"), "{out}");
    let broken = fs::read_dir(dir.path().join("seg"))
        .unwrap()
        .any(|entry| entry.unwrap().file_name().to_string_lossy().ends_with(".broken"));
    assert!(broken, "what was cut is kept");
    let verified = json(&["verify", path, "--deep", "-o", "json"]);
    assert_eq!((&verified["ok"], &verified["last_seq"]), (&true.into(), &10.into()), "{verified}");
    let (_, lines, _) = ask(&["export", path, "--format", "jsonl"]);
    let fact = lines.lines().find(|line| line.contains("LossAcknowledged")).unwrap();
    for said in ["ticket 4711", "\"from\":10", "\"to\":11"] {
        assert!(fact.contains(said), "{said}: {fact}");
    }
}

#[test]
fn repair_leaves_a_sound_journal_alone() {
    let dir = tempfile::tempdir().unwrap();
    fixture::write(dir.path(), &first_move()[..5]);
    let path = shown(dir.path());
    let head = fs::read(dir.path().join("HEAD")).unwrap();
    assert_eq!(ask(&["repair", path]).0, 0);
    let (code, out, _) = ask(&["repair", path, "--accept-loss", "--reason", "x"]);
    assert!(code == 0 && out.contains("nothing was changed"), "{out}");
    // The hot store has what the segment lacks, so nothing is lost.
    cut(dir.path());
    let (code, out, _) = ask(&["repair", path, "--accept-loss", "--reason", "x"]);
    assert!(code == 0 && out.contains("nothing was changed"), "{out}");
    assert_eq!(fs::read(dir.path().join("HEAD")).unwrap(), head);
}

#[test]
fn repair_refuses_a_journal_in_use_and_a_missing_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = fixture::open(dir.path());
    fixture::append(&mut log, &first_move()[0]);
    let (code, _, err) = ask(&["repair", shown(dir.path()), "--accept-loss", "--reason", "x"]);
    assert!(code == 70 && err.contains("in use by another process"), "{code}: {err}");
    let empty = tempfile::tempdir().unwrap();
    let (code, _, err) = ask(&["repair", shown(empty.path()), "--accept-loss", "--reason", "x"]);
    assert!(code == 70 && err.contains("holds no journal"), "{code}: {err}");
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0, "nothing is made");
}
