//! A journal whose first segments were dropped: every question begins with a snapshot and says so. A segment that is
//! missing without a record, or is not the one that was sealed, is damage.

use std::fs;
use std::path::Path;

use lakemirror_journal::event::{Event, LossAcknowledgedV1};
use lakemirror_journal::log::disk::real::RealDisk;
use lakemirror_journal::log::snapshot;
use lakemirror_journal::state::image;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::fixture::{FIRST, NOON, commit, sample};
use super::keeper::Keeper;
use super::{ask, json, shown};

/// Segments with the frames up to 12:00:40, up to 12:36:00, up to 12:41:40, and the rest; with snapshots in the second
/// and the third one.
fn kept() -> (TempDir, Keeper, [u64; 2]) {
    let dir = tempfile::tempdir().unwrap();
    let mut keeper = Keeper::new(dir.path());
    let mut snapshots = Vec::new();
    for (index, frame) in sample().iter().enumerate() {
        keeper.append(frame);
        if [5, 11].contains(&index) {
            snapshots.push(keeper.snapshot());
        }
        if [4, 9, 13].contains(&index) {
            keeper.seal();
        }
    }
    (dir, keeper, [snapshots[0], snapshots[1]])
}

/// The same without the first segment, which is not archived.
fn given_up() -> (TempDir, [u64; 2]) {
    let (dir, mut keeper, snapshots) = kept();
    keeper.drop_segment(0, None);
    (dir, snapshots)
}

/// The same without the first two segments, which are in an archive.
fn archived() -> (TempDir, TempDir) {
    let ((dir, mut keeper, _), archive) = (kept(), tempfile::tempdir().unwrap());
    keeper.drop_segment(0, Some(archive.path()));
    keeper.drop_segment(1, Some(archive.path()));
    (dir, archive)
}

fn verdict(dir: &Path, more: &[&str]) -> (i32, String) {
    let (code, out, err) = ask(&[&["verify", shown(dir)], more].concat());
    (code, out + &err)
}

#[test]
fn verify_reports_the_beginning_and_dropped_segments() {
    let (dir, [first, second]) = given_up();
    for deep in [&[][..], &["--deep"]] {
        let (code, out) = verdict(dir.path(), deep);
        assert_eq!(code, 0, "{out}");
        for said in [
            &format!(
                "proven from record 12, the state from record {first} on (snapshot); records 1 to 11: their hashes only"
            ),
            "dropped   1 to 11, at 2026-11-24T13:00:00.000Z, hash ",
            "not archived: given up",
            &format!("snapshot  after record {first}, "),
            &format!("snapshot  after record {second}, "),
            "all of it holds",
        ] {
            assert!(out.contains(said), "{said:?}: {out}");
        }
        assert_eq!(out.contains("the same state as replayed"), !deep.is_empty(), "{out}");
    }
    let found = json(&["verify", shown(dir.path()), "--deep", "-o", "json"]);
    assert_eq!((&found["ok"], &found["begins_at"]), (&json!(true), &json!(12)), "{found}");
    assert_eq!(found["deep"]["begins_at"], first + 1);
    assert_eq!(found["dropped"][0]["archive"], Value::Null);
    let replayed: Vec<bool> =
        found["snapshots"].as_array().unwrap().iter().map(|seen| seen["replayed"].as_bool().unwrap()).collect();
    assert_eq!(replayed, [false, true], "the first one is the start");
}

