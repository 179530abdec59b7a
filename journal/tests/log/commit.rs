//! Commits: what is refused before anything is written, what latches, what the head says.

use lakemirror_journal::log::fault::Survival;
use lakemirror_journal::log::{CommitError, FRAME_BYTES_LIMIT, HEADER_BYTES, Options, RECORD_BYTES_LIMIT, RawRecord};

use super::support::{Machine, SEGMENT, commit};

#[test]
fn sizes_are_judged_before_anything_is_written() {
    let machine = Machine::new();
    let (mut log, _, _) = machine.open().unwrap();
    let calls = machine.faults.calls();
    assert!(matches!(log.commit(&[], 0, 0, 0), Err(CommitError::Empty)));
    let large = vec![0; RECORD_BYTES_LIMIT + 1];
    assert!(matches!(commit(&mut log, &[&b"x"[..], &large]), Err(CommitError::RecordTooLarge { index: 1, .. })));
    // One record of 192 KiB and one that fills the frame: with one byte more it does not fit.
    let rest = FRAME_BYTES_LIMIT - HEADER_BYTES - 16 - RECORD_BYTES_LIMIT - 16;
    let over = [vec![1; RECORD_BYTES_LIMIT], vec![2; rest + 1]];
    assert!(matches!(commit(&mut log, &over), Err(CommitError::FrameTooLarge { .. })));
    assert_eq!(machine.faults.calls(), calls, "nothing was written");
    let fits = [vec![1; RECORD_BYTES_LIMIT], vec![2; rest]];
    assert_eq!(commit(&mut log, &fits).unwrap().frame_bytes, FRAME_BYTES_LIMIT);
    drop(log);
    assert_eq!(machine.open().unwrap().2.payloads(), fits);
}

#[test]
fn options_cannot_raise_the_formats_limits() {
    let options = Options { record_bytes_max: usize::MAX, frame_bytes_max: usize::MAX, ..Options::default() };
    let machine = Machine { options, ..Machine::new() };
    let (mut log, _, _) = machine.open().unwrap();
    let large = vec![0; RECORD_BYTES_LIMIT + 1];
    assert!(matches!(commit(&mut log, &[large]), Err(CommitError::RecordTooLarge { max: RECORD_BYTES_LIMIT, .. })));
}

#[test]
fn a_total_that_would_overflow_is_refused_and_does_not_latch() {
    let machine = Machine::new();
    let (mut log, _, _) = machine.open().unwrap();
    let record = [RawRecord { kind: 1, version: 1, payload: b"x" }];
    log.commit(&record, u64::MAX, 0, 0).unwrap();
    assert!(matches!(log.commit(&record, 1, 0, 0), Err(CommitError::CounterFull { .. })));
    log.commit(&record, 0, 0, 0).unwrap();
    assert_eq!(log.head().checks_total, u64::MAX);
}

#[test]
fn after_a_failure_everything_fails() {
    for call in 0..5 {
        let machine = Machine::with(&[&[b"one"]]);
        let (mut log, _, _) = machine.open().unwrap();
        machine.faults.reset();
        machine.faults.fail_at(call, std::io::ErrorKind::Other);
        let head = log.head();
        let first = commit(&mut log, &[b"two"]).unwrap_err();
        assert!(!matches!(first, CommitError::PreviousFailure), "call {call}: {first}");
        let calls = machine.faults.calls();
        assert!(matches!(commit(&mut log, &[b"three"]), Err(CommitError::PreviousFailure)));
        assert_eq!((machine.faults.calls(), log.head()), (calls, head), "nothing was tried, nothing moved");
    }
}

#[test]
fn a_full_volume_stops_the_log_and_loses_nothing() {
    let machine = Machine::with(&[&[b"one"]]);
    let (mut log, _, _) = machine.open().unwrap();
    let used: usize = machine.disk.paths().iter().map(|path| machine.disk.bytes(path).unwrap().len()).sum();
    machine.faults.set_capacity(Some(used as u64 + 200));
    let error = commit(&mut log, &[[7; 500]]).unwrap_err();
    assert!(matches!(error, CommitError::DiskFull { .. }), "{error:?}");
    assert!(error.to_string().contains("free some"), "{error}");
    drop(log);
    machine.faults.set_capacity(None);
    machine.reboot(Survival::Everything);
    assert_eq!(machine.open().unwrap().2.payloads(), [b"one"]);
}

