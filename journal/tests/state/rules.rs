//! Single rules, each as the smallest story that shows it.

use lakemirror_journal::bits::Bits;
use lakemirror_journal::command::Ask;
use lakemirror_journal::event::{ArrivalExceptionV1, Event, MetarangeReadV1};
use lakemirror_journal::ids::RangeId;
use lakemirror_journal::state::policy::{DivergenceRule, Policy, SizeRule};
use lakemirror_journal::state::tree::{Grade, WRONG_SIZE};

use super::recount::recount;
use super::world::{Desk, MIRROR, World, checks, commit_id, definition, probe, range_id, range_read, tree_id};

/// Commits 0 to 3 in a row, each with its own tree of one range of two objects; commit 3 shares the tree of 0.
pub(crate) fn row() -> World {
    World {
        commits: vec![(vec![], Some(0)), (vec![0], Some(1)), (vec![1], Some(2)), (vec![2], Some(0))],
        trees: vec![vec![0], vec![1], vec![2]],
        ranges: vec![(vec![1, 2], vec![]), (vec![1, 3], vec![]), (vec![1, 4], vec![])],
    }
}

pub(crate) fn day() -> Policy {
    Policy { deletion_grace_ms: 1000, ..Policy::default() }
}

pub(crate) fn started(events: &[Event]) -> Vec<u8> {
    let to = |event: &Event| if let Event::MoveStarted(e) = event { Some(e.to.0[0] - 1) } else { None };
    events.iter().filter_map(to).collect()
}

/// A crash between the frames of a long metarange leaves a part of it; it is read again from its first range.
#[test]
fn a_metarange_that_was_read_in_part_is_counted_once() {
    let world = row();
    let mut desk = Desk::ready(day());
    desk.see(&[("main", 0)], &[]);
    desk.ask(Ask::ObserveCommits(vec![world.record(0)])).unwrap();
    let part = |first: u32, range: u8| {
        let ranges = vec![(range_id(range), 2)];
        Event::MetarangeRead(MetarangeReadV1 {
            mirror: MIRROR,
            metarange: tree_id(0),
            total: 2,
            first,
            ranges,
            at_ms: 1,
        })
    };
    desk.take(&[part(0, 0)]);
    desk.start(day());
    desk.take(&[part(0, 0), part(1, 1)]);
    recount(&desk.state);
    desk.ask(Ask::ReadRange(range_read(0, 2, &Bits::none(2), &Bits::none(2), Vec::new(), u64::MAX))).unwrap();
    desk.check(0, &[(0, Some(None)), (1, Some(None))]);
    recount(&desk.state);
    assert_eq!(started(&desk.promote()), [0u8; 0], "its second range was not even read");
}

#[test]
fn long_metaranges_come_in_parts_that_make_one() {
    let world = row();
    let mut desk = Desk::ready(day());
    desk.see(&[("main", 0)], &[]);
    desk.ask(Ask::ObserveCommits(vec![world.record(0)])).unwrap();
    let id = |number: u32| {
        let mut id = [9; 32];
        id[..4].copy_from_slice(&number.to_be_bytes());
        RangeId(id)
    };
    let ranges: Vec<_> = (0..9001).map(|number| (id(number), 1)).collect();
    let events = desk.ask(Ask::ReadMetarange { metarange: tree_id(0), ranges }).unwrap();
    assert_eq!(events.len(), 3);
    let tree = &desk.mirror().trees.metaranges[&tree_id(0)];
    assert!(tree.is_read() && tree.open == 9001);
    let mut short = Desk::ready(day());
    short.take(&desk.journal[desk.journal.len() - 5..desk.journal.len() - 1]);
    let tree = &short.mirror().trees.metaranges[&tree_id(0)];
    assert!(!tree.is_read() && tree.grade() == Grade::Open, "without its last part it is not read");
}

