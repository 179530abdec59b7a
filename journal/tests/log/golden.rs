//! A journal that format version 1 wrote, committed as files and never written again: every later version reads it.

use std::fs;
use std::path::{Path, PathBuf};

use lakemirror_journal::log::{Log, Options, RawRecord, RecoveryAction, scan};

use super::support::{Machine, NEW, SEGMENT, Seen};

const LAST_HASH: &str = "87d69f6a2c5e7a1a217b975b4a55e19bd5897ee2de7826944a8e4f5a7bf6964a";
const FILES: [&str; 3] = ["FORMAT", "HEAD", SEGMENT];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

/// What was committed: one small record, one without payload beside one of three kinds, one over 512 bytes.
fn commits() -> Vec<Vec<(u16, u16, Vec<u8>)>> {
    vec![
        vec![(1, 1, b"the first record".to_vec())],
        vec![(2, 1, Vec::new()), (3, 7, b"odd".to_vec()), (u16::MAX, u16::MAX, vec![0xFF; 17])],
        vec![(1, 1, (0..=255).cycle().take(700).collect())],
    ]
}

fn machine() -> Machine {
    let machine = Machine::new();
    let (mut log, _, _) = machine.open().unwrap();
    for (commit, at) in commits().iter().zip(1..) {
        let record = |(kind, version, payload)| RawRecord { kind, version, payload };
        let records: Vec<_> =
            commit.iter().map(|(kind, version, payload)| record((*kind, *version, payload))).collect();
        log.commit(&records, 100 * at, NEW.wall_ms + at, 0).unwrap();
    }
    machine
}

fn expected() -> Seen {
    Seen((1..).zip(commits().concat()).map(|(seq, (kind, version, payload))| (seq, kind, version, payload)).collect())
}

#[test]
fn it_is_read() {
    let mut seen = Seen::default();
    let report = scan(&golden(), &mut seen).unwrap();
    assert_eq!(seen, expected());
    assert_eq!((report.uuid, report.created_ms, report.durable_seq), (NEW.uuid, NEW.wall_ms, 5));
    assert_eq!((report.frames, report.end.checks_total, report.end.writer_epoch), (3, 600, 1));
    let hash: String = report.end.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, LAST_HASH);
}

#[test]
fn it_is_opened_and_continued() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("seg")).unwrap();
    for path in FILES {
        fs::copy(golden().join(path), root.path().join(path)).unwrap();
    }
    let mut seen = Seen::default();
    let (mut log, recovery) = Log::open(root.path(), &Options::default(), NEW, &mut seen).unwrap();
    assert_eq!(seen, expected());
    assert!(matches!(recovery.actions[..], [RecoveryAction::HotRebuilt { frames: 3, .. }]), "{recovery:?}");
    assert_eq!(log.commit(&[RawRecord { kind: 1, version: 1, payload: b"more" }], 0, 0, 0).unwrap().first_seq, 6);
}

#[test]
fn the_same_commits_are_the_same_bytes() {
    let machine = machine();
    for path in FILES {
        assert!(machine.disk.bytes(path).unwrap() == fs::read(golden().join(path)).unwrap(), "{path}");
    }
}
