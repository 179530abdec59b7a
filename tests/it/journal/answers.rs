//! The answers of the questions, for people and for scripts.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::fixture::{self, FIRST, Frame, NOON, SECOND, commit, sample};
use super::{ask, json, shown};
use crate::process::lakemirror;

fn journal(frames: &[Frame]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fixture::write(dir.path(), frames);
    dir
}

#[test]
fn verify_reports_what_is_proven() {
    let dir = journal(&sample());
    let path = shown(dir.path());
    let found = json(&["verify", path, "--deep", "-o", "json"]);
    let head = found["head_hash"].as_str().unwrap().to_owned();
    for (name, value) in [
        ("ok", json!(true)),
        ("first_seq", json!(1)),
        ("last_seq", json!(30)),
        ("durable_seq", json!(30)),
        ("frames", json!(17)),
        ("checks", json!(5)),
        ("first_ms", json!(NOON)),
        ("last_ms", json!(NOON + 3_600_000)),
        ("clock_back", json!(0)),
        ("problems", json!([])),
        ("journal_uuid", json!("07".repeat(16))),
    ] {
        assert_eq!(found[name], value, "{name}: {found}");
    }
    assert_eq!(found["deep"]["records"], 30);
    assert_eq!(found["deep"]["checks"], 5);
    let (code, out, err) = ask(&["verify", path, "--deep", "--anchor", &format!("30:{head}")]);
    assert_eq!((code, err.as_str()), (0, ""));
    for line in [
        "records   1 to 30, in 17 frames of",
        "times     2026-11-24T12:00:00.000Z to 2026-11-24T13:00:00.000Z",
        "HEAD      agrees: record 30 was acknowledged last",
        "deep      30 records decoded and replayed, 5 checks counted one by one",
        "anchors   1 of 1 are on the chain",
        "all of it holds",
    ] {
        assert!(out.contains(line), "{line:?} is not in {out}");
    }
}

#[test]
fn anchors_detect_a_truncated_or_rewritten_journal() {
    let (long, short) = (journal(&sample()), journal(&sample()[..3]));
    let other = journal(&[vec![sample()[1].clone()], sample()].concat());
    let head = |dir: &TempDir| {
        let found = json(&["verify", shown(dir.path()), "-o", "json"]);
        format!("{}:{}", found["last_seq"], found["head_hash"].as_str().unwrap())
    };
    let verdict = |dir: &TempDir, anchors: &[&str]| {
        let words: Vec<&str> = anchors.iter().flat_map(|anchor| ["--anchor", anchor]).collect();
        let (code, out, _) = ask(&[&["verify", shown(dir.path())], words.as_slice()].concat());
        (code, out)
    };
    let (long_head, short_head) = (head(&long), head(&short));
    assert_eq!(verdict(&long, &[&long_head, &short_head]).0, 0, "both are on its chain");
    let (code, out) = verdict(&short, &[&long_head]);
    assert!(code == 1 && out.contains("it was cut short"), "{out}");
    let (code, out) = verdict(&other, &[&short_head]);
    assert!(code == 1 && out.contains("was rewritten"), "{out}");
    let inside = format!("3:{}", "ab".repeat(32));
    let (code, out) = verdict(&long, &[&inside]);
    assert!(code == 1 && out.contains("is inside the frame of records 2 to 5"), "{out}");
    let wrong = format!("5:{}", "ab".repeat(32));
    let (code, out) = verdict(&long, &[&wrong]);
    assert!(code == 1 && out.contains("it was rewritten"), "{out}");
    for bad in ["5", "5:ab", "x:", ""] {
        assert_eq!(verdict(&long, &[bad]).0, 2, "{bad}");
    }
}

#[test]
fn deep_counts_what_frames_only_say() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = fixture::open(dir.path());
    for frame in &sample()[..4] {
        fixture::append(&mut log, frame);
    }
    let event = lakemirror_journal::codec::encode(&sample()[4].1[0]).unwrap();
    let record = lakemirror_journal::log::RawRecord { kind: event.kind, version: event.version, payload: &event.bytes };
    // It contains four checks.
    log.commit(&[record], 5, NOON, 0).unwrap();
    let path = shown(dir.path());
    assert_eq!(ask(&["verify", path]).0, 0);
    let (code, out, _) = ask(&["verify", path, "--deep"]);
    assert!(code == 1 && out.contains("says that it adds 5 checks, and its records hold 4"), "{out}");
    assert_eq!(json(&["verify", path, "-o", "json"])["clock_back"], 1);
}

