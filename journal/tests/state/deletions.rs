//! Branches that are gone at the source and wait for an operator, or were made again there with another visibility.

use lakemirror_journal::command::MirrorCommand;
use lakemirror_journal::decide::counts_until;
use lakemirror_journal::ids::CommitId;
use lakemirror_journal::state::mirror::Source;
use lakemirror_journal::state::policy::Policy;

use super::rules::{day, row, started};
use super::world::{Reducer, commit_id};

fn identify(reducer: &mut Reducer, default_branch: &str) {
    let (storage_namespace, default_branch) = ("s3://east/sample".to_owned(), default_branch.to_owned());
    reducer.ask(MirrorCommand::IdentifySource(Source { storage_namespace, default_branch, creation_date: 5 })).unwrap();
}

fn approve(reducer: &mut Reducer, branch: &str, head: Option<CommitId>) -> usize {
    let ask = MirrorCommand::ApproveDeletions { branches: vec![(branch.to_owned(), head)], by: "operator".to_owned() };
    reducer.ask(ask).unwrap().len()
}

/// Sees the listing often enough for everything that may go, and says what goes.
fn gone(reducer: &mut Reducer, listed: &[(&str, u8)], proven: &[&str]) -> Vec<String> {
    for _ in 0..3 {
        reducer.see(listed, proven);
    }
    reducer.now_ms += 1000;
    let proven_gone = proven.iter().map(|name| ((*name).to_owned(), u64::MAX)).collect();
    let events = reducer.ask(MirrorCommand::PlanRemovals { proven_gone }).unwrap();
    events.iter().filter_map(|event| event.branch().map(ToOwned::to_owned)).collect()
}

/// Also where the source never had its default branch: nobody but an operator can tell that from one that is going.
#[test]
fn without_the_default_branch_a_deletion_waits_for_an_operator() {
    let mut reducer = Reducer::ready(day());
    identify(&mut reducer, "trunk");
    reducer.see(&[("a", 0), ("b", 0), ("c", 0)], &[]);
    assert_eq!(gone(&mut reducer, &[("c", 0)], &["a", "b"]), [""; 0]);
    assert!(reducer.mirror().branches.values().all(|branch| branch.tombstone_ms.is_none()));
    assert_eq!(approve(&mut reducer, "a", Some(commit_id(3))), 1, "where the branch is on the mirror is not known");
    assert_eq!(approve(&mut reducer, "a", None), 0, "once is enough");
    assert_eq!(approve(&mut reducer, "c", None), 0, "nothing of it is held");
    assert_eq!(gone(&mut reducer, &[("c", 0)], &["a", "b"]), ["a"], "the other one waits on");

    // What was approved is over when the branch comes back.
    reducer.see(&[("a", 1), ("b", 0), ("c", 0)], &[]);
    assert!(reducer.mirror().holds.is_empty());
    assert_eq!(gone(&mut reducer, &[("c", 0)], &["a", "b"]), [""; 0]);
}

/// An approval of some lets no other go, however few are left; and it survives the next start.
#[test]
fn a_mass_deletion_goes_on_branch_by_branch_as_approved() {
    let mut reducer = Reducer::ready(day());
    let names: Vec<String> = (0..10).map(|number| format!("b{number}")).collect();
    let all: Vec<(&str, u8)> = names.iter().map(|name| (name.as_str(), 0)).collect();
    reducer.see(&all, &[]);
    let (kept, lost) = all.split_at(4);
    let mut lost: Vec<&str> = lost.iter().map(|(name, _)| *name).collect();
    assert_eq!(gone(&mut reducer, kept, &lost), [""; 0]);
    for name in ["b4", "b5", "b6"] {
        assert_eq!(approve(&mut reducer, name, None), 1);
    }
    reducer.start(day());
    assert_eq!(gone(&mut reducer, kept, &lost), ["b4", "b5", "b6"]);
    for name in ["b4", "b5", "b6"] {
        reducer.ask(MirrorCommand::FinishRemoval { branch: name.to_owned() }).unwrap();
    }
    lost.drain(..3);
    assert_eq!(gone(&mut reducer, kept, &lost), [""; 0], "three of seven are gone at once, but six of ten were");
    for name in &lost {
        assert_eq!(approve(&mut reducer, name, None), 1);
    }
    assert_eq!(gone(&mut reducer, kept, &lost), lost);
    assert!(reducer.mirror().holds.values().all(|hold| hold.approved));

    // Raising the fraction releases what is held.
    reducer.see(&all, &[]);
    let lost: Vec<&str> = names.iter().skip(2).map(String::as_str).collect();
    assert_eq!(gone(&mut reducer, &all[..2], &lost), [""; 0]);
    reducer.start(Policy { deletion_permille_max: 1000, ..day() });
    assert_eq!(gone(&mut reducer, &all[..2], &lost).len(), 8);
}

