//! Single rules, each as the smallest story that shows it.

use lakemirror_journal::bits::Bits;
use lakemirror_journal::command::MirrorCommand;
use lakemirror_journal::event::{ArrivalExceptionV1, Event, MetarangeReadV1};
use lakemirror_journal::ids::RangeId;
use lakemirror_journal::state::policy::{DivergenceRule, Policy, SizeRule};
use lakemirror_journal::state::tree::{Completeness, WRONG_SIZE};

use super::recount::recount;
use super::world::{MIRROR, Reducer, World, checks, commit_id, definition, probe, range_id, range_read, tree_id};

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
    let mut reducer = Reducer::ready(day());
    reducer.see(&[("main", 0)], &[]);
    reducer.ask(MirrorCommand::ObserveCommits(vec![world.record(0)])).unwrap();
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
    reducer.take(&[part(0, 0)]);
    reducer.start(day());
    reducer.take(&[part(0, 0), part(1, 1)]);
    recount(&reducer.state);
    reducer
        .ask(MirrorCommand::ReadRange(range_read(0, 2, &Bits::none(2), &Bits::none(2), Vec::new(), u64::MAX)))
        .unwrap();
    reducer.check(0, &[(0, Some(None)), (1, Some(None))]);
    recount(&reducer.state);
    assert_eq!(started(&reducer.promote()), [0u8; 0], "its second range was not even read");
}

#[test]
fn long_metaranges_come_in_parts_that_make_one() {
    let world = row();
    let mut reducer = Reducer::ready(day());
    reducer.see(&[("main", 0)], &[]);
    reducer.ask(MirrorCommand::ObserveCommits(vec![world.record(0)])).unwrap();
    let id = |number: u32| {
        let mut id = [9; 32];
        id[..4].copy_from_slice(&number.to_be_bytes());
        RangeId(id)
    };
    let ranges: Vec<_> = (0..9001).map(|number| (id(number), 1)).collect();
    let events = reducer.ask(MirrorCommand::ReadMetarange { metarange: tree_id(0), ranges }).unwrap();
    assert_eq!(events.len(), 3);
    let tree = &reducer.mirror().trees.metaranges[&tree_id(0)];
    assert!(tree.is_read() && tree.open == 9001);
    let mut short = Reducer::ready(day());
    short.take(&reducer.journal[reducer.journal.len() - 5..reducer.journal.len() - 1]);
    let tree = &short.mirror().trees.metaranges[&tree_id(0)];
    assert!(!tree.is_read() && tree.completeness() == Completeness::Incomplete, "without its last part it is not read");
}

/// A branch that comes back to a commit whose tree was let go: the tree is open until it is read again, and so is what
/// stands on it.
#[test]
fn a_tree_that_was_let_go_must_be_read_again_for_a_head() {
    let world = row();
    let mut reducer = Reducer::ready(day());
    reducer.see(&[("main", 0)], &[]);
    reducer.arrive(&world, &[0, 1, 2], &[0, 1]);
    assert_eq!(started(&reducer.promote()), [0]);
    reducer.see(&[("main", 1)], &[]);
    assert_eq!(started(&reducer.promote()), [1]);
    assert!(reducer.mirror().trees.metaranges[&tree_id(0)].evicted);
    // A new commit with that tree, and a child of nothing else, then a branch at it.
    reducer.arrive(&world, &[3], &[2]);
    reducer.see(&[("main", 3)], &[]);
    recount(&reducer.state);
    assert_eq!(started(&reducer.promote()), [0u8; 0]);
    reducer.ask(world.metarange(0)).unwrap();
    recount(&reducer.state);
    assert_eq!(started(&reducer.promote()), [3]);
}

