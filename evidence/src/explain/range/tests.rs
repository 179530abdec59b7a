//! Compares a range's proof with the state, event by event: missing entries, completeness, age of the evidence.

use lakemirror_core::ids::{CommitId, Incarnation, MetarangeId};
use lakemirror_journal::event::*;
use lakemirror_journal::state::State;
use lakemirror_journal::state::policy::{DivergenceRule, HistoryRule};
use proptest::prelude::*;

use super::*;

const MIRROR: Incarnation = Incarnation([1; 16]);
const RANGE: RangeId = RangeId([2; 32]);
const TREE: MetarangeId = MetarangeId([3; 32]);
const ENTRIES: u32 = 12;

fn defined() -> Vec<Event> {
    let text = String::new;
    let defined = MirrorDefinedV1 {
        mirror: MIRROR,
        name: text(),
        source_repository: text(),
        source_region: text(),
        region: text(),
        storage_namespace: text(),
        at_ms: 1,
    };
    let commit = CommitObservedV1 {
        mirror: MIRROR,
        id: CommitId([4; 32]),
        parents: vec![],
        committer: text(),
        message: text(),
        creation_date: 0,
        metarange: Some(TREE),
        metadata: vec![],
        generation: 0,
        version: 1,
        at_ms: 1,
    };
    let ranges = vec![(RANGE, ENTRIES)];
    let tree = MetarangeReadV1 { mirror: MIRROR, metarange: TREE, total: 1, first: 0, ranges, at_ms: 1 };
    vec![Event::MirrorDefined(defined), Event::CommitObserved(commit), Event::MetarangeRead(tree)]
}

fn bits() -> impl Strategy<Value = Bits> {
    proptest::collection::vec(0..ENTRIES, 0..8).prop_map(|ordinals| Bits::from_ordinals(ENTRIES, ordinals))
}

fn policy(imports: u8, size: u8) -> Policy {
    let imports = [ImportsRule::Check, ImportsRule::Ignore, ImportsRule::Block][usize::from(imports)];
    let size = if size == 0 { SizeRule::Strict } else { SizeRule::Report };
    let (history, on_divergence) = (HistoryRule::Complete, DivergenceRule::Report);
    Policy { imports, size, history, on_divergence, ..Policy::default() }
}

fn fact() -> impl Strategy<Value = Event> {
    let read = (bits(), bits(), any::<bool>()).prop_map(|(imports, inherited, some)| {
        let inherited = if some { inherited } else { Bits::none(ENTRIES) };
        Event::RangeRead(RangeReadV1 {
            mirror: MIRROR,
            range: RANGE,
            entries: ENTRIES,
            imports: imports.encode(),
            inherited: inherited.encode(),
            inherited_from: vec![],
            inherited_oldest_ms: if some { 40 } else { u64::MAX },
            at_ms: 90,
        })
    });
    let exception = (0..ENTRIES, 1u8..6).prop_map(|(ordinal, code)| ArrivalExceptionV1 { ordinal, code, found: 7 });
    let checks = (bits(), any::<u64>(), proptest::collection::vec(exception, 0..2), 50u64..200);
    let checks = checks.prop_map(|(asked, there, exceptions, at_ms)| {
        let asked_of = exceptions.iter().map(|exception: &ArrivalExceptionV1| exception.ordinal);
        let asked = Bits::from_ordinals(ENTRIES, asked.iter().chain(asked_of).collect::<Vec<_>>());
        let odd = |ordinal: u32| exceptions.iter().any(|exception| exception.ordinal == ordinal);
        let ranks = asked.iter().zip(0u32..).filter(|(ordinal, rank)| there >> rank & 1 == 1 && !odd(*ordinal));
        let present = Bits::from_ordinals(asked.count(), ranks.map(|(_, rank)| rank).collect::<Vec<_>>());
        Event::ArrivalsChecked(ArrivalsCheckedV1 {
            mirror: MIRROR,
            range: RANGE,
            base: 0,
            asked: asked.encode(),
            present: present.encode(),
            exceptions,
            started_ms: at_ms,
            finished_ms: at_ms,
        })
    });
    let list = || proptest::collection::vec(0..ENTRIES, 0..3);
    let probe = (list(), list()).prop_map(|(gone, there)| {
        Event::SourceProbed(SourceProbedV1 { mirror: MIRROR, range: RANGE, gone, there, at_ms: 1 })
    });
    let sizes = (list(), list()).prop_map(|(once, twice)| {
        Event::WrongSizesGone(WrongSizesGoneV1 { mirror: MIRROR, range: RANGE, once, twice, at_ms: 1 })
    });
    let reopen = Just(Event::RangesReopened(RangesReopenedV1 { mirror: MIRROR, ranges: vec![RANGE], at_ms: 1 }));
    let rules = (0u8..3, 0u8..2, any::<bool>()).prop_map(|(imports, size, block)| {
        let archived = if block { ArchivedRule::Block } else { ArchivedRule::Report };
        Event::PolicySetV2(Policy { archived, ..policy(imports, size) }.event())
    });
    let shown = list().prop_map(|ordinals| {
        Event::ArchivedShown(ArchivedShownV1 { mirror: MIRROR, range: RANGE, ordinals, at_ms: 1 })
    });
    prop_oneof![1 => read, 6 => checks, 2 => probe, 2 => sizes, 1 => shown, 1 => reopen, 1 => rules]
}

