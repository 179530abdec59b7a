//! What an audit compares, and how soon it finds what another writer did.

use std::sync::Arc;

use lakemirror_core::ids::Incarnation;
use lakemirror_journal::command::Command;
use lakemirror_journal::decide::decide;
use lakemirror_journal::event::MirrorDefinedV1;
use lakemirror_journal::event::{BranchAdoptedV1, MoveFinishedV1};
use lakemirror_journal::state::State;
use lakemirror_journal::state::mirror::{Definition, Source};

use super::*;
use crate::engine::tests::Loop;
use crate::repository::MARK;
use lakemirror_ports::BranchHead;

const ID: Incarnation = Incarnation([7; 16]);
const A: CommitId = CommitId([1; 32]);
const B: CommitId = CommitId([2; 32]);

fn ask(state: &mut State, ask: MirrorCommand) {
    for event in decide(state, Command::Mirror { mirror: ID, ask, at_ms: 1 }).unwrap() {
        state.apply(&event);
    }
}

#[test]
fn a_branch_that_moved_while_it_was_listed_is_not_compared() {
    let mut state = State::default();
    let text = String::from;
    ask(
        &mut state,
        MirrorCommand::Define(Definition {
            name: text("m"),
            source_repository: text("s"),
            source_region: text("east"),
            region: text("west"),
            storage_namespace: text("s3://west/s"),
            created_ms: 1,
        }),
    );
    let (listed, hidden, branch) = (vec![(text("main"), B)], BTreeSet::new(), text("main"));
    ask(&mut state, MirrorCommand::ObserveBranches { listed, hidden, proven_gone: Vec::new() });
    state.apply(&Event::BranchAdopted(BranchAdoptedV1 { mirror: ID, branch, found: A, at_ms: 1 }));
    let rests = |state: &State| resting(state.mirror(&ID).unwrap());
    let (before, shown, branch) = (rests(&state), BTreeMap::from([(text("main"), A)]), text("main"));
    let moved = MoveFinishedV1 { mirror: ID, branch, from: Some(A), to: B, seen: 1, at_ms: 2 };
    state.apply(&Event::MoveFinished(moved));
    let compared = |before| compare(state.mirror(&ID).unwrap(), before, &shown).len();
    assert_eq!((compared(&before), compared(&rests(&state))), (0, 1));
}

/// A mirror at rest: its only branch is where the journal left it, at [`A`].
fn at_rest() -> Vec<Event> {
    let text = String::from;
    let mut state = State::default();
    let mut facts = vec![Event::MirrorDefined(MirrorDefinedV1 {
        mirror: ID,
        name: text("m"),
        source_repository: text("s"),
        source_region: text("east"),
        region: text("west"),
        storage_namespace: text("s3://west/s"),
        at_ms: 1,
    })];
    facts.iter().for_each(|fact| state.apply(fact));
    let source = Source { storage_namespace: text("s3://east/s"), default_branch: text("main"), creation_date: 1 };
    for ask in [
        MirrorCommand::IdentifySource(source),
        MirrorCommand::IntendRepository,
        MirrorCommand::RepositoryReady { adopted: false },
        MirrorCommand::ObserveBranches {
            listed: vec![(text("main"), A)],
            hidden: BTreeSet::new(),
            proven_gone: Vec::new(),
        },
    ] {
        for fact in decide(&state, Command::Mirror { mirror: ID, ask, at_ms: 1 }).unwrap() {
            state.apply(&fact);
            facts.push(fact);
        }
    }
    facts.push(Event::BranchAdopted(BranchAdoptedV1 { mirror: ID, branch: text("main"), found: A, at_ms: 1 }));
    facts
}

#[tokio::test]
async fn a_branch_that_another_writer_moved_on_an_idle_mirror_is_found_within_60_s() {
    let mut this = Loop::after(&at_rest()).await;
    this.take().await;
    let lake = Arc::clone(&this.lake);
    *lake.marks.lock().unwrap() = BTreeMap::from([(MARK.to_owned(), ID.to_string())]);
    let shows = |head| *lake.heads.lock().unwrap() = vec![BranchHead { name: "main".into(), head }];
    shows(A);
    let (context, clock) = this.site_and_clock();
    let audited = context.clone();
    let audit = tokio::spawn(async move { run(&audited, &Ownership::default()).await });
    let diverged = async || context.look(|mirror| mirror.branches["main"].diverged().is_some()).await.unwrap().unwrap();
    let pass = async |seconds| {
        for _ in 0..seconds {
            clock.advance(Duration::from_secs(1));
            for _ in 0..10 {
                context.look(|_| ()).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    };
    pass(600).await;
    assert!(!diverged().await, "nothing was moved yet");
    let quiet = lake.listings.load(std::sync::atomic::Ordering::Relaxed);
    assert!((8..=30).contains(&quiet), "{quiet} listings in ten minutes");
    shows(B);
    pass(60).await;
    assert!(diverged().await);
    audit.abort();
}