#[test]
fn a_zombie_is_fenced_by_the_next_opening() {
    let machine = Machine::with(&[&[b"one"]]);
    let (mut zombie, _, _) = machine.open().unwrap();
    // A volume on which locks do nothing: the lock is gone, the first process lives on.
    machine.disk.reboot(Survival::Everything);
    let (mut log, _, _) = machine.open().unwrap();
    let fenced = commit(&mut zombie, &[b"zombie"]).unwrap_err();
    assert!(matches!(fenced, CommitError::Fenced { ours: 2, theirs: Some(3) }), "{fenced:?}");
    commit(&mut log, &[b"two"]).unwrap();
    commit(&mut log, &[b"three"]).unwrap();
    drop((zombie, log));
    let (_, recovery, seen) = machine.open().unwrap();
    assert!(recovery.is_clean());
    assert_eq!(seen.payloads(), [&b"one"[..], b"two", b"three"]);
}

#[test]
fn the_hot_store_keeps_the_newest_frames() {
    let machine = Machine { options: Options { hot_frames_max: 8, ..Options::default() }, ..Machine::new() };
    for _ in 0..3 {
        let (mut log, _, _) = machine.open().unwrap();
        for _ in 0..23 {
            commit(&mut log, &[b"x"]).unwrap();
            assert!(machine.hot.frames().len() <= 10);
        }
    }
    assert_eq!(machine.hot.frames().keys().last(), Some(&69));
    let (_, recovery, _) = machine.open().unwrap();
    assert!(recovery.is_clean() && machine.hot.frames().len() == 8);

    let by_bytes = Machine { options: Options { hot_bytes_max: 4000, ..Options::default() }, ..Machine::new() };
    let (mut log, _, _) = by_bytes.open().unwrap();
    for _ in 0..50 {
        commit(&mut log, &[[1; 900]]).unwrap();
        assert!(by_bytes.hot.frames().values().map(Vec::len).sum::<usize>() <= 5000);
    }
}

#[test]
fn damage_older_than_the_hot_store_is_a_refusal_and_newer_is_not() {
    let machine = Machine { options: Options { hot_frames_max: 4, ..Options::default() }, ..Machine::new() };
    let (mut log, _, _) = machine.open().unwrap();
    for _ in 0..20 {
        commit(&mut log, &[b"x"]).unwrap();
    }
    drop(log);
    let sound = machine.disk.bytes(SEGMENT).unwrap();
    machine.damage(SEGMENT, |bytes| bytes[128 * 18 + 20] ^= 1);
    machine.open().unwrap();
    assert_eq!(machine.disk.bytes(SEGMENT).unwrap(), sound);
    machine.damage(SEGMENT, |bytes| bytes[128 * 3 + 20] ^= 1);
    assert!(machine.open().is_err());
}

#[test]
fn a_scan_beside_a_running_log_tolerates_half_a_frame() {
    let machine = Machine::with(&[&[b"one"]]);
    let (mut log, _, _) = machine.open().unwrap();
    commit(&mut log, &[b"two"]).unwrap();
    let whole = machine.disk.bytes(SEGMENT).unwrap();
    machine.damage(SEGMENT, |bytes| bytes.extend_from_slice(&whole[..50]));
    let (report, seen) = machine.scan().unwrap();
    assert_eq!((report.durable_seq, report.end.last_seq, report.frames), (2, 2, 2));
    assert_eq!(report.tail.unwrap().0, 50);
    assert_eq!(seen.payloads(), [b"one", b"two"]);
    assert_eq!(machine.disk.bytes(SEGMENT).unwrap().len(), whole.len() + 50, "nothing is written");
}