#[test]
fn inherited_answers_need_a_base_that_stands() {
    let world = row();
    let mut reducer = Reducer::ready(day());
    reducer.see(&[("main", 1)], &[]);
    reducer.arrive(&world, &[0, 1], &[0]);
    reducer.ask(world.metarange(1)).unwrap();
    let (none, both) = (Bits::none(2), Bits::all(2));
    let read = |inherited: &Bits, from: &[u8], oldest| {
        let from = from.iter().map(|range| range_id(*range)).collect();
        MirrorCommand::ReadRange(range_read(1, 2, &none, inherited, from, oldest))
    };
    let now = reducer.now_ms;
    for (why, ask) in [
        ("from nowhere", read(&both, &[], now)),
        ("younger than the base", read(&both, &[0], now + 1)),
        ("of no age", read(&both, &[0], u64::MAX)),
        ("from a range that was not read", read(&both, &[1], now)),
        ("of another length", read(&Bits::all(3), &[0], now)),
        (
            "imports of another length",
            MirrorCommand::ReadRange(range_read(1, 2, &Bits::all(3), &none, Vec::new(), u64::MAX)),
        ),
    ] {
        assert!(reducer.ask(ask).is_err(), "{why}");
    }
    reducer.now_ms += 2 * day().evidence_age_ms_max;
    let reopened = reducer.promote_stale();
    assert!(reopened.contains(&range_id(0)), "{reopened:?}");
    assert!(reducer.ask(read(&both, &[0], now)).is_err(), "the base was reopened");
    reducer.ask(read(&none, &[], u64::MAX)).unwrap();
}

impl Reducer {
    /// Reopens what is too old for the first commit to become a head, and says what that is.
    fn promote_stale(&mut self) -> Vec<RangeId> {
        self.see(&[("main", 0)], &[]);
        let events = self.ask(MirrorCommand::PlanMoves).unwrap();
        let ranges = events
            .iter()
            .filter_map(|event| if let Event::RangesReopened(e) = event { Some(e.ranges.clone()) } else { None });
        ranges.flatten().collect()
    }
}

#[test]
fn exceptions_must_be_among_what_was_asked_and_not_present() {
    let world = row();
    let mut reducer = Reducer::ready(Policy { size: SizeRule::Report, ..day() });
    reducer.see(&[("main", 0)], &[]);
    reducer.ask(MirrorCommand::ObserveCommits(vec![world.record(0)])).unwrap();
    reducer.ask(world.metarange(0)).unwrap();
    let ask = world.range(&reducer.state, 0, None);
    reducer.ask(ask).unwrap();
    let exception = |ordinal| ArrivalExceptionV1 { ordinal, code: WRONG_SIZE, found: 9 };
    for (why, ordinals) in [("not asked", vec![1]), ("present", vec![0]), ("past the end", vec![7])] {
        let mut batch = checks(0, &[(0, Some(None))], reducer.now_ms);
        batch.exceptions = ordinals.into_iter().map(exception).collect();
        assert!(reducer.ask(MirrorCommand::CheckArrivals(vec![batch])).is_err(), "{why}");
    }
    let mut twice = checks(0, &[(1, None)], reducer.now_ms);
    twice.exceptions = vec![exception(1), exception(1)];
    assert!(reducer.ask(MirrorCommand::CheckArrivals(vec![twice])).is_err(), "twice");
    assert_eq!(started(&reducer.promote()), [0u8; 0]);
}

/// Where sizes are only reported, an answer with another size is evidence, and ages as any other.
#[test]
fn an_answer_with_another_size_ages_too() {
    let world = row();
    let mut reducer = Reducer::ready(Policy { size: SizeRule::Report, ..day() });
    reducer.see(&[("main", 0)], &[]);
    reducer.arrive(&world, &[0], &[]);
    reducer.ask(world.metarange(0)).unwrap();
    let ask = world.range(&reducer.state, 0, None);
    reducer.ask(ask).unwrap();
    for _ in 0..2 {
        reducer.check(0, &[(0, Some(Some(7))), (1, Some(Some(7)))]);
        reducer.now_ms += 2 * day().evidence_age_ms_max;
        let planned = reducer.ask(MirrorCommand::PlanMoves).unwrap();
        assert!(matches!(planned.as_slice(), [Event::RangesReopened(_)]), "{planned:?}");
    }
}

