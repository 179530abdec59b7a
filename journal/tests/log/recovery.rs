//! Each row of the recovery table: the damage, what opening makes of it, and what it says.

use lakemirror_journal::log::fault::Survival;
use lakemirror_journal::log::hot::HotError;
use lakemirror_journal::log::{OpenError, RecoveryAction, Witness};

use super::support::{Machine, SEGMENT, commit, flat};

const COMMITS: &[&[&[u8]]] = &[&[b"one"], &[b"two", b"three"], &[b"four"], &[b"five"]];
/// Where the four frames start: header 96, records of 32 bytes.
const STARTS: [usize; 5] = [0, 128, 288, 416, 544];

fn sound() -> Machine {
    let machine = Machine::with(COMMITS);
    assert_eq!(machine.disk.bytes(SEGMENT).unwrap().len(), STARTS[4]);
    machine
}

/// Opens, expects all records and these actions, then that a second opening finds nothing to do.
fn expect(machine: &Machine, check: impl Fn(&[RecoveryAction]) -> bool, says: &str) {
    let (log, recovery, seen) = machine.open().unwrap();
    assert!(check(&recovery.actions), "{:?}", recovery.actions);
    let said: Vec<_> = recovery.actions.iter().map(ToString::to_string).collect();
    assert!(said.join("\n").contains(says), "{said:?}");
    assert_eq!(seen.payloads(), flat(COMMITS));
    drop(log);
    let (log, recovery, seen) = machine.open().unwrap();
    assert!(recovery.is_clean(), "{:?}", recovery.actions);
    assert_eq!(seen.payloads(), flat(COMMITS));
    drop(log);
}

/// Opens, expects a refusal that says this, and that every file and frame is as it was.
fn refused(machine: &Machine, check: impl Fn(&OpenError) -> bool, says: &str) {
    let files = |machine: &Machine| -> Vec<_> {
        machine.disk.paths().into_iter().map(|path| (machine.disk.bytes(&path), path)).collect()
    };
    let before = (files(machine), machine.hot.frames());
    let error = machine.open().map(|_| ()).unwrap_err();
    assert!(check(&error), "{error:?}");
    assert!(error.to_string().contains(says), "{error}");
    assert_eq!((files(machine), machine.hot.frames()), before, "a refusal changes nothing");
}

fn broken_copies(machine: &Machine) -> Vec<Vec<u8>> {
    let paths = machine.disk.paths().into_iter().filter(|path| path.ends_with(".broken"));
    paths.map(|path| machine.disk.bytes(&path).unwrap()).collect()
}

#[test]
fn nothing_there_is_a_new_journal() {
    let machine = Machine::new();
    let (log, recovery, seen) = machine.open().unwrap();
    assert_eq!(recovery.actions, [RecoveryAction::Initialised]);
    assert_eq!((seen.payloads().len(), log.head().durable_seq, log.head().writer_epoch), (0, 0, 1));
}

#[test]
fn a_sound_journal_opens_clean() {
    let machine = sound();
    expect(&machine, <[_]>::is_empty, "");
}

#[test]
fn an_unacknowledged_frame_in_both_is_rolled_forward() {
    let machine = sound();
    // The slot of the last commit was torn: that commit was never acknowledged.
    machine.damage("HEAD", |head| head[4096..4096 + 72].fill(0));
    let (log, recovery, _) = machine.open().unwrap();
    let [first, second] = &recovery.actions[..] else { panic!("{:?}", recovery.actions) };
    assert_eq!(*first, RecoveryAction::RolledForward { from: 5, to: 5 });
    assert_eq!(*second, RecoveryAction::HeadSlotRepaired { slot: 1 });
    assert!(first.to_string().contains("records 5 to 5 were written but not acknowledged"), "{first}");
    assert_eq!(log.head().durable_seq, 5);
}

