//! Sealing, compressing, dropping and snapshots: the machine stops at every call that changes anything, with several
//! kinds of loss.
//!
//! Held: what was acknowledged is there, whatever the start; a crash never damages a sealed segment; a second opening
//! changes nothing.

use lakemirror_journal::log::fault::Survival;
use lakemirror_journal::log::{CommitError, Options, RecoveryAction, Stage, scan_on, verify_segment};

use super::support::{Machine, SEGMENT, Seen, commit};
use super::world::{Step, open, sealed, step};

/// Two openings; every kind of step, with commits between.
fn script() -> [Vec<Step>; 3] {
    let commit = |byte: u8, bytes: usize| Step::Commit(vec![vec![byte; bytes], vec![byte; 3]]);
    [
        vec![commit(1, 5), commit(2, 700), Step::Seal, commit(3, 40), Step::Snapshot],
        vec![Step::Seal, Step::Compress, commit(4, 9), commit(5, 1), Step::Seal, Step::Snapshot],
        vec![commit(6, 600), Step::Drop, Step::Seal, Step::Compress, Step::Snapshot, commit(7, 1), Step::Seal],
    ]
}

/// The hot store keeps so little that it cannot hide what a crash does to segments.
fn machine() -> Machine {
    Machine { options: Options { hot_frames_max: 2, ..Options::default() }, ..Machine::new() }
}

fn payloads(steps: &[Step]) -> Vec<Vec<u8>> {
    let of = |step: &Step| if let Step::Commit(payloads) = step { payloads.clone() } else { Vec::new() };
    steps.iter().flat_map(of).collect()
}

/// Runs the script until something fails; the steps that went well.
fn run(machine: &Machine) -> usize {
    let mut done = 0;
    for part in script() {
        let Ok((mut log, _, _)) = open(machine) else { return done };
        for each in part {
            if step(machine, &mut log, &each).is_err() {
                return done;
            }
            done += 1;
        }
    }
    done
}