#[test]
fn only_two_answers_of_the_source_make_an_object_expired() {
    let world = row();
    let mut reducer = Reducer::ready(day());
    reducer.see(&[("main", 1)], &[]);
    reducer.arrive(&world, &[0, 1], &[1]);
    reducer.ask(world.metarange(0)).unwrap();
    let ask = world.range(&reducer.state, 0, None);
    reducer.ask(ask).unwrap();
    reducer.check(0, &[(0, Some(None)), (1, None)]);
    reducer.ask(probe(0, vec![1, 1], vec![])).unwrap();
    assert_eq!(started(&reducer.promote()), [0u8; 0], "one answer that names it twice is one answer");
    reducer.ask(probe(0, vec![], vec![1])).unwrap();
    reducer.ask(probe(0, vec![1], vec![])).unwrap();
    assert_eq!(started(&reducer.promote()), [0u8; 0], "the answer between said that it is there");
    reducer.ask(probe(0, vec![1], vec![])).unwrap();
    assert_eq!(started(&reducer.promote()), [1]);
}

#[test]
fn an_expired_object_is_never_good_enough_for_a_head() {
    let world = row();
    let mut reducer = Reducer::ready(day());
    reducer.see(&[("main", 0)], &[]);
    reducer.arrive(&world, &[0], &[]);
    reducer.ask(world.metarange(0)).unwrap();
    let ask = world.range(&reducer.state, 0, None);
    reducer.ask(ask).unwrap();
    reducer.check(0, &[(0, Some(None)), (1, None)]);
    reducer.ask(probe(0, vec![1], vec![])).unwrap();
    reducer.ask(probe(0, vec![1], vec![])).unwrap();
    assert_eq!(reducer.mirror().trees.metaranges[&tree_id(0)].completeness(), Completeness::CompleteExceptExpired);
    assert_eq!(started(&reducer.promote()), [0u8; 0]);
    reducer.check(0, &[(1, Some(None))]);
    assert_eq!(started(&reducer.promote()), [0], "it came after all");
}

/// Three branches may go at once whatever the fraction; the fraction counts what a listing lacks, proven or not.
#[test]
fn a_listing_that_lacks_most_branches_is_not_believed() {
    let mut reducer = Reducer::ready(day());
    let names: Vec<String> = (0..20).map(|number| format!("b{number:02}")).collect();
    let all: Vec<(&str, u8)> = names.iter().map(|name| (name.as_str(), 0)).collect();
    reducer.see(&all, &[]);
    let (kept, lost) = names.split_at(8);
    let listed: Vec<(&str, u8)> = kept.iter().map(|name| (name.as_str(), 0)).collect();
    // Only some of them were asked about singly.
    let proven: Vec<&str> = lost.iter().take(5).map(String::as_str).collect();
    for _ in 0..3 {
        reducer.see(&listed, &proven);
        reducer.now_ms += 10_000;
        assert_eq!(reducer.plan_removals().unwrap(), []);
    }
    let held: Vec<&str> = reducer.mirror().holds.keys().map(String::as_str).collect();
    assert_eq!(held, proven, "what was proven gone waits for an operator");
    reducer.see(&all, &[]);
    assert!(reducer.mirror().holds.is_empty());
}

fn bury(reducer: &mut Reducer) {
    reducer.see(&[], &["main"]);
    reducer.see(&[], &["main"]);
    reducer.now_ms += 1000;
}

#[test]
fn a_branch_goes_after_two_misses_of_one_run_and_its_grace() {
    let mut reducer = Reducer::ready(day());
    reducer.see(&[("main", 0)], &[]);
    reducer.see(&[], &["main"]);
    reducer.start(day());
    reducer.see(&[], &["main"]);
    reducer.now_ms += 10_000;
    assert_eq!(reducer.plan_removals().unwrap(), [], "one miss in each of two runs");
    reducer.see(&[], &[]);
    assert_eq!(reducer.plan_removals().unwrap(), [], "a listing alone proves nothing");
    reducer.see(&[], &["main"]);
    assert_eq!(reducer.plan_removals().unwrap(), [], "the grace begins with the second miss");
    reducer.now_ms += 1000;
    let unproven = MirrorCommand::PlanRemovals { proven_gone: [].into() };
    assert_eq!(reducer.ask(unproven).unwrap(), [], "it does not answer now that it is gone");
    reducer.now_ms += 3_600_000;
    let waited = |waited_ms| MirrorCommand::PlanRemovals { proven_gone: [("main".to_owned(), waited_ms)].into() };
    assert_eq!(
        reducer.ask(waited(999)).unwrap(),
        [],
        "the clock was put forward an hour, and nobody has waited for it"
    );
    assert_eq!(reducer.ask(waited(1000)).unwrap().len(), 1);
}

