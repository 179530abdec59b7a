//! Real files and sled.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use lakemirror_journal::log::disk::Disk as _;
use lakemirror_journal::log::disk::real::RealDisk;
use lakemirror_journal::log::{Log, OpenError, Options, Recovery, RecoveryAction, scan};

use super::support::{NEW, SEGMENT, Seen, commit};

fn open(dir: &Path) -> Result<(Log, Recovery, Seen), OpenError> {
    let mut seen = Seen::default();
    let (log, recovery) = Log::open(dir, &Options::default(), NEW, &mut seen)?;
    Ok((log, recovery, seen))
}

#[test]
fn commits_are_there_after_reopening() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("new/journal");
    let (mut log, recovery, _) = open(&dir).unwrap();
    assert_eq!(recovery.actions, [RecoveryAction::Initialised]);
    for number in 0..20u8 {
        commit(&mut log, &[vec![number; 3], vec![number; 5000]]).unwrap();
    }
    let head = log.head();
    assert_eq!((head.durable_seq, head.checks_total, head.writer_epoch), (40, 40, 1));
    let running = scan(&dir, &mut Seen::default()).unwrap();
    assert_eq!((running.end.last_seq, running.end.hash), (40, head.frame_hash));
    drop(log);
    let (log, recovery, seen) = open(&dir).unwrap();
    assert!(recovery.is_clean(), "{recovery:?}");
    assert_eq!(seen.payloads().len(), 40);
    assert_eq!((log.head().frame_hash, log.head().writer_epoch), (head.frame_hash, 2));
}

#[test]
fn files_are_for_their_owner_alone() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("journal");
    drop(open(&dir).unwrap());
    let mode = |path: &str| fs::metadata(dir.join(path)).unwrap().permissions().mode() & 0o777;
    for path in ["LOCK", "HEAD", "FORMAT", SEGMENT] {
        assert_eq!(mode(path), 0o600, "{path}");
    }
    for path in ["", "seg", "hot"] {
        assert_eq!(mode(path), 0o700, "{path}");
    }
}

#[test]
fn a_second_process_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let (log, _, _) = open(root.path()).unwrap();
    assert!(matches!(open(root.path()).map(|_| ()), Err(OpenError::InUse { .. })));
    drop(log);
    open(root.path()).unwrap();
}

#[test]
fn sled_repairs_a_flipped_bit_in_the_segment() {
    let root = tempfile::tempdir().unwrap();
    let (mut log, _, _) = open(root.path()).unwrap();
    for number in 0..5u8 {
        commit(&mut log, &[vec![number; 300]]).unwrap();
    }
    drop(log);
    let path = root.path().join(SEGMENT);
    let sound = fs::read(&path).unwrap();
    let mut bytes = sound.clone();
    bytes[900] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (_log, recovery, seen) = open(root.path()).unwrap();
    assert!(matches!(recovery.actions[..], [RecoveryAction::WitnessRepaired { from: 3, to: 3, .. }]), "{recovery:?}");
    assert_eq!(seen.payloads().len(), 5);
    assert_eq!(fs::read(&path).unwrap(), sound);
}

#[test]
fn the_segment_rebuilds_a_lost_or_broken_sled() {
    let root = tempfile::tempdir().unwrap();
    let (mut log, _, _) = open(root.path()).unwrap();
    for number in 0..5u8 {
        commit(&mut log, &[vec![number; 300]]).unwrap();
    }
    drop(log);
    fs::remove_dir_all(root.path().join("hot")).unwrap();
    let (_, recovery, _) = open(root.path()).unwrap();
    assert!(matches!(recovery.actions[..], [RecoveryAction::HotRebuilt { frames: 5, .. }]), "{recovery:?}");
    assert!(open(root.path()).unwrap().1.is_clean());
    // Its metadata as a directory cannot be opened by anybody.
    fs::remove_dir_all(root.path().join("hot/metadata")).unwrap();
    fs::write(root.path().join("hot/metadata"), b"rubbish").unwrap();
    let (_, recovery, seen) = open(root.path()).unwrap();
    assert!(matches!(recovery.actions[..], [RecoveryAction::HotRebuilt { frames: 5, .. }]), "{recovery:?}");
    assert_eq!(seen.payloads().len(), 5);
    assert!(
        fs::read_dir(root.path())
            .unwrap()
            .any(|entry| { entry.unwrap().file_name().to_string_lossy().starts_with("hot.broken.") })
    );
}

#[test]
fn a_store_that_ended_two_processes_or_hung_is_not_opened_again() {
    for attempts in [2, u8::MAX] {
        let root = tempfile::tempdir().unwrap();
        let (mut log, _, _) = open(root.path()).unwrap();
        commit(&mut log, &[b"kept"]).unwrap();
        drop(log);
        fs::write(root.path().join("hot.opening"), [attempts]).unwrap();
        let (_, recovery, seen) = open(root.path()).unwrap();
        assert!(matches!(recovery.actions[..], [RecoveryAction::HotRebuilt { frames: 1, .. }]), "{recovery:?}");
        assert_eq!(seen.payloads(), [b"kept"]);
        assert!(!root.path().join("hot.opening").exists());
    }
}

#[test]
fn a_store_whose_maker_was_killed_is_made_anew() {
    let root = tempfile::tempdir().unwrap();
    // Nothing else is there yet: the process died in its first start.
    fs::create_dir_all(root.path().join("hot.new/slabs")).unwrap();
    fs::write(root.path().join("hot.new/slabs/64"), b"half of it").unwrap();
    let (mut log, _, _) = open(root.path()).unwrap();
    commit(&mut log, &[b"kept"]).unwrap();
    drop(log);
    assert!(!root.path().join("hot.new").exists());
    RealDisk::new(root.path()).rename("hot", "hot.new").unwrap();
    let (_, recovery, seen) = open(root.path()).unwrap();
    assert!(matches!(recovery.actions[..], [RecoveryAction::HotRebuilt { frames: 1, .. }]), "{recovery:?}");
    assert_eq!(seen.payloads(), [b"kept"]);
}

#[test]
fn one_earlier_death_is_forgiven() {
    let root = tempfile::tempdir().unwrap();
    drop(open(root.path()).unwrap());
    fs::write(root.path().join("hot.opening"), [1]).unwrap();
    assert!(open(root.path()).unwrap().1.is_clean());
}

#[test]
fn a_file_or_a_full_directory_is_no_journal() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, b"x").unwrap();
    assert!(matches!(open(&file).map(|_| ()), Err(OpenError::NotAJournal { .. })));
    assert!(matches!(open(root.path()).map(|_| ()), Err(OpenError::NotAJournal { .. })));
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "nothing was made");
}

#[test]
fn the_hot_store_stays_small() {
    let root = tempfile::tempdir().unwrap();
    let options = Options { hot_frames_max: 8, ..Options::default() };
    let mut seen = Seen::default();
    let (mut log, _) = Log::open(root.path(), &options, NEW, &mut seen).unwrap();
    for number in 0..200u8 {
        commit(&mut log, &[vec![number; 4000]]).unwrap();
    }
    drop(log);
    let (_log, recovery) = Log::open(root.path(), &options, NEW, &mut seen).unwrap();
    assert!(recovery.is_clean(), "{recovery:?}");
    let du = |dir: &Path| -> u64 { walk(dir).iter().map(|path| fs::metadata(path).unwrap().len()).sum() };
    assert!(du(&root.path().join("hot")) < 400_000, "{}", du(&root.path().join("hot")));
}

fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