#[test]
fn a_bad_older_slot_is_just_rewritten() {
    let machine = sound();
    machine.damage("HEAD", |head| head[30] ^= 4);
    expect(&machine, |actions| *actions == [RecoveryAction::HeadSlotRepaired { slot: 0 }], "slot 0 of HEAD");
}

#[test]
fn a_torn_tail_is_copied_and_cut() {
    let machine = sound();
    let torn = machine.disk.bytes(SEGMENT).unwrap()[..100].to_vec();
    machine.damage(SEGMENT, |bytes| bytes.extend(&torn));
    let cut =
        |actions: &[RecoveryAction]| matches!(actions, [RecoveryAction::TailTruncated { offset: 544, bytes: 100, .. }]);
    expect(&machine, cut, "cut 100 bytes of an unacknowledged write off the segment at byte 544");
    assert_eq!(broken_copies(&machine), [torn]);
    assert_eq!(machine.disk.bytes(SEGMENT).unwrap().len(), STARTS[4]);
}

#[test]
fn a_tail_of_zeros_is_a_torn_tail() {
    let machine = sound();
    machine.damage(SEGMENT, |bytes| bytes.extend([0; 4096]));
    let cut = |actions: &[RecoveryAction]| matches!(actions, [RecoveryAction::TailTruncated { bytes: 4096, .. }]);
    expect(&machine, cut, "no frame starts here");
}

#[test]
fn a_damaged_frame_in_the_segment_is_restored() {
    for (frame, (from, to)) in [(1, 1), (2, 3), (4, 4), (5, 5)].into_iter().enumerate() {
        let machine = sound();
        let before = machine.disk.bytes(SEGMENT).unwrap();
        machine.damage(SEGMENT, |bytes| bytes[STARTS[frame] + 100] ^= 0x10);
        let damaged = machine.disk.bytes(SEGMENT).unwrap();
        let is = |actions: &[RecoveryAction]| {
            let wanted = (Witness::Segment, from, to);
            matches!(actions, [RecoveryAction::WitnessRepaired { witness, from, to, saved_as: Some(_) }]
                if (*witness, *from, *to) == wanted)
        };
        expect(&machine, is, "damaged or missing in the segment and are restored from the hot store");
        assert_eq!(machine.disk.bytes(SEGMENT).unwrap(), before);
        assert_eq!(broken_copies(&machine), [&damaged[STARTS[frame]..STARTS[frame + 1]]]);
    }
}

#[test]
fn a_short_or_missing_segment_is_restored() {
    for (keep, from) in [(0, 1), (130, 2), (STARTS[3], 5), (STARTS[4] - 1, 5)] {
        let machine = sound();
        let before = machine.disk.bytes(SEGMENT).unwrap();
        machine.damage(SEGMENT, |bytes| bytes.truncate(keep));
        let is = |actions: &[RecoveryAction]| {
            matches!(actions, [RecoveryAction::WitnessRepaired { witness: Witness::Segment, from: found, to: 5, .. }]
                if *found == from)
        };
        expect(&machine, is, "restored from the hot store");
        assert_eq!(machine.disk.bytes(SEGMENT).unwrap(), before);
    }
}

#[test]
fn a_damaged_or_missing_frame_in_the_hot_store_is_restored() {
    for remove in [false, true] {
        for (seq, last) in [(2, 3), (4, 4), (5, 5)] {
            let machine = sound();
            let before = machine.hot.frames();
            machine.hot.damage(|frames| {
                if remove {
                    frames.remove(&seq);
                } else {
                    frames.get_mut(&seq).unwrap()[100] ^= 1;
                }
            });
            let is = |actions: &[RecoveryAction]| {
                matches!(actions, [RecoveryAction::WitnessRepaired { witness: Witness::Hot, from, to, saved_as: None }]
                    if (*from, *to) == (seq, last))
            };
            expect(&machine, is, "damaged or missing in the hot store and are restored from the segment");
            assert_eq!(machine.hot.frames(), before);
        }
    }
}