#[test]
fn heads_are_those_of_the_point_in_time() {
    let dir = journal(&sample());
    let path = shown(dir.path());
    let at = |moment: &str| json(&["heads", path, "--at", moment, "-o", "json"]);
    let main = |moment: &str| -> Value { at(moment)["branches"][0].clone() };
    assert_eq!(
        at("12:33:59")["branches"],
        json!([{
            "mirror": "sample-mirror", "incarnation": FIRST.to_string(), "source_repository": "sample", "branch": "main",
            "commit": null, "seq": null, "since_ms": null, "adopted": false,
            "moving": { "to": commit(1).to_string(), "seq": 12 }, "diverged": null,
        }])
    );
    let shown_then = main("2026-11-24T12:34:00Z");
    assert_eq!((&shown_then["commit"], &shown_then["seq"]), (&json!(commit(1).to_string()), &json!(14)));
    let under_way = main("12:35:30");
    assert_eq!(under_way["commit"], commit(1).to_string());
    assert_eq!(under_way["moving"], json!({ "to": commit(2).to_string(), "seq": 16 }));
    assert_eq!(main("12:36")["commit"], commit(2).to_string());
    assert_eq!(main("17")["moving"], Value::Null);
    assert_eq!(at("12:36:50")["branches"][0]["adopted"], true, "dev");
    assert_eq!(at("12:40:00")["branches"].as_array().unwrap().len(), 1, "dev is gone");
    assert_eq!(main("12:41:40")["diverged"], json!({ "found": commit(9).to_string(), "seq": 24 }));
    assert_eq!(at("12:50:10")["branches"], json!([]), "the mirror is gone");
    let (code, out, err) = ask(&["heads", path, "--at", "12:34:56"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let line = format!("{}  2026-11-24T12:34:00.000Z      14", commit(1));
    assert!(out.contains("at 2026-11-24T12:34:56.000Z, after record 14") && out.contains(&line), "{out}");
}

#[test]
fn without_a_point_in_time_heads_are_those_of_the_end() {
    let dir = journal(&sample());
    let path = shown(dir.path());
    let now = json(&["heads", path, "-o", "json"]);
    assert_eq!((&now["at_ms"], &now["seq"], &now["journal_goes_on"]), (&Value::Null, &json!(30), &json!(false)));
    assert_eq!(now["branches"], json(&["heads", path, "--at", "30", "-o", "json"])["branches"]);
    let (code, out, err) = ask(&["heads", path]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("after the last record, 30, of 2026-11-24T13:00:00.000Z\n"), "{out}");
    let fresh = journal(&[]);
    let (code, out, err) = ask(&["heads", shown(fresh.path())]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out, "the journal has no records yet\nno mirror showed a branch\n");
}

#[test]
fn points_outside_the_journal_are_reported() {
    let dir = journal(&sample());
    let path = shown(dir.path());
    for words in [&["heads", path, "--at"][..], &["replay", path, "--until"]] {
        let ask_at = |moment| ask(&[words, &[moment]].concat());
        let (code, _, err) = ask_at("2026-11-24T11:59:59Z");
        assert!(code == 0 && err.contains("nothing was in the journal yet"), "{err}");
        let (code, _, err) = ask_at("2026-11-25");
        assert!(code == 0 && err.contains("the journal ends with record 30, of 2026-11-24T13:00:00.000Z"), "{err}");
        let (code, _, err) = ask_at("31");
        assert!(code == 1 && err.contains("the journal has no record 31: it ends with record 30"), "{err}");
        assert_eq!(ask_at("0").0, 0);
        assert_eq!(ask_at("yesterday").0, 2);
    }
    let fresh = journal(&[]);
    let (code, _, err) = ask(&["replay", shown(fresh.path()), "--until", "1"]);
    assert!(code == 1 && err.contains("it has no records yet"), "{err}");
    assert_eq!(ask(&["verify", shown(fresh.path())]).0, 0);
}

#[test]
fn reflog_has_source_and_mirror_and_every_incarnation() {
    let dir = journal(&sample());
    let path = shown(dir.path());
    let (code, out, err) = ask(&["log", path, "sample-mirror", "-o", "json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<(u64, &str, &str)> = lines
        .iter()
        .map(|line| (line["seq"].as_u64().unwrap(), line["side"].as_str().unwrap(), line["what"].as_str().unwrap()))
        .collect();
    let (mirror, source) = ("mirror", "source");
    assert_eq!(
        told,
        [
            (2, mirror, "defined"),
            (3, source, "identified"),
            (4, mirror, "creating"),
            (5, mirror, "ready"),
            (6, source, "seen"),
            (12, mirror, "moving"),
            (14, mirror, "moved"),
            (15, source, "seen"),
            (16, mirror, "moving"),
            (17, mirror, "moved"),
            (18, source, "seen"),
            (19, mirror, "adopted"),
            (20, source, "missed"),
            (21, source, "gone"),
            (22, mirror, "removing"),
            (23, mirror, "removed"),
            (24, mirror, "diverged"),
            (25, mirror, "deleting"),
            (26, mirror, "gone"),
            (27, mirror, "defined"),
            (28, source, "identified"),
            (29, mirror, "creating"),
            (30, mirror, "ready"),
        ]
    );
    let moved = &lines[9];
    assert_eq!(moved["from"], commit(1).to_string());
    assert_eq!(moved["to"], commit(2).to_string());
    assert_eq!(moved["committed_ms"], NOON + 2_160_000);
    assert_eq!(
        moved["why"],
        "started by record 16: seen head 2 is complete, 5 object(s) in 1 range(s), oldest check 2026-11-24T12:00:40.000Z"
    );
    assert_eq!(lines[7]["from"], commit(1).to_string(), "what was seen before");
    let second = SECOND.to_string();
    let of_second = ask(&["log", path, &second[..8]]).1;
    assert_eq!(of_second.lines().count(), 4, "{of_second}");
    let dev = ask(&["log", path, "sample-mirror", "dev"]).1;
    assert!(dev.contains(" dev ") && !dev.contains(" main "), "{dev}");
}

#[test]
fn unknown_name_is_reported_with_the_existing_ones() {
    let dir = journal(&sample());
    let path = shown(dir.path());
    let (code, out, err) = ask(&["log", path, "smaple-mirror"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("no mirror \"smaple-mirror\": did you mean `sample-mirror`?"), "{err}");
    let (code, _, err) = ask(&["log", path, "sample-mirror", "feature"]);
    assert!(
        code == 1 && err.contains("contains no branch \"feature\" of mirror \"sample-mirror\"; it has dev, main"),
        "{err}"
    );
}

#[test]
fn state_is_the_same_bytes_each_time() {
    let dir = journal(&sample());
    let path = shown(dir.path());
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("state.json");
    let (_, first, _) = ask(&["replay", path, "--until", "11", "--state", "-"]);
    assert_eq!(ask(&["replay", path, "--until", "11", "--state", shown(&file)]), (0, String::new(), String::new()));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), first);
    assert_eq!(first, include_str!("state.json"));
}

#[test]
fn replay_shows_where_branches_stand() {
    let dir = journal(&sample());
    let (code, out, err) = ask(&["replay", shown(dir.path()), "--until", "12:36"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("state     after record 17, of 2026-11-24T12:36:00.000Z"), "{out}");
    assert!(out.contains("sample-mirror  a1a1a1a1a1a1  main    020202020202  020202020202        0"), "{out}");
}

#[test]
fn diff_finds_where_journals_diverge() {
    let (long, short) = (journal(&sample()), journal(&sample()[..9]));
    let fork = journal(&[&sample()[..8], &sample()[10..]].concat());
    let same = json(&["diff", shown(long.path()), shown(long.path()), "-o", "json"]);
    assert_eq!((&same["same"], &same["frames_same"]), (&json!(true), &json!(17)));
    let prefix = json(&["diff", shown(long.path()), shown(short.path()), "-o", "json"]);
    assert_eq!(
        (&prefix["same"], &prefix["prefix"], &prefix["frames_same_to"]),
        (&json!(false), &json!(true), &json!(16))
    );
    let parted = json(&["diff", shown(short.path()), shown(fork.path()), "-o", "json"]);
    assert_eq!(
        (&parted["prefix"], &parted["frames_same_to"], &parted["record_differs"]),
        (&json!(false), &json!(14), &json!(15))
    );
    let (code, out, _) = ask(&["diff", shown(short.path()), shown(fork.path())]);
    assert_eq!(code, 1);
    assert!(out.contains("they part after record 14; records differ from 15 on; B goes"), "{out}");
    let (code, out, _) = ask(&["diff", shown(short.path()), shown(&journal(&sample()[..8]).keep())]);
    assert!(code == 1 && out.contains("one is the beginning of the other; A goes 2 records further"), "{out}");
    assert!(out.contains("sample-mirror  main    020202020202  010101010101  010101010101  010101010101"), "{out}");
}

#[test]
fn stat_counts() {
    let dir = journal(&sample());
    let found = json(&["stat", shown(dir.path()), "-o", "json"]);
    assert_eq!((&found["last_seq"], &found["checks"], &found["frames"]), (&json!(30), &json!(5), &json!(17)));
    assert_eq!(found["records_per_s"], 30.0 / 3600.0);
    let kinds = found["kinds"].as_array().unwrap();
    let seen = kinds.iter().find(|kind| kind["name"] == "BranchSeen").unwrap();
    assert_eq!(seen["records"], 3);
    assert_eq!(kinds.iter().map(|kind| kind["records"].as_u64().unwrap()).sum::<u64>(), 30);
    assert_eq!(found["writers"][0]["software"], "0.1.0");
    let (code, out, _) = ask(&["stat", shown(dir.path())]);
    assert!(code == 0 && out.contains("ArrivalsChecked") && out.contains("durable    up to record 30"), "{out}");
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = fixture::open(dir.path());
    for _ in 0..60 {
        sample().iter().for_each(|frame| fixture::append(&mut log, frame));
    }
    drop(log);
    let path = shown(dir.path());
    for words in [&["log", path, "sample-mirror"][..], &["replay", path, "--state", "-"], &["stat", path]] {
        let mut command = lakemirror();
        command.arg("journal").args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::with_capacity(16, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""), "{words:?}");
    }
}

#[test]
fn every_question_has_its_help() {
    for words in ["verify", "replay", "log", "heads", "diff", "stat", "repair"] {
        let (code, out, _) = ask(&[words, "--help"]);
        assert!(
            code == 0 && out.contains(&format!("lakemirror journal {words} ")) && out.contains("Exit codes: 0"),
            "{out}"
        );
    }
    assert_eq!(ask(&["verify"]).0, 2);
    assert_eq!(ask(&[]).0, 2);
}
