//! Rules about objects in an archive class, each as the smallest story that shows it.

use lakemirror_journal::event::{Event, PolicySetV1};
use lakemirror_journal::state::policy::{ArchivedRule, Policy};
use lakemirror_journal::state::tree::Grade;

use super::recount::recount;
use super::world::{Desk, IN_ARCHIVE, World, probe, range_id};

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
fn archived(policy: Policy) -> Desk {
    let (world, mut desk) = (world(), Desk::ready(policy));
    desk.see(&[("main", 0)], &[]);
    desk.arrive(&world, &[0], &[0]);
    desk.check(0, &[(0, Some(Some(IN_ARCHIVE)))]);
    recount(&desk.state);
    desk
}

#[test]
fn an_archived_object_blocks_a_new_head_until_it_is_restored() {
    let mut desk = archived(block());
    let range = desk.mirror().trees.range(&range_id(0)).unwrap();
    assert_eq!((range.grade, range.missing_count()), (Grade::Open, 0), "it is there, and of no use");
    assert_eq!(names(&desk.promote()), [""; 0]);
    desk.check(0, &[(0, Some(None))]);
    recount(&desk.state);
    assert_eq!(names(&desk.promote()), ["MoveStarted"]);
}

#[test]
fn an_archived_object_is_there_where_it_is_only_reported() {
    let mut desk = archived(Policy { archived: ArchivedRule::Report, ..block() });
    assert_eq!(names(&desk.clone().promote()), ["MoveStarted"]);
    desk.start(block());
    recount(&desk.state);
    assert_eq!(names(&desk.promote()), [""; 0], "another rule counts for what was found before");
}

#[test]
fn what_the_mirror_shows_already_keeps_nothing_back() {
    let (world, mut desk) = (world(), Desk::ready(block()));
    desk.see(&[("main", 0)], &[]);
    desk.arrive(&world, &[0], &[0]);
    desk.promote();
    assert_eq!(names(&desk.check(0, &[(0, Some(Some(IN_ARCHIVE)))])), ["ArrivalsChecked", "ArchivedShown"]);
    recount(&desk.state);
    assert!(desk.mirror().trees.range(&range_id(0)).unwrap().detail.as_ref().unwrap().archived[&0].shown);
    desk.see(&[("main", 1)], &[]);
    desk.arrive(&world, &[1], &[]);
    desk.ask(world.metarange(1)).unwrap();
    let ask = world.range(&desk.state, 1, None);
    desk.ask(ask).unwrap();
    desk.check(1, &[(0, Some(Some(IN_ARCHIVE)))]);
    assert_eq!(names(&desk.promote()), [""; 0], "what is new has to be readable");
    desk.check(1, &[(0, Some(None))]);
    recount(&desk.state);
    assert_eq!(names(&desk.promote()), ["MoveStarted"]);
}

#[test]
fn an_archived_object_that_the_source_has_no_more_expires_for_an_ancestor() {
    let (world, mut desk) = (world(), archived(block()));
    desk.see(&[("main", 2)], &[]);
    desk.arrive(&world, &[1, 2], &[1, 2]);
    desk.check(0, &[(0, Some(Some(IN_ARCHIVE)))]);
    assert_eq!(names(&desk.clone().promote()), [""; 0], "an ancestor of it cannot be read");
    assert_eq!(names(&desk.ask(probe(0, vec![0], vec![])).unwrap()), ["SourceProbed", "WrongSizesGone"]);
    desk.check(0, &[(0, Some(Some(IN_ARCHIVE)))]);
    desk.ask(probe(0, vec![0], vec![])).unwrap();
    recount(&desk.state);
    assert_eq!(desk.mirror().trees.range(&range_id(0)).unwrap().grade, Grade::Expired);
    assert_eq!(names(&desk.promote()), ["MoveStarted"]);
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