#[test]
fn both_damaged_in_different_places_mend_each_other() {
    let machine = sound();
    machine.damage(SEGMENT, |bytes| bytes[STARTS[1] + 5] ^= 1);
    machine.hot.damage(|frames| frames.get_mut(&4).unwrap()[5] ^= 1);
    expect(&machine, |actions| actions.len() == 2, "restored from the segment");
}

#[test]
fn a_hot_store_that_fails_is_rebuilt() {
    let failures: [fn() -> HotError; 3] = [
        || std::io::Error::other("metadata is rotten").into(),
        || HotError::Panicked,
        || HotError::Deadly { attempts: 2 },
    ];
    for fails in failures {
        let machine = sound();
        machine.hot.break_with(fails);
        let is = |actions: &[RecoveryAction]| {
            matches!(actions, [RecoveryAction::HotRebuilt { frames: 4, aside: Some(_), .. }])
        };
        expect(&machine, is, "is rebuilt with 4 frames from the segment; the old one is in hot.broken.");
        assert_eq!((machine.hot.times_set_aside(), machine.hot.frames().len()), (1, 4));
    }
}

#[test]
fn a_hot_store_that_lost_everything_is_rebuilt() {
    let machine = sound();
    machine.hot.damage(std::collections::BTreeMap::clear);
    let is =
        |actions: &[RecoveryAction]| matches!(actions, [RecoveryAction::HotRebuilt { frames: 4, aside: None, .. }]);
    expect(&machine, is, "it was empty");
}

#[test]
fn a_hot_store_with_strange_frames_is_set_aside() {
    let machine = sound();
    machine.hot.damage(|frames| {
        let frame = frames[&4].clone();
        frames.insert(9, frame);
    });
    expect(&machine, |actions| matches!(actions, [RecoveryAction::HotRebuilt { .. }]), "");
    assert_eq!(machine.hot.times_set_aside(), 1);
}

#[test]
fn a_hot_store_that_hangs_is_left_to_the_next_start() {
    let machine = sound();
    machine.hot.break_with(|| HotError::Hung { seconds: 60 });
    refused(&machine, |error| matches!(error, OpenError::HotStuck { .. }), "start the process again");
}

#[test]
fn a_full_volume_does_not_cost_the_hot_store() {
    let machine = sound();
    machine.hot.break_with(|| std::io::Error::from(std::io::ErrorKind::StorageFull).into());
    refused(&machine, |error| matches!(error, OpenError::DiskFull { .. }), "free some");
    assert_eq!(machine.hot.times_set_aside(), 0);
}

#[test]
fn acknowledged_records_that_are_nowhere_are_a_refusal() {
    let machine = sound();
    machine.damage(SEGMENT, |bytes| bytes[STARTS[2] + 50] ^= 1);
    machine.hot.damage(|frames| frames.get_mut(&4).unwrap()[50] ^= 1);
    let lost = |error: &OpenError| matches!(error, OpenError::Lost { from: 4, durable: 5, offset: 288, .. });
    refused(&machine, lost, "records 4 to 5 were acknowledged and are readable neither in");
    let scanned = machine.scan().map(|_| ()).unwrap_err();
    assert!(scanned.to_string().contains("at byte 288"), "{scanned}");
}

#[test]
fn both_witnesses_cut_short_are_a_refusal() {
    let machine = sound();
    machine.damage(SEGMENT, |bytes| bytes.truncate(STARTS[3]));
    machine.hot.damage(|frames| drop(frames.remove(&5)));
    refused(&machine, |error| matches!(error, OpenError::Lost { from: 5, durable: 5, .. }), "the file ends");
}

#[test]
fn another_frame_than_the_acknowledged_one_is_a_refusal() {
    let machine = sound();
    let other = Machine::with(&[COMMITS[0], COMMITS[1], COMMITS[2], &[b"FIVE"]]);
    machine.damage(SEGMENT, |bytes| *bytes = other.disk.bytes(SEGMENT).unwrap());
    machine.hot.damage(|frames| *frames = other.hot.frames());
    refused(
        &machine,
        |error| matches!(error, OpenError::HeadDisagrees { seq: 5, .. }),
        "not the one that HEAD acknowledged",
    );
}

