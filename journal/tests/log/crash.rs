//! The machine stops at every call that changes anything, with every kind of loss; and again during recovery.
//!
//! Held: what was acknowledged is there (I3), what was not is wholly there or absent, a second opening changes nothing.

use lakemirror_journal::log::fault::Survival;
use lakemirror_journal::log::{Options, RecoveryAction};

use super::support::{Machine, commit};

/// Commits of two openings; the hot store keeps so little that pruning takes part.
fn script() -> Vec<Vec<Vec<u8>>> {
    let commits = [
        vec![vec![1; 5]],
        vec![vec![2; 1], vec![3; 0], vec![4; 33]],
        vec![vec![5; 1400]],
        vec![vec![6; 16]],
        vec![vec![7; 7], vec![8; 600]],
        vec![vec![9; 3]],
    ];
    commits.to_vec()
}

fn machine() -> Machine {
    Machine { options: Options { hot_frames_max: 2, ..Options::default() }, ..Machine::new() }
}

/// Runs the script until something fails; how many commits were acknowledged.
fn run(machine: &Machine) -> usize {
    let mut acknowledged = 0;
    for part in script().chunks(3) {
        let Ok((mut log, _, _)) = machine.open() else { return acknowledged };
        for payloads in part {
            if commit(&mut log, payloads).is_err() {
                return acknowledged;
            }
            acknowledged += 1;
        }
    }
    acknowledged
}

fn flat(commits: &[Vec<Vec<u8>>]) -> Vec<Vec<u8>> {
    commits.concat()
}

/// Opens after a crash and checks what is there. Returns how many commits are.
fn check(machine: &Machine, acknowledged: usize, what: &str) -> usize {
    let (log, recovery, seen) = machine.open().unwrap_or_else(|error| panic!("{what}: {error}"));
    // A crash alone never damages what was acknowledged, in either witness: each was synced before HEAD was.
    let repairs = |action: &&RecoveryAction| {
        matches!(action, RecoveryAction::WitnessRepaired { .. } | RecoveryAction::HotRebuilt { .. })
    };
    assert_eq!(recovery.actions.iter().find(repairs), None, "{what}");
    let (script, payloads) = (script(), seen.payloads());
    let there = (0..=script.len()).find(|&count| flat(&script[..count]) == payloads);
    let there = there.unwrap_or_else(|| panic!("{what}: torn commit in {payloads:?}"));
    assert!(there >= acknowledged, "{what}: {acknowledged} acknowledged, {there} there");
    assert!(there <= acknowledged + 1, "{what}: {acknowledged} acknowledged, {there} there");
    assert_eq!(log.head().durable_seq, payloads.len() as u64, "{what}");
    let known = flat(&script[..acknowledged]).len() as u64;
    let forward = recovery.actions.iter().find_map(|action| match action {
        RecoveryAction::RolledForward { from, .. } => Some(*from),
        _ => None,
    });
    assert!(forward.is_none_or(|from| from > known), "{what}: HEAD was behind what was acknowledged");
    // What an opening has handed out survives a power cut, also if it had found it unsynced.
    drop(log);
    machine.reboot(Survival::Nothing);
    let (mut log, recovery, again) = machine.open().unwrap();
    assert!(recovery.is_clean(), "{what}: the second opening did {:?}", recovery.actions);
    assert_eq!(again.payloads(), payloads, "{what}");
    commit(&mut log, &[b"goes on"]).unwrap();
    drop(log);
    machine.reboot(Survival::Nothing);
    let (report, scanned) = machine.scan().unwrap();
    assert_eq!((report.end.last_seq, report.tail), (payloads.len() as u64 + 1, None), "{what}");
    assert_eq!(scanned.payloads().len(), payloads.len() + 1);
    there
}

fn survivals() -> impl Iterator<Item = Survival> {
    let cuts = (0..200).chain((200..1600).step_by(97)).chain([512, 1024]);
    [Survival::Nothing, Survival::Everything]
        .into_iter()
        .chain((0..12).map(Survival::Sectors))
        .chain(cuts.map(Survival::LastWriteCutAt))
}

fn calls() -> u64 {
    let machine = machine();
    assert_eq!(run(&machine), script().len());
    machine.faults.calls()
}

#[test]
fn a_crash_at_any_call_loses_nothing_acknowledged() {
    let (mut kept_unacknowledged, mut dropped) = (0, 0);
    for call in 0..calls() {
        for survival in survivals() {
            let machine = machine();
            machine.faults.crash_at(call);
            let acknowledged = run(&machine);
            assert!(machine.faults.crashed());
            machine.reboot(survival);
            match check(&machine, acknowledged, &format!("crash at {call}, {survival:?}")) {
                there if there > acknowledged => kept_unacknowledged += 1,
                _ => dropped += 1,
            }
        }
    }
    assert!(kept_unacknowledged > 100 && dropped > 100, "both outcomes occur: {kept_unacknowledged}, {dropped}");
}

#[test]
fn a_crash_during_recovery_is_recovered_from() {
    let survivals = [Survival::Nothing, Survival::Everything, Survival::Sectors(5), Survival::LastWriteCutAt(40)];
    for call in 0..calls() {
        for survival in survivals {
            for recovery_call in 0.. {
                let machine = machine();
                machine.faults.crash_at(call);
                let acknowledged = run(&machine);
                machine.reboot(survival);
                machine.faults.crash_at(recovery_call);
                let opened = machine.open().is_ok();
                let crashed = machine.faults.crashed();
                assert!(opened != crashed, "crash at {call}, {survival:?}, then {recovery_call}");
                if !crashed {
                    break;
                }
                machine.reboot(survival);
                check(&machine, acknowledged, &format!("crash at {call}, {survival:?}, then at {recovery_call}"));
            }
        }
    }
}

#[test]
fn a_failure_during_recovery_is_recovered_from() {
    for kind in [std::io::ErrorKind::StorageFull, std::io::ErrorKind::Other] {
        for call in 0..calls() {
            for recovery_call in 0.. {
                let machine = machine();
                machine.faults.crash_at(call);
                let acknowledged = run(&machine);
                machine.reboot(Survival::Sectors(5));
                machine.faults.fail_at(recovery_call, kind);
                let opened = machine.open().is_ok();
                let failed = machine.faults.failures() > 0;
                assert!(opened != failed, "crash at {call}, then {kind:?} at {recovery_call}");
                machine.reboot(Survival::Everything);
                check(&machine, acknowledged, &format!("crash at {call}, then {kind:?} at {recovery_call}"));
                if !failed {
                    break;
                }
            }
        }
    }
}

#[test]
fn any_failing_call_latches_and_is_recovered_from() {
    for kind in [std::io::ErrorKind::StorageFull, std::io::ErrorKind::Other] {
        for call in 0..calls() {
            for survival in [Survival::Nothing, Survival::Everything] {
                let machine = machine();
                machine.faults.fail_at(call, kind);
                let acknowledged = run(&machine);
                assert!(acknowledged < script().len(), "call {call} failed unnoticed");
                machine.reboot(survival);
                check(&machine, acknowledged, &format!("{kind:?} at {call}, {survival:?}"));
            }
        }
    }
}
