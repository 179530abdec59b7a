//! When a branch is removed from the mirror, and what never removes one (I6).

#![allow(clippy::unwrap_used, reason = "a test ends where it fails, in its helper functions too")]

use std::collections::BTreeSet;

use lakemirror_journal::command::{Command, MirrorCommand};
use lakemirror_journal::decide::{Refused, decide};
use lakemirror_journal::event::{BranchAdoptedV1, Event, TroubleNotedV1};
use lakemirror_journal::ids::{CommitId, Incarnation};
use lakemirror_journal::state::State;
use lakemirror_journal::state::condition::MirrorCondition;
use lakemirror_journal::state::mirror::{Definition, Source};

fn id() -> Incarnation {
    Incarnation::parse("0123456789abcdef0123456789abcdef").unwrap()
}

fn commit(digit: &str) -> CommitId {
    CommitId::parse(&digit.repeat(64)).unwrap()
}

#[derive(Default)]
struct Reducer {
    state: State,
}

impl Reducer {
    fn new() -> Self {
        let mut reducer = Self::default();
        reducer.ask(MirrorCommand::Define(Definition {
            name: "m".into(),
            source_repository: "s".into(),
            source_region: "east".into(),
            region: "west".into(),
            storage_namespace: "s3://west/s".into(),
            created_ms: 1,
        }));
        reducer.identify(1);
        reducer.ask(listing(&[("dev", "a"), ("main", "b")], &[]));
        reducer
    }

    fn identify(&mut self, creation_date: i64) {
        let source = Source { storage_namespace: "s3://east/s".into(), default_branch: "main".into(), creation_date };
        self.ask(MirrorCommand::IdentifySource(source));
    }

    fn attempt(&mut self, ask: MirrorCommand) -> Result<Vec<Event>, Refused> {
        let events = decide(&self.state, Command::Mirror { mirror: id(), ask, at_ms: 1_000_000_000 })?;
        for event in &events {
            self.state.apply(event);
        }
        Ok(events)
    }

    fn ask(&mut self, ask: MirrorCommand) -> Vec<Event> {
        self.attempt(ask).unwrap()
    }

    fn removes(&mut self, names: &[&str]) -> usize {
        let proven_gone = names.iter().map(|name| (name.to_string(), 0)).collect();
        self.ask(MirrorCommand::PlanRemovals { proven_gone }).len()
    }
}

fn listing(branches: &[(&str, &str)], gone: &[&str]) -> MirrorCommand {
    MirrorCommand::ObserveBranches {
        listed: branches.iter().map(|(name, digit)| ((*name).to_owned(), commit(digit))).collect(),
        hidden: BTreeSet::new(),
        proven_gone: gone.iter().map(ToString::to_string).collect(),
    }
}

fn buried() -> Reducer {
    let mut reducer = Reducer::new();
    for _ in 0..2 {
        reducer.ask(listing(&[("main", "b")], &["dev"]));
    }
    reducer.state.policy.deletion_grace_ms = 0;
    reducer
}

#[test]
fn what_was_proven_gone_in_this_very_turn_is_removed() {
    assert_eq!(buried().removes(&["dev"]), 1);
    assert_eq!(buried().removes(&[]), 0);
}

#[test]
fn a_listing_without_the_default_branch_is_not_believed() {
    let mut reducer = Reducer::new();
    for _ in 0..3 {
        reducer.attempt(listing(&[], &["dev", "main"])).unwrap();
    }
    let held: Vec<&String> = reducer.state.mirror(&id()).unwrap().holds.keys().collect();
    assert_eq!(held, ["dev"], "an operator may let it go, and nobody the default branch");
    assert!(reducer.state.mirror(&id()).unwrap().branches.values().all(|branch| branch.tombstone_ms.is_none()));
}

#[test]
fn a_source_that_was_made_again_removes_nothing() {
    let mut reducer = buried();
    reducer.identify(2);
    assert_eq!(reducer.removes(&["dev"]), 0);
    reducer.identify(1);
    assert_eq!(reducer.removes(&["dev"]), 1);
}

