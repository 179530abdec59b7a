//! Why a commit was promoted, and what a head is waiting for.

use std::io::Read;
use std::process::Stdio;

use lakemirror::graveler::entry::Entry;
use lakemirror::graveler::writer::RangeWriter;
use lakemirror_journal::event::{
    BranchAdoptedV1, Event, MetarangeReadV1, MoveFinishedV1, MoveStartedV1, RangeReadV1, RangesReopenedV1,
    SourceProbedV1,
};
use lakemirror_journal::ids::RangeId;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::world::{
    MIRROR, World, at, checked, commit, first_move, listed, moves, observed, range, read, seen, waiting_head,
};
use super::{ask, files, lines, shown};
use crate::process::lakemirror;

fn journal(with: impl FnOnce(&mut World)) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    with(&mut World::new(dir.path()));
    dir
}

fn explain(dir: &TempDir, target: &str, more: &[&str]) -> (i32, Vec<Value>) {
    let words = [&["explain", shown(dir.path()), "lake", target, "-o", "json"], more].concat();
    let (code, out, err) = ask(&words);
    assert!(code < 2, "{target}: {err}");
    (code, lines(&out))
}

fn of<'a>(lines: &'a [Value], what: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["what"] == what).collect()
}

#[test]
fn promotion_is_explained_down_to_the_last_object() {
    let dir = journal(first_move);
    let before = files(dir.path());
    let (code, found) = explain(&dir, "main", &[]);
    assert_eq!(code, 0);
    let subject = of(&found, "subject")[0];
    assert_eq!(subject["verdict"], "shown");
    assert_eq!(subject["seen"], json!({ "record": { "seq": 5, "at_ms": at(10) }, "nth": 1 }));
    assert_eq!(subject["observed"]["record"]["seq"], 6);
    assert_eq!(subject["tree"]["record"]["seq"], 7);
    assert_eq!(subject["move"]["started"]["record"]["seq"], 13);
    assert_eq!(subject["written"][0]["record"]["seq"], 14);
    assert_eq!(subject["move"]["finished"]["seq"], 15);
    let ranges = of(&found, "range");
    assert_eq!((ranges[0]["grade"].as_str(), ranges[1]["grade"].as_str()), (Some("whole"), Some("whole")));
    assert_eq!(
        ranges[0]["batches"],
        json!([
            { "record": { "seq": 10, "at_ms": at(20) }, "proven": 5 },
            { "record": { "seq": 12, "at_ms": at(30) }, "proven": 1 },
        ])
    );
    assert_eq!(ranges[0]["checks"], 7);
    let end = of(&found, "conclusion")[0];
    assert_eq!(end["last_arrival"]["record"], json!({ "seq": 12, "at_ms": at(30) }));
    assert_eq!((&end["last_arrival"]["place"], &end["last_arrival"]["ordinal"]), (&json!(0), &json!(4)));
    assert_eq!((&end["differs"], &end["waits_for"], &end["entries"]), (&json!([]), &json!([]), &json!(9)));
    let (code, out, err) = ask(&["explain", shown(dir.path()), "lake", "main"]);
    assert_eq!((code, err.as_str()), (0, ""));
    for line in [
        "verdict    promoted: the mirror's branch shows it since 2026-11-24T12:00:31.000Z",
        "started    record     13  2026-11-24T12:00:31.000Z  the move - -> 010101010101 begins",
        "last       record     12  2026-11-24T12:00:30.000Z  range 0, ordinal 4: first seen there by this record",
        "adds up    9 object(s) in 2 range(s), oldest check 2026-11-24T12:00:12.000Z: every object of it was there",
    ] {
        assert!(out.contains(line), "{line:?} is not in\n{out}");
    }
    assert_eq!(files(dir.path()), before, "nothing is written");
}

