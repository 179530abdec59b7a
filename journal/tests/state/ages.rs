//! Rules about evidence that counts no more, or that is taken back, each as the smallest story that shows it.

use lakemirror_journal::command::Ask;
use lakemirror_journal::decide::counts_until;
use lakemirror_journal::event::Event;
use lakemirror_journal::state::policy::{DivergenceRule, HistoryRule, Policy, SizeRule};
use lakemirror_journal::state::tree::Grade;

use super::recount::recount;
use super::world::{Desk, World, commit_id, probe, range_id, tree_id};

/// Commits in a row: 3 has the tree of 0 again, and 4 and 5 stand on it with trees of their own.
fn row() -> World {
    let alone = |number: u8| (vec![number], vec![]);
    World {
        commits: vec![
            (vec![], Some(0)),
            (vec![0], Some(1)),
            (vec![1], Some(2)),
            (vec![1], Some(0)),
            (vec![3], Some(3)),
            (vec![4], Some(4)),
        ],
        trees: (0..5).map(|tree| vec![tree]).collect(),
        ranges: (0..5).map(alone).collect(),
    }
}

fn hour() -> Policy {
    Policy { evidence_age_ms_max: 3_600_000, ..Policy::default() }
}

fn names(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(Event::name).collect()
}

fn reconsider(desk: &mut Desk) -> Vec<&'static str> {
    let events = desk.ask(Ask::Reconsider { branch: "main".to_owned() }).unwrap();
    recount(&desk.state);
    names(&events)
}

/// On the mirror: 0 and then 1, so that the list of the tree of 0 was let go. Then its evidence grows old.
fn with_an_old_tree(policy: Policy) -> (World, Desk) {
    let (world, mut desk) = (row(), Desk::ready(policy));
    desk.see(&[("main", 0)], &[]);
    desk.arrive(&world, &[0, 1], &[0, 1]);
    desk.promote();
    desk.see(&[("main", 1)], &[]);
    desk.promote();
    assert!(desk.mirror().trees.metaranges[&tree_id(0)].let_go);
    desk.now_ms += 2 * hour().evidence_age_ms_max;
    (world, desk)
}

#[test]
fn an_ancestor_whose_tree_was_let_go_is_proven_again_as_any_other() {
    let (world, mut desk) = with_an_old_tree(hour());
    desk.see(&[("main", 4)], &[]);
    desk.arrive(&world, &[3, 4], &[3]);
    let planned = desk.promote();
    assert_eq!(names(&planned), ["TreesTakenBack"], "nobody knows how old its evidence is");
    recount(&desk.state);
    assert_eq!(names(&desk.promote()), [""; 0], "it is to be read again");
    desk.ask(world.metarange(0)).unwrap();
    recount(&desk.state);
    assert_eq!(names(&desk.promote()), ["RangesReopened"], "its range was seen too long ago");
    desk.check(0, &[(0, Some(None))]);
    assert_eq!(names(&desk.promote()), ["MoveStarted"]);
    assert_eq!(desk.mirror().branches["main"].mirror, Some(commit_id(4)));
}

#[test]
fn a_tree_that_was_let_go_costs_nothing_but_its_list_while_its_evidence_is_young() {
    let (world, mut desk) = with_an_old_tree(Policy { evidence_age_ms_max: 1 << 40, ..hour() });
    desk.see(&[("main", 4)], &[]);
    desk.arrive(&world, &[3, 4], &[3]);
    assert_eq!(names(&desk.promote()), ["TreesTakenBack"]);
    desk.ask(world.metarange(0)).unwrap();
    assert_eq!(names(&desk.promote()), ["MoveStarted"]);
}

/// Where only the head counts, its ancestors are verified behind it.
#[test]
fn under_history_head_no_ancestor_is_waited_for() {
    let (world, mut desk) = with_an_old_tree(Policy { history: HistoryRule::Head, ..hour() });
    desk.see(&[("main", 4)], &[]);
    desk.arrive(&world, &[3, 4], &[3]);
    assert_eq!(names(&desk.promote()), ["MoveStarted"]);
}

