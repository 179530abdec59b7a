//! Answers about what has arrived are put together like sets: it does not matter in which order or how often they come,
//! but where they contradict each other, and there the last one counts.

use lakemirror_journal::bits::Bits;
use lakemirror_journal::event::{ArrivalsCheckedV1, Event};
use lakemirror_journal::state::State;
use proptest::collection::vec;
use proptest::prelude::*;

use super::world::{Reducer, World, checks};

const ENTRIES: u32 = 40;

type Answer = (u32, Option<Option<u64>>);

/// A mirror with one range that was read and of which nothing was asked yet.
fn unasked() -> State {
    let world = World {
        commits: vec![(vec![], Some(0))],
        trees: vec![vec![0]],
        ranges: vec![((0..ENTRIES as u8).collect(), vec![3])],
    };
    let mut reducer = Reducer::ready(lakemirror_journal::state::policy::Policy::default());
    reducer.see(&[("main", 0)], &[]);
    reducer.ask(lakemirror_journal::command::MirrorCommand::ObserveCommits(vec![world.record(0)])).unwrap();
    reducer.ask(world.metarange(0)).unwrap();
    let range = world.range(&reducer.state, 0, None);
    reducer.ask(range).unwrap();
    reducer.state
}

/// The state after these batches, without the counts of checks: each check is counted, also one that says nothing new.
fn after(state: &State, batches: &[ArrivalsCheckedV1]) -> State {
    let mut state = state.clone();
    for batch in batches {
        state.apply(&Event::ArrivalsChecked(batch.clone()));
    }
    state.checks = 0;
    state.mirrors.values_mut().for_each(|mirror| mirror.checks = 0);
    state
}

fn answer() -> impl Strategy<Value = Answer> {
    let said = prop_oneof![3 => Just(Some(None)), 2 => Just(None), 1 => (0u64..9).prop_map(|size| Some(Some(size)))];
    (0..ENTRIES, said)
}

fn batch() -> impl Strategy<Value = ArrivalsCheckedV1> {
    (vec(answer(), 1..20), 1u64..1000).prop_map(|(answers, at_ms)| checks(0, &answers, at_ms))
}

/// Batches of which each entry is in one, and the same in another order.
fn of_different_entries() -> impl Strategy<Value = (Vec<ArrivalsCheckedV1>, Vec<ArrivalsCheckedV1>)> {
    let dealt = vec((0usize..5, answer()), ENTRIES as usize);
    dealt.prop_flat_map(|dealt| {
        let answers = |hand: usize| {
            let mine = dealt.iter().zip(0u32..).filter(move |((to, _), _)| *to == hand);
            mine.map(|((_, (_, said)), ordinal)| (ordinal, *said)).collect::<Vec<Answer>>()
        };
        let hands: Vec<_> = (0..5).map(answers).filter(|answers| !answers.is_empty()).collect();
        let batches: Vec<_> = hands.iter().zip(1u64..).map(|(answers, at)| checks(0, answers, at)).collect();
        (Just(batches.clone()), Just(batches).prop_shuffle())
    })
}

/// Batches that say of all entries they speak of that they are there; and the same with some twice, in another order.
fn of_arrivals() -> impl Strategy<Value = (Vec<ArrivalsCheckedV1>, Vec<ArrivalsCheckedV1>)> {
    let there = (vec(0..ENTRIES, 1..20), 1u64..1000).prop_map(|(ordinals, at_ms)| {
        let answers: Vec<Answer> = ordinals.into_iter().map(|ordinal| (ordinal, Some(None))).collect();
        checks(0, &answers, at_ms)
    });
    vec(there, 1..6).prop_flat_map(|batches| {
        let twice = [batches.clone(), batches.clone()].concat();
        (Just(batches), Just(twice).prop_shuffle())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_answer_that_comes_twice_is_one(before in vec(batch(), 0..4), batch in batch()) {
        let state = after(&unasked(), &before);
        let once = after(&state, std::slice::from_ref(&batch));
        prop_assert_eq!(after(&once, &[batch]), once);
    }

    #[test]
    fn answers_about_different_entries_come_in_any_order((one, other) in of_different_entries()) {
        let state = unasked();
        prop_assert_eq!(after(&state, &one), after(&state, &other));
    }

    #[test]
    fn arrivals_come_in_any_order_and_any_number((one, other) in of_arrivals()) {
        let state = unasked();
        prop_assert_eq!(after(&state, &one), after(&state, &other));
    }

    #[test]
    fn one_batch_is_as_good_as_many((batches, _) in of_arrivals()) {
        let all = batches.iter().flat_map(|batch| batch.asked.decode().unwrap().iter().collect::<Vec<_>>());
        let all = Bits::from_ordinals(ENTRIES, all);
        // What is asked at different times is as old as the first of them.
        let at_ms = batches.iter().map(|batch| batch.started_ms).min().unwrap();
        let finished_ms = batches.iter().map(|batch| batch.finished_ms).max().unwrap();
        let answers: Vec<Answer> = all.iter().map(|ordinal| (ordinal, Some(None))).collect();
        let together = ArrivalsCheckedV1 { finished_ms, ..checks(0, &answers, at_ms) };
        let state = unasked();
        prop_assert_eq!(after(&state, &[together]), after(&state, &batches));
    }

    /// What was found there is not missing again unless a later check says so.
    #[test]
    fn nothing_that_arrived_is_missing_again_by_itself(batches in vec(batch(), 1..8)) {
        let mut last = vec![false; ENTRIES as usize];
        let state = unasked();
        for end in 1..=batches.len() {
            let (asked, present) = (batches[end - 1].asked.decode().unwrap(), batches[end - 1].present.decode().unwrap());
            for (ordinal, rank) in asked.iter().zip(0u32..) {
                last[ordinal as usize] = present.contains(rank);
            }
            let state = after(&state, &batches[..end]);
            let range = &state.mirrors.values().next().unwrap().trees.ranges[0];
            let arrived = |ordinal: u32| range.missing().is_none_or(|missing| !missing.contains(ordinal));
            for ordinal in (0..ENTRIES).filter(|ordinal| last[*ordinal as usize]) {
                prop_assert!(arrived(ordinal), "entry {} after {} batches", ordinal, end);
            }
        }
    }
}
