//! Rules about evidence that counts no more, or that is taken back, each as the smallest story that shows it.

use lakemirror_journal::command::MirrorCommand;
use lakemirror_journal::decide::counts_until;
use lakemirror_journal::event::Event;
use lakemirror_journal::state::policy::{DivergenceRule, HistoryRule, Policy, SizeRule};
use lakemirror_journal::state::tree::Completeness;

use super::recount::recount;
use super::world::{Reducer, World, commit_id, probe, range_id, tree_id};

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

fn reconsider(reducer: &mut Reducer) -> Vec<&'static str> {
    let events = reducer.ask(MirrorCommand::Reconsider { branch: "main".to_owned() }).unwrap();
    recount(&reducer.state);
    names(&events)
}

/// On the mirror: 0 and then 1, so that the list of the tree of 0 was let go. Then its evidence grows old.
fn with_an_old_tree(policy: Policy) -> (World, Reducer) {
    let (world, mut reducer) = (row(), Reducer::ready(policy));
    reducer.see(&[("main", 0)], &[]);
    reducer.arrive(&world, &[0, 1], &[0, 1]);
    reducer.promote();
    reducer.see(&[("main", 1)], &[]);
    reducer.promote();
    assert!(reducer.mirror().trees.metaranges[&tree_id(0)].evicted);
    reducer.now_ms += 2 * hour().evidence_age_ms_max;
    (world, reducer)
}

#[test]
fn an_ancestor_whose_tree_was_let_go_is_proven_again_as_any_other() {
    let (world, mut reducer) = with_an_old_tree(hour());
    reducer.see(&[("main", 4)], &[]);
    reducer.arrive(&world, &[3, 4], &[3]);
    let planned = reducer.promote();
    assert_eq!(names(&planned), ["TreesTakenBack"], "nobody knows how old its evidence is");
    recount(&reducer.state);
    assert_eq!(names(&reducer.promote()), [""; 0], "it is to be read again");
    reducer.ask(world.metarange(0)).unwrap();
    recount(&reducer.state);
    assert_eq!(names(&reducer.promote()), ["RangesReopened"], "its range was seen too long ago");
    reducer.check(0, &[(0, Some(None))]);
    assert_eq!(names(&reducer.promote()), ["MoveStarted"]);
    assert_eq!(reducer.mirror().branches["main"].mirror, Some(commit_id(4)));
}

#[test]
fn a_tree_that_was_let_go_costs_nothing_but_its_list_while_its_evidence_is_young() {
    let (world, mut reducer) = with_an_old_tree(Policy { evidence_age_ms_max: 1 << 40, ..hour() });
    reducer.see(&[("main", 4)], &[]);
    reducer.arrive(&world, &[3, 4], &[3]);
    assert_eq!(names(&reducer.promote()), ["TreesTakenBack"]);
    reducer.ask(world.metarange(0)).unwrap();
    assert_eq!(names(&reducer.promote()), ["MoveStarted"]);
}

/// Where only the head counts, its ancestors are verified behind it.
#[test]
fn under_history_head_no_ancestor_is_waited_for() {
    let (world, mut reducer) = with_an_old_tree(Policy { history: HistoryRule::Head, ..hour() });
    reducer.see(&[("main", 4)], &[]);
    reducer.arrive(&world, &[3, 4], &[3]);
    assert_eq!(names(&reducer.promote()), ["MoveStarted"]);
}

/// A move of `main` from 1 to 5 that was begun, and whose ancestor 3 is on the mirror already.
fn with_an_open_move(policy: Policy) -> (World, Reducer) {
    let (world, mut reducer) = with_an_old_tree(policy);
    reducer.see(&[("main", 2)], &[]);
    reducer.see(&[("main", 5)], &[]);
    reducer.arrive(&world, &[2, 3, 4, 5], &[3, 4, 0]);
    reducer.ask(MirrorCommand::PlanMoves).unwrap();
    reducer.check(0, &[(0, Some(None))]);
    assert_eq!(names(&reducer.ask(MirrorCommand::PlanMoves).unwrap()), ["MoveStarted"]);
    reducer.ask(MirrorCommand::RecordsWritten(vec![commit_id(3)])).unwrap();
    (world, reducer)
}