/// A move of `main` from 1 to 5 that was begun, and whose ancestor 3 is on the mirror already.
fn with_an_open_move(policy: Policy) -> (World, Desk) {
    let (world, mut desk) = with_an_old_tree(policy);
    desk.see(&[("main", 2)], &[]);
    desk.see(&[("main", 5)], &[]);
    desk.arrive(&world, &[2, 3, 4, 5], &[3, 4, 0]);
    desk.ask(Ask::PlanMoves).unwrap();
    desk.check(0, &[(0, Some(None))]);
    assert_eq!(names(&desk.ask(Ask::PlanMoves).unwrap()), ["MoveStarted"]);
    desk.ask(Ask::RecordsWritten(vec![commit_id(3)])).unwrap();
    (world, desk)
}

#[test]
fn a_move_is_given_up_when_its_evidence_is_too_old_and_not_before() {
    let (_, mut desk) = with_an_open_move(hour());
    let until = counts_until(&desk.state, desk.mirror(), "main", desk.now_ms).unwrap();
    assert_eq!(until, desk.now_ms + hour().evidence_age_ms_max);
    desk.now_ms = until;
    assert_eq!(reconsider(&mut desk), [""; 0], "the last moment");
    desk.now_ms += 1;
    assert_eq!(reconsider(&mut desk), ["MoveGivenUp"]);
    let main = &desk.mirror().branches["main"];
    assert_eq!((main.moving, main.mirror), (None, Some(commit_id(1))));
    let pending: Vec<_> = main.pending.iter().map(|head| (head.seen, head.commit)).collect();
    assert_eq!(pending, [(3, commit_id(2)), (4, commit_id(5))], "in its old place");
    assert!(desk.mirror().graph.is_recorded(&commit_id(3)), "what is there stays there");
    assert_eq!(reconsider(&mut desk), [""; 0], "nothing is under way");
    assert_eq!(counts_until(&desk.state, desk.mirror(), "main", desk.now_ms), None);
    assert_eq!(names(&desk.promote()), ["RangesReopened"]);
    for range in [3, 4] {
        desk.check(range, &[(0, Some(None))]);
    }
    assert_eq!(names(&desk.promote()), ["MoveStarted"]);
    assert!(desk.mirror().branches["main"].is_level());
}

/// Evidence that another branch's plan had looked for again is young again only once it was found.
#[test]
fn a_move_does_not_rest_on_what_was_opened_again_meanwhile() {
    let (world, mut desk) = with_an_open_move(hour());
    desk.now_ms += hour().evidence_age_ms_max + 1;
    desk.see(&[("main", 5), ("other", 4)], &[]);
    assert_eq!(names(&desk.ask(Ask::PlanMoves).unwrap()), ["RangesReopened"]);
    desk.check(3, &[(0, Some(None))]);
    desk.ask(Ask::PlanMoves).unwrap();
    assert_eq!(reconsider(&mut desk), ["MoveGivenUp"], "the head's own range is as old as it was");
    drop(world);
}

#[test]
fn a_move_whose_evidence_is_found_again_in_time_goes_on() {
    let (_, mut desk) = with_an_open_move(hour());
    desk.now_ms += hour().evidence_age_ms_max;
    desk.take(&[reopened(3), reopened(4)]);
    assert_eq!(counts_until(&desk.state, desk.mirror(), "main", desk.now_ms), Some(0));
    for range in [3, 4] {
        desk.check(range, &[(0, Some(None))]);
    }
    desk.now_ms += 10;
    assert_eq!(reconsider(&mut desk), [""; 0]);
    assert!(desk.mirror().branches["main"].moving.is_some());
}

fn reopened(range: u8) -> Event {
    let ranges = vec![range_id(range)];
    Event::RangesReopened(lakemirror_journal::event::RangesReopenedV1 {
        mirror: super::world::MIRROR,
        ranges,
        at_ms: 1,
    })
}