#[test]
fn archive_completes_a_journal_with_dropped_segments() {
    let (dir, archive) = archived();
    let (code, out) = verdict(dir.path(), &[]);
    assert!(code == 0 && out.contains("--archive adds what was archived") && out.contains("archived at /"), "{out}");
    let (code, out) = verdict(dir.path(), &["--deep", "--archive", shown(archive.path())]);
    assert!(code == 0 && out.contains("records   1 to ") && !out.contains("hashes only"), "{out}");
    assert!(out.contains(", and read"), "{out}");
    // A segment with the same records that is not the one that was sealed.
    let (other, mut keeper, _) = kept();
    keeper.tell(Event::LossAcknowledged(LossAcknowledgedV1 {
        from: 90,
        to: 91,
        reason: "fire".into(),
        who: "ann".into(),
        at_ms: NOON,
    }));
    drop(keeper);
    let (code, out) = verdict(other.path(), &[]);
    assert!(code == 0 && out.contains("lost      records 90 to 91, accepted by ann at 2026-11-24T12:00:00.000Z: fire"));
}

#[test]
fn state_does_not_depend_on_the_starting_snapshot() {
    let (dir, archive) = archived();
    let path = shown(dir.path());
    let archive = ["--archive", shown(archive.path())];
    for words in [&["replay", path, "--state", "-"][..], &["replay", path, "--until", "12:41:40", "--state", "-"]] {
        let (code, from_snapshot, err) = ask(words);
        assert!(code == 0 && err.contains("this begins with record") && err.contains("--archive DIR"), "{err}");
        let (code, whole, err) = ask(&[words, &archive].concat());
        assert_eq!((code, err.as_str()), (0, ""));
        assert_eq!(from_snapshot, whole);
    }
    let heads = |more: &[&str]| {
        let found = json(&[&["heads", path, "--at", "12:41:40", "-o", "json"], more].concat());
        let branches = found["branches"].as_array().unwrap().clone();
        (branches.iter().map(|branch| branch["commit"].clone()).collect::<Vec<_>>(), found["begins_at"].clone())
    };
    let ((from_snapshot, begins_at), (whole, first)) = (heads(&[]), heads(&archive));
    assert_eq!(from_snapshot, whole);
    assert!(begins_at.as_u64() > Some(12) && first == 1, "{begins_at} {first}");
}

#[test]
fn points_before_the_available_records_name_the_archive() {
    let (dir, [first, _]) = given_up();
    let path = shown(dir.path());
    let before = (first - 1).to_string();
    for moment in [&before, "1", "0", "12:00:30", "2026-11-23"] {
        for words in [&["replay", path, "--until", moment][..], &["heads", path, "--at", moment]] {
            let (code, out, err) = ask(words);
            assert_eq!((code, out.as_str()), (1, ""), "{words:?}: {err}");
            assert!(err.contains(&format!("begins with the state after record {first}")), "{err}");
            assert!(err.contains("--archive DIR"), "{err}");
        }
    }
    let (code, _, err) = ask(&["replay", path, "--until", &first.to_string()]);
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = ask(&["replay", path, "--until", "2026-11-25"]);
    assert!(code == 0 && err.contains("the journal ends with record"), "{err}");
    let (code, _, err) = ask(&["heads", path, "--at", "999"]);
    assert!(code == 1 && err.contains("the journal has no record 999"), "{err}");
}