#[test]
fn a_move_is_given_up_when_its_evidence_is_too_old_and_not_before() {
    let (_, mut reducer) = with_an_open_move(hour());
    let until = counts_until(&reducer.state, reducer.mirror(), "main", reducer.now_ms).unwrap();
    assert_eq!(until, reducer.now_ms + hour().evidence_age_ms_max);
    reducer.now_ms = until;
    assert_eq!(reconsider(&mut reducer), [""; 0], "the last moment");
    reducer.now_ms += 1;
    assert_eq!(reconsider(&mut reducer), ["MoveGivenUp"]);
    let main = &reducer.mirror().branches["main"];
    assert_eq!((main.moving, main.mirror), (None, Some(commit_id(1))));
    let pending: Vec<_> = main.pending.iter().map(|head| (head.seen, head.commit)).collect();
    assert_eq!(pending, [(3, commit_id(2)), (4, commit_id(5))], "in its old place");
    assert!(reducer.mirror().graph.is_recorded(&commit_id(3)), "what is there stays there");
    assert_eq!(reconsider(&mut reducer), [""; 0], "nothing is under way");
    assert_eq!(counts_until(&reducer.state, reducer.mirror(), "main", reducer.now_ms), None);
    assert_eq!(names(&reducer.promote()), ["RangesReopened"]);
    for range in [3, 4] {
        reducer.check(range, &[(0, Some(None))]);
    }
    assert_eq!(names(&reducer.promote()), ["MoveStarted"]);
    assert!(reducer.mirror().branches["main"].is_in_sync());
}

/// Evidence that another branch's plan had looked for again is young again only once it was found.
#[test]
fn a_move_does_not_rest_on_what_was_opened_again_meanwhile() {
    let (world, mut reducer) = with_an_open_move(hour());
    reducer.now_ms += hour().evidence_age_ms_max + 1;
    reducer.see(&[("main", 5), ("other", 4)], &[]);
    assert_eq!(names(&reducer.ask(MirrorCommand::PlanMoves).unwrap()), ["RangesReopened"]);
    reducer.check(3, &[(0, Some(None))]);
    reducer.ask(MirrorCommand::PlanMoves).unwrap();
    assert_eq!(reconsider(&mut reducer), ["MoveGivenUp"], "the head's own range is as old as it was");
    drop(world);
}

#[test]
fn a_move_whose_evidence_is_found_again_in_time_goes_on() {
    let (_, mut reducer) = with_an_open_move(hour());
    reducer.now_ms += hour().evidence_age_ms_max;
    reducer.take(&[reopened(3), reopened(4)]);
    assert_eq!(counts_until(&reducer.state, reducer.mirror(), "main", reducer.now_ms), Some(0));
    for range in [3, 4] {
        reducer.check(range, &[(0, Some(None))]);
    }
    reducer.now_ms += 10;
    assert_eq!(reconsider(&mut reducer), [""; 0]);
    assert!(reducer.mirror().branches["main"].moving.is_some());
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
    let (_, mut reducer) = with_an_old_tree(policy);
    reducer.ask(MirrorCommand::Diverged { branch: "main".to_owned(), found: Some(commit_id(9)) }).unwrap();
    assert_eq!(names(&reducer.ask(MirrorCommand::PlanMoves).unwrap()), ["MoveStarted"]);
    assert_eq!(reconsider(&mut reducer), [""; 0]);
}