fn check(machine: &Machine, done: usize, what: &str) {
    let (log, recovery, state) = open(machine).unwrap_or_else(|error| panic!("{what}: {error}"));
    let expected = |action: &RecoveryAction| {
        matches!(
            action,
            RecoveryAction::Initialised
                | RecoveryAction::RolledForward { .. }
                | RecoveryAction::TailTruncated { .. }
                | RecoveryAction::HeadSlotRepaired { .. }
                | RecoveryAction::RollCompleted { .. }
        )
    };
    assert_eq!(recovery.actions.iter().find(|action| !expected(action)), None, "{what}");
    let script = script().concat();
    let (least, most) = (payloads(&script[..done]), payloads(&script[..(done + 1).min(script.len())]));
    let found = state.seen.payloads();
    assert!(found == least || found == most, "{what}: {} records", found.len());
    assert_eq!(log.head().durable_seq, found.len() as u64, "{what}");
    drop(log);
    machine.reboot(Survival::Nothing);
    let (mut log, recovery, again) = open(machine).unwrap();
    assert!(recovery.is_clean(), "{what}: {:?}", recovery.actions);
    assert_eq!(again.seen.payloads(), found, "{what}");
    for (first, last, _) in sealed(machine) {
        verify_segment(&machine.disk, first, last).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    commit(&mut log, &[b"goes on"]).unwrap();
    log.seal().unwrap();
    commit(&mut log, &[b"and on"]).unwrap();
    drop(log);
    let (_, recovery, last) = open(machine).unwrap();
    assert!(recovery.is_clean(), "{what}: {:?}", recovery.actions);
    assert_eq!(last.seen.payloads().len(), found.len() + 2, "{what}");
}

fn calls() -> u64 {
    let machine = machine();
    assert_eq!(run(&machine), script().concat().len());
    let calls = machine.faults.calls();
    assert_eq!(sealed(&machine).len(), 4, "one of five is dropped");
    assert!(sealed(&machine).iter().any(|(.., stage)| *stage == Stage::Compressed));
    calls
}

fn survivals() -> impl Iterator<Item = Survival> {
    let cuts = [1, 8, 100, 215, 216, 217, 300, 512, 700].map(Survival::LastWriteCutAt);
    [Survival::Nothing, Survival::Everything].into_iter().chain((0..12).map(Survival::Sectors)).chain(cuts)
}

#[test]
fn a_crash_at_any_call_loses_nothing() {
    for call in 0..calls() {
        for survival in survivals() {
            let machine = machine();
            machine.faults.crash_at(call);
            let done = run(&machine);
            assert!(machine.faults.crashed());
            machine.reboot(survival);
            check(&machine, done, &format!("crash at {call}, {survival:?}"));
        }
    }
}

#[test]
fn a_crash_during_recovery_is_recovered_from() {
    for call in (0..calls()).step_by(2) {
        for survival in [Survival::Everything, Survival::Sectors(7)] {
            for recovery_call in 0.. {
                let machine = machine();
                machine.faults.crash_at(call);
                let done = run(&machine);
                machine.reboot(survival);
                machine.faults.crash_at(recovery_call);
                let opened = open(&machine).is_ok();
                assert!(opened != machine.faults.crashed());
                if opened {
                    break;
                }
                machine.reboot(survival);
                check(&machine, done, &format!("crash at {call}, {survival:?}, then at {recovery_call}"));
            }
        }
    }
}

#[test]
fn any_failing_call_is_recovered_from() {
    for kind in [std::io::ErrorKind::StorageFull, std::io::ErrorKind::Other] {
        for call in 0..calls() {
            let machine = machine();
            machine.faults.fail_at(call, kind);
            let done = run(&machine);
            assert!(done < script().concat().len(), "call {call} failed unnoticed");
            machine.reboot(Survival::Everything);
            check(&machine, done, &format!("{kind:?} at {call}"));
        }
    }
}

#[test]
fn a_roll_says_what_was_sealed_and_latches_when_it_fails() {
    let machine = Machine::with(&[&[b"one"], &[b"two", b"three"]]);
    let (mut log, _, _) = machine.open().unwrap();
    let before = log.open_segment();
    assert_eq!((before.first_seq, before.frames, before.bytes, before.first_wall_ms), (1, 2, 288, 1_700_000_000_001));
    let sealed = log.seal().unwrap();
    assert_eq!((sealed.footer.first_seq, sealed.footer.last_seq, sealed.footer.frames), (1, 3, 2));
    assert_eq!((sealed.footer.checks(), sealed.bytes, sealed.footer.last_hash), (3, 288 + 216, log.head().frame_hash));
    let bytes = machine.disk.bytes("seg/0000000000000001-0000000000000003.jseg").unwrap();
    assert_eq!(bytes.len() as u64, sealed.bytes);
    assert_eq!(sealed.footer.frames_hash, *blake3::hash(&bytes[..288]).as_bytes());
    assert_eq!(machine.disk.bytes(SEGMENT), None);
    assert!(matches!(log.seal(), Err(CommitError::NothingToSeal)));
    commit(&mut log, &[b"four"]).unwrap();
    let second = verify_segment(&machine.disk, 1, 3).unwrap();
    assert_eq!(second, sealed.footer);
    let next = log.seal().unwrap();
    assert_eq!((next.footer.prev_footer, next.footer.prev_hash), (sealed.hash, sealed.footer.last_hash));

    for call in 0..6 {
        let machine = Machine::with(&[&[b"one"]]);
        let (mut log, _, _) = machine.open().unwrap();
        machine.faults.reset();
        machine.faults.fail_at(call, std::io::ErrorKind::StorageFull);
        assert!(matches!(log.seal(), Err(CommitError::DiskFull { .. })), "call {call}");
        assert!(matches!(commit(&mut log, &[b"x"]), Err(CommitError::PreviousFailure)));
        assert!(matches!(log.seal(), Err(CommitError::PreviousFailure)));
    }
}

#[test]
fn a_zombie_does_not_roll() {
    let machine = Machine::with(&[&[b"one"]]);
    let (mut zombie, _, _) = machine.open().unwrap();
    machine.disk.reboot(Survival::Everything);
    let (_log, _, _) = machine.open().unwrap();
    assert!(matches!(zombie.seal(), Err(CommitError::Fenced { .. })));
    assert_eq!(sealed(&machine), []);
}

#[test]
fn an_opening_reads_no_segment_before_its_snapshot() {
    let machine = machine();
    run(&machine);
    let (_, recovery, whole) = open(&machine).unwrap();
    let from = recovery.snapshot.unwrap().seq;
    assert_eq!((whole.restored, whole.replayed as u64), (Some(from), recovery.records - from));
    let script = script().concat();
    for (first, last, _) in sealed(&machine).into_iter().filter(|(_, last, _)| *last < from) {
        let name =
            machine.disk.paths().into_iter().find(|path| path.contains(&format!("{first:016}-{last:016}"))).unwrap();
        machine.damage(&name, |bytes| bytes.fill(0xEE));
    }
    let (_, recovery, state) = open(&machine).unwrap();
    assert_eq!((state.seen.payloads(), recovery.is_clean()), (payloads(&script), true));
    assert!(scan_on(&machine.disk, &mut Seen::default()).is_err(), "the first segment is gone");
}