/// The first turn after a start removes nothing, not even what the last run had begun to.
#[test]
fn a_removal_that_was_begun_is_proven_again_by_the_next_run() {
    let mut reducer = Reducer::ready(day());
    reducer.see(&[("main", 0)], &[]);
    bury(&mut reducer);
    assert_eq!(reducer.plan_removals().unwrap().len(), 1);
    reducer.start(day());
    assert!(!reducer.mirror().branches["main"].removing);
    assert!(reducer.ask(MirrorCommand::FinishRemoval { branch: "main".to_owned() }).is_err());
    assert_eq!(reducer.plan_removals().unwrap(), []);
    bury(&mut reducer);
    assert_eq!(reducer.plan_removals().unwrap().len(), 1);
    reducer.ask(MirrorCommand::FinishRemoval { branch: "main".to_owned() }).unwrap();
    assert!(reducer.mirror().branches.is_empty());
}

/// A branch that comes back while it is being removed is mirrored again once it is gone.
#[test]
fn a_branch_that_comes_back_while_it_goes_is_not_forgotten() {
    let world = row();
    let mut reducer = Reducer::ready(day());
    reducer.see(&[("main", 0)], &[]);
    reducer.arrive(&world, &[0, 1], &[0, 1]);
    assert_eq!(started(&reducer.promote()), [0]);
    bury(&mut reducer);
    reducer.plan_removals().unwrap();
    reducer.see(&[("main", 1)], &[]);
    assert_eq!(started(&reducer.promote()), [0u8; 0], "its removal is under way");
    reducer.ask(MirrorCommand::FinishRemoval { branch: "main".to_owned() }).unwrap();
    let planned = reducer.promote();
    assert_eq!(started(&planned), [1]);
    assert!(matches!(planned.as_slice(), [Event::MoveStarted(e)] if e.from.is_none()), "{planned:?}");
}

#[test]
fn restoring_needs_evidence_of_the_usual_age() {
    let world = row();
    let policy = Policy { on_divergence: DivergenceRule::Restore, ..day() };
    let mut reducer = Reducer::ready(policy);
    reducer.see(&[("main", 0)], &[]);
    reducer.arrive(&world, &[0, 1], &[0, 1]);
    reducer.promote();
    reducer.see(&[("main", 1)], &[]);
    reducer.ask(MirrorCommand::Diverged { branch: "main".to_owned(), found: Some(commit_id(9)) }).unwrap();
    reducer.now_ms += 2 * day().evidence_age_ms_max;
    let planned = reducer.promote();
    assert!(planned.iter().any(|event| matches!(event, Event::RangesReopened(_))), "{planned:?}");
    assert_eq!(started(&planned), [0], "meanwhile back to where it was");
    reducer.check(1, &[(0, Some(None)), (1, Some(None))]);
    reducer.check(0, &[(0, Some(None)), (1, Some(None))]);
    assert_eq!(started(&reducer.promote()), [1]);
}

/// What was only found on the mirror, and never proven, is not put back.
#[test]
fn an_adopted_head_is_not_evidence() {
    let world = row();
    let policy = Policy { on_divergence: DivergenceRule::Restore, ..day() };
    let mut reducer = Reducer::ready(policy);
    reducer.see(&[("main", 1)], &[]);
    reducer.ask(MirrorCommand::ObserveCommits(vec![world.record(0), world.record(1)])).unwrap();
    reducer.ask(MirrorCommand::Adopt { branch: "main".to_owned(), found: commit_id(0) }).unwrap();
    reducer.ask(MirrorCommand::Diverged { branch: "main".to_owned(), found: Some(commit_id(9)) }).unwrap();
    assert_eq!(started(&reducer.promote()), [0u8; 0]);
    reducer.arrive(&world, &[], &[0, 1]);
    assert_eq!(started(&reducer.promote()), [1]);
}