/// A branch that comes back to a commit whose tree was let go: the tree is open until it is read again, and so is what
/// stands on it.
#[test]
fn a_tree_that_was_let_go_must_be_read_again_for_a_head() {
    let world = row();
    let mut desk = Desk::ready(day());
    desk.see(&[("main", 0)], &[]);
    desk.arrive(&world, &[0, 1, 2], &[0, 1]);
    assert_eq!(started(&desk.promote()), [0]);
    desk.see(&[("main", 1)], &[]);
    assert_eq!(started(&desk.promote()), [1]);
    assert!(desk.mirror().trees.metaranges[&tree_id(0)].let_go);
    // A new commit with that tree, and a child of nothing else, then a branch at it.
    desk.arrive(&world, &[3], &[2]);
    desk.see(&[("main", 3)], &[]);
    recount(&desk.state);
    assert_eq!(started(&desk.promote()), [0u8; 0]);
    desk.ask(world.metarange(0)).unwrap();
    recount(&desk.state);
    assert_eq!(started(&desk.promote()), [3]);
}

#[test]
fn inherited_answers_need_a_base_that_stands() {
    let world = row();
    let mut desk = Desk::ready(day());
    desk.see(&[("main", 1)], &[]);
    desk.arrive(&world, &[0, 1], &[0]);
    desk.ask(world.metarange(1)).unwrap();
    let (none, both) = (Bits::none(2), Bits::all(2));
    let read = |inherited: &Bits, from: &[u8], oldest| {
        let from = from.iter().map(|range| range_id(*range)).collect();
        Ask::ReadRange(range_read(1, 2, &none, inherited, from, oldest))
    };
    let now = desk.now_ms;
    for (why, ask) in [
        ("from nowhere", read(&both, &[], now)),
        ("younger than the base", read(&both, &[0], now + 1)),
        ("of no age", read(&both, &[0], u64::MAX)),
        ("from a range that was not read", read(&both, &[1], now)),
        ("of another length", read(&Bits::all(3), &[0], now)),
        ("imports of another length", Ask::ReadRange(range_read(1, 2, &Bits::all(3), &none, Vec::new(), u64::MAX))),
    ] {
        assert!(desk.ask(ask).is_err(), "{why}");
    }
    desk.now_ms += 2 * day().evidence_age_ms_max;
    let reopened = desk.promote_stale();
    assert!(reopened.contains(&range_id(0)), "{reopened:?}");
    assert!(desk.ask(read(&both, &[0], now)).is_err(), "the base was reopened");
    desk.ask(read(&none, &[], u64::MAX)).unwrap();
}

impl Desk {
    /// Reopens what is too old for the first commit to become a head, and says what that is.
    fn promote_stale(&mut self) -> Vec<RangeId> {
        self.see(&[("main", 0)], &[]);
        let events = self.ask(Ask::PlanMoves).unwrap();
        let ranges = events
            .iter()
            .filter_map(|event| if let Event::RangesReopened(e) = event { Some(e.ranges.clone()) } else { None });
        ranges.flatten().collect()
    }
}

#[test]
fn exceptions_must_be_among_what_was_asked_and_not_present() {
    let world = row();
    let mut desk = Desk::ready(Policy { size: SizeRule::Report, ..day() });
    desk.see(&[("main", 0)], &[]);
    desk.ask(Ask::ObserveCommits(vec![world.record(0)])).unwrap();
    desk.ask(world.metarange(0)).unwrap();
    let ask = world.range(&desk.state, 0, None);
    desk.ask(ask).unwrap();
    let exception = |ordinal| ArrivalExceptionV1 { ordinal, code: WRONG_SIZE, found: 9 };
    for (why, ordinals) in [("not asked", vec![1]), ("present", vec![0]), ("past the end", vec![7])] {
        let mut batch = checks(0, &[(0, Some(None))], desk.now_ms);
        batch.exceptions = ordinals.into_iter().map(exception).collect();
        assert!(desk.ask(Ask::CheckArrivals(vec![batch])).is_err(), "{why}");
    }
    let mut twice = checks(0, &[(1, None)], desk.now_ms);
    twice.exceptions = vec![exception(1), exception(1)];
    assert!(desk.ask(Ask::CheckArrivals(vec![twice])).is_err(), "twice");
    assert_eq!(started(&desk.promote()), [0u8; 0]);
}