/// Back to where this journal had moved it: that was complete when it was moved, and only somebody else took it away.
#[test]
fn a_branch_that_is_put_back_is_put_back_whatever_its_age() {
    let policy = Policy { on_divergence: DivergenceRule::Restore, ..hour() };
    let (_, mut desk) = with_an_old_tree(policy);
    desk.ask(Ask::Diverged { branch: "main".to_owned(), found: Some(commit_id(9)) }).unwrap();
    assert_eq!(names(&desk.ask(Ask::PlanMoves).unwrap()), ["MoveStarted"]);
    assert_eq!(reconsider(&mut desk), [""; 0]);
}

/// A diverged branch that was to be put forward stays diverged when that is given up.
#[test]
fn a_diverged_branch_stays_so_when_its_move_is_given_up() {
    let policy = Policy { on_divergence: DivergenceRule::Restore, ..hour() };
    let (_, mut desk) = with_an_open_move(policy);
    desk.ask(Ask::Diverged { branch: "main".to_owned(), found: Some(commit_id(9)) }).unwrap();
    assert_eq!(names(&desk.ask(Ask::PlanMoves).unwrap()), ["MoveStarted"]);
    desk.now_ms += hour().evidence_age_ms_max + 1;
    assert_eq!(reconsider(&mut desk), ["MoveGivenUp"]);
    assert!(desk.mirror().branches["main"].divergence.is_some());
    let planned = desk.ask(Ask::PlanMoves).unwrap();
    assert!(
        matches!(planned.as_slice(), [Event::MoveStarted(e), Event::RangesReopened(_)] if e.seen == 0 && e.to == commit_id(1)),
        "meanwhile back to where it was: {planned:?}"
    );
}

/// A branch that is gone, or came back since, does not go to what it showed before.
#[test]
fn a_head_of_an_earlier_life_does_not_wait_again() {
    let (_, mut desk) = with_an_open_move(hour());
    desk.see(&[], &["main"]);
    desk.see(&[], &["main"]);
    desk.see(&[("main", 2)], &[]);
    desk.now_ms += hour().evidence_age_ms_max + 1;
    assert_eq!(reconsider(&mut desk), ["MoveGivenUp"]);
    let pending: Vec<_> = desk.mirror().branches["main"].pending.iter().map(|head| head.commit).collect();
    assert_eq!(pending, [commit_id(2)]);
}

#[test]
fn a_head_that_was_thinned_out_meanwhile_comes_back_to_its_place() {
    let (_, mut desk) = with_an_open_move(hour());
    for number in 0..600u16 {
        desk.see(&[("main", 1 + (number % 2) as u8)], &[]);
    }
    let seen = |desk: &Desk| desk.mirror().branches["main"].pending.iter().map(|head| head.seen).collect::<Vec<_>>();
    assert!(!seen(&desk).contains(&4), "{:?}", seen(&desk));
    desk.now_ms += hour().evidence_age_ms_max + 1;
    assert_eq!(reconsider(&mut desk), ["MoveGivenUp"]);
    assert_eq!(seen(&desk)[..2], [3, 4]);
    assert!(seen(&desk).is_sorted());
}

/// A move that an earlier version had begun on a tree of unknown age.
#[test]
fn an_open_move_on_a_tree_of_unknown_age_is_given_up() {
    let (world, mut desk) = with_an_old_tree(hour());
    desk.see(&[("main", 4)], &[]);
    desk.arrive(&world, &[3, 4], &[3]);
    let (mirror, branch, at_ms) = (super::world::MIRROR, "main".to_owned(), desk.now_ms);
    desk.take(&[Event::MoveStarted(lakemirror_journal::event::MoveStartedV1 {
        mirror,
        branch,
        from: Some(commit_id(1)),
        to: commit_id(4),
        seen: 3,
        ranges: 1,
        entries: 1,
        oldest_evidence_ms: at_ms,
        at_ms,
    })]);
    assert_eq!(reconsider(&mut desk), ["MoveGivenUp"]);
    assert_eq!(names(&desk.promote()), ["TreesTakenBack"]);
}