/// What another process did meanwhile is unknown: the mirror's branch is found out again, nothing that was under way is
/// finished, and the source's head is promoted as if it were new, on the evidence that there is.
#[test]
fn a_mirror_that_another_process_drove_meanwhile_is_begun_anew() {
    let world = row();
    let mut reducer = Reducer::ready(day());
    reducer.see(&[("main", 0)], &[]);
    reducer.arrive(&world, &[0], &[0]);
    assert_eq!(started(&reducer.promote()), [0]);
    reducer.see(&[("main", 1)], &[]);
    reducer.arrive(&world, &[1], &[1]);
    reducer.ask(MirrorCommand::PlanMoves).unwrap();
    reducer.ask(MirrorCommand::Diverged { branch: "other".to_owned(), found: None }).unwrap_err();
    let take = |resumed| MirrorCommand::Take { epoch: 4, resumed, before: "another".to_owned() };
    reducer.ask(take(true)).unwrap();
    assert_eq!(reducer.mirror().branches["main"].mirror, Some(commit_id(0)), "nobody else had it");
    assert!(reducer.mirror().branches["main"].moving.is_some());
    reducer.now_ms += 10;
    reducer.ask(take(false)).unwrap();
    recount(&reducer.state);
    let main = &reducer.mirror().branches["main"];
    assert_eq!((main.mirror, main.moving, main.divergence), (None, None, None));
    assert_eq!(reducer.mirror().adopted_ms, Some(reducer.now_ms));
    assert_eq!(started(&reducer.promote()), [0u8; 0], "the other one may have gone on: only what is seen now counts");
    reducer.see(&[("main", 1)], &[]);
    assert_eq!(started(&reducer.promote()), [1], "what was seen to be there still counts");
    assert!(reducer.mirror().branches["main"].is_in_sync());
    reducer.ask(take(false)).unwrap();
    reducer.see(&[("main", 1)], &[]);
    reducer.ask(MirrorCommand::Adopt { branch: "main".to_owned(), found: commit_id(1) }).unwrap();
    reducer.promote();
    assert!(reducer.mirror().branches["main"].is_in_sync(), "found where it should be");
}

#[test]
fn before_the_repository_is_known_to_be_ready_another_process_may_have_gone_further() {
    let mut reducer = Reducer { now_ms: 1_000_000, ..Reducer::default() };
    reducer.start(day());
    reducer.ask(MirrorCommand::Define(definition())).unwrap();
    reducer.see(&[("main", 0)], &[]);
    assert_eq!(reducer.mirror().branches["main"].pending.len(), 1);
    reducer.ask(MirrorCommand::Take { epoch: 4, resumed: false, before: "another".to_owned() }).unwrap();
    assert_eq!(reducer.mirror().branches["main"].pending, [], "only what is seen now counts");
    reducer.see(&[("main", 0)], &[]);
    reducer.ask(MirrorCommand::Take { epoch: 5, resumed: true, before: String::new() }).unwrap();
    assert_eq!(reducer.mirror().branches["main"].pending.len(), 1);
}

#[test]
fn a_range_too_large_for_a_record_is_refused_and_not_fatal() {
    let mut reducer = Reducer::ready(day());
    let world = World { ranges: vec![((0..2).collect(), vec![])], ..row() };
    reducer.see(&[("main", 0)], &[]);
    reducer.ask(MirrorCommand::ObserveCommits(vec![world.record(0)])).unwrap();
    let entries = 2_000_000;
    reducer.ask(MirrorCommand::ReadMetarange { metarange: tree_id(0), ranges: vec![(range_id(0), entries)] }).unwrap();
    let noise = Bits::from_ordinals(entries, (0..entries).filter(|ordinal| ordinal % 7 < 3));
    let read = range_read(0, entries, &noise, &Bits::none(entries), Vec::new(), u64::MAX);
    assert!(reducer.ask(MirrorCommand::ReadRange(read)).is_err());
}

