//! Hostile text in every answer: it forges no line and moves no cursor, and JSON contains it exactly.

use std::path::Path;

use lakemirror::graveler::entry::Entry;
use lakemirror::graveler::writer::RangeWriter;
use lakemirror_journal::event::{
    BranchDivergedV1, BranchMissedV1, BranchSeenV1, BranchTombstonedV1, CommitObservedV1, Event, JournalRecoveredV1,
    LossAcknowledgedV1, MetarangeReadV1, MirrorDefinedV1, MirrorTakenV1, MoveFinishedV1, MoveStartedV1, RangeReadV1,
    TroubleNotedV1,
};
use lakemirror_journal::ids::{Incarnation, RangeId};
use tempfile::TempDir;

use super::world::{MIRROR, World, at, checked, commit, listed, observed, read, seen};
use super::{ask, lines, shown};
use crate::process::lakemirror;

/// Terminal escape sequences, line ends of every kind, a forged verdict, a reversed text direction.
const HOSTILE: &str =
    "=x\u{1b}[2K\u{1b}]0;t\u{7}\r\nverdict    forged\n\u{9b}31m\u{85}y\u{2028}z\u{202e}w\u{2066}\u{200f}\t\u{7f}";
const TAME: &str = "=xtame";

/// The journal of a mirror in which every external text is `text`, and its range files.
struct Sample {
    dir: TempDir,
    blocks: TempDir,
}

fn sample(text: &str) -> Sample {
    let (dir, blocks) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let id = range_file(blocks.path(), text);
    let mut world = World::new(dir.path());
    let named = |event| match event {
        Event::CommitObserved(e) => Event::CommitObserved(CommitObservedV1 {
            committer: text.into(),
            message: text.into(),
            metadata: vec![(text.into(), text.into())],
            ..e
        }),
        Event::BranchSeen(e) => Event::BranchSeen(BranchSeenV1 { branch: text.into(), ..e }),
        Event::MetarangeRead(e) => Event::MetarangeRead(MetarangeReadV1 { ranges: vec![(id, 3)], ..e }),
        Event::RangeRead(e) => Event::RangeRead(RangeReadV1 { range: id, ..e }),
        Event::ArrivalsChecked(mut e) => {
            e.range = id;
            Event::ArrivalsChecked(e)
        }
        other => other,
    };
    let mirror = MIRROR;
    let branch = text.to_owned();
    let started = MoveStartedV1 {
        mirror,
        branch: branch.clone(),
        from: None,
        to: commit(1),
        seen: 1,
        ranges: 1,
        entries: 3,
        oldest_evidence_ms: at(12),
        at_ms: at(31),
    };
    let finished = MoveFinishedV1 { mirror, branch: branch.clone(), from: None, to: commit(1), seen: 1, at_ms: at(32) };
    let (expected, found) = (Some(commit(1)), Some(commit(7)));
    world.add(&[seen("main", 1, 10), observed(1, &[], Some(1), 10)].map(named));
    world.add(&[listed(1, &[(1, 3)], 11), read(1, 3, &[], None, 12), checked(1, 0, 3, &[], 20)].map(named));
    world.add(&[Event::MoveStarted(started), Event::MoveFinished(finished)]);
    let diverged = BranchDivergedV1 { mirror, branch: branch.clone(), expected, found, at_ms: at(33) };
    world.add(&[Event::BranchDiverged(diverged)]);
    // Another head, which waits for an object of the same range.
    world.add(&[seen("main", 2, 40), observed(2, &[1], Some(2), 40)].map(named));
    world.add(&[listed(2, &[(3, 3)], 41)]);
    world.add(&[read(3, 3, &[], None, 42), checked(3, 0, 3, &[1], 43)]);
    world.add(&[
        Event::TroubleNoted(TroubleNotedV1 { mirror, text: text.into(), at_ms: at(49) }),
        Event::MirrorTaken(MirrorTakenV1 { mirror, epoch: 1, resumed: false, before: text.into(), at_ms: at(49) }),
        Event::JournalRecovered(JournalRecoveredV1 { text: text.into(), at_ms: at(49) }),
        Event::BranchMissed(BranchMissedV1 { mirror, branch: branch.clone(), writer_epoch: 1, at_ms: at(50) }),
        Event::BranchTombstoned(BranchTombstonedV1 { mirror, branch, at_ms: at(51) }),
        Event::MirrorDefined(MirrorDefinedV1 {
            mirror: Incarnation([0xb2; 16]),
            name: text.into(),
            source_repository: text.into(),
            source_region: "east".into(),
            region: "west".into(),
            storage_namespace: text.into(),
            at_ms: at(52),
        }),
        Event::LossAcknowledged(LossAcknowledgedV1 {
            from: 0,
            to: 0,
            reason: text.into(),
            who: text.into(),
            at_ms: at(53),
        }),
    ]);
    Sample { dir, blocks }
}

