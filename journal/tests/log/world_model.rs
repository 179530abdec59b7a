//! Random histories with rolls, compression, snapshots, drops, crashes and damage, against the list of commits.

use lakemirror_journal::log::fault::Survival;
use lakemirror_journal::log::{FOOTER_BYTES, Options, verify_segment};
use proptest::prelude::*;

use super::support::Machine;
use super::world::{Step, open, sealed, step};

#[derive(Debug, Clone)]
enum Op {
    Do(Step),
    /// The machine stops in this step, at one of its calls.
    Crash(Step, u64, Survival),
    Reopen,
    /// One bit of any segment file, while the journal is closed.
    Flip(usize),
}

fn a_step() -> impl Strategy<Value = Step> {
    let payloads = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 1..4);
    prop_oneof![
        6 => payloads.prop_map(Step::Commit),
        3 => Just(Step::Seal),
        1 => Just(Step::Compress),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Drop),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let survival = prop_oneof![
        Just(Survival::Nothing),
        Just(Survival::Everything),
        (0usize..500).prop_map(Survival::LastWriteCutAt),
        any::<u64>().prop_map(Survival::Sectors),
    ];
    prop_oneof![
        8 => a_step().prop_map(Op::Do),
        2 => (a_step(), 0u64..9, survival).prop_map(|(step, call, survival)| Op::Crash(step, call, survival)),
        1 => Just(Op::Reopen),
        1 => any::<usize>().prop_map(Op::Flip),
    ]
}

fn flip(machine: &Machine, pick: usize) {
    let paths = machine.disk.paths();
    let segments: Vec<_> = paths.iter().filter(|path| path.contains(".jseg") && !path.ends_with(".broken")).collect();
    let path = segments[pick % segments.len()];
    machine.damage(path, |bytes| {
        let bits = (bytes.len() * 8).max(1);
        if let Some(byte) = bytes.get_mut(pick / 7 % bits / 8) {
            *byte ^= 1 << (pick % 8);
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_records_are_those_that_were_committed(ops in prop::collection::vec(op(), 1..40)) {
        // Everything stays in the hot store, so that single damage is always mended.
        let machine = Machine { options: Options { hot_frames_max: 1000, ..Options::default() }, ..Machine::new() };
        let (mut log, _, _) = open(&machine).unwrap();
        let mut model: Vec<Vec<u8>> = Vec::new();
        for op in &ops {
            let mut doubt = Vec::new();
            match op {
                Op::Do(each) => {
                    // Compressing or taking a snapshot of what is damaged fails, and may.
                    let done = step(&machine, &mut log, each);
                    if let Step::Commit(payloads) = each {
                        prop_assert!(done.is_ok());
                        model.extend(payloads.clone());
                    }
                    continue;
                }
                Op::Crash(each, call, survival) => {
                    machine.faults.reset();
                    machine.faults.crash_at(*call);
                    let done = step(&machine, &mut log, each).is_ok();
                    machine.reboot(*survival);
                    match each {
                        Step::Commit(payloads) if done => model.extend(payloads.clone()),
                        Step::Commit(payloads) => doubt.clone_from(payloads),
                        Step::Seal | Step::Compress | Step::Snapshot | Step::Drop => {}
                    }
                }
                Op::Reopen => {}
                Op::Flip(pick) => flip(&machine, *pick),
            }
            drop(log);
            let (opened, _, state) = open(&machine).unwrap();
            let found = state.seen.payloads();
            let with_doubt: Vec<_> = model.iter().chain(&doubt).cloned().collect();
            prop_assert!(found == model || found == with_doubt, "after {op:?}");
            model = found;
            log = opened;
            prop_assert_eq!(log.head().durable_seq, model.len() as u64);
            prop_assert!(open(&machine).is_err(), "in use");
        }
        drop(log);
        prop_assert_eq!(open(&machine).unwrap().2.seen.payloads(), model);
        if !ops.iter().any(|op| matches!(op, Op::Flip(_))) {
            for (first, last, _) in sealed(&machine) {
                prop_assert!(verify_segment(&machine.disk, first, last).is_ok());
            }
        }
    }
}

/// What the histories found once: the first bytes of a footer were hashed as if they were frames.
#[test]
fn a_footer_cut_anywhere_is_not_part_of_what_the_next_one_covers() {
    for with_snapshot in [true, false] {
        for cut in 0..=FOOTER_BYTES {
            let machine = Machine::new();
            let (mut log, _, _) = open(&machine).unwrap();
            step(&machine, &mut log, &Step::Commit(vec![Vec::new()])).unwrap();
            if with_snapshot {
                step(&machine, &mut log, &Step::Snapshot).unwrap();
            }
            machine.faults.reset();
            machine.faults.crash_at(0);
            assert!(step(&machine, &mut log, &Step::Seal).is_err());
            machine.reboot(Survival::LastWriteCutAt(cut));
            drop(log);
            let (mut log, _, state) = open(&machine).unwrap();
            assert_eq!(state.restored.is_some(), with_snapshot);
            step(&machine, &mut log, &Step::Commit(vec![vec![7; 300]])).unwrap();
            step(&machine, &mut log, &Step::Seal).unwrap();
            let sealed = sealed(&machine);
            assert!(!sealed.is_empty());
            for (first, last, _) in sealed {
                verify_segment(&machine.disk, first, last).unwrap();
            }
        }
    }
}
