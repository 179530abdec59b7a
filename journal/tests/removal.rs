//! When a branch is removed from the mirror, and what never removes one (I6).

#![allow(clippy::unwrap_used, reason = "a test ends where it fails, in its helper functions too")]

use std::collections::BTreeSet;

use lakemirror_journal::command::{Ask, Command};
use lakemirror_journal::decide::{Refused, decide};
use lakemirror_journal::event::{BranchAdoptedV1, Event, TroubleNotedV1};
use lakemirror_journal::ids::{CommitId, Incarnation};
use lakemirror_journal::state::State;
use lakemirror_journal::state::mirror::{Definition, Source};

fn id() -> Incarnation {
    Incarnation::parse("0123456789abcdef0123456789abcdef").unwrap()
}

fn commit(digit: &str) -> CommitId {
    CommitId::parse(&digit.repeat(64)).unwrap()
}

#[derive(Default)]
struct Desk {
    state: State,
}

impl Desk {
    fn new() -> Self {
        let mut desk = Self::default();
        desk.ask(Ask::Define(Definition {
            name: "m".into(),
            source_repository: "s".into(),
            source_region: "east".into(),
            region: "west".into(),
            storage_namespace: "s3://west/s".into(),
            created_ms: 1,
        }));
        desk.identify(1);
        desk.ask(listing(&[("dev", "a"), ("main", "b")], &[]));
        desk
    }

    fn identify(&mut self, creation_date: i64) {
        let source = Source { storage_namespace: "s3://east/s".into(), default_branch: "main".into(), creation_date };
        self.ask(Ask::IdentifySource(source));
    }

    fn attempt(&mut self, ask: Ask) -> Result<Vec<Event>, Refused> {
        let events = decide(&self.state, Command::Mirror { mirror: id(), ask, at_ms: 1_000_000_000 })?;
        for event in &events {
            self.state.apply(event);
        }
        Ok(events)
    }

    fn ask(&mut self, ask: Ask) -> Vec<Event> {
        self.attempt(ask).unwrap()
    }

    fn removes(&mut self, names: &[&str]) -> usize {
        let proven_gone = names.iter().map(|name| (name.to_string(), 0)).collect();
        self.ask(Ask::PlanRemovals { proven_gone }).len()
    }
}

fn listing(branches: &[(&str, &str)], gone: &[&str]) -> Ask {
    Ask::ObserveBranches {
        listed: branches.iter().map(|(name, digit)| ((*name).to_owned(), commit(digit))).collect(),
        hidden: BTreeSet::new(),
        proven_gone: gone.iter().map(ToString::to_string).collect(),
    }
}

fn buried() -> Desk {
    let mut desk = Desk::new();
    for _ in 0..2 {
        desk.ask(listing(&[("main", "b")], &["dev"]));
    }
    desk.state.policy.deletion_grace_ms = 0;
    desk
}

#[test]
fn what_was_proven_gone_in_this_very_turn_is_removed() {
    assert_eq!(buried().removes(&["dev"]), 1);
    assert_eq!(buried().removes(&[]), 0);
}

#[test]
fn a_listing_without_the_default_branch_is_not_believed() {
    let mut desk = Desk::new();
    for _ in 0..3 {
        desk.attempt(listing(&[], &["dev", "main"])).unwrap();
    }
    let held: Vec<&String> = desk.state.mirror(&id()).unwrap().holds.keys().collect();
    assert_eq!(held, ["dev"], "an operator may let it go, and nobody the default branch");
    assert!(desk.state.mirror(&id()).unwrap().branches.values().all(|branch| branch.tombstone_ms.is_none()));
}

#[test]
fn a_source_that_was_made_again_removes_nothing() {
    let mut desk = buried();
    desk.identify(2);
    assert_eq!(desk.removes(&["dev"]), 0);
    desk.identify(1);
    assert_eq!(desk.removes(&["dev"]), 1);
}

#[test]
fn what_others_deleted_is_removed_and_what_they_moved_is_left() {
    for (found, removed) in [(None, 1), (Some(commit("c")), 0)] {
        let mut desk = buried();
        let (mirror, branch) = (id(), "dev".to_owned());
        desk.state.apply(&Event::BranchAdopted(BranchAdoptedV1 { mirror, branch, found: commit("a"), at_ms: 1 }));
        desk.ask(Ask::Diverged { branch: "dev".into(), found });
        assert_eq!(desk.removes(&["dev"]), removed, "{found:?}");
    }
}

#[test]
fn a_branch_that_came_back_during_its_removal_is_a_new_one() {
    let mut desk = buried();
    desk.removes(&["dev"]);
    desk.ask(listing(&[("dev", "c"), ("main", "b")], &[]));
    desk.ask(Ask::FinishRemoval { branch: "dev".into() });
    let branch = desk.state.mirror(&id()).unwrap().branches.get("dev").cloned().unwrap();
    assert!(!branch.removing && branch.mirror.is_none());
    assert_eq!(branch.pending.iter().map(|head| head.commit).collect::<Vec<_>>(), [commit("c")]);
}

/// A mirror of a source that is gone may be the only copy: what is said of it does not lead to its deletion.
#[test]
fn a_source_that_was_made_again_is_no_reason_to_delete_its_mirror() {
    let mut desk = Desk::new();
    let earlier =
        "the source repository was deleted and made again under its name: delete this mirror and create it again";
    desk.state.apply(&Event::TroubleNoted(TroubleNotedV1 { mirror: id(), text: earlier.to_owned(), at_ms: 1 }));
    desk.identify(99);
    let said = desk.state.mirror(&id()).unwrap().trouble.clone().unwrap().text;
    assert!(!said.contains("create it again"), "{said}");
    for part in ["keep this mirror as it is", "another name", "deleting this mirror would delete its repository"] {
        assert!(said.contains(part), "{said}");
    }
}