/// A range whose keys and addresses contain the text.
fn range_file(blocks: &Path, text: &str) -> RangeId {
    let mut writer = RangeWriter::new();
    for n in 1..=3 {
        let entry = Entry { address: format!("data/{text}/{n}"), size: 7, ..Entry::default() };
        writer.add(format!("a/{text}/{n}").as_bytes(), &entry).unwrap();
    }
    let file = writer.finish();
    let place = blocks.join("bucket/sample/_lakefs");
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join(file.info.id.to_string()), &file.bytes).unwrap();
    file.info.id
}

fn is_hidden(char: char) -> bool {
    (char.is_control() && char != '\n')
        || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
}

/// Every question, without the journal and the output format; the texts are those of the journal in question.
fn questions(sample: &Sample, other: &Sample, text: &str, config: &str) -> Vec<Vec<String>> {
    let (path, blocks) = (shown(sample.dir.path()), shown(sample.blocks.path()));
    let (main, waiting) = (commit(1).to_string(), commit(2).to_string());
    let questions: [&[&str]; 19] = [
        &["verify", path],
        &["verify", path, "--deep"],
        &["heads", path],
        &["heads", path, "--at", "12"],
        &["log", path, "lake"],
        &["log", path, "lake", text],
        &["log", path, "lake", "no such\u{1b}[2K\nbranch"],
        &["log", path, "b2b2b2b2"],
        &["explain", path, "lake", text, "--objects", "--ranges", blocks],
        &["explain", path, "lake", &main, "--objects", "--ranges", blocks],
        &["explain", path, "lake", &waiting],
        &["explain", path, "lake", "no such\u{1b}[2K\nbranch"],
        &["explain", path, "no such\u{1b}[2K\nmirror", "main"],
        &["replay", path],
        &["replay", path, "--state", "-"],
        &["diff", path, shown(other.dir.path())],
        &["what-if", path, "--config", config, "--all"],
        &["stat", path],
        &["repair", path],
    ];
    questions.iter().map(|words| words.iter().map(|word| (*word).to_owned()).collect()).collect()
}

/// A configuration whose policy blocks what these journals promoted.
fn config(dir: &Path) -> String {
    let text = format!(
        "region: west\norganization_id: acme\nregional_endpoint: http://127.0.0.1:1\nlakefs_access_key_id: key\n\
         lakefs_secret_access_key: secret\nauth: {{ encrypt: {{ secret_key: some-secret }} }}\n\
         mirrors_database: {{ type: local, local: {{ path: {0}/mirrors }} }}\n\
         blockstore: {{ type: local, local: {{ path: {0}/blocks }} }}\njournal: {{ path: {0}/journal }}\n\
         verification: {{ evidence_max_age: 1m }}\n",
        dir.display()
    );
    let file = dir.join("other.yaml");
    std::fs::write(&file, text).unwrap();
    shown(&file).to_owned()
}