/// Where sizes are only reported, an answer with another size is evidence, and ages as any other.
#[test]
fn an_answer_with_another_size_ages_too() {
    let world = row();
    let mut desk = Desk::ready(Policy { size: SizeRule::Report, ..day() });
    desk.see(&[("main", 0)], &[]);
    desk.arrive(&world, &[0], &[]);
    desk.ask(world.metarange(0)).unwrap();
    let ask = world.range(&desk.state, 0, None);
    desk.ask(ask).unwrap();
    for _ in 0..2 {
        desk.check(0, &[(0, Some(Some(7))), (1, Some(Some(7)))]);
        desk.now_ms += 2 * day().evidence_age_ms_max;
        let planned = desk.ask(Ask::PlanMoves).unwrap();
        assert!(matches!(planned.as_slice(), [Event::RangesReopened(_)]), "{planned:?}");
    }
}

#[test]
fn only_two_answers_of_the_source_make_an_object_expired() {
    let world = row();
    let mut desk = Desk::ready(day());
    desk.see(&[("main", 1)], &[]);
    desk.arrive(&world, &[0, 1], &[1]);
    desk.ask(world.metarange(0)).unwrap();
    let ask = world.range(&desk.state, 0, None);
    desk.ask(ask).unwrap();
    desk.check(0, &[(0, Some(None)), (1, None)]);
    desk.ask(probe(0, vec![1, 1], vec![])).unwrap();
    assert_eq!(started(&desk.promote()), [0u8; 0], "one answer that names it twice is one answer");
    desk.ask(probe(0, vec![], vec![1])).unwrap();
    desk.ask(probe(0, vec![1], vec![])).unwrap();
    assert_eq!(started(&desk.promote()), [0u8; 0], "the answer between said that it is there");
    desk.ask(probe(0, vec![1], vec![])).unwrap();
    assert_eq!(started(&desk.promote()), [1]);
}

#[test]
fn an_expired_object_is_never_good_enough_for_a_head() {
    let world = row();
    let mut desk = Desk::ready(day());
    desk.see(&[("main", 0)], &[]);
    desk.arrive(&world, &[0], &[]);
    desk.ask(world.metarange(0)).unwrap();
    let ask = world.range(&desk.state, 0, None);
    desk.ask(ask).unwrap();
    desk.check(0, &[(0, Some(None)), (1, None)]);
    desk.ask(probe(0, vec![1], vec![])).unwrap();
    desk.ask(probe(0, vec![1], vec![])).unwrap();
    assert_eq!(desk.mirror().trees.metaranges[&tree_id(0)].grade(), Grade::Expired);
    assert_eq!(started(&desk.promote()), [0u8; 0]);
    desk.check(0, &[(1, Some(None))]);
    assert_eq!(started(&desk.promote()), [0], "it came after all");
}

/// Three branches may go at once whatever the fraction; the fraction counts what a listing lacks, proven or not.
#[test]
fn a_listing_that_lacks_most_branches_is_not_believed() {
    let mut desk = Desk::ready(day());
    let names: Vec<String> = (0..20).map(|number| format!("b{number:02}")).collect();
    let all: Vec<(&str, u8)> = names.iter().map(|name| (name.as_str(), 0)).collect();
    desk.see(&all, &[]);
    let (kept, lost) = names.split_at(8);
    let listed: Vec<(&str, u8)> = kept.iter().map(|name| (name.as_str(), 0)).collect();
    // Only some of them were asked about singly.
    let proven: Vec<&str> = lost.iter().take(5).map(String::as_str).collect();
    for _ in 0..3 {
        desk.see(&listed, &proven);
        desk.now_ms += 10_000;
        assert_eq!(desk.plan_removals().unwrap(), []);
    }
    let held: Vec<&str> = desk.mirror().holds.keys().map(String::as_str).collect();
    assert_eq!(held, proven, "what was proven gone waits for an operator");
    desk.see(&all, &[]);
    assert!(desk.mirror().holds.is_empty());
}

fn bury(desk: &mut Desk) {
    desk.see(&[], &["main"]);
    desk.see(&[], &["main"]);
    desk.now_ms += 1000;
}

