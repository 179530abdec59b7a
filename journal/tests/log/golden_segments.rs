//! A journal with a compressed segment, a sealed one, an open one and a snapshot, committed as files and never written
//! again: every later version reads it.

use std::fs;
use std::path::{Path, PathBuf};

use lakemirror_journal::log::{
    Log, Options, RawRecord, RecoveryAction, SnapshotHeader, Stage, scan, snapshot, verify_segment,
};

use super::support::{Machine, NEW, Seen};
use super::world::{State, open, take_snapshot};

const SEALED: [&str; 2] = ["seg/0000000000000001-0000000000000003.jseg", "seg/0000000000000004-0000000000000005.jseg"];
const OPEN: &str = "seg/0000000000000006.jseg.open";
const SNAPSHOT: &str = "snap/0000000000000006.jsnap";
const LAST_FOOTER: &str = "6710679e64c11b4ae6f1d9c3f5051c5dada4446139bfa65d76ca07f4907c418e";

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1-segments")
}

/// Two segments, and two frames in a third; the second and the sixth frame are checkpoints.
fn machine() -> (Machine, SnapshotHeader) {
    let machine = Machine::new();
    let (mut log, _, _) = open(&machine).unwrap();
    let mut snapshot = None;
    for number in 1..=6u8 {
        let payload = vec![number; usize::from(number) * 50];
        let record = RawRecord { kind: 3, version: 1, payload: &payload };
        let records = if number == 2 { vec![record, record] } else { vec![record] };
        let digest = if number % 4 == 2 { 0x0123_4567_89AB_CDEF + u64::from(number) } else { 0 };
        log.commit(&records, 10 * u64::from(number), NEW.wall_ms + u64::from(number), digest).unwrap();
        match number {
            2 | 4 => drop(log.seal().unwrap()),
            5 => snapshot = take_snapshot(&machine, &log).unwrap(),
            _ => {}
        }
    }
    (machine, snapshot.unwrap())
}

fn expected() -> Vec<Vec<u8>> {
    [1, 2, 2, 3, 4, 5, 6].map(|number| vec![number; usize::from(number) * 50]).to_vec()
}

fn copy_of_golden() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for dir in ["", "seg", "snap"] {
        fs::create_dir_all(root.path().join(dir)).unwrap();
        for entry in fs::read_dir(golden().join(dir)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), root.path().join(dir).join(entry.file_name())).unwrap();
            }
        }
    }
    root
}

#[test]
fn it_is_scanned() {
    let mut seen = Seen::default();
    let report = scan(&golden(), &mut seen).unwrap();
    assert_eq!(seen.payloads(), expected());
    assert_eq!((report.frames, report.end.checks_total, report.proven_from, report.tail), (6, 210, 1, None));
    assert!(report.footers.iter().all(|footer| footer.fault.is_none()));
    let stages: Vec<_> = report.segments.iter().map(|segment| segment.stage).collect();
    assert_eq!(stages, [Stage::Compressed, Stage::Sealed, Stage::Open]);
    let hash: String = report.footers[1].hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, LAST_FOOTER);
    let disk = lakemirror_journal::log::disk::real::RealDisk::new(&golden());
    assert_eq!(verify_segment(&disk, 1, 3).unwrap().checks(), 30);
    assert_eq!(snapshot::read(&disk, 6).unwrap().0, machine().1);
}

#[test]
fn it_is_opened_at_its_snapshot_and_continued() {
    let root = copy_of_golden();
    let mut state = State::default();
    let (mut log, recovery) = Log::open(root.path(), &Options::default(), NEW, &mut state).unwrap();
    assert_eq!((state.seen.payloads(), state.restored, state.replayed), (expected(), Some(6), 1));
    assert!(matches!(recovery.actions[..], [RecoveryAction::HotRebuilt { frames: 2, .. }]), "{recovery:?}");
    log.commit(&[RawRecord { kind: 3, version: 1, payload: b"more" }], 0, 0, 0).unwrap();
    let sealed = log.seal().unwrap();
    assert_eq!((sealed.footer.first_seq, sealed.footer.frames, sealed.footer.checks()), (6, 3, 110));
    drop(log);
    let report = scan(root.path(), &mut Seen::default()).unwrap();
    assert!(report.footers.iter().all(|footer| footer.fault.is_none()), "{:?}", report.footers);
}

#[test]
fn the_same_commits_are_the_same_bytes() {
    let (machine, _) = machine();
    for path in ["FORMAT", "HEAD", SEALED[1], OPEN, SNAPSHOT] {
        assert!(machine.disk.bytes(path).unwrap() == fs::read(golden().join(path)).unwrap(), "{path}");
    }
    // What zstd makes of a segment may differ between its versions; what it unpacks to may not.
    let unpacked = zstd::decode_all(&fs::read(golden().join(format!("{}.zst", SEALED[0]))).unwrap()[..]).unwrap();
    assert!(machine.disk.bytes(SEALED[0]).unwrap() == unpacked);
}
