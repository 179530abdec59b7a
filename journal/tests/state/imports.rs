//! Entries with an address outside the namespace, under each rule for them.

use lakemirror_journal::state::policy::{ImportsRule, Policy};

use super::recount::recount;
use super::rules::{day, row, started};
use super::world::{Reducer, World, probe, range_id};

/// A head of two objects, the second of them an import, all of which has arrived.
fn with_import(policy: Policy) -> Reducer {
    let world = World { ranges: vec![(vec![1, 2], vec![1])], ..row() };
    let mut reducer = Reducer::ready(policy);
    reducer.see(&[("main", 0)], &[]);
    reducer.arrive(&world, &[0], &[0]);
    reducer
}

#[test]
fn imports_block_whatever_is_found() {
    let mut reducer = with_import(Policy { imports: ImportsRule::Block, ..day() });
    assert_eq!(started(&reducer.promote()), [0u8; 0]);
    reducer.start(Policy { imports: ImportsRule::Ignore, ..day() });
    recount(&reducer.state);
    assert_eq!(started(&reducer.promote()), [0]);
}

/// What was found of an import before nobody looks for it any more, or unasked, holds nothing up.
#[test]
fn an_import_that_is_ignored_holds_nothing_up_whatever_was_found() {
    for found in [Some(Some(7)), None] {
        let mut reducer = with_import(day());
        reducer.check(0, &[(1, found)]);
        assert_eq!(started(&reducer.promote()), [0u8; 0]);
        reducer.start(Policy { imports: ImportsRule::Ignore, ..day() });
        recount(&reducer.state);
        reducer.check(0, &[(1, found)]);
        recount(&reducer.state);
        assert_eq!(started(&reducer.promote()), [0]);
    }
}

/// An import that the source has no more is enough for an ancestor, and where imports are ignored, for a head.
#[test]
fn an_import_that_expired_does_not_count_where_imports_are_ignored() {
    let mut reducer = with_import(day());
    reducer.check(0, &[(1, None)]);
    for _ in 0..2 {
        reducer.ask(probe(0, vec![1], vec![])).unwrap();
    }
    assert_eq!(started(&reducer.promote()), [0u8; 0]);
    reducer.start(Policy { imports: ImportsRule::Ignore, ..day() });
    recount(&reducer.state);
    assert_eq!(started(&reducer.promote()), [0]);
}

/// Under another rule imports are looked for anew: what was found of one before, or said of it, says nothing.
#[test]
fn other_rules_for_imports_begin_anew_with_them() {
    let mut reducer = with_import(day());
    reducer.check(0, &[(1, Some(Some(7)))]);
    reducer.start(Policy { imports: ImportsRule::Block, ..day() });
    reducer.start(day());
    recount(&reducer.state);
    let range = reducer.mirror().trees.range(&range_id(0)).unwrap();
    let detail = range.detail.as_deref().unwrap();
    assert!(detail.missing.iter().eq([1]) && detail.wrong_size.is_empty(), "{detail:?}");
    reducer.check(0, &[(1, Some(None))]);
    assert_eq!(started(&reducer.promote()), [0]);
}
