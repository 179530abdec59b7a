//! Exports, and journals that are rebuilt from them.

use std::io::Write;
use std::path::{Path, PathBuf};

use lakemirror::evidence::Source;
use lakemirror::evidence::export::{Form, Span, export};
use lakemirror::evidence::import::import;
use lakemirror_journal::log::{Log, NewJournal, Options, RawRecord, Replay, ReplayRefused};
use proptest::prelude::*;
use tempfile::TempDir;

use super::world::{World, first_move, waiting_head};
use super::{ask, files, lines, shown};

/// A journal with two sealed segments and an open one.
fn journal() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(dir.path());
    world.log.seal().unwrap();
    first_move(&mut world);
    world.log.seal().unwrap();
    waiting_head(&mut world);
    dir
}

fn exported(dir: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    export(&Source::new(dir), &Span::default(), Form::Jsonl, &mut text).unwrap();
    text
}

/// The segment files.
fn segments(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let names = files(&dir.join("seg")).into_iter();
    names.map(|(path, bytes)| (path.rsplit('/').next().unwrap().to_owned(), bytes)).collect()
}

fn write(dir: &TempDir, bytes: &[u8]) -> PathBuf {
    let file = dir.path().join("export.jsonl");
    std::fs::File::create(&file).unwrap().write_all(bytes).unwrap();
    file
}

#[test]
fn imported_journal_is_byte_for_byte_equal() {
    let (dir, work) = (journal(), tempfile::tempdir().unwrap());
    let before = files(dir.path());
    let (code, out, err) = ask(&["export", shown(dir.path()), "--format", "jsonl"]);
    assert_eq!((code, err.as_str(), out.as_bytes()), (0, "", exported(dir.path()).as_slice()));
    assert_eq!(files(dir.path()), before, "an export writes nothing");
    let all = lines(&out);
    assert_eq!((all.len(), &all[0]["whole"], &all[22]["records"]), (23, &true.into(), &21.into()));
    assert_eq!((&all[13]["name"], &all[13]["event"]["entries"]), (&"MoveStarted".into(), &9.into()));
    let (file, again) = (write(&work, out.as_bytes()), work.path().join("again"));
    let (code, out, err) = ask(&["import", shown(&file), shown(&again)]);
    assert!(code == 0 && err.is_empty() && out.contains("records   21, in 14 frames; 13 checks"), "{out}{err}");
    assert_eq!(segments(&again), segments(dir.path()));
    assert_eq!(std::fs::read(again.join("FORMAT")).unwrap(), std::fs::read(dir.path().join("FORMAT")).unwrap());
    assert_eq!(ask(&["diff", shown(dir.path()), shown(&again)]).0, 0);
    assert_eq!(ask(&["verify", shown(&again), "--deep"]).0, 0);
    // Nothing is overwritten, and the service can continue with the journal.
    let made = files(&again);
    let (code, _, err) = ask(&["import", shown(&file), shown(&again)]);
    assert!(code == 2 && err.contains("nothing is ever written over"), "{err}");
    assert_eq!(files(&again), made);
    World::reopen(&again).add(&[super::world::seen("dev", 7, 99)]);
    assert_eq!(ask(&["verify", shown(&again), "--deep"]).0, 0);
}

#[test]
fn every_missing_doubled_swapped_or_changed_line_is_named() {
    let (dir, work) = (journal(), tempfile::tempdir().unwrap());
    let text = exported(dir.path());
    let all: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let again = work.path().join("again");
    let refused = |lines: Vec<&[u8]>, what: &str| {
        let error = import(&write(&work, &lines.concat()), &again).expect_err(what).to_string();
        assert!(error.contains("line ") && error.contains("no journal was made"), "{what}: {error}");
        assert!(!again.exists() && !work.path().join("again.importing").exists(), "{what}: something is left");
    };
    for at in 0..all.len() {
        let mut lines = all.clone();
        lines.remove(at);
        refused(lines, &format!("without line {at}"));
        refused(all[..at].to_vec(), &format!("cut before line {at}"));
        let mut lines = all.clone();
        lines.insert(at, all[at]);
        refused(lines, &format!("line {at} doubled"));
        if at > 0 {
            let mut lines = all.clone();
            lines.swap(at, at - 1);
            refused(lines, &format!("line {at} swapped"));
        }
    }
    let half = &all[5][..all[5].len() / 2];
    refused([&all[..5], &[half]].concat(), "cut within a line");
}