/// Processes an event as `proof` does.
fn take(range: &mut RangeProof, policy: &mut Policy, seq: u64, event: &Event, decisions: &mut Vec<Decision>) {
    let at = At { seq, at_ms: 1 };
    match event {
        Event::RangeRead(e) => range.take_read(at, e, vec![], policy, decisions),
        Event::ArrivalsChecked(e) => range.take_checks(seq, e, policy, decisions),
        Event::SourceProbed(e) => range.take_probe(at, e, decisions),
        Event::WrongSizesGone(e) => range.take_wrong_sizes_gone(at, e, decisions),
        Event::RangesReopened(_) => range.take_reopening(at, policy, decisions),
        Event::ArchivedShown(e) => range.take_archived_shown(e),
        Event::PolicySetV2(e) => {
            let new = Policy::from_event(e);
            range.take_policy(at, policy, &new, decisions);
            *policy = new;
        }
        _ => {}
    }
}

/// Processes the events in turn, and compares the range's proof with the state after each.
fn compare(facts: &[Event]) -> Result<(), TestCaseError> {
    let (mut state, mut policy) = (State::default(), Policy::default());
    let (mut range, mut decisions) = (RangeProof::new(RANGE, ENTRIES, true), Vec::new());
    defined().iter().for_each(|event| state.apply(event));
    for (event, seq) in facts.iter().zip(1u64..) {
        state.apply(event);
        take(&mut range, &mut policy, seq, event, &mut decisions);
        let known = state.mirror(&MIRROR).unwrap().trees.range(&RANGE).unwrap();
        prop_assert_eq!(range.completeness(&policy), known.completeness, "{:?}", event);
        prop_assert_eq!(range.missing_count(), known.missing_count(), "{:?}", event);
        prop_assert_eq!(range.read.is_some(), known.read);
        if known.read {
            prop_assert_eq!(range.oldest_ms, known.oldest_ms, "{:?}", event);
        }
        // Exactly the entries that are not missing have a decision.
        for (first, last, decision) in range.runs(&decisions).filter(|_| known.read) {
            for ordinal in first..=last {
                let missing = range.missing.contains(ordinal);
                prop_assert_eq!(decision.is_none(), missing, "{} {:?}", ordinal, event);
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn proof_of_a_range_agrees_with_the_state(facts in proptest::collection::vec(fact(), 0..24)) {
        compare(&facts)?;
    }
}

#[test]
fn source_does_not_decide_an_import_of_wrong_size_that_a_policy_made_missing() {
    let import = || Bits::from_ordinals(ENTRIES, [9]);
    let read = RangeReadV1 {
        mirror: MIRROR,
        range: RANGE,
        entries: ENTRIES,
        imports: import().encode(),
        inherited: Bits::none(ENTRIES).encode(),
        inherited_from: vec![],
        inherited_oldest_ms: u64::MAX,
        at_ms: 90,
    };
    let found = ArrivalsCheckedV1 {
        mirror: MIRROR,
        range: RANGE,
        base: 0,
        asked: import().encode(),
        present: Bits::none(1).encode(),
        exceptions: vec![ArrivalExceptionV1 { ordinal: 9, code: WRONG_SIZE, found: 7 }],
        started_ms: 91,
        finished_ms: 91,
    };
    let gone = WrongSizesGoneV1 { mirror: MIRROR, range: RANGE, once: vec![], twice: vec![9], at_ms: 92 };
    let facts = [
        Event::RangeRead(read),
        Event::ArrivalsChecked(found),
        Event::PolicySetV2(policy(2, 0).event()),
        Event::WrongSizesGone(gone),
    ];
    compare(&facts).unwrap();
}
