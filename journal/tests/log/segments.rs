//! The recovery table where there are several segments and snapshots: the damage, what opening makes of it, what it says.

use lakemirror_journal::log::{
    OpenError, Options, RecoveryAction, SnapshotHeader, Stage, Witness, compress_segment, remove_segment, snapshot,
    verify_segment,
};

use super::support::{Machine, commit};
use super::world::{State, open, sealed, take_snapshot};

pub(super) const FIRST: &str = "seg/0000000000000001-0000000000000003.jseg";
pub(super) const SECOND: &str = "seg/0000000000000004-0000000000000005.jseg";
pub(super) const OPEN: &str = "seg/0000000000000006.jseg.open";
pub(super) const FRAME: usize = 128;
/// Records of 32 bytes with their header: frames of one record have 128 bytes, the second one of the first segment 160.
const ENDS: usize = 288;

pub(super) fn payloads() -> Vec<Vec<u8>> {
    (b'1'..=b'7').map(|byte| vec![byte; 4]).collect()
}

/// Segments with records 1 to 3, 4 to 5, and 6 to 7 in the open one.
pub(super) fn sound() -> Machine {
    with_hot(1000)
}

pub(super) fn with_hot(hot_frames_max: usize) -> Machine {
    let machine = Machine { options: Options { hot_frames_max, ..Options::default() }, ..Machine::new() };
    let (mut log, _, _) = machine.open().unwrap();
    let all = payloads();
    commit(&mut log, &all[..1]).unwrap();
    commit(&mut log, &all[1..3]).unwrap();
    log.seal().unwrap();
    commit(&mut log, &all[3..4]).unwrap();
    commit(&mut log, &all[4..5]).unwrap();
    log.seal().unwrap();
    commit(&mut log, &all[5..6]).unwrap();
    commit(&mut log, &all[6..]).unwrap();
    machine
}

fn snapshot_now(machine: &Machine) -> SnapshotHeader {
    let (log, _, _) = open(machine).unwrap();
    take_snapshot(machine, &log).unwrap().unwrap()
}

/// Opens, expects all records and these actions, then that a second opening finds nothing to do.
pub(super) fn expect(machine: &Machine, check: impl Fn(&[RecoveryAction]) -> bool, says: &str) -> State {
    let (log, recovery, state) = open(machine).unwrap();
    assert!(check(&recovery.actions), "{:?}", recovery.actions);
    let said: Vec<_> = recovery.actions.iter().map(ToString::to_string).collect();
    assert!(said.join("\n").contains(says), "{said:?}");
    assert_eq!(state.seen.payloads(), payloads());
    drop(log);
    let (_, recovery, again) = open(machine).unwrap();
    let stays = |action: &&RecoveryAction| {
        !matches!(action, RecoveryAction::SnapshotRefused { .. } | RecoveryAction::EvidenceDamaged { .. })
    };
    assert_eq!(recovery.actions.iter().find(stays), None);
    assert_eq!(again.seen.payloads(), payloads());
    state
}

pub(super) fn files(machine: &Machine) -> Vec<(String, Vec<u8>)> {
    machine.disk.paths().into_iter().map(|path| (path.clone(), machine.disk.bytes(&path).unwrap())).collect()
}

pub(super) fn refused(machine: &Machine, check: impl Fn(&OpenError) -> bool, says: &str) {
    let before = (files(machine), machine.hot.frames());
    let error = open(machine).map(|_| ()).unwrap_err();
    assert!(check(&error), "{error:?}");
    assert!(error.to_string().contains(says), "{error}");
    assert_eq!((files(machine), machine.hot.frames()), before, "a refusal changes nothing");
}

#[test]
fn a_damaged_sealed_segment_is_restored_from_the_hot_store() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 4] = [
        ("a bit", |bytes| bytes[FRAME + 20] ^= 1),
        ("cut in a frame", |bytes| bytes.truncate(FRAME + 20)),
        ("cut at a frame", |bytes| bytes.truncate(FRAME)),
        ("empty", Vec::clear),
    ];
    for (what, damage) in damages {
        let machine = sound();
        let before = machine.disk.bytes(FIRST).unwrap();
        machine.damage(FIRST, damage);
        let repaired = |actions: &[RecoveryAction]| {
            matches!(actions.first(), Some(RecoveryAction::WitnessRepaired { witness: Witness::Segment, to: 3, .. }))
        };
        expect(&machine, repaired, "restored from the hot store");
        assert_eq!(machine.disk.bytes(FIRST).unwrap(), before, "{what}");
    }
}