#[test]
fn every_changed_byte_is_detected_or_changes_nothing() {
    let (dir, work) = (journal(), tempfile::tempdir().unwrap());
    let text = exported(dir.path());
    let again = work.path().join("again");
    // Every seventh byte, with a varying bit flipped.
    for at in (0..text.len()).step_by(7) {
        let mut changed = text.clone();
        changed[at] ^= 1 << (at % 7);
        if import(&write(&work, &changed), &again).is_ok() {
            assert_eq!(segments(&again), segments(dir.path()), "letter {at}");
            assert_eq!(std::fs::read(again.join("FORMAT")).unwrap(), std::fs::read(dir.path().join("FORMAT")).unwrap());
            std::fs::remove_dir_all(&again).unwrap();
        }
    }
}

#[test]
fn partial_exports_and_other_files_are_refused() {
    let (dir, work) = (journal(), tempfile::tempdir().unwrap());
    let again = work.path().join("again");
    let part = ask(&["export", shown(dir.path()), "--format", "jsonl", "--from", "5", "--to", "9"]);
    let all = lines(&part.1);
    assert_eq!((part.0, all.len(), &all[1]["seq"], &all[5]["seq"]), (0, 7, &5.into(), &9.into()));
    let csv = ask(&["export", shown(dir.path()), "--format", "csv"]).1;
    for (bytes, text) in [
        (part.1.as_bytes(), "line 1 of"),
        (part.1.as_bytes(), "a part of a journal"),
        (csv.as_bytes(), "for spreadsheets"),
        (b"".as_slice(), "the file is empty"),
        (b"hello\n".as_slice(), "not an export of a journal"),
    ] {
        let (code, _, err) = ask(&["import", shown(&write(&work, bytes)), shown(&again)]);
        assert!(code == 70 && err.contains(text), "{text}: {code} {err}");
    }
    let (code, _, err) = ask(&["import", shown(&work.path().join("none")), shown(&again)]);
    assert!(code == 74 && err.contains("cannot read"), "{err}");
    assert!(!again.exists());
    let (code, out, err) = ask(&["export", shown(dir.path()), "--format", "csv", "--from", "2027-01-01"]);
    assert!(code == 1 && err.contains("no record in that span"), "{out}{err}");
}

#[test]
fn csv_rows_are_complete_and_contain_no_formula() {
    let dir = journal();
    let (code, out, _) = ask(&["export", shown(dir.path()), "--format", "csv"]);
    assert_eq!(code, 0);
    let rows: Vec<&str> = out.split("\r\n").collect();
    assert_eq!(rows.len(), 1 + 21 + 1 + 1, "a heading, the records, the end, and nothing after it");
    assert!(rows[0].starts_with("seq,committed,committed_ms,kind,version,name,mirror,branch,fields,"));
    assert!(rows[5].starts_with("5,2026-11-24T12:00:02.000Z,1795521602000,32,1,BranchSeen,"), "{}", rows[5]);
    assert!(rows[22].starts_with("end,"), "{}", rows[22]);
    assert!(!out.contains(",=") && !out.contains(",@"), "{out}");
}

struct Ignore;

impl Replay for Ignore {
    fn record(
        &mut self,
        _: u64,
        _: RawRecord<'_>,
        _: &lakemirror_journal::log::FrameInfo,
    ) -> Result<(), ReplayRefused> {
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Records of any kind, known or not, in frames and segments of any shape.
    #[test]
    fn any_journal_comes_back(
        frames in proptest::collection::vec(
            (proptest::collection::vec((any::<u16>(), 1u16..3, proptest::collection::vec(any::<u8>(), 0..40)), 1..4), any::<bool>(), any::<u64>(), 0u64..9),
            0..9,
        ),
        uuid: [u8; 16],
    ) {
        let (dir, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let identity = NewJournal { uuid, wall_ms: 5 };
        let mut log = Log::open(dir.path(), &Options::default(), identity, &mut Ignore).unwrap().0;
        for (records, seal, digest, checks) in &frames {
            let records: Vec<RawRecord<'_>> = records
                .iter()
                .map(|(kind, version, payload)| RawRecord { kind: *kind, version: *version, payload })
                .collect();
            log.commit(&records, *checks, 7, *digest).unwrap();
            if *seal {
                log.seal().unwrap();
            }
        }
        // A segment that was sealed last and has no successor is open in the copy.
        let open_again = frames.last().is_some_and(|(_, seal, ..)| *seal);
        let again = work.path().join("again");
        import(&write(&work, &exported(dir.path())), &again).unwrap();
        prop_assert_eq!(exported(&again), exported(dir.path()));
        if !open_again {
            prop_assert_eq!(segments(&again), segments(dir.path()));
        }
    }
}