#[test]
fn no_answer_contains_control_characters_or_forged_lines() {
    let work = tempfile::tempdir().unwrap();
    let (config, [tame, hostile]) = (config(work.path()), [TAME, HOSTILE].map(sample));
    let asked = questions(&tame, &hostile, TAME, &config).into_iter();
    for (calm, wild) in asked.zip(questions(&hostile, &tame, HOSTILE, &config)) {
        let said = |words: &[String]| ask(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let ((calm_code, calm_out, calm_err), (code, out, err)) = (said(&calm), said(&wild));
        let what = format!("{:?}", &calm[..1]);
        assert_eq!(calm_code, code, "{what}: {calm_err}{err}");
        assert!(code < 2 && !out.is_empty() || !err.is_empty(), "{what} says something: {code}");
        for (calm, wild) in [(calm_out, out), (calm_err, err)] {
            let hidden: Vec<char> = wild.chars().filter(|char| is_hidden(*char)).collect();
            assert!(hidden.is_empty(), "{what}: {hidden:?} in\n{wild}");
            assert_eq!(calm.lines().count(), wild.lines().count(), "{what}: a forged line in\n{wild}");
        }
    }
}

#[test]
fn json_contains_hostile_text_exactly() {
    let work = tempfile::tempdir().unwrap();
    let (config, [tame, hostile]) = (config(work.path()), [TAME, HOSTILE].map(sample));
    let mut found = Vec::new();
    for words in questions(&hostile, &tame, HOSTILE, &config) {
        let plain = words[0] == "replay" || words[0] == "repair" || words.iter().any(|word| word.contains("no such"));
        let words: Vec<&str> = words.iter().map(String::as_str).chain(["-o", "json"]).collect();
        if plain {
            continue;
        }
        let (_, out, err) = ask(&words);
        assert!(!out.chars().any(is_hidden) && err.is_empty(), "{words:?}: {err}");
        if lines(&out).iter().any(|line| holds(line, HOSTILE)) {
            found.push(words[0].to_owned());
        }
    }
    found.dedup();
    assert_eq!(found, ["verify", "heads", "log", "explain", "diff", "what-if", "stat"]);
    let (_, out, _) = ask(&["explain", shown(hostile.dir.path()), "lake", HOSTILE, "-o", "json"]);
    assert!(lines(&out).iter().any(|line| line["what"] == "subject" && holds(line, HOSTILE)), "{out}");
}

/// Whether one of the texts in a value is this one or starts with it.
fn holds(value: &serde_json::Value, text: &str) -> bool {
    match value {
        serde_json::Value::String(found) => found.contains(text),
        serde_json::Value::Array(values) => values.iter().any(|value| holds(value, text)),
        serde_json::Value::Object(fields) => fields.iter().any(|(key, value)| key == text || holds(value, text)),
        _ => false,
    }
}

#[test]
fn exports_have_one_line_per_record_and_jsonl_is_exact() {
    let sample = sample(HOSTILE);
    let path = shown(sample.dir.path());
    let (code, jsonl, err) = ask(&["export", path, "--format", "jsonl"]);
    assert!(code == 0 && !jsonl.chars().any(is_hidden), "{err}{jsonl}");
    assert!(lines(&jsonl).iter().any(|line| line["event"]["message"] == HOSTILE), "{jsonl}");
    let (code, csv, err) = ask(&["export", path, "--format", "csv"]);
    assert_eq!(code, 0, "{err}");
    // The header counts as the first line, and the trailer is in both.
    assert_eq!(csv.split("\r\n").count() - 1, lines(&jsonl).len(), "{csv}");
    let rows = csv.replace("\r\n", "\n");
    assert!(!rows.chars().any(is_hidden) && rows.lines().count() == csv.split("\r\n").count() - 1, "{csv:?}");
    assert!(csv.contains(r#"'=x\u001b[2K"#), "a branch that begins with = is no formula: {csv}");
}

#[test]
fn metadata_files_are_shown_without_controls() {
    let blocks = tempfile::tempdir().unwrap();
    let id = range_file(blocks.path(), HOSTILE);
    let file = blocks.path().join("bucket/sample/_lakefs").join(id.to_string());
    let output = lakemirror().arg("sst").arg(&file).arg("no such\u{1b}[2K\nfile").output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(!out.chars().any(is_hidden), "{out:?}");
    let found = lines(&out);
    assert_eq!(found[0]["key"], format!("a/{HOSTILE}/1"));
    assert_eq!(found.len(), 5, "{out}");
}

#[test]
fn problems_of_a_configuration_are_one_line_each() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.yaml");
    std::fs::write(&file, "\"re\\egion\\nok\\u009b\\u202e\": x\nregion: \"a\\nb\\e\"\nimports: \"\\e[2K\\nok\"\n")
        .unwrap();
    let output = lakemirror().args(["config", "check"]).arg(&file).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(!said.chars().any(is_hidden), "{said:?}");
    assert!(said.lines().all(|line| line.contains("c.yaml")), "{said}");
}