#[test]
fn move_that_states_more_than_its_evidence_is_reported() {
    let short = journal(|world| {
        world.add(&[
            seen("main", 1, 10),
            observed(1, &[], Some(1), 10),
            listed(1, &[(1, 6)], 11),
            read(1, 6, &[], None, 12),
        ]);
        world.add(&[checked(1, 0, 6, &[4], 20)]);
        moves(None, 1, 1, (1, 7, at(12)), 31).iter().for_each(|events| world.add(events));
    });
    let (code, found) = explain(&short, "main", &[]);
    assert_eq!(code, 1);
    let differs = of(&found, "conclusion")[0]["differs"].to_string();
    assert!(differs.contains("states entries 7, the records before it add up to 6"), "{differs}");
    assert!(differs.contains("do not prove every object"), "{differs}");
}

#[test]
fn waiting_head_reports_what_is_missing_and_since_when() {
    let dir = journal(|world| {
        first_move(world);
        waiting_head(world);
    });
    let (code, found) = explain(&dir, "main", &[]);
    assert_eq!(code, 0);
    let verdicts: Vec<&Value> = of(&found, "subject").iter().map(|line| &line["verdict"]).collect();
    assert_eq!(verdicts, ["shown", "waiting"]);
    let open = of(&found, "range")[2];
    assert_eq!((&open["missing"], &open["missing_first"]), (&json!(1), &json!([4])));
    assert_eq!((&open["inherited"], &open["inherited_from"][0]["read_by"]), (&json!(3), &json!(8)));
    assert_eq!(open["first_asked"], json!({ "seq": 20, "at_ms": at(43) }));
    assert_eq!(open["last_asked"], json!({ "seq": 21, "at_ms": at(50) }));
    let reasons = of(&found, "conclusion")[1]["waits_for"].clone();
    assert_eq!(reasons, json!(["1 object(s) are not at the destination yet"]));
    let (_, out, _) = ask(&["explain", shown(dir.path()), "lake", &commit(2).to_string()[..8]]);
    assert!(out.contains("1 missing (asked for since 2026-11-24T12:00:43.000Z, last by record 21"), "{out}");
    assert!(out.contains("waits for  1 object(s) are not at the destination yet"), "{out}");
}

#[test]
fn reason_for_waiting_is_reported_for_each_stage() {
    let unread = journal(|world| world.add(&[seen("main", 1, 10)]));
    let no_tree = journal(|world| world.add(&[seen("main", 1, 10), observed(1, &[], Some(1), 10)]));
    let no_range = journal(|world| {
        world.add(&[seen("main", 1, 10), observed(1, &[], Some(1), 10), listed(1, &[(1, 6)], 11)]);
    });
    let ancestor = journal(|world| {
        world.add(&[seen("main", 2, 10), observed(2, &[1], None, 10), observed(1, &[], Some(1), 11)]);
    });
    let rootless = journal(|world| world.add(&[seen("main", 2, 10), observed(2, &[1], None, 10)]));
    for (dir, text) in [
        (unread, "its commit record was not read from the source yet"),
        (no_tree, "could not be read at the destination yet"),
        (no_range, "1 of its 1 range file(s) could not be read"),
        (ancestor, "1 ancestor(s) are not complete, oldest first: 0101"),
        (rootless, "some ancestors were not read from the source yet (1 commit(s)"),
    ] {
        let (code, found) = explain(&dir, "main", &[]);
        let reasons = of(&found, "conclusion")[0]["waits_for"].to_string();
        assert!(code == 0 && reasons.contains(text), "{text}: {reasons}");
    }
}