/// A diverged branch that was to be put forward stays diverged when that is given up.
#[test]
fn a_diverged_branch_stays_so_when_its_move_is_given_up() {
    let policy = Policy { on_divergence: DivergenceRule::Restore, ..hour() };
    let (_, mut reducer) = with_an_open_move(policy);
    reducer.ask(MirrorCommand::Diverged { branch: "main".to_owned(), found: Some(commit_id(9)) }).unwrap();
    assert_eq!(names(&reducer.ask(MirrorCommand::PlanMoves).unwrap()), ["MoveStarted"]);
    reducer.now_ms += hour().evidence_age_ms_max + 1;
    assert_eq!(reconsider(&mut reducer), ["MoveGivenUp"]);
    assert!(reducer.mirror().branches["main"].divergence.is_some());
    let planned = reducer.ask(MirrorCommand::PlanMoves).unwrap();
    assert!(
        matches!(planned.as_slice(), [Event::MoveStarted(e), Event::RangesReopened(_)] if e.seen == 0 && e.to == commit_id(1)),
        "meanwhile back to where it was: {planned:?}"
    );
}

/// A branch that is gone, or came back since, does not go to what it showed before.
#[test]
fn a_head_of_an_earlier_life_does_not_wait_again() {
    let (_, mut reducer) = with_an_open_move(hour());
    reducer.see(&[], &["main"]);
    reducer.see(&[], &["main"]);
    reducer.see(&[("main", 2)], &[]);
    reducer.now_ms += hour().evidence_age_ms_max + 1;
    assert_eq!(reconsider(&mut reducer), ["MoveGivenUp"]);
    let pending: Vec<_> = reducer.mirror().branches["main"].pending.iter().map(|head| head.commit).collect();
    assert_eq!(pending, [commit_id(2)]);
}

#[test]
fn a_head_that_was_thinned_out_meanwhile_comes_back_to_its_place() {
    let (_, mut reducer) = with_an_open_move(hour());
    for number in 0..600u16 {
        reducer.see(&[("main", 1 + (number % 2) as u8)], &[]);
    }
    let seen =
        |reducer: &Reducer| reducer.mirror().branches["main"].pending.iter().map(|head| head.seen).collect::<Vec<_>>();
    assert!(!seen(&reducer).contains(&4), "{:?}", seen(&reducer));
    reducer.now_ms += hour().evidence_age_ms_max + 1;
    assert_eq!(reconsider(&mut reducer), ["MoveGivenUp"]);
    assert_eq!(seen(&reducer)[..2], [3, 4]);
    assert!(seen(&reducer).is_sorted());
}

