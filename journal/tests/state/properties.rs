//! What holds of every history.

use lakemirror_journal::codec;
use lakemirror_journal::event::Event;
use lakemirror_journal::state::State;
use lakemirror_journal::state::lifecycle::Stage;
use lakemirror_journal::state::policy::Policy;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use super::drive::{self, Step};
use super::model::Judge;
use super::recount::recount;
use super::world::{Reducer, World};

pub fn run(world: &World, steps: &[Step], policy: &lakemirror_journal::state::policy::Policy) -> (Reducer, Judge) {
    let mut reducer = Reducer::ready(policy.clone());
    let mut judge = Judge::default();
    for event in &reducer.journal {
        judge.take(event).unwrap();
    }
    for step in steps {
        let live = reducer.mirror().branches.values().filter(|branch| branch.tombstone_ms.is_none()).count();
        let before = reducer.state.clone();
        for event in drive::take(world, &mut reducer, step) {
            if let Err(why) = judge.take(&event) {
                panic!("{why}\nafter {step:?}: {event:?}\nbefore: {before:#?}");
            }
        }
        mass_deletion(&before, &reducer, step, live);
        recount(&reducer.state);
    }
    assert_eq!(reducer.state.checks, judge.checks);
    assert_eq!(reducer.mirror().checks, judge.checks);
    files(&reducer, &judge);
    (reducer, judge)
}

/// The lifecycle says of the journal's files what the facts say.
fn files(reducer: &Reducer, judge: &Judge) {
    let (lifecycle, files) = (&reducer.state.lifecycle, &judge.files);
    let sealed: Vec<_> =
        lifecycle.segments.iter().map(|(first, segment)| (*first, segment.last, segment.hash)).collect();
    assert_eq!(sealed, files.sealed);
    for (name, segment) in sealed.iter().zip(lifecycle.segments.values()) {
        let (dropped, archived) = match &segment.stage {
            Stage::Sealed => (false, false),
            Stage::Archived(_) => (false, true),
            Stage::Dropped { archive, .. } => (true, archive.is_some()),
        };
        assert_eq!((dropped, archived), (files.dropped.contains(name), files.archived.contains(name)));
    }
    assert_eq!(lifecycle.snapshot.map_or(0, |snapshot| snapshot.seq), files.snapshot);
    assert_eq!(lifecycle.losses.len(), files.losses);
}

/// I6: when more branches vanish at once than may, none of them is missed.
fn mass_deletion(before: &State, reducer: &Reducer, step: &Step, live: usize) {
    let Step::Observe(heads, _) = step else { return };
    let known = &before.mirror(&super::world::MIRROR).unwrap().branches;
    let listed = |name: &str| drive::BRANCHES.iter().zip(heads).any(|(other, head)| *other == name && head.is_some());
    let vanished = known.iter().filter(|(name, b)| b.tombstone_ms.is_none() && !listed(name)).count();
    if vanished > (live / 2).max(3) {
        let proven = matches!(step, Step::Observe(_, true));
        let free = |name: &String| !listed(name) && known[name].tombstone_ms.is_none();
        let held = known.keys().filter(|name| free(name)).all(|name| reducer.mirror().holds.contains_key(name));
        assert!(held || !proven, "{vanished} of {live} vanished");
        // The grace period of a tombstone began when the listing was believed: its misses are counted on after a takeover.
        for (name, branch) in known.iter().filter(|(name, _)| free(name)) {
            assert_eq!(&reducer.mirror().branches[name], branch, "nothing is noted against {name}");
        }
    }
}

pub fn histories() -> impl Strategy<Value = (World, Vec<Step>, lakemirror_journal::state::policy::Policy)> {
    (drive::world(), proptest::collection::vec(drive::step(), 10..120), drive::policies())
}

/// Applies the facts one by one, each through its bytes.
pub fn replay<'a>(state: State, events: impl IntoIterator<Item = &'a Event>) -> State {
    events.into_iter().fold(state, |mut state, event| {
        let payload = codec::encode(event).unwrap();
        let decoded = codec::decode(payload.kind, payload.version, &payload.bytes).unwrap();
        assert_eq!(&decoded, event);
        assert_eq!(codec::encode(&decoded).unwrap(), payload, "equal facts have equal bytes");
        state.apply(&decoded);
        state
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    /// I1, I2, I6, evidence's age, counters and flags; then determinism and I4.
    #[test]
    fn every_history_keeps_the_invariants_and_replays_exactly((world, steps, policy) in histories(), cut in any::<prop::sample::Index>()) {
        let (reducer, _) = run(&world, &steps, &policy);
        let (again, _) = run(&world, &steps, &policy);
        prop_assert_eq!(&again.journal, &reducer.journal);
        prop_assert_eq!(&again.state, &reducer.state);
        let (head, tail) = reducer.journal.split_at(cut.index(reducer.journal.len()));
        let prefix = replay(State::default(), head);
        prop_assert_eq!(&replay(prefix, tail), &reducer.state);
    }
}

/// The histories are worth something: most move branches, and some remove them.
#[test]
fn histories_do_what_the_properties_are_about() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut moves, mut removals, mut dropped) = (0, 0, 0);
    for _ in 0..100 {
        let (world, steps, policy) = histories().new_tree(&mut runner).unwrap().current();
        let (_, judge) = run(&world, &steps, &policy);
        moves += judge.moves_started;
        removals += judge.removals;
        dropped += judge.files.dropped.len();
    }
    assert!(moves > 100 && removals > 3, "{moves} moves, {removals} removals in 100 histories");
    assert!(dropped > 5, "{dropped} dropped segments in 100 histories");
}

/// A move that a tombstone and a new life of the branch overtook ends at the head that it set out for, and what the
/// branch showed since is still to come.
#[test]
fn a_move_that_outlived_its_branch_leaves_what_came_after_to_be_promoted() {
    let alone = |number: u8| (vec![], (number == 8).then_some(1));
    let world = World {
        commits: (0..drive::COMMITS).map(alone).collect(),
        trees: vec![vec![], vec![0], vec![], vec![], vec![]],
        ranges: (0..drive::RANGES).map(|_| (vec![0, 1], vec![])).collect(),
    };
    let (main, nothing) = (7, Step::Observe(vec![None; 8], true));
    let steps = [
        Step::Arrive(0),
        Step::Push(main, 8),
        Step::Plan,
        nothing.clone(),
        nothing,
        Step::Start(Policy::default()),
        Step::Push(main, 0),
        Step::Push(main, 8),
        Step::Finish(main),
    ];
    let (mut reducer, mut judge) = run(&world, &steps, &Policy::default());
    let seen: Vec<u64> = reducer.mirror().branches["main"].pending.iter().map(|head| head.seen).collect();
    assert_eq!(seen, [2, 3], "what it showed in its new life");
    for event in drive::take(&world, &mut reducer, &Step::Drive) {
        judge.take(&event).unwrap();
    }
    assert_eq!(reducer.mirror().branches["main"].mirror, Some(super::world::commit_id(8)));
    assert!(reducer.mirror().branches["main"].is_in_sync());
}