#[test]
fn each_object_is_listed_once_with_the_check_that_decided() {
    let dir = journal(|world| {
        first_move(world);
        waiting_head(world);
        // All of range 3 is checked again before the last object arrives.
        let ranges = vec![range(3)];
        world.add(&[Event::RangesReopened(RangesReopenedV1 { mirror: MIRROR, ranges, at_ms: at(60) })]);
        world.add(&[checked(3, 0, 4, &[], 61), checked(3, 4, 1, &[], 62)]);
        moves(Some(1), 2, 2, (2, 8, at(12)), 63).iter().for_each(|events| world.add(events));
    });
    let (code, found) = explain(&dir, "main", &["--objects"]);
    assert_eq!(code, 0);
    let runs: Vec<(u64, u64, u64, &str, u64)> = of(&found, "objects")
        .iter()
        .map(|line| {
            let number = |value: &Value| value.as_u64().unwrap();
            let how = line["how"].as_str().unwrap();
            (number(&line["place"]), number(&line["first"]), number(&line["last"]), how, number(&line["record"]["seq"]))
        })
        .collect();
    assert_eq!(runs, [(0, 0, 3, "present", 23), (0, 4, 4, "present", 24), (1, 0, 2, "present", 11)]);
    assert_eq!(of(&found, "range")[0]["reopened"], json!({ "record": { "seq": 22, "at_ms": at(60) }, "times": 1 }));
    let (_, found) = explain(&dir, &commit(1).to_string(), &["--objects"]);
    assert_eq!(of(&found, "subject")[0]["verdict"], "was_shown");
    assert_eq!(of(&found, "objects").len(), 4, "0-3 and 5 by the first batch, 4 by the last: {found:?}");
}

#[test]
fn expired_objects_are_listed_with_the_answers_of_the_source() {
    let probe = |second| {
        Event::SourceProbed(SourceProbedV1 {
            mirror: MIRROR,
            range: range(1),
            gone: vec![4],
            there: vec![],
            at_ms: at(second),
        })
    };
    let dir = journal(|world| {
        world.add(&[seen("main", 2, 10), observed(2, &[1], None, 10), observed(1, &[], Some(1), 10)]);
        world.add(&[listed(1, &[(1, 6)], 11), read(1, 6, &[], None, 12), checked(1, 0, 6, &[4], 20)]);
        world.add(&[probe(21), probe(22)]);
        moves(None, 2, 1, (0, 0, u64::MAX), 31).iter().for_each(|events| world.add(events));
    });
    let (code, found) = explain(&dir, &commit(1).to_string()[..6], &["--objects"]);
    assert_eq!(code, 0);
    assert_eq!(of(&found, "subject")[0]["verdict"], "not_recorded");
    let range = of(&found, "range")[0];
    assert_eq!((&range["grade"], &range["expired"]), (&json!("expired"), &json!([4])));
    assert_eq!(range["probes"].as_array().unwrap().len(), 2);
    assert!(of(&found, "objects").iter().any(|line| line["how"] == "expired" && line["first"] == 4), "{found:?}");
    assert_eq!(explain(&dir, "main", &[]).0, 0, "an empty tree adds up");
}

#[test]
fn unknown_target_is_reported_with_the_existing_ones() {
    let dir = journal(|world| {
        first_move(world);
        let mut near = commit(1);
        near.0[31] = 2;
        let seen = lakemirror_journal::event::BranchSeenV1 {
            mirror: MIRROR,
            branch: "dev".into(),
            head: near,
            hidden: false,
            at_ms: at(50),
        };
        let adopted = BranchAdoptedV1 { mirror: MIRROR, branch: "dev".into(), found: near, at_ms: at(51) };
        world.add(&[Event::BranchSeen(seen), Event::BranchAdopted(adopted)]);
    });
    let path = shown(dir.path());
    for (mirror, target, text) in [
        ("other", "main", "the journal has no mirror \"other\"; it has lake"),
        ("lake", "maim", "did you mean `main`? It has dev, main"),
        ("lake", "abcdef", "nor a commit whose id begins so; it has dev, main"),
        ("lake", "010", "nor a commit whose id begins so"),
        ("lake", "0101", "2 commits begin with 0101: give more digits"),
    ] {
        let (code, out, err) = ask(&["explain", path, mirror, target]);
        assert!(code == 1 && out.is_empty() && err.contains(text), "{target}: {code} {out} {err}");
    }
    let (code, out, _) = ask(&["explain", path, "lake", "dev"]);
    assert!(code == 0 && out.contains("taken over: nothing was proven for that"), "{out}");
    let (code, _, err) = ask(&["explain", shown(&dir.path().join("seg")), "lake", "main"]);
    assert!(code == 70 && err.contains("holds no journal"), "{err}");
}

