//! HEAD's two slots: written in turn, so that whatever a crash makes of the one that is being written, the other stands.

use lakemirror_journal::log::RecoveryAction;
use proptest::collection::vec;
use proptest::prelude::*;

use super::support::{Machine, commit};

const SLOT: usize = 4096;

/// Which slots differ.
fn changed(before: &[u8], after: &[u8]) -> Vec<usize> {
    (0..2).filter(|slot| before[slot * SLOT..(slot + 1) * SLOT] != after[slot * SLOT..(slot + 1) * SLOT]).collect()
}

#[test]
fn each_commit_writes_the_slot_that_the_one_before_did_not() {
    let machine = Machine::new();
    let (mut log, _, _) = machine.open().unwrap();
    let mut last = None;
    for number in 0..20u8 {
        let before = machine.disk.bytes("HEAD").unwrap();
        commit(&mut log, &[[number]]).unwrap();
        let slots = changed(&before, &machine.disk.bytes("HEAD").unwrap());
        assert_eq!(slots.len(), 1);
        assert_ne!(slots.first().copied(), last);
        last = slots.first().copied();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Anything at all in one slot: every record is there, and the next opening finds two sound ones.
    #[test]
    fn one_slot_is_enough(commits in 1..6u8, slot in 0..2usize, at in 0..SLOT, with in vec(any::<u8>(), 1..100)) {
        let machine = Machine::new();
        let (mut log, _, _) = machine.open().unwrap();
        for number in 0..commits {
            commit(&mut log, &[[number]]).unwrap();
        }
        drop(log);
        machine.damage("HEAD", |head| {
            let half = &mut head[slot * SLOT..(slot + 1) * SLOT];
            half.iter_mut().skip(at).zip(&with).for_each(|(byte, new)| *byte = *new);
        });
        let (log, recovery, seen) = machine.open().unwrap();
        prop_assert_eq!(seen.payloads(), (0..commits).map(|number| vec![number]).collect::<Vec<_>>());
        let mended = |action: &RecoveryAction| {
            matches!(action, RecoveryAction::HeadSlotRepaired { .. } | RecoveryAction::RolledForward { .. })
        };
        prop_assert!(recovery.actions.iter().all(mended), "{:?}", recovery.actions);
        drop(log);
        prop_assert!(machine.open().unwrap().1.is_clean());
    }
}