/// A move that an earlier version had begun on a tree of unknown age.
#[test]
fn an_open_move_on_a_tree_of_unknown_age_is_given_up() {
    let (world, mut reducer) = with_an_old_tree(hour());
    reducer.see(&[("main", 4)], &[]);
    reducer.arrive(&world, &[3, 4], &[3]);
    let (mirror, branch, at_ms) = (super::world::MIRROR, "main".to_owned(), reducer.now_ms);
    reducer.take(&[Event::MoveStarted(lakemirror_journal::event::MoveStartedV1 {
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
    assert_eq!(reconsider(&mut reducer), ["MoveGivenUp"]);
    assert_eq!(names(&reducer.promote()), ["TreesTakenBack"]);
}

/// 0 has an object of another size; 1 stands on it.
fn with_another_size(policy: Policy) -> Reducer {
    let (world, mut reducer) = (row(), Reducer::ready(policy));
    reducer.see(&[("main", 1)], &[]);
    reducer.arrive(&world, &[0, 1], &[1]);
    reducer.ask(world.metarange(0)).unwrap();
    let ask = world.range(&reducer.state, 0, None);
    reducer.ask(ask).unwrap();
    reducer.check(0, &[(0, Some(Some(77)))]);
    reducer
}

fn completeness(reducer: &Reducer) -> Completeness {
    recount(&reducer.state);
    reducer.mirror().trees.metaranges[&tree_id(0)].completeness()
}

#[test]
fn an_object_of_another_size_that_the_source_has_no_more_expires_by_two_answers() {
    let mut reducer = with_another_size(hour());
    assert_eq!(names(&reducer.ask(probe(0, vec![0], vec![])).unwrap()), ["SourceProbed", "WrongSizesGone"]);
    assert_eq!(completeness(&reducer), Completeness::Incomplete);
    assert_eq!(reducer.mirror().trees.range(&range_id(0)).unwrap().detail.as_ref().unwrap().wrong_size[&0], 77);
    // A look between two answers finds it as it was.
    assert_eq!(names(&reducer.check(0, &[(0, Some(Some(77)))])), ["ArrivalsChecked", "WrongSizesGone"]);
    reducer.ask(probe(0, vec![0], vec![])).unwrap();
    assert_eq!(completeness(&reducer), Completeness::CompleteExceptExpired);
    assert_eq!(names(&reducer.clone().promote()), ["MoveStarted"]);
    // A look for a head finds it as it was, and the ancestor is as good as before.
    reducer.check(0, &[(0, Some(Some(77)))]);
    assert_eq!(completeness(&reducer), Completeness::CompleteExceptExpired);
    reducer.check(0, &[(0, Some(None))]);
    assert_eq!(completeness(&reducer), Completeness::Complete, "it came right after all");
}

#[test]
fn answers_about_an_object_of_another_size_do_not_outlive_their_denial() {
    let mut reducer = with_another_size(hour());
    reducer.ask(probe(0, vec![0], vec![])).unwrap();
    reducer.ask(probe(0, vec![], vec![0])).unwrap();
    reducer.ask(probe(0, vec![0], vec![])).unwrap();
    assert_eq!(completeness(&reducer), Completeness::Incomplete, "the answer between said that it is there");
    reducer.check(0, &[(0, None)]);
    reducer.ask(probe(0, vec![0], vec![])).unwrap();
    assert_eq!(
        completeness(&reducer),
        Completeness::CompleteExceptExpired,
        "first of another size, then away: two answers all the same"
    );
    reducer.take(&[reopened(0)]);
    reducer.check(0, &[(0, Some(Some(77)))]);
    reducer.ask(probe(0, vec![0], vec![])).unwrap();
    assert_eq!(completeness(&reducer), Completeness::Incomplete, "what was opened again is asked about again, twice");
}

#[test]
fn an_object_of_another_size_never_expires_for_a_head_nor_where_sizes_are_only_reported() {
    let mut reducer = with_another_size(hour());
    reducer.see(&[("main", 0)], &[]);
    for _ in 0..3 {
        reducer.ask(probe(0, vec![0], vec![])).unwrap();
    }
    let started = reducer.promote();
    assert!(matches!(started.as_slice(), [Event::MoveStarted(e)] if e.to == commit_id(1)), "{started:?}");
    let mut reducer = with_another_size(Policy { size: SizeRule::Report, ..hour() });
    for _ in 0..2 {
        assert_eq!(names(&reducer.ask(probe(0, vec![0], vec![])).unwrap()), ["SourceProbed"]);
    }
    assert_eq!(completeness(&reducer), Completeness::Complete);
}

const MONTH_MS: u64 = 30 * 24 * 3_600_000;

/// The commit 1 is on the mirror, and 2 stands on it; both were looked at while the clock was a month ahead.
fn seen_in_the_future() -> (World, Reducer) {
    let (world, mut reducer) = (row(), Reducer::ready(hour()));
    reducer.now_ms += MONTH_MS;
    reducer.see(&[("main", 1)], &[]);
    reducer.arrive(&world, &[0, 1], &[0, 1]);
    reducer.promote();
    reducer.see(&[("main", 2)], &[]);
    reducer.arrive(&world, &[2], &[2]);
    reducer.now_ms -= MONTH_MS;
    (world, reducer)
}

#[test]
fn evidence_from_the_future_is_looked_for_again_before_a_promotion() {
    let (_, mut reducer) = seen_in_the_future();
    assert_eq!(names(&reducer.promote()), ["RangesReopened"]);
    reducer.check(2, &[(0, None)]);
    assert_eq!(names(&reducer.promote()), [""; 0], "it was lost meanwhile");
    reducer.check(2, &[(0, Some(None))]);
    assert_eq!(names(&reducer.promote()), ["MoveStarted"]);
}

#[test]
fn an_open_move_on_evidence_from_the_future_is_given_up() {
    let (_, mut reducer) = with_an_open_move(hour());
    assert!(counts_until(&reducer.state, reducer.mirror(), "main", reducer.now_ms) > Some(reducer.now_ms));
    reducer.now_ms -= MONTH_MS.min(reducer.now_ms - 1);
    assert_eq!(counts_until(&reducer.state, reducer.mirror(), "main", reducer.now_ms), Some(0));
    assert_eq!(reconsider(&mut reducer), ["MoveGivenUp"]);
}

#[test]
fn the_scrub_looks_again_at_everything_that_was_seen_in_the_future() {
    let (_, mut reducer) = seen_in_the_future();
    let scrubbed = reducer.ask(MirrorCommand::Scrub).unwrap();
    let [Event::RangesReopened(e)] = scrubbed.as_slice() else { panic!("{scrubbed:?}") };
    assert_eq!(
        e.ranges,
        [range_id(0), range_id(1), range_id(2)],
        "what nothing shows as well: it may be inherited from"
    );
    assert_eq!(names(&reducer.ask(MirrorCommand::Scrub).unwrap()), [""; 0]);
}

#[test]
fn nothing_is_inherited_from_evidence_of_the_future() {
    let (world, mut reducer) = seen_in_the_future();
    reducer.see(&[("main", 5)], &[]);
    reducer.arrive(&world, &[3, 4, 5], &[3]);
    reducer.ask(world.metarange(4)).unwrap();
    let MirrorCommand::ReadRange(read) = world.range(&reducer.state, 4, None) else { panic!() };
    let bits = lakemirror_journal::bits::Bits::all(read.entries).encode();
    let inherits = |from: u8, oldest_ms: u64| {
        let (inherited, inherited_from) = (bits.clone(), vec![range_id(from)]);
        let read = lakemirror_journal::event::RangeReadV1 {
            inherited,
            inherited_from,
            inherited_oldest_ms: oldest_ms,
            ..read.clone()
        };
        MirrorCommand::ReadRange(read)
    };
    let refused = reducer.ask(inherits(2, reducer.now_ms)).unwrap_err();
    assert!(refused.to_string().contains("does not prove"), "{refused}");
    assert_eq!(names(&reducer.ask(inherits(3, reducer.now_ms)).unwrap()), ["RangeRead"]);
}

/// Two objects of one range, the first found while the clock was a month ahead: the second does not make it look young.
#[test]
fn what_is_found_now_does_not_vouch_for_what_was_found_in_the_future() {
    let alone = World { ranges: vec![(vec![1, 2], vec![])], ..row() };
    let world = World { commits: vec![(vec![], Some(0))], trees: vec![vec![0]], ..alone };
    let mut reducer = Reducer::ready(hour());
    reducer.now_ms += MONTH_MS;
    reducer.see(&[("main", 0)], &[]);
    reducer.ask(MirrorCommand::ObserveCommits(vec![world.record(0)])).unwrap();
    reducer.ask(world.metarange(0)).unwrap();
    let ask = world.range(&reducer.state, 0, None);
    reducer.ask(ask).unwrap();
    reducer.check(0, &[(0, Some(None))]);
    reducer.now_ms -= MONTH_MS;
    assert_eq!(names(&reducer.check(0, &[(1, None)])), ["ArrivalsChecked"], "nothing was found");
    assert_eq!(names(&reducer.check(0, &[(1, Some(None))])), ["RangesReopened", "ArrivalsChecked"]);
    assert_eq!(names(&reducer.promote()), [""; 0], "the first is looked for again");
    reducer.check(0, &[(0, Some(None))]);
    assert_eq!(names(&reducer.promote()), ["MoveStarted"]);
}