#[test]
fn keys_are_named_if_range_files_are_available() {
    let mut writer = RangeWriter::new();
    for key in ["a/1", "a/2", "b/3"] {
        let entry = Entry { address: format!("data/{key}"), size: 7, ..Entry::default() };
        writer.add(key.as_bytes(), &entry).unwrap();
    }
    let file = writer.finish();
    let id: RangeId = file.info.id;
    let blocks = tempfile::tempdir().unwrap();
    let place = blocks.path().join("bucket/sample/_lakefs");
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join(id.to_string()), &file.bytes).unwrap();
    let dir = journal(|world| {
        let renamed = |event| match event {
            Event::MetarangeRead(e) => Event::MetarangeRead(MetarangeReadV1 { ranges: vec![(id, 3)], ..e }),
            Event::RangeRead(e) => Event::RangeRead(RangeReadV1 { range: id, ..e }),
            Event::ArrivalsChecked(mut e) => {
                e.range = id;
                Event::ArrivalsChecked(e)
            }
            other => other,
        };
        world.add(&[seen("main", 1, 10), observed(1, &[], Some(1), 10)]);
        let facts = [
            listed(1, &[(1, 3)], 11),
            read(1, 3, &[], None, 12),
            checked(1, 0, 3, &[1], 20),
            checked(1, 1, 1, &[1], 21),
        ];
        world.add(&facts.map(renamed));
    });
    let more = ["--objects", "--ranges", shown(blocks.path())];
    let (_, found) = explain(&dir, "main", &more);
    assert_eq!(of(&found, "range")[0]["missing_named"][0]["object"]["key"], "a/2");
    let objects = of(&found, "objects");
    assert_eq!(objects.len(), 3);
    assert_eq!(objects[2]["object"], json!({ "key": "b/3", "address": "data/b/3", "size": 7 }));
    assert_eq!(of(&found, "conclusion")[0]["last_arrival"]["object"]["key"], "b/3");
    // A file with another id is not trusted.
    std::fs::write(place.join(id.to_string()), RangeWriter::new().finish().bytes).unwrap();
    let words = [&["explain", shown(dir.path()), "lake", "main"], more.as_slice()].concat();
    let (code, out, err) = ask(&words);
    assert!(code == 0 && !out.contains("a/2") && err.contains("is damaged"), "{out}{err}");
}

#[test]
fn restored_and_adopted_branches_are_explained() {
    let dir = journal(|world| {
        first_move(world);
        let (mirror, branch, to) = (MIRROR, "main".to_owned(), commit(1));
        let back = MoveStartedV1 {
            mirror,
            branch: branch.clone(),
            from: Some(commit(8)),
            to,
            seen: 0,
            ranges: 2,
            entries: 9,
            oldest_evidence_ms: at(12),
            at_ms: at(70),
        };
        world.add(&[Event::MoveStarted(back)]);
        let finished = MoveFinishedV1 { mirror, branch, from: Some(commit(8)), to, seen: 0, at_ms: at(71) };
        world.add(&[Event::MoveFinished(finished.clone()), Event::MoveFinished(finished)]);
    });
    let (code, found) = explain(&dir, "main", &[]);
    assert_eq!((code, &of(&found, "subject")[0]["verdict"]), (0, &json!("shown")));
}

#[test]
fn closed_pipe_is_not_an_error() {
    let dir = journal(first_move);
    let mut child = lakemirror()
        .args(["journal", "explain", shown(dir.path()), "lake", "main", "--objects"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}