#[test]
fn a_lost_sealed_segment_is_made_again_from_the_hot_store() {
    use lakemirror_journal::log::disk::Disk;
    for lost in [FIRST, SECOND] {
        let machine = sound();
        let before = machine.disk.bytes(lost).unwrap();
        machine.disk.remove(lost).unwrap();
        expect(&machine, |actions| actions.len() == 2, "restored from the hot store");
        assert_eq!(machine.disk.bytes(lost).unwrap(), before);
    }
}

#[test]
fn a_lost_open_segment_is_made_again() {
    use lakemirror_journal::log::disk::Disk;
    let machine = sound();
    let before = machine.disk.bytes(OPEN).unwrap();
    machine.disk.remove(OPEN).unwrap();
    expect(&machine, |actions| actions.len() == 1, "records 6 to 7");
    assert_eq!(machine.disk.bytes(OPEN).unwrap(), before);
}

#[test]
fn a_damaged_footer_is_computed_again() {
    let damages: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes[ENDS + 100] ^= 1,
        |bytes| bytes.truncate(ENDS),
        |bytes| bytes.truncate(ENDS + 215),
        |bytes| bytes.push(0),
    ];
    for damage in damages {
        let machine = with_hot(1);
        let before = machine.disk.bytes(FIRST).unwrap();
        machine.damage(FIRST, damage);
        let (report, _) = machine.scan().unwrap();
        assert!(report.footers[0].fault.is_some() && report.footers[1].fault.is_none());
        assert!(verify_segment(&machine.disk, 1, 3).is_err());
        let repaired =
            |actions: &[RecoveryAction]| matches!(actions, [RecoveryAction::FooterRepaired { first: 1, last: 3, .. }]);
        expect(&machine, repaired, "the footer of the segment with records 1 to 3 was damaged");
        assert_eq!(machine.disk.bytes(FIRST).unwrap(), before);
    }
}

#[test]
fn a_damaged_compressed_segment_is_unpacked_with_the_hot_stores_help() {
    let machine = sound();
    let before = machine.disk.bytes(FIRST).unwrap();
    compress_segment(&machine.disk, 1, 3).unwrap();
    let packed = format!("{FIRST}.zst");
    assert_eq!(sealed(&machine)[0].2, Stage::Compressed);
    expect(&machine, <[_]>::is_empty, "");
    machine.damage(&packed, |bytes| bytes.truncate(bytes.len() / 2));
    assert!(machine.scan().is_err());
    expect(
        &machine,
        |actions| matches!(actions, [RecoveryAction::WitnessRepaired { .. }]),
        "restored from the hot store",
    );
    assert_eq!(machine.disk.bytes(FIRST).unwrap(), before);
    assert_eq!(machine.disk.bytes(&packed), None);
}

#[test]
fn damage_in_a_sealed_segment_that_no_snapshot_covers_is_a_refusal() {
    let machine = with_hot(1);
    machine.damage(SECOND, |bytes| bytes[20] ^= 1);
    let lost = |error: &OpenError| matches!(error, OpenError::Lost { from: 4, durable: 7, offset: 0, .. });
    refused(&machine, lost, "0000000000000004-0000000000000005.jseg");
}

#[test]
fn damage_behind_a_snapshot_costs_evidence_and_not_the_state() {
    let machine = with_hot(1);
    snapshot_now(&machine);
    machine.damage(OPEN, |bytes| bytes[20] ^= 1);
    let told = |actions: &[RecoveryAction]| matches!(actions, [RecoveryAction::EvidenceDamaged { from: 6, to: 7, .. }]);
    let state = expect(&machine, told, "records 6 to 7 are damaged");
    assert_eq!(state.restored, Some(7));
    assert!(machine.scan().is_err(), "an audit still fails");
    let (mut log, _, _) = open(&machine).unwrap();
    commit(&mut log, &[b"8"]).unwrap();
    log.seal().unwrap();
    assert!(verify_segment(&machine.disk, 6, 8).is_err());
}