#[test]
fn a_branch_goes_after_two_misses_of_one_run_and_its_grace() {
    let mut desk = Desk::ready(day());
    desk.see(&[("main", 0)], &[]);
    desk.see(&[], &["main"]);
    desk.start(day());
    desk.see(&[], &["main"]);
    desk.now_ms += 10_000;
    assert_eq!(desk.plan_removals().unwrap(), [], "one miss in each of two runs");
    desk.see(&[], &[]);
    assert_eq!(desk.plan_removals().unwrap(), [], "a listing alone proves nothing");
    desk.see(&[], &["main"]);
    assert_eq!(desk.plan_removals().unwrap(), [], "the grace begins with the second miss");
    desk.now_ms += 1000;
    let unproven = Ask::PlanRemovals { proven_gone: [].into() };
    assert_eq!(desk.ask(unproven).unwrap(), [], "it does not answer now that it is gone");
    desk.now_ms += 3_600_000;
    let waited = |waited_ms| Ask::PlanRemovals { proven_gone: [("main".to_owned(), waited_ms)].into() };
    assert_eq!(desk.ask(waited(999)).unwrap(), [], "the clock was put forward an hour, and nobody has waited for it");
    assert_eq!(desk.ask(waited(1000)).unwrap().len(), 1);
}

/// The first turn after a start removes nothing, not even what the last run had begun to.
#[test]
fn a_removal_that_was_begun_is_proven_again_by_the_next_run() {
    let mut desk = Desk::ready(day());
    desk.see(&[("main", 0)], &[]);
    bury(&mut desk);
    assert_eq!(desk.plan_removals().unwrap().len(), 1);
    desk.start(day());
    assert!(!desk.mirror().branches["main"].removing);
    assert!(desk.ask(Ask::FinishRemoval { branch: "main".to_owned() }).is_err());
    assert_eq!(desk.plan_removals().unwrap(), []);
    bury(&mut desk);
    assert_eq!(desk.plan_removals().unwrap().len(), 1);
    desk.ask(Ask::FinishRemoval { branch: "main".to_owned() }).unwrap();
    assert!(desk.mirror().branches.is_empty());
}

/// A branch that comes back while it is being removed is mirrored again once it is gone.
#[test]
fn a_branch_that_comes_back_while_it_goes_is_not_forgotten() {
    let world = row();
    let mut desk = Desk::ready(day());
    desk.see(&[("main", 0)], &[]);
    desk.arrive(&world, &[0, 1], &[0, 1]);
    assert_eq!(started(&desk.promote()), [0]);
    bury(&mut desk);
    desk.plan_removals().unwrap();
    desk.see(&[("main", 1)], &[]);
    assert_eq!(started(&desk.promote()), [0u8; 0], "its removal is under way");
    desk.ask(Ask::FinishRemoval { branch: "main".to_owned() }).unwrap();
    let planned = desk.promote();
    assert_eq!(started(&planned), [1]);
    assert!(matches!(planned.as_slice(), [Event::MoveStarted(e)] if e.from.is_none()), "{planned:?}");
}

#[test]
fn restoring_needs_evidence_of_the_usual_age() {
    let world = row();
    let policy = Policy { on_divergence: DivergenceRule::Restore, ..day() };
    let mut desk = Desk::ready(policy);
    desk.see(&[("main", 0)], &[]);
    desk.arrive(&world, &[0, 1], &[0, 1]);
    desk.promote();
    desk.see(&[("main", 1)], &[]);
    desk.ask(Ask::Diverged { branch: "main".to_owned(), found: Some(commit_id(9)) }).unwrap();
    desk.now_ms += 2 * day().evidence_age_ms_max;
    let planned = desk.promote();
    assert!(planned.iter().any(|event| matches!(event, Event::RangesReopened(_))), "{planned:?}");
    assert_eq!(started(&planned), [0], "meanwhile back to where it was");
    desk.check(1, &[(0, Some(None)), (1, Some(None))]);
    desk.check(0, &[(0, Some(None)), (1, Some(None))]);
    assert_eq!(started(&desk.promote()), [1]);
}

