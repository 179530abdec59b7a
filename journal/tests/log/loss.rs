//! Losses that are accepted: what is cut and kept, and the record of it, which no crash leaves out.

use lakemirror_journal::log::fault::Survival;
use lakemirror_journal::log::repair::{Accepted, RepairError, accept_loss_on};
use lakemirror_journal::log::{Acknowledgement, OpenError, Ports, RecoveryAction, compress_segment};

use super::segments::{FIRST, FRAME, OPEN, SECOND, expect, files, payloads, refused, sound, with_hot};
use super::support::{Machine, commit};
use super::world::{State, open};

const LOSS: &str = "LOSS";

fn try_accept(machine: &Machine) -> Result<Option<Accepted>, RepairError> {
    let mut ports = Ports { disk: Box::new(machine.disk.clone()), hot: Box::new(machine.hot.clone()) };
    accept_loss_on(&mut ports, &machine.options, &mut State::default(), &|accepted| {
        let payload = said(accepted.lost);
        Ok(Acknowledgement { kind: 8, version: 1, payload, wall_ms: 1_700_000_000_002 })
    })
}

fn accept(machine: &Machine) -> Option<Accepted> {
    try_accept(machine).unwrap()
}

/// The payload of the record of a loss.
fn said(lost: Option<(u64, u64)>) -> Vec<u8> {
    format!("lost {lost:?}").into_bytes()
}

/// Opens a journal of which something was given up: the first `kept` records are there, and the record of the loss.
fn opens_with_the_record(machine: &Machine, kept: usize, lost: Option<(u64, u64)>, what: &str) {
    let opened = open(machine);
    let (log, recovery, state) = opened.unwrap_or_else(|error| panic!("{what}: {error} {:?}", machine.disk.paths()));
    let expected = [&payloads()[..kept], &[said(lost)]].concat();
    assert_eq!(state.seen.payloads(), expected, "{what}: {:?}", recovery.actions);
    assert_eq!(recovery.records, kept as u64 + 1, "{what}");
    assert_eq!(machine.disk.bytes(LOSS), None, "{what}");
    drop(log);
    let (_, recovery, state) = open(machine).unwrap();
    assert!(recovery.is_clean() && state.seen.payloads() == expected, "{what}: {:?}", recovery.actions);
    let (_, seen) = machine.scan().unwrap();
    assert_eq!(seen.payloads(), expected, "{what}");
}

#[test]
fn there_is_nothing_to_accept_in_a_sound_journal() {
    let machine = sound();
    machine.damage(FIRST, |bytes| bytes[20] ^= 1);
    let before = (files(&machine), machine.hot.frames());
    assert_eq!(accept(&machine), None);
    assert_eq!((files(&machine), machine.hot.frames()), before);
}

#[test]
fn an_accepted_loss_ends_at_the_last_sound_frame() {
    // Where the damage is, and what is lost of seven records.
    for (path, at, lost) in
        [(FIRST, 20, (1, 7)), (FIRST, FRAME + 5, (2, 7)), (SECOND, FRAME, (5, 7)), (OPEN, 9, (6, 7))]
    {
        for compress in [false, true] {
            let machine = with_hot(1);
            let path = if compress && path != OPEN {
                let (first, last) = if path == FIRST { (1, 3) } else { (4, 5) };
                machine.damage(path, |bytes| bytes[at] ^= 1);
                compress_segment(&machine.disk, first, last).unwrap();
                format!("{path}.zst")
            } else {
                machine.damage(path, |bytes| bytes[at] ^= 1);
                path.to_owned()
            };
            let evidence = machine.disk.bytes(&path).unwrap();
            refused(&machine, |error| matches!(error, OpenError::Lost { .. }), "were acknowledged");
            let accepted = accept(&machine).unwrap();
            assert_eq!((accepted.lost, accepted.end, accepted.head_rebuilt), (Some(lost), lost.0 - 1, false));
            let kept: Vec<u8> = accepted.saved_as.iter().flat_map(|path| machine.disk.bytes(path).unwrap()).collect();
            assert!(kept.windows(50).any(|part| part == &evidence[evidence.len() - 50..]), "{path} {at} {compress}");
            machine.reboot(Survival::Nothing);
            let (log, recovery, _) = open(&machine).unwrap();
            assert_eq!(recovery.actions.last(), Some(&RecoveryAction::LossRecorded { seq: lost.0 }));
            drop(log);
            opens_with_the_record(&machine, accepted.end as usize, Some(lost), &path);
            machine.reboot(Survival::Nothing);
            assert!(open(&machine).unwrap().1.is_clean());
            assert_eq!(accept(&machine), None);
        }
    }
}