/// 0 has an object of another size; 1 stands on it.
fn with_another_size(policy: Policy) -> Desk {
    let (world, mut desk) = (row(), Desk::ready(policy));
    desk.see(&[("main", 1)], &[]);
    desk.arrive(&world, &[0, 1], &[1]);
    desk.ask(world.metarange(0)).unwrap();
    let ask = world.range(&desk.state, 0, None);
    desk.ask(ask).unwrap();
    desk.check(0, &[(0, Some(Some(77)))]);
    desk
}

fn grade(desk: &Desk) -> Grade {
    recount(&desk.state);
    desk.mirror().trees.metaranges[&tree_id(0)].grade()
}

#[test]
fn an_object_of_another_size_that_the_source_has_no_more_expires_by_two_answers() {
    let mut desk = with_another_size(hour());
    assert_eq!(names(&desk.ask(probe(0, vec![0], vec![])).unwrap()), ["SourceProbed", "WrongSizesGone"]);
    assert_eq!(grade(&desk), Grade::Open);
    assert_eq!(desk.mirror().trees.range(&range_id(0)).unwrap().detail.as_ref().unwrap().wrong_size[&0], 77);
    // A look between two answers finds it as it was.
    assert_eq!(names(&desk.check(0, &[(0, Some(Some(77)))])), ["ArrivalsChecked", "WrongSizesGone"]);
    desk.ask(probe(0, vec![0], vec![])).unwrap();
    assert_eq!(grade(&desk), Grade::Expired);
    assert_eq!(names(&desk.clone().promote()), ["MoveStarted"]);
    // A look for a head finds it as it was, and the ancestor is as good as before.
    desk.check(0, &[(0, Some(Some(77)))]);
    assert_eq!(grade(&desk), Grade::Expired);
    desk.check(0, &[(0, Some(None))]);
    assert_eq!(grade(&desk), Grade::Whole, "it came right after all");
}

#[test]
fn answers_about_an_object_of_another_size_do_not_outlive_their_denial() {
    let mut desk = with_another_size(hour());
    desk.ask(probe(0, vec![0], vec![])).unwrap();
    desk.ask(probe(0, vec![], vec![0])).unwrap();
    desk.ask(probe(0, vec![0], vec![])).unwrap();
    assert_eq!(grade(&desk), Grade::Open, "the answer between said that it is there");
    desk.check(0, &[(0, None)]);
    desk.ask(probe(0, vec![0], vec![])).unwrap();
    assert_eq!(grade(&desk), Grade::Expired, "first of another size, then away: two answers all the same");
    desk.take(&[reopened(0)]);
    desk.check(0, &[(0, Some(Some(77)))]);
    desk.ask(probe(0, vec![0], vec![])).unwrap();
    assert_eq!(grade(&desk), Grade::Open, "what was opened again is asked about again, twice");
}

#[test]
fn an_object_of_another_size_never_expires_for_a_head_nor_where_sizes_are_only_reported() {
    let mut desk = with_another_size(hour());
    desk.see(&[("main", 0)], &[]);
    for _ in 0..3 {
        desk.ask(probe(0, vec![0], vec![])).unwrap();
    }
    let started = desk.promote();
    assert!(matches!(started.as_slice(), [Event::MoveStarted(e)] if e.to == commit_id(1)), "{started:?}");
    let mut desk = with_another_size(Policy { size: SizeRule::Report, ..hour() });
    for _ in 0..2 {
        assert_eq!(names(&desk.ask(probe(0, vec![0], vec![])).unwrap()), ["SourceProbed"]);
    }
    assert_eq!(grade(&desk), Grade::Whole);
}

const MONTH_MS: u64 = 30 * 24 * 3_600_000;

/// The commit 1 is on the mirror, and 2 stands on it; both were looked at while the clock was a month ahead.
fn seen_in_the_future() -> (World, Desk) {
    let (world, mut desk) = (row(), Desk::ready(hour()));
    desk.now_ms += MONTH_MS;
    desk.see(&[("main", 1)], &[]);
    desk.arrive(&world, &[0, 1], &[0, 1]);
    desk.promote();
    desk.see(&[("main", 2)], &[]);
    desk.arrive(&world, &[2], &[2]);
    desk.now_ms -= MONTH_MS;
    (world, desk)
}