/// What was only found on the mirror, and never proven, is not put back.
#[test]
fn an_adopted_head_is_not_evidence() {
    let world = row();
    let policy = Policy { on_divergence: DivergenceRule::Restore, ..day() };
    let mut desk = Desk::ready(policy);
    desk.see(&[("main", 1)], &[]);
    desk.ask(Ask::ObserveCommits(vec![world.record(0), world.record(1)])).unwrap();
    desk.ask(Ask::Adopt { branch: "main".to_owned(), found: commit_id(0) }).unwrap();
    desk.ask(Ask::Diverged { branch: "main".to_owned(), found: Some(commit_id(9)) }).unwrap();
    assert_eq!(started(&desk.promote()), [0u8; 0]);
    desk.arrive(&world, &[], &[0, 1]);
    assert_eq!(started(&desk.promote()), [1]);
}

/// What another process did meanwhile is unknown: the mirror's branch is found out again, nothing that was under way is
/// finished, and the source's head is promoted as if it were new, on the evidence that there is.
#[test]
fn a_mirror_that_another_process_drove_meanwhile_is_begun_anew() {
    let world = row();
    let mut desk = Desk::ready(day());
    desk.see(&[("main", 0)], &[]);
    desk.arrive(&world, &[0], &[0]);
    assert_eq!(started(&desk.promote()), [0]);
    desk.see(&[("main", 1)], &[]);
    desk.arrive(&world, &[1], &[1]);
    desk.ask(Ask::PlanMoves).unwrap();
    desk.ask(Ask::Diverged { branch: "other".to_owned(), found: None }).unwrap_err();
    let take = |resumed| Ask::Take { epoch: 4, resumed, before: "another".to_owned() };
    desk.ask(take(true)).unwrap();
    assert_eq!(desk.mirror().branches["main"].mirror, Some(commit_id(0)), "nobody else had it");
    assert!(desk.mirror().branches["main"].moving.is_some());
    desk.now_ms += 10;
    desk.ask(take(false)).unwrap();
    recount(&desk.state);
    let main = &desk.mirror().branches["main"];
    assert_eq!((main.mirror, main.moving, main.divergence), (None, None, None));
    assert_eq!(desk.mirror().adopted_ms, Some(desk.now_ms));
    assert_eq!(started(&desk.promote()), [0u8; 0], "the other one may have gone on: only what is seen now counts");
    desk.see(&[("main", 1)], &[]);
    assert_eq!(started(&desk.promote()), [1], "what was seen to be there still counts");
    assert!(desk.mirror().branches["main"].is_level());
    desk.ask(take(false)).unwrap();
    desk.see(&[("main", 1)], &[]);
    desk.ask(Ask::Adopt { branch: "main".to_owned(), found: commit_id(1) }).unwrap();
    desk.promote();
    assert!(desk.mirror().branches["main"].is_level(), "found where it should be");
}

#[test]
fn before_the_repository_is_known_to_be_ready_another_process_may_have_gone_further() {
    let mut desk = Desk { now_ms: 1_000_000, ..Desk::default() };
    desk.start(day());
    desk.ask(Ask::Define(definition())).unwrap();
    desk.see(&[("main", 0)], &[]);
    assert_eq!(desk.mirror().branches["main"].pending.len(), 1);
    desk.ask(Ask::Take { epoch: 4, resumed: false, before: "another".to_owned() }).unwrap();
    assert_eq!(desk.mirror().branches["main"].pending, [], "only what is seen now counts");
    desk.see(&[("main", 0)], &[]);
    desk.ask(Ask::Take { epoch: 5, resumed: true, before: String::new() }).unwrap();
    assert_eq!(desk.mirror().branches["main"].pending.len(), 1);
}

#[test]
fn a_range_too_large_for_a_record_is_refused_and_not_fatal() {
    let mut desk = Desk::ready(day());
    let world = World { ranges: vec![((0..2).collect(), vec![])], ..row() };
    desk.see(&[("main", 0)], &[]);
    desk.ask(Ask::ObserveCommits(vec![world.record(0)])).unwrap();
    let entries = 2_000_000;
    desk.ask(Ask::ReadMetarange { metarange: tree_id(0), ranges: vec![(range_id(0), entries)] }).unwrap();
    let noise = Bits::from_ordinals(entries, (0..entries).filter(|ordinal| ordinal % 7 < 3));
    let read = range_read(0, entries, &noise, &Bits::none(entries), Vec::new(), u64::MAX);
    assert!(desk.ask(Ask::ReadRange(read)).is_err());
}