/// What is wrong with a journal whose records 2 to the last are given up.
type Harm = (&'static str, fn(&Machine), (u64, u64));

#[test]
fn an_accepted_loss_has_its_record_whatever_call_the_machine_stops_at() {
    let harms: [Harm; 3] = [
        ("a frame", |machine| machine.damage(FIRST, |bytes| bytes[FRAME + 5] ^= 1), (2, 7)),
        (
            "a frame of a compressed segment",
            |machine| {
                machine.damage(FIRST, |bytes| bytes[FRAME + 5] ^= 1);
                compress_segment(&machine.disk, 1, 3).unwrap();
            },
            (2, 7),
        ),
        (
            "a frame, and HEAD",
            |machine| {
                machine.damage(FIRST, |bytes| bytes[FRAME + 5] ^= 1);
                machine.damage("HEAD", Vec::clear);
            },
            (2, 5),
        ),
    ];
    for (harmed, harm, lost) in harms {
        for survival in [Survival::Nothing, Survival::Everything, Survival::Sectors(3)] {
            let calls = (0..).take_while(|call| !stop_at(*call, survival, harm, lost, harmed)).count();
            assert!(calls > 30, "{calls} calls");
        }
    }
}

/// Accepts the loss and opens the journal on a machine that stops at a call, and again after that; whether the first
/// time went to its end.
fn stop_at(call: u64, survival: Survival, harm: fn(&Machine), lost: (u64, u64), harmed: &str) -> bool {
    let machine = with_hot(1);
    harm(&machine);
    machine.faults.reset();
    machine.faults.crash_at(call);
    let done = try_accept(&machine).is_ok() && open(&machine).is_ok();
    machine.reboot(survival);
    let what = format!("{harmed}, stopped at call {call}, {survival:?}");
    // As a service would try, and then an operator again.
    if open(&machine).is_err() {
        let accepted = accept(&machine).unwrap_or_else(|| panic!("{what}: there is nothing to accept"));
        assert_eq!((accepted.lost, accepted.end), (Some(lost), 1), "{what}");
    }
    opens_with_the_record(&machine, 1, Some(lost), &what);
    done
}

#[test]
fn a_loss_that_is_cut_and_not_recorded_is_said_again() {
    let machine = with_hot(1);
    machine.damage(FIRST, |bytes| bytes[FRAME + 5] ^= 1);
    let accepted = accept(&machine).unwrap();
    let again = accept(&machine).unwrap();
    assert_eq!((again.lost, again.end), (accepted.lost, accepted.end));
    opens_with_the_record(&machine, 1, Some((2, 7)), "accepted twice");
}

#[test]
fn a_note_that_is_no_longer_true_is_removed() {
    // The machine stopped before the cut, and the volume was put back from a copy.
    let machine = with_hot(1);
    let whole = machine.disk.bytes(FIRST).unwrap();
    machine.damage(FIRST, |bytes| bytes[FRAME + 5] ^= 1);
    machine.faults.reset();
    // Made, written, synced, renamed, and the directory synced: the cut is what comes next.
    let noted = (5..).find(|call| {
        machine.faults.reset();
        machine.faults.crash_at(*call);
        try_accept(&machine).unwrap_err();
        machine.reboot(Survival::Everything);
        machine.disk.bytes(LOSS).is_some()
    });
    assert!(noted.is_some());
    machine.disk.put(FIRST, whole);
    assert_eq!(accept(&machine), None, "nothing is lost");
    expect(&machine, <[_]>::is_empty, "");
    assert_eq!(machine.disk.bytes(LOSS), None);
}

#[test]
fn a_damaged_note_is_a_refusal_until_it_is_accepted_too() {
    let machine = with_hot(1);
    machine.damage(FIRST, |bytes| bytes[FRAME + 5] ^= 1);
    accept(&machine).unwrap();
    machine.damage(LOSS, |bytes| bytes[40] ^= 1);
    let before = machine.disk.bytes(LOSS).unwrap();
    let error = open(&machine).map(|_| ()).unwrap_err();
    assert!(matches!(error, OpenError::LossDamaged { .. }) && error.to_string().contains("--accept-loss"), "{error}");
    let accepted = accept(&machine).unwrap();
    assert_eq!((accepted.lost, accepted.end), (None, 1));
    assert_eq!(machine.disk.bytes(&accepted.saved_as[0]), Some(before));
    opens_with_the_record(&machine, 1, None, "damaged note");
}

#[test]
fn a_lost_head_is_made_anew_from_what_is_there() {
    let machine = sound();
    machine.damage("HEAD", |head| head.fill(0));
    refused(&machine, |error| matches!(error, OpenError::HeadLost { .. }), "both slots");
    let accepted = accept(&machine).unwrap();
    assert_eq!(accepted, Accepted { lost: None, head_rebuilt: true, end: 7, saved_as: Vec::new() });
    opens_with_the_record(&machine, 7, None, "HEAD");
    let machine = with_hot(1);
    machine.damage("HEAD", Vec::clear);
    machine.damage(FIRST, |bytes| bytes[FRAME + 5] ^= 1);
    let accepted = accept(&machine).unwrap();
    assert_eq!((accepted.lost, accepted.head_rebuilt, accepted.end), (Some((2, 5)), true, 1));
    opens_with_the_record(&machine, 1, Some((2, 5)), "HEAD and a frame");
}

#[test]
fn another_head_than_the_chain_can_be_accepted() {
    let machine = sound();
    let other = with_hot(1000);
    let (mut log, _, _) = other.open().unwrap();
    commit(&mut log, &[b"else"]).unwrap();
    drop(log);
    let (mut log, _, _) = machine.open().unwrap();
    commit(&mut log, &[b"mine"]).unwrap();
    drop(log);
    machine.disk.put("HEAD", other.disk.bytes("HEAD").unwrap());
    refused(&machine, |error| matches!(error, OpenError::HeadDisagrees { seq: 8, .. }), "not the one that HEAD");
    assert_eq!(accept(&machine).unwrap().lost, Some((8, 8)));
    assert_eq!(open(&machine).unwrap().2.seen.payloads().last(), Some(&said(Some((8, 8)))));
}

#[test]
fn a_running_journal_is_not_repaired() {
    let machine = sound();
    let (_log, _, _) = machine.open().unwrap();
    let error = try_accept(&machine).unwrap_err();
    assert!(error.to_string().contains("in use"), "{error}");
}