#[test]
fn what_others_deleted_is_removed_and_what_they_moved_is_left() {
    for (found, removed) in [(None, 1), (Some(commit("c")), 0)] {
        let mut reducer = buried();
        let (mirror, branch) = (id(), "dev".to_owned());
        reducer.state.apply(&Event::BranchAdopted(BranchAdoptedV1 { mirror, branch, found: commit("a"), at_ms: 1 }));
        reducer.ask(MirrorCommand::Diverged { branch: "dev".into(), found });
        assert_eq!(reducer.removes(&["dev"]), removed, "{found:?}");
    }
}

#[test]
fn a_branch_that_came_back_during_its_removal_is_a_new_one() {
    let mut reducer = buried();
    reducer.removes(&["dev"]);
    reducer.ask(listing(&[("dev", "c"), ("main", "b")], &[]));
    reducer.ask(MirrorCommand::FinishRemoval { branch: "dev".into() });
    let branch = reducer.state.mirror(&id()).unwrap().branches.get("dev").cloned().unwrap();
    assert!(!branch.removing && branch.mirror.is_none());
    assert_eq!(branch.pending.iter().map(|head| head.commit).collect::<Vec<_>>(), [commit("c")]);
}

/// A mirror of a source that is gone may be the only copy: what is said of it does not lead to its deletion.
#[test]
fn a_source_that_was_made_again_is_no_reason_to_delete_its_mirror() {
    let mut reducer = Reducer::new();
    let earlier =
        "the source repository was deleted and made again under its name: delete this mirror and create it again";
    reducer.state.apply(&Event::TroubleNoted(TroubleNotedV1 { mirror: id(), text: earlier.to_owned(), at_ms: 1 }));
    reducer.identify(99);
    let said = reducer.state.mirror(&id()).unwrap().conditions().next().unwrap().1.text.clone();
    assert!(!said.contains("create it again"), "{said}");
    for part in ["keep this mirror as it is", "another name", "deleting this mirror would delete its repository"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn another_condition_that_comes_and_goes_does_not_end_the_guard_against_a_replaced_source() {
    let mut reducer = Reducer::new();
    reducer.identify(99);
    let follows = |reducer: &mut Reducer| {
        reducer.attempt(listing(&[("dev", "a"), ("main", "c")], &[])).is_ok_and(|events| !events.is_empty())
    };
    assert!(!follows(&mut reducer), "the new repository is not followed");
    let condition = MirrorCondition::RepositoryMissing;
    reducer.ask(MirrorCommand::Raise { condition, text: "the mirror repository was deleted".to_owned() });
    let held: Vec<MirrorCondition> =
        reducer.state.mirror(&id()).unwrap().conditions().map(|(condition, _)| condition).collect();
    assert_eq!(held, [MirrorCondition::SourceReplaced, MirrorCondition::RepositoryMissing]);
    assert!(!follows(&mut reducer), "nor beside another condition");
    reducer.ask(MirrorCommand::Resolve(condition));
    assert!(!follows(&mut reducer), "nor after it");
    reducer.identify(1);
    assert!(follows(&mut reducer), "the repository that was mirrored is back");
    assert_eq!(reducer.state.mirror(&id()).unwrap().conditions().count(), 0);
}

#[test]
fn what_an_earlier_version_noted_is_resolved_by_its_kind() {
    let mut reducer = Reducer::new();
    let text = "the mirror repository was deleted by somebody else: nothing goes on".to_owned();
    reducer.state.apply(&Event::TroubleNoted(TroubleNotedV1 { mirror: id(), text, at_ms: 1 }));
    reducer.ask(MirrorCommand::Resolve(MirrorCondition::SourceReplaced));
    assert!(reducer.state.mirror(&id()).unwrap().condition(MirrorCondition::RepositoryMissing).is_some());
    reducer.ask(MirrorCommand::Resolve(MirrorCondition::RepositoryMissing));
    assert_eq!(reducer.state.mirror(&id()).unwrap().conditions().count(), 0);
}
