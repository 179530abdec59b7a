//! Real files and sled.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use lakemirror_journal::log::disk::Disk as _;
use lakemirror_journal::log::disk::real::RealDisk;
use lakemirror_journal::log::hot::HotOpener as _;
use lakemirror_journal::log::hot::sled_store::SledOpener;
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

#[test]
#[expect(clippy::disallowed_methods, reason = "what is moved here is no journal's own step")]
fn links_below_the_directory_are_refused_and_named_and_the_directory_may_be_one() {
    for path in ["HEAD", "FORMAT", "LOCK", SEGMENT, "seg", "hot", "hot/metadata"] {
        let root = tempfile::tempdir().unwrap();
        let (mut log, _, _) = open(&root.path().join("journal")).unwrap();
        commit(&mut log, &[b"kept"]).unwrap();
        drop(log);
        let place = root.path().join("journal").join(path);
        let foreign = root.path().join("foreign");
        fs::rename(&place, &foreign).unwrap();
        symlink(&foreign, &place).unwrap();
        let before = tree(&foreign);
        match open(&root.path().join("journal")).map(|_| ()) {
            Err(OpenError::Linked { path: named }) => assert_eq!(Path::new(&named), place),
            other => panic!("{path}: {other:?}"),
        }
        assert_eq!(tree(&foreign), before, "{path} was written through");
        fs::remove_file(&place).unwrap();
        fs::rename(&foreign, &place).unwrap();
        symlink(root.path().join("journal"), root.path().join("link")).unwrap();
        let (_, _, seen) = open(&root.path().join("link")).unwrap();
        assert_eq!(seen.payloads(), [b"kept"], "{path}");
    }
}

/// Every file below a path, and its bytes.
fn tree(at: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    if at.is_file() {
        return vec![(at.to_owned(), fs::read(at).unwrap())];
    }
    let mut paths: Vec<_> = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().flat_map(|path| tree(path)).collect()
}

/// A hot store whose opening never ends: its log is a pipe that nobody writes to.
fn block(dir: &Path) {
    let logs = fs::read_dir(dir.join("hot/metadata")).unwrap().map(|entry| entry.unwrap().path());
    let log = logs.into_iter().find(|path| path.to_string_lossy().contains("log")).unwrap();
    fs::remove_file(&log).unwrap();
    assert!(Command::new("mkfifo").arg(&log).status().unwrap().success());
}

#[test]
fn the_first_opening_after_one_that_took_long_sets_the_store_aside() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().to_owned();
    let (mut log, _, _) = open(&dir).unwrap();
    commit(&mut log, &[b"kept"]).unwrap();
    drop(log);
    block(&dir);
    // Whoever opens it never comes back, as a process that is killed.
    let hanging = dir.clone();
    std::thread::spawn(move || {
        drop(SledOpener::new(&hanging, 600).open().map(drop));
    });
    let marker = dir.join("hot.opening");
    until(|| fs::read(&marker).ok().as_deref() == Some(&[u8::MAX]));
    let (_, recovery, seen) = open(&dir).unwrap();
    assert!(matches!(recovery.actions[..], [RecoveryAction::HotRebuilt { frames: 1, .. }]), "{recovery:?}");
    assert_eq!(seen.payloads(), [b"kept"]);
    assert!(!marker.exists());
}

/// Waits for a condition.
fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        std::thread::yield_now();
    }
}
