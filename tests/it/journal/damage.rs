//! Bad input: every truncation and every flipped bit of a small journal is detected or changes nothing. A directory
//! without a sound journal gets its message and its exit code.

use std::fs;
use std::path::{Path, PathBuf};

use lakemirror::evidence::Source;
use lakemirror::evidence::verify::{Report, Request, verify};
use lakemirror_journal::log::compress_segment;
use lakemirror_journal::log::disk::real::RealDisk;
use tempfile::TempDir;

use super::fixture::{self, first_move};
use super::{ask, shown};

/// The last segment of [`small`], which is open.
const OPEN: &str = "seg/0000000000000010.jseg.open";
/// All of its segments: compressed, sealed, open.
const SEGMENTS: [&str; 3] =
    ["seg/0000000000000001-0000000000000005.jseg.zst", "seg/0000000000000006-0000000000000009.jseg", OPEN];

/// A small journal without its hot store, which no question reads.
fn small() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut log = fixture::open(dir.path());
    for (index, frame) in first_move()[..5].iter().enumerate() {
        fixture::append(&mut log, frame);
        if index == 1 || index == 3 {
            log.seal().unwrap();
        }
    }
    drop(log);
    compress_segment(&RealDisk::new(dir.path()), 1, 5).unwrap();
    fs::remove_dir_all(dir.path().join("hot")).unwrap();
    dir
}

fn look(dir: &Path, deep: bool) -> Option<Report> {
    verify(&Source::new(dir), &Request { deep, anchors: vec![] }).ok()
}

/// Whether the journal is reported as damaged, or its report is the original one.
fn noticed_or_harmless(dir: &Path, sound: &Report) -> bool {
    look(dir, true).is_none_or(|report| !report.holds() || report == *sound)
}

#[test]
fn every_truncation_is_detected_or_changes_nothing() {
    let dir = small();
    let sound = look(dir.path(), true).unwrap();
    assert!(sound.holds());
    for name in SEGMENTS.into_iter().chain(["HEAD", "FORMAT"]) {
        let path = dir.path().join(name);
        let bytes = fs::read(&path).unwrap();
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            assert!(noticed_or_harmless(dir.path(), &sound), "{name} cut to {length}");
            let must_fail = name != "HEAD" || length < 4096 + 72;
            assert!(!must_fail || look(dir.path(), false).is_none_or(|report| !report.holds()), "{name} at {length}");
        }
        fs::write(&path, &bytes).unwrap();
    }
    assert_eq!(look(dir.path(), true), Some(sound), "as it was");
}

#[test]
fn every_flipped_bit_is_detected_or_changes_nothing() {
    let dir = small();
    let sound = look(dir.path(), true).unwrap();
    for name in SEGMENTS.into_iter().chain(["HEAD", "FORMAT"]) {
        let path = dir.path().join(name);
        let mut bytes = fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            // HEAD has nothing between and after its slots; one bit per sector is enough there.
            let idle = name == "HEAD" && at % 4096 >= 72;
            if idle && at % 512 != 100 {
                continue;
            }
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                fs::write(&path, &bytes).unwrap();
                let report = look(dir.path(), true);
                bytes[at] ^= 1 << bit;
                match report {
                    // Some bits of a compressed file do not affect its content.
                    Some(report) if idle || name == SEGMENTS[0] && report.holds() => {
                        assert_eq!(report, sound, "{name} at {at}");
                    }
                    report => assert!(report.is_none_or(|report| !report.holds()), "{name} bit {bit} at {at}"),
                }
            }
        }
        fs::write(&path, &bytes).unwrap();
    }
}

#[test]
fn torn_last_write_is_not_a_fault() {
    let dir = small();
    let path = dir.path().join(OPEN);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_within(..77);
    fs::write(&path, &bytes).unwrap();
    let (code, out, _) = ask(&["verify", shown(dir.path())]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("77 bytes after that belong to a writer at work"), "{out}");
}

#[test]
fn unsound_journal_is_reported() {
    let foreign = || {
        let dir = small();
        fs::write(dir.path().join("seg/notes.txt"), "x").unwrap();
        dir
    };
    let newer = || {
        let dir = small();
        fs::write(dir.path().join("FORMAT"), "{\"format\":2,\"other\":true}\n").unwrap();
        dir
    };
    let cut = || {
        let dir = small();
        let path = dir.path().join(OPEN);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        dir
    };
    let file = || {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("FORMAT"), "not a journal").unwrap();
        dir
    };
    let empty = || tempfile::tempdir().unwrap();
    type Case<'a> = (&'a str, &'a dyn Fn() -> TempDir, i32, i32, &'a str);
    let cases: [Case<'_>; 5] = [
        ("empty directory", &empty, 70, 70, "holds no journal"),
        ("no journal", &file, 1, 70, "FORMAT is missing or damaged"),
        ("newer format", &newer, 70, 70, "says format 2"),
        ("foreign file", &foreign, 1, 70, "notes.txt is no segment"),
        ("cut short", &cut, 1, 70, "were acknowledged and are readable neither"),
    ];
    for (name, make, verifying, others, said) in cases {
        let dir = make();
        let path = shown(dir.path());
        let (code, out, err) = ask(&["verify", path]);
        assert!(code == verifying && format!("{out}{err}").contains(said), "{name}: {code}: {out}{err}");
        for words in [
            &["replay", path][..],
            &["heads", path, "--at", "12:00"],
            &["log", path, "sample-mirror"],
            &["stat", path],
            &["diff", path, path],
        ] {
            let (code, _, err) = ask(words);
            assert!(code == others && err.contains(said), "{name}: {words:?}: {code}: {err}");
        }
    }
}

#[test]
fn missing_path_or_file_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let (code, _, err) = ask(&["verify", shown(&missing)]);
    assert!(code == 70 && err.contains("holds no journal"), "{code}: {err}");
    let file: PathBuf = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let (code, _, err) = ask(&["verify", shown(&file)]);
    assert!(code == 74 && err.contains("cannot read"), "{code}: {err}");
}

#[test]
fn state_before_the_damage_is_available() {
    let dir = small();
    let path = dir.path().join(OPEN);
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (code, out, err) = ask(&["replay", shown(dir.path()), "--until", "5"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let (code, _, err) = ask(&["replay", shown(dir.path())]);
    assert_eq!(code, 70, "{err}");
}