#[test]
fn what_others_made_where_nothing_is_and_took_away_again_holds_nothing_up() {
    let (world, mut desk) = (row(), Desk::ready(day()));
    desk.see(&[("main", 0)], &[]);
    desk.ask(Ask::Diverged { branch: "main".to_owned(), found: Some(commit_id(9)) }).unwrap();
    desk.arrive(&world, &[0], &[0]);
    assert_eq!(started(&desk.promote()), []);
    desk.ask(Ask::Diverged { branch: "main".to_owned(), found: None }).unwrap();
    assert_eq!(desk.mirror().branches["main"].strayed(), None);
    assert_eq!(started(&desk.promote()), [0]);
}

#[test]
fn a_branch_that_stands_at_a_proven_head_was_put_there_by_a_move_whose_end_was_not_written_down() {
    let (world, mut desk) = (row(), Desk::ready(day()));
    desk.see(&[("main", 0)], &[]);
    desk.arrive(&world, &[0, 1], &[0, 1]);
    desk.promote();
    desk.see(&[("main", 1)], &[]);
    let planned = desk.ask(Ask::PlanMoves).unwrap();
    assert_eq!(started(&planned), [1]);
    desk.ask(Ask::RecordsWritten(vec![commit_id(1)])).unwrap();
    // The branch was moved; before that was read, somebody else moved it away, and then put it back.
    desk.ask(Ask::Diverged { branch: "main".to_owned(), found: Some(commit_id(9)) }).unwrap();
    assert!(desk.mirror().branches["main"].strayed().is_some());
    desk.ask(Ask::Diverged { branch: "main".to_owned(), found: Some(commit_id(1)) }).unwrap();
    let main = &desk.mirror().branches["main"];
    assert_eq!((main.mirror, main.strayed(), main.pending.len()), (Some(commit_id(1)), None, 0));
}

#[test]
fn nothing_is_put_back_before_what_may_have_been_shown() {
    let (world, policy) = (row(), Policy { on_divergence: DivergenceRule::Restore, ..day() });
    let mut desk = Desk::ready(policy);
    desk.see(&[("main", 0)], &[]);
    desk.arrive(&world, &[0, 1], &[0, 1]);
    desk.promote();
    desk.see(&[("main", 1)], &[]);
    desk.ask(Ask::PlanMoves).unwrap();
    desk.ask(Ask::RecordsWritten(vec![commit_id(1)])).unwrap();
    desk.ask(Ask::Diverged { branch: "main".to_owned(), found: Some(commit_id(9)) }).unwrap();
    desk.now_ms += 2 * day().evidence_age_ms_max;
    assert_eq!(started(&desk.promote()), [0u8; 0], "the move to 1 may have been carried out");
}

#[test]
fn nothing_before_what_may_have_been_shown_is_moved_to() {
    let (world, mut desk) = (row(), Desk::ready(day()));
    desk.see(&[("main", 0)], &[]);
    desk.arrive(&world, &[0, 1, 2], &[0, 1, 2]);
    desk.promote();
    desk.see(&[("main", 1)], &[]);
    desk.see(&[("main", 2)], &[]);
    assert_eq!(started(&desk.ask(Ask::PlanMoves).unwrap()), [2]);
    desk.ask(Ask::RecordsWritten(vec![commit_id(1), commit_id(2)])).unwrap();
    // It was moved; before that was read, somebody else moved it back.
    desk.ask(Ask::Diverged { branch: "main".to_owned(), found: Some(commit_id(0)) }).unwrap();
    desk.now_ms += 2 * day().evidence_age_ms_max;
    for _ in 0..2 {
        assert_eq!(started(&desk.promote()), [0u8; 0], "the evidence is old");
    }
    let present = [(0, Some(None)), (1, Some(None))];
    desk.check(1, &present);
    assert_eq!(started(&desk.promote()), [0u8; 0], "2 may have been shown");
    desk.check(2, &present);
    assert_eq!(started(&desk.promote()), [2]);
}
