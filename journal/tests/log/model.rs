//! Random histories against a model: a list of acknowledged commits and at most one in doubt.

use lakemirror_journal::log::fault::Survival;
use lakemirror_journal::log::{Log, Options};
use proptest::prelude::*;

use super::support::{Machine, SEGMENT, commit};

#[derive(Debug, Clone)]
enum Op {
    Commit(Vec<Vec<u8>>),
    /// A commit during which the machine stops.
    CrashIn {
        payloads: Vec<Vec<u8>>,
        call: u64,
        survival: Survival,
    },
    /// A commit of which one call fails; then the process ends.
    FailIn {
        payloads: Vec<Vec<u8>>,
        call: u64,
    },
    /// The machine stops between commits.
    Crash(Survival),
    Reopen,
    /// One bit of the segment, of the hot store, or of HEAD; the journal is closed meanwhile.
    FlipSegment(usize),
    FlipHot(usize),
    FlipHead(usize),
}

fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..700), 1..4)
}

fn survival() -> impl Strategy<Value = Survival> {
    prop_oneof![
        Just(Survival::Nothing),
        Just(Survival::Everything),
        (0usize..800).prop_map(Survival::LastWriteCutAt),
        any::<u64>().prop_map(Survival::Sectors),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => payloads().prop_map(Op::Commit),
        2 => (payloads(), 0u64..8, survival())
            .prop_map(|(payloads, call, survival)| Op::CrashIn { payloads, call, survival }),
        1 => (payloads(), 0u64..8).prop_map(|(payloads, call)| Op::FailIn { payloads, call }),
        1 => survival().prop_map(Op::Crash),
        1 => Just(Op::Reopen),
        1 => any::<usize>().prop_map(Op::FlipSegment),
        1 => any::<usize>().prop_map(Op::FlipHot),
        1 => any::<usize>().prop_map(Op::FlipHead),
    ]
}

fn flip(bytes: &mut [u8], pick: usize) {
    let bits = bytes.len() * 8;
    if bits > 0 {
        bytes[pick % bits / 8] ^= 1 << (pick % 8);
    }
}

/// Closes the journal as `op` says; the payloads of a commit in it, and whether that was acknowledged.
fn end(machine: &Machine, mut log: Log, op: &Op) -> Option<(Vec<Vec<u8>>, bool)> {
    machine.faults.reset();
    match op {
        Op::CrashIn { payloads, call, survival } => {
            machine.faults.crash_at(*call);
            let acknowledged = commit(&mut log, payloads).is_ok();
            machine.reboot(*survival);
            Some((payloads.clone(), acknowledged))
        }
        Op::FailIn { payloads, call } => {
            machine.faults.fail_at(*call, std::io::ErrorKind::Other);
            let acknowledged = commit(&mut log, payloads).is_ok();
            machine.faults.reset();
            Some((payloads.clone(), acknowledged))
        }
        Op::Crash(survival) => {
            machine.reboot(*survival);
            None
        }
        _ => None,
    }
}

fn damage(machine: &Machine, op: &Op) {
    match op {
        Op::FlipSegment(pick) => machine.damage(SEGMENT, |bytes| flip(bytes, *pick)),
        Op::FlipHead(pick) => machine.damage("HEAD", |bytes| flip(bytes, *pick)),
        Op::FlipHot(pick) => machine.hot.damage(|frames| {
            let count = frames.len().max(1);
            if let Some(frame) = frames.values_mut().nth(pick % count) {
                flip(frame, pick / count);
            }
        }),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_log_is_the_list_of_its_commits(ops in prop::collection::vec(op(), 1..25)) {
        // Everything stays in the hot store, so that single damage is always mended.
        let machine = Machine { options: Options { hot_frames_max: 1000, ..Options::default() }, ..Machine::new() };
        let (mut log, _, _) = machine.open().unwrap();
        let mut model: Vec<Vec<u8>> = Vec::new();
        let mut epoch = log.head().writer_epoch;
        for op in &ops {
            if let Op::Commit(payloads) = op {
                let done = commit(&mut log, payloads).unwrap();
                prop_assert_eq!(done.first_seq, model.len() as u64 + 1);
                model.extend(payloads.clone());
                prop_assert_eq!((done.last_seq, log.head().checks_total), (model.len() as u64, model.len() as u64));
                continue;
            }
            let doubt = end(&machine, log, op);
            damage(&machine, op);
            let (opened, _, seen) = machine.open().unwrap();
            let found = seen.payloads();
            let (last, acknowledged) = doubt.unwrap_or_default();
            let with_last: Vec<_> = model.iter().chain(&last).cloned().collect();
            prop_assert!(found == with_last || (found == model && !acknowledged), "after {:?}", op);
            model = found;
            log = opened;
            prop_assert!(log.head().writer_epoch > epoch, "epochs rise");
            epoch = log.head().writer_epoch;
            prop_assert_eq!(machine.scan().unwrap().1.payloads(), model.clone());
        }
    }
}