#[test]
fn what_others_made_where_nothing_is_and_took_away_again_holds_nothing_up() {
    let (world, mut reducer) = (row(), Reducer::ready(day()));
    reducer.see(&[("main", 0)], &[]);
    reducer.ask(MirrorCommand::Diverged { branch: "main".to_owned(), found: Some(commit_id(9)) }).unwrap();
    reducer.arrive(&world, &[0], &[0]);
    assert_eq!(started(&reducer.promote()), []);
    reducer.ask(MirrorCommand::Diverged { branch: "main".to_owned(), found: None }).unwrap();
    assert_eq!(reducer.mirror().branches["main"].diverged(), None);
    assert_eq!(started(&reducer.promote()), [0]);
}

#[test]
fn a_branch_that_stands_at_a_proven_head_was_put_there_by_a_move_whose_end_was_not_written_down() {
    let (world, mut reducer) = (row(), Reducer::ready(day()));
    reducer.see(&[("main", 0)], &[]);
    reducer.arrive(&world, &[0, 1], &[0, 1]);
    reducer.promote();
    reducer.see(&[("main", 1)], &[]);
    let planned = reducer.ask(MirrorCommand::PlanMoves).unwrap();
    assert_eq!(started(&planned), [1]);
    reducer.ask(MirrorCommand::RecordsWritten(vec![commit_id(1)])).unwrap();
    // The branch was moved; before that was read, somebody else moved it away, and then put it back.
    reducer.ask(MirrorCommand::Diverged { branch: "main".to_owned(), found: Some(commit_id(9)) }).unwrap();
    assert!(reducer.mirror().branches["main"].diverged().is_some());
    reducer.ask(MirrorCommand::Diverged { branch: "main".to_owned(), found: Some(commit_id(1)) }).unwrap();
    let main = &reducer.mirror().branches["main"];
    assert_eq!((main.mirror, main.diverged(), main.pending.len()), (Some(commit_id(1)), None, 0));
}

#[test]
fn nothing_is_put_back_before_what_may_have_been_shown() {
    let (world, policy) = (row(), Policy { on_divergence: DivergenceRule::Restore, ..day() });
    let mut reducer = Reducer::ready(policy);
    reducer.see(&[("main", 0)], &[]);
    reducer.arrive(&world, &[0, 1], &[0, 1]);
    reducer.promote();
    reducer.see(&[("main", 1)], &[]);
    reducer.ask(MirrorCommand::PlanMoves).unwrap();
    reducer.ask(MirrorCommand::RecordsWritten(vec![commit_id(1)])).unwrap();
    reducer.ask(MirrorCommand::Diverged { branch: "main".to_owned(), found: Some(commit_id(9)) }).unwrap();
    reducer.now_ms += 2 * day().evidence_age_ms_max;
    assert_eq!(started(&reducer.promote()), [0u8; 0], "the move to 1 may have been carried out");
}

#[test]
fn nothing_before_what_may_have_been_shown_is_moved_to() {
    let (world, mut reducer) = (row(), Reducer::ready(day()));
    reducer.see(&[("main", 0)], &[]);
    reducer.arrive(&world, &[0, 1, 2], &[0, 1, 2]);
    reducer.promote();
    reducer.see(&[("main", 1)], &[]);
    reducer.see(&[("main", 2)], &[]);
    assert_eq!(started(&reducer.ask(MirrorCommand::PlanMoves).unwrap()), [2]);
    reducer.ask(MirrorCommand::RecordsWritten(vec![commit_id(1), commit_id(2)])).unwrap();
    // It was moved; before that was read, somebody else moved it back.
    reducer.ask(MirrorCommand::Diverged { branch: "main".to_owned(), found: Some(commit_id(0)) }).unwrap();
    reducer.now_ms += 2 * day().evidence_age_ms_max;
    for _ in 0..2 {
        assert_eq!(started(&reducer.promote()), [0u8; 0], "the evidence is old");
    }
    let present = [(0, Some(None)), (1, Some(None))];
    reducer.check(1, &present);
    assert_eq!(started(&reducer.promote()), [0u8; 0], "2 may have been shown");
    reducer.check(2, &present);
    assert_eq!(started(&reducer.promote()), [2]);
}