#[test]
fn two_whole_and_different_frames_are_a_refusal() {
    let machine = sound();
    let other = Machine::with(&[COMMITS[0], COMMITS[1], &[b"FOUR"]]);
    machine.hot.damage(|frames| drop(frames.insert(4, other.hot.frames()[&4].clone())));
    refused(&machine, |error| matches!(error, OpenError::WitnessesDisagree { seq: 4 }), "parts of two journals");
}

#[test]
fn two_bad_slots_are_a_refusal() {
    let machine = sound();
    machine.damage("HEAD", |head| {
        head[30] ^= 1;
        head[4096 + 30] ^= 1;
    });
    refused(&machine, |error| matches!(error, OpenError::HeadLost { .. }), "both slots");
    assert!(machine.scan().is_err());
}

#[test]
fn a_journal_in_use_is_a_refusal() {
    let machine = sound();
    let (log, _, _) = machine.open().unwrap();
    refused(&machine, |error| matches!(error, OpenError::InUse { .. }), "in use by another process");
    drop(log);
    machine.open().unwrap();
}

#[test]
fn a_dead_machine_holds_no_lock() {
    let machine = sound();
    let (log, _, _) = machine.open().unwrap();
    machine.reboot(Survival::Nothing);
    let (_second, _, _) = machine.open().unwrap();
    drop(log);
    refused(&machine, |error| matches!(error, OpenError::InUse { .. }), "");
}

#[test]
fn unacknowledged_frames_in_one_witness_reach_the_other() {
    for only_hot in [false, true] {
        let machine = sound();
        let ahead = Machine::with(COMMITS);
        let (mut log, _, _) = ahead.open().unwrap();
        let last = commit(&mut log, &[b"six"]).unwrap();
        drop(log);
        // The same opening here, so that the frame belongs to this journal too, and then the frame in one place only.
        drop(machine.open().unwrap());
        if only_hot {
            machine.hot.damage(|frames| drop(frames.insert(6, ahead.hot.frames()[&6].clone())));
        } else {
            machine.damage(SEGMENT, |bytes| *bytes = ahead.disk.bytes(SEGMENT).unwrap());
        }
        let (log, recovery, seen) = machine.open().unwrap();
        assert_eq!(recovery.actions, [RecoveryAction::RolledForward { from: 6, to: 6 }]);
        assert_eq!((seen.payloads().len(), log.head().frame_hash), (6, last.frame_hash));
        assert_eq!(machine.disk.bytes(SEGMENT), ahead.disk.bytes(SEGMENT));
        assert_eq!(machine.hot.frames(), ahead.hot.frames());
    }
}

#[test]
fn evidence_is_durable_before_it_is_overwritten() {
    let torn = [0xEE; 700];
    for recovery_call in 0.. {
        let machine = sound();
        machine.damage(SEGMENT, |bytes| {
            bytes[STARTS[1] + 5] ^= 1;
            bytes.extend(torn);
        });
        let damaged = machine.disk.bytes(SEGMENT).unwrap();
        machine.faults.reset();
        machine.faults.crash_at(recovery_call);
        let opened = machine.open().is_ok();
        machine.reboot(Survival::Nothing);
        let (now, copies) = (machine.disk.bytes(SEGMENT).unwrap(), broken_copies(&machine));
        let is_safe = |at: std::ops::Range<usize>| {
            now.get(at.clone()) == Some(&damaged[at.clone()]) || copies.iter().any(|copy| *copy == damaged[at.clone()])
        };
        assert!(is_safe(STARTS[1]..STARTS[2]) && is_safe(STARTS[4]..damaged.len()), "crash at {recovery_call}");
        if opened {
            break;
        }
        machine.open().unwrap();
    }
}