#[test]
fn evidence_from_the_future_is_looked_for_again_before_a_promotion() {
    let (_, mut desk) = seen_in_the_future();
    assert_eq!(names(&desk.promote()), ["RangesReopened"]);
    desk.check(2, &[(0, None)]);
    assert_eq!(names(&desk.promote()), [""; 0], "it was lost meanwhile");
    desk.check(2, &[(0, Some(None))]);
    assert_eq!(names(&desk.promote()), ["MoveStarted"]);
}

#[test]
fn an_open_move_on_evidence_from_the_future_is_given_up() {
    let (_, mut desk) = with_an_open_move(hour());
    assert!(counts_until(&desk.state, desk.mirror(), "main", desk.now_ms) > Some(desk.now_ms));
    desk.now_ms -= MONTH_MS.min(desk.now_ms - 1);
    assert_eq!(counts_until(&desk.state, desk.mirror(), "main", desk.now_ms), Some(0));
    assert_eq!(reconsider(&mut desk), ["MoveGivenUp"]);
}

#[test]
fn the_scrub_looks_again_at_everything_that_was_seen_in_the_future() {
    let (_, mut desk) = seen_in_the_future();
    let scrubbed = desk.ask(Ask::Scrub).unwrap();
    let [Event::RangesReopened(e)] = scrubbed.as_slice() else { panic!("{scrubbed:?}") };
    assert_eq!(
        e.ranges,
        [range_id(0), range_id(1), range_id(2)],
        "what nothing shows as well: it may be inherited from"
    );
    assert_eq!(names(&desk.ask(Ask::Scrub).unwrap()), [""; 0]);
}

#[test]
fn nothing_is_inherited_from_evidence_of_the_future() {
    let (world, mut desk) = seen_in_the_future();
    desk.see(&[("main", 5)], &[]);
    desk.arrive(&world, &[3, 4, 5], &[3]);
    desk.ask(world.metarange(4)).unwrap();
    let Ask::ReadRange(read) = world.range(&desk.state, 4, None) else { panic!() };
    let bits = lakemirror_journal::bits::Bits::all(read.entries).encode();
    let inherits = |from: u8, oldest_ms: u64| {
        let (inherited, inherited_from) = (bits.clone(), vec![range_id(from)]);
        let read = lakemirror_journal::event::RangeReadV1 {
            inherited,
            inherited_from,
            inherited_oldest_ms: oldest_ms,
            ..read.clone()
        };
        Ask::ReadRange(read)
    };
    let refused = desk.ask(inherits(2, desk.now_ms)).unwrap_err();
    assert!(refused.to_string().contains("does not prove"), "{refused}");
    assert_eq!(names(&desk.ask(inherits(3, desk.now_ms)).unwrap()), ["RangeRead"]);
}

/// Two objects of one range, the first found while the clock was a month ahead: the second does not make it look young.
#[test]
fn what_is_found_now_does_not_vouch_for_what_was_found_in_the_future() {
    let alone = World { ranges: vec![(vec![1, 2], vec![])], ..row() };
    let world = World { commits: vec![(vec![], Some(0))], trees: vec![vec![0]], ..alone };
    let mut desk = Desk::ready(hour());
    desk.now_ms += MONTH_MS;
    desk.see(&[("main", 0)], &[]);
    desk.ask(Ask::ObserveCommits(vec![world.record(0)])).unwrap();
    desk.ask(world.metarange(0)).unwrap();
    let ask = world.range(&desk.state, 0, None);
    desk.ask(ask).unwrap();
    desk.check(0, &[(0, Some(None))]);
    desk.now_ms -= MONTH_MS;
    assert_eq!(names(&desk.check(0, &[(1, None)])), ["ArrivalsChecked"], "nothing was found");
    assert_eq!(names(&desk.check(0, &[(1, Some(None))])), ["RangesReopened", "ArrivalsChecked"]);
    assert_eq!(names(&desk.promote()), [""; 0], "the first is looked for again");
    desk.check(0, &[(0, Some(None))]);
    assert_eq!(names(&desk.promote()), ["MoveStarted"]);
}