#[test]
fn reflog_has_every_available_record() {
    let (dir, _) = given_up();
    let path = shown(dir.path());
    let (code, out, err) = ask(&["log", path, "sample-mirror", "main", "-o", "json"]);
    assert!(code == 0 && err.contains("this begins with record 12: records 1 to 11 are not at hand"), "{err}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["what"], &lines[0]["mirror"]), (&json!("moving"), &json!(FIRST.to_string())));
    let seen = lines.iter().find(|line| line["what"] == "seen").unwrap();
    assert_eq!(seen["from"], commit(1).to_string(), "where the branch was, by the snapshot");
    for (words, said) in [
        (["log", path, "other"], "the journal has no mirror \"other\""),
        (["log", path, "smaple-mirror"], "did you mean `sample-mirror`"),
    ] {
        let (code, _, err) = ask(&words);
        assert!(code == 1 && err.contains(said) && err.contains("--archive DIR"), "{err}");
    }
    let (code, _, err) = ask(&["log", path, "sample-mirror", "feature"]);
    assert!(code == 1 && err.contains("contains no branch \"feature\"") && err.contains("--archive DIR"), "{err}");
}

#[test]
fn other_questions_begin_with_the_snapshot_too() {
    let (dir, [first, _]) = given_up();
    let path = shown(dir.path());
    let (whole, _, _) = kept();
    // explain: from the snapshot and the records after it.
    let (code, out, err) = ask(&["explain", path, "sample-mirror", "main"]);
    assert!(code < 2 && out.contains("started    record     18") && err.contains("this begins with record"), "{err}");
    let (code, out, err) = ask(&["explain", path, "sample-mirror", "0101"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("5 there as of 2026-11-24T12:33:50.000Z (snapshot; the records are not at hand)"), "{out}");
    assert!(out.contains("adds up    5 object(s) in 1 range(s), oldest check 2026-11-24T12:00:30.000Z"), "{out}");
    let lines = ask(&["explain", path, "sample-mirror", "0101", "--objects", "-o", "json"]).1;
    let subject: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(subject["begins_at"], first + 1);
    assert!(lines.contains("\"by_snapshot\":5") && lines.contains("\"snapshot\""), "{lines}");
    // A branch that was adopted before the snapshot never moved.
    let (later, _archive) = archived();
    let (code, out, err) = ask(&["explain", shown(later.path()), "sample-mirror", "dev"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("found at a time before what is at hand and taken over"), "{out}");
    let (_, out, _) = ask(&["heads", shown(later.path()), "--at", "24"]);
    assert!(out.contains("found there, and taken over") && !out.contains("1970"), "{out}");
    let (code, _, err) = ask(&["explain", path, "sample-mirror", "ffff"]);
    assert!(code == 1 && err.contains("--archive DIR"), "{err}");
    // export: the available records, which are not a complete journal.
    let (code, out, err) = ask(&["export", path, "--format", "jsonl"]);
    assert!(code == 0 && err.contains("this begins with record 12"), "{err}");
    let header: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!((&header["whole"], &header["begins_at"]), (&json!(false), &json!(12)));
    assert!(out.lines().nth(1).unwrap().starts_with("{\"seq\":12,"));
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("part.jsonl");
    fs::write(&file, out).unwrap();
    let (code, _, err) = ask(&["import", shown(&file), shown(&elsewhere.path().join("journal"))]);
    assert!(code == 70 && err.contains("--archive"), "{err}");
    for to in ["5", "12:00:30"] {
        let (code, out, err) = ask(&["export", path, "--format", "csv", "--to", to]);
        assert!(code == 1 && out.is_empty() && err.contains("--archive DIR"), "{code} {out} {err}");
    }
    // diff: the common records, and the branches at both ends.
    let both = json(&["diff", path, shown(whole.path()), "-o", "json"]);
    assert_eq!((&both["a"]["begins_at"], &both["b"]["begins_at"]), (&json!(12), &json!(1)));
    assert_eq!((&both["record_differs"], &both["branches"]), (&Value::Null, &json!([])), "{both}");
    // stat: the available records, and the complete lifecycle.
    let stat = json(&["stat", path, "-o", "json"]);
    assert_eq!((&stat["begins_at"], &stat["strays"]), (&json!(12), &json!(0)), "{stat}");
    let stages: Vec<(&str, u64)> = stat["ladder"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| (stage["stage"].as_str().unwrap(), stage["segments"].as_u64().unwrap()))
        .collect();
    assert_eq!(stages, [("open", 1), ("sealed", 2), ("given up", 1)]);
    let (_, out, _) = ask(&["stat", path]);
    assert!(out.contains("given up") && out.contains("nowhere: hashes only"), "{out}");
}

#[test]
fn missing_segment_without_a_record_is_damage() {
    let (dir, keeper, _) = kept();
    fs::remove_file(keeper.file(0)).unwrap();
    let (code, out) = verdict(dir.path(), &[]);
    assert!(
        code == 1 && out.contains("records 1 to 11 are gone, and the journal does not say that it dropped"),
        "{out}"
    );
    let (dir, mut keeper, _) = kept();
    let ((first, last, _), file) = (keeper.sealed[1], keeper.file(1));
    keeper.drop_segment(0, None);
    fs::remove_file(file).unwrap();
    let (code, out) = verdict(dir.path(), &[]);
    assert!(code == 1 && out.contains(&format!("records {first} to {last} are gone")), "{out}");
    // Without a snapshot, nothing shows what was dropped.
    let (dir, _) = given_up();
    fs::remove_dir_all(dir.path().join("snap")).unwrap();
    for more in [&[][..], &["--deep"]] {
        let (code, out) = verdict(dir.path(), more);
        assert!(code == 1 && out.contains("no sound snapshot shows"), "{out}");
    }
    let (code, _, err) = ask(&["replay", shown(dir.path())]);
    assert!(code == 70 && err.contains("begins with record 12"), "{err}");
}

#[test]
fn segment_other_than_the_sealed_one_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let mut keeper = Keeper::new(dir.path());
    keeper.append(&sample()[0]);
    keeper.seal_saying(|fact| fact.hash[0] ^= 1);
    let (code, out) = verdict(dir.path(), &[]);
    assert!(code == 1 && out.contains("the segment with records 1 to 1 has hash"), "{out}");
    // The available records do not continue the segment that was dropped.
    for frame in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let mut keeper = Keeper::new(dir.path());
        keeper.append(&sample()[0]);
        keeper.seal_saying(|fact| {
            let hash = if frame { &mut fact.last_frame } else { &mut fact.hash };
            hash[0] ^= 1;
        });
        keeper.seal();
        keeper.snapshot();
        if !frame {
            keeper.sealed[0].2[0] ^= 1;
        }
        keeper.drop_segment(0, None);
        let (code, out) = verdict(dir.path(), &[]);
        let other = if frame { "it names another frame before it" } else { "it names another footer before it" };
        assert!(code == 1 && out.contains(other), "{out}");
    }
}

#[test]
fn snapshot_of_another_state_is_damage() {
    let (dir, keeper, [first, second]) = kept();
    let disk = RealDisk::new(dir.path());
    let path = dir.path().join(snapshot::path(first));
    let sound = fs::read(&path).unwrap();
    let mut flipped = sound.clone();
    flipped[300] ^= 1;
    fs::write(&path, flipped).unwrap();
    let (code, out) = verdict(dir.path(), &[]);
    assert!(code == 1 && out.contains(&format!("the snapshot after record {first} is not to be believed")), "{out}");
    fs::write(&path, &sound).unwrap();
    // Another state with a matching digest: the frame's digest contradicts it.
    let (mut header, bytes) = snapshot::read(&disk, second).unwrap();
    let mut state = image::read(&bytes).unwrap();
    state.checks += 1;
    let mut other = Vec::new();
    image::write(&state, |bytes| other.extend_from_slice(bytes)).unwrap();
    header.state_digest = image::digest_of(&other);
    snapshot::write(&disk, &header, &other).unwrap();
    for more in [&[][..], &["--deep"]] {
        let (code, out) = verdict(dir.path(), more);
        assert!(code == 1 && out.contains("its state is not the one that was live"), "{out}");
    }
    // Another frame.
    snapshot::write(&disk, &snapshot_of(&keeper, second), &bytes).unwrap();
    let (code, out) = verdict(dir.path(), &[]);
    assert!(code == 1 && out.contains("is not to be believed"), "{out}");
}

/// The header of the newest state, with another record number.
fn snapshot_of(keeper: &Keeper, seq: u64) -> lakemirror_journal::log::SnapshotHeader {
    lakemirror_journal::log::SnapshotHeader { seq, ..keeper.header().0 }
}
