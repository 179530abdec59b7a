//! Rules about objects in an archive class, each as the smallest story that shows it.

use lakemirror_journal::event::{Event, PolicySetV1};
use lakemirror_journal::state::policy::{ArchivedRule, Policy};
use lakemirror_journal::state::tree::Completeness;

use super::recount::recount;
use super::world::{IN_ARCHIVE, Reducer, World, probe, range_id};

/// Commits 0 and 1 with the range 0 in common, and 2 with a range of its own.
fn world() -> World {
    World {
        commits: vec![(vec![], Some(0)), (vec![0], Some(1)), (vec![1], Some(2))],
        trees: vec![vec![0], vec![0, 1], vec![2]],
        ranges: vec![(vec![0], vec![]), (vec![1], vec![]), (vec![0, 2], vec![])],
    }
}

fn block() -> Policy {
    Policy { archived: ArchivedRule::Block, evidence_age_ms_max: 3_600_000, ..Policy::default() }
}

fn names(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(Event::name).collect()
}

/// The head 0 whose only object is in an archive class.
fn archived(policy: Policy) -> Reducer {
    let (world, mut reducer) = (world(), Reducer::ready(policy));
    reducer.see(&[("main", 0)], &[]);
    reducer.arrive(&world, &[0], &[0]);
    reducer.check(0, &[(0, Some(Some(IN_ARCHIVE)))]);
    recount(&reducer.state);
    reducer
}

#[test]
fn an_archived_object_blocks_a_new_head_until_it_is_restored() {
    let mut reducer = archived(block());
    let range = reducer.mirror().trees.range(&range_id(0)).unwrap();
    assert_eq!(
        (range.completeness, range.missing_count()),
        (Completeness::Incomplete, 0),
        "it is there, and of no use"
    );
    assert_eq!(names(&reducer.promote()), [""; 0]);
    reducer.check(0, &[(0, Some(None))]);
    recount(&reducer.state);
    assert_eq!(names(&reducer.promote()), ["MoveStarted"]);
}

#[test]
fn an_archived_object_is_there_where_it_is_only_reported() {
    let mut reducer = archived(Policy { archived: ArchivedRule::Report, ..block() });
    assert_eq!(names(&reducer.clone().promote()), ["MoveStarted"]);
    reducer.start(block());
    recount(&reducer.state);
    assert_eq!(names(&reducer.promote()), [""; 0], "another rule counts for what was found before");
}

#[test]
fn what_the_mirror_shows_already_keeps_nothing_back() {
    let (world, mut reducer) = (world(), Reducer::ready(block()));
    reducer.see(&[("main", 0)], &[]);
    reducer.arrive(&world, &[0], &[0]);
    reducer.promote();
    assert_eq!(names(&reducer.check(0, &[(0, Some(Some(IN_ARCHIVE)))])), ["ArrivalsChecked", "ArchivedShown"]);
    recount(&reducer.state);
    assert!(reducer.mirror().trees.range(&range_id(0)).unwrap().detail.as_ref().unwrap().archived[&0].shown);
    reducer.see(&[("main", 1)], &[]);
    reducer.arrive(&world, &[1], &[]);
    reducer.ask(world.metarange(1)).unwrap();
    let ask = world.range(&reducer.state, 1, None);
    reducer.ask(ask).unwrap();
    reducer.check(1, &[(0, Some(Some(IN_ARCHIVE)))]);
    assert_eq!(names(&reducer.promote()), [""; 0], "what is new has to be readable");
    reducer.check(1, &[(0, Some(None))]);
    recount(&reducer.state);
    assert_eq!(names(&reducer.promote()), ["MoveStarted"]);
}

#[test]
fn an_archived_object_that_the_source_has_no_more_expires_for_an_ancestor() {
    let (world, mut reducer) = (world(), archived(block()));
    reducer.see(&[("main", 2)], &[]);
    reducer.arrive(&world, &[1, 2], &[1, 2]);
    reducer.check(0, &[(0, Some(Some(IN_ARCHIVE)))]);
    assert_eq!(names(&reducer.clone().promote()), [""; 0], "an ancestor of it cannot be read");
    assert_eq!(names(&reducer.ask(probe(0, vec![0], vec![])).unwrap()), ["SourceProbed", "WrongSizesGone"]);
    reducer.check(0, &[(0, Some(Some(IN_ARCHIVE)))]);
    reducer.ask(probe(0, vec![0], vec![])).unwrap();
    recount(&reducer.state);
    assert_eq!(reducer.mirror().trees.range(&range_id(0)).unwrap().completeness, Completeness::CompleteExceptExpired);
    assert_eq!(names(&reducer.promote()), ["MoveStarted"]);
}

#[test]
fn before_there_was_the_rule_archived_objects_counted_as_there() {
    let set = PolicySetV1 {
        history: 0,
        size: 0,
        imports: 0,
        on_divergence: 0,
        evidence_age_ms_max: 1,
        deletion_grace_ms: 2,
        deletion_permille_max: 3,
    };
    assert_eq!(Policy::from_version_1(&set).archived, ArchivedRule::Report);
    assert_eq!(Policy::default().archived, ArchivedRule::Report, "and where nothing was set");
    for archived in [ArchivedRule::Block, ArchivedRule::Report] {
        let policy = Policy { archived, ..Policy::default() };
        assert_eq!(Policy::from_event(&policy.event()), policy);
    }
}