#[test]
fn an_approval_is_for_the_branch_as_the_mirror_showed_it() {
    let world = row();
    let mut reducer = Reducer::ready(day());
    identify(&mut reducer, "trunk");
    reducer.see(&[("a", 0)], &[]);
    reducer.arrive(&world, &[0], &[0]);
    assert_eq!(started(&reducer.promote()), [0]);
    reducer.see(&[], &["a"]);
    assert_eq!(approve(&mut reducer, "a", Some(commit_id(1))), 0, "it was approved when it showed something else");
    assert_eq!(approve(&mut reducer, "a", Some(commit_id(0))), 1);
}

/// lakeFS cannot change whether a branch is hidden: it goes and comes back where it was, at a head that is proven.
#[test]
fn a_branch_that_was_made_again_hidden_is_made_again_on_the_mirror() {
    let world = row();
    let mut reducer = Reducer::ready(day());
    identify(&mut reducer, "trunk");
    reducer.see(&[("a", 0), ("trunk", 0)], &[]);
    reducer.arrive(&world, &[0], &[0]);
    assert_eq!(started(&reducer.promote()), [0, 0]);
    let remake = |reducer: &mut Reducer, branch: &str| {
        reducer.ask(MirrorCommand::Remake { branch: branch.to_owned(), hidden: false }).unwrap().len()
    };
    assert_eq!(remake(&mut reducer, "a"), 0, "it is as at the source");
    let hidden = ["a", "trunk"].map(|name| (name.to_owned(), true));
    assert_eq!(reducer.ask(MirrorCommand::ObserveVisibility(hidden.into())).unwrap().len(), 2);
    assert_eq!(remake(&mut reducer, "trunk"), 0, "lakeFS deletes no default branch");
    reducer.see(&[("a", 1), ("trunk", 0)], &[]);
    assert_eq!(remake(&mut reducer, "a"), 0, "what it is to come back at is not proven");
    reducer.see(&[("a", 0), ("trunk", 0)], &[]);
    reducer.promote();
    assert_eq!(remake(&mut reducer, "a"), 1);
    assert_eq!(started(&reducer.promote()), [0u8; 0], "it goes first");
    reducer.ask(MirrorCommand::FinishRemoval { branch: "a".to_owned() }).unwrap();
    let events = reducer.promote();
    assert_eq!(started(&events), [0]);
    assert!(reducer.mirror().branches["a"].hidden && reducer.mirror().branches["a"].is_in_sync());
}

/// A move that the destination refuses is not carried out any more once its branch is gone at the source.
#[test]
fn a_refused_move_does_not_hold_up_the_removal_of_its_branch() {
    let world = row();
    let mut reducer = Reducer::ready(day());
    reducer.see(&[("a", 0)], &[]);
    reducer.arrive(&world, &[0], &[0]);
    assert_eq!(reducer.ask(MirrorCommand::PlanMoves).unwrap().len(), 1);
    let until = |reducer: &Reducer| counts_until(&reducer.state, reducer.mirror(), "a", reducer.now_ms).unwrap();
    assert!(until(&reducer) > reducer.now_ms);
    reducer.see(&[], &["a"]);
    reducer.see(&[], &["a"]);
    assert_eq!(until(&reducer), 0);
    assert_eq!(reducer.ask(MirrorCommand::Reconsider { branch: "a".to_owned() }).unwrap().len(), 1);
    assert_eq!(gone(&mut reducer, &[], &["a"]), ["a"]);
}
