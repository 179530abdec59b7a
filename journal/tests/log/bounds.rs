//! What the hot store holds stays within its bounds whatever is done, and nothing that leaves it is nowhere else.

use lakemirror_journal::log::fault::Survival;
use lakemirror_journal::log::{Log, Options};
use proptest::collection::vec;
use proptest::prelude::*;

use super::support::Machine;
use super::world::{Step, open, step};

#[derive(Debug, Clone)]
enum Op {
    Do(Step),
    Reopen,
    /// The power goes, and with it all that was not synced, and the hot store as a whole.
    Lose,
    /// The machine stops within a step.
    Crash(Step, u64),
}

fn a_step() -> impl Strategy<Value = Step> {
    let payloads = vec(vec(any::<u8>(), 0..900), 1..4);
    prop_oneof![
        8 => payloads.prop_map(Step::Commit),
        2 => Just(Step::Seal),
        1 => Just(Step::Compress),
        1 => Just(Step::Snapshot),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => a_step().prop_map(Op::Do),
        1 => Just(Op::Reopen),
        1 => Just(Op::Lose),
        1 => (a_step(), 0u64..8).prop_map(|(step, call)| Op::Crash(step, call)),
    ]
}

/// A quarter over its bounds, and one frame: that much may be there before it is worth pruning.
fn within(machine: &Machine) -> Result<(), TestCaseError> {
    let (frames, options) = (machine.hot.frames(), &machine.options);
    let newest = frames.values().next_back().map_or(0, Vec::len);
    let bytes: usize = frames.values().map(Vec::len).sum();
    prop_assert!(frames.len() <= options.hot_frames_max + options.hot_frames_max / 4 + 1, "{} frames", frames.len());
    let most = (options.hot_bytes_max + options.hot_bytes_max / 4) as usize + newest;
    prop_assert!(bytes <= most, "{bytes} bytes of {most}");
    Ok(())
}

/// Does one thing; the log that goes on, and what was acknowledged in it.
fn take(machine: &Machine, mut log: Log, op: &Op) -> (Log, Vec<Vec<u8>>) {
    let mut acknowledged = Vec::new();
    let mut acts = |log: &mut Log, each: &Step| {
        if step(machine, log, each).is_ok()
            && let Step::Commit(payloads) = each
        {
            acknowledged.clone_from(payloads);
        }
    };
    match op {
        Op::Do(each) => {
            acts(&mut log, each);
            return (log, acknowledged);
        }
        Op::Reopen => {}
        Op::Lose => {
            machine.reboot(Survival::Nothing);
            machine.hot.damage(std::collections::BTreeMap::clear);
        }
        Op::Crash(each, call) => {
            machine.faults.reset();
            machine.faults.crash_at(*call);
            acts(&mut log, each);
            machine.reboot(Survival::Everything);
        }
    }
    drop(log);
    (open(machine).unwrap().0, acknowledged)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_hot_store_is_bounded_and_never_the_only_copy(
        ops in vec(op(), 1..60),
        hot_frames_max in 1..12usize,
        hot_bytes_max in 200..6000u64,
    ) {
        let options = Options { hot_frames_max, hot_bytes_max, ..Options::default() };
        let machine = Machine { options, ..Machine::new() };
        let (mut log, _, _) = open(&machine).unwrap();
        let mut model: Vec<Vec<u8>> = Vec::new();
        for op in &ops {
            let (next, acknowledged) = take(&machine, log, op);
            log = next;
            model.extend(acknowledged);
            within(&machine)?;
            let there = log.head().durable_seq as usize;
            prop_assert!(there >= model.len(), "{} acknowledged, {} there", model.len(), there);
            if there > model.len() {
                // The step that the machine stopped in was whole after all.
                let Op::Crash(Step::Commit(payloads), _) = op else { panic!("{op:?} made records") };
                model.extend(payloads.clone());
            }
        }
        drop(log);
        machine.reboot(Survival::Nothing);
        machine.hot.damage(std::collections::BTreeMap::clear);
        prop_assert_eq!(open(&machine).unwrap().2.seen.payloads(), model);
        within(&machine)?;
    }
}