#[test]
fn a_bad_snapshot_gives_way_to_an_older_one_and_to_the_first_record() {
    let machine = sound();
    let (mut log, _, _) = open(&machine).unwrap();
    let older = take_snapshot(&machine, &log).unwrap().unwrap();
    commit(&mut log, &[b"8888"]).unwrap();
    let newer = take_snapshot(&machine, &log).unwrap().unwrap();
    drop(log);
    assert_eq!((older.seq, newer.seq), (7, 8));
    machine.damage(&snapshot::path(8), |bytes| bytes[300] ^= 1);
    let (_, recovery, state) = open(&machine).unwrap();
    assert_eq!((recovery.snapshot, state.restored, state.replayed), (Some(older), Some(7), 1));
    let [RecoveryAction::SnapshotRefused { seq: 8, reason }] = &recovery.actions[..] else { panic!("{recovery:?}") };
    assert!(reason.contains("checksum"), "{reason}");
    machine.damage(&snapshot::path(7), |bytes| bytes.truncate(50));
    let (_, recovery, state) = open(&machine).unwrap();
    assert_eq!((recovery.snapshot, state.restored, state.replayed), (None, None, 8));
    assert_eq!(recovery.actions.len(), 2);
}

#[test]
fn no_flipped_bit_of_a_snapshot_is_believed() {
    let sound = sound();
    snapshot_now(&sound);
    let path = snapshot::path(7);
    let bytes = sound.disk.bytes(&path).unwrap();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        sound.disk.put(&path, flipped);
        let (_, recovery, state) = open(&sound).unwrap();
        assert_eq!((state.restored, state.seen.payloads()), (None, payloads()), "byte {at}");
        assert!(matches!(recovery.actions[..], [RecoveryAction::SnapshotRefused { seq: 7, .. }]));
    }
}

#[test]
fn a_snapshot_of_another_journal_or_of_another_state_is_not_used() {
    let machine = sound();
    let mut header = snapshot_now(&machine);
    let image = open(&machine).unwrap().2.image();
    let put = |header: &SnapshotHeader, image: &[u8]| snapshot::write(&machine.disk, header, image).unwrap();
    header.frame_hash[0] ^= 1;
    put(&header, &image);
    expect(&machine, |actions| actions.len() == 1, "HEAD acknowledges another frame");
    header.frame_hash[0] ^= 1;
    put(&header, b"");
    expect(&machine, |actions| actions.len() == 1, "the state has another digest");
    put(&header, &image);
    expect(&machine, <[_]>::is_empty, "");
    let (mut log, _, _) = open(&machine).unwrap();
    log.seal().unwrap();
    drop(log);
    // At the end of a segment; the next one is empty.
    expect(&machine, <[_]>::is_empty, "");
    let ahead = SnapshotHeader { seq: 9, ..header };
    put(&ahead, &image);
    expect(&machine, |actions| actions.len() == 1, "after those that HEAD acknowledges");
    let inside = SnapshotHeader { seq: 2, ..header };
    put(&inside, &image);
    open(&machine).unwrap();
}

#[test]
fn without_the_first_segments_a_snapshot_is_needed() {
    let machine = with_hot(1);
    snapshot_now(&machine);
    remove_segment(&machine.disk, 1, 3).unwrap();
    assert!(remove_segment(&machine.disk, 4, 5).unwrap_err().to_string().contains("has to stay"));
    let state = expect(&machine, <[_]>::is_empty, "");
    assert_eq!(state.restored, Some(7));
    machine.damage(&snapshot::path(7), |bytes| bytes[250] ^= 1);
    let no_start = |error: &OpenError| matches!(error, OpenError::NoStart { first: 4, .. });
    refused(&machine, no_start, "put the earlier segments back");
}

#[test]
fn every_flipped_bit_of_a_sealed_or_compressed_segment_is_noticed_or_changes_nothing() {
    for compress in [false, true] {
        let machine = with_hot(1);
        if compress {
            compress_segment(&machine.disk, 1, 3).unwrap();
        }
        let path = if compress { format!("{FIRST}.zst") } else { FIRST.to_owned() };
        let sound = machine.disk.bytes(&path).unwrap();
        let mut noticed = 0;
        for bit in 0..sound.len() * 8 {
            let mut flipped = sound.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            machine.disk.put(&path, flipped);
            match (machine.scan(), verify_segment(&machine.disk, 1, 3)) {
                (Ok((report, seen)), Ok(_)) => {
                    assert!(compress && report.footers.iter().all(|footer| footer.fault.is_none()), "bit {bit}");
                    assert_eq!(seen.payloads(), payloads(), "bit {bit}");
                }
                (Ok((report, _)), Err(_)) => {
                    assert!(report.footers[0].fault.is_some(), "bit {bit}");
                    noticed += 1;
                }
                (Err(_), Err(_)) => noticed += 1,
                (Err(error), Ok(_)) => {
                    // Only the whole journal shows what came before the segment.
                    panic!("bit {bit}: {error}");
                }
            }
        }
        assert!(noticed * 10 > sound.len() * 8 * 9, "{noticed} of {}", sound.len() * 8);
    }
}
