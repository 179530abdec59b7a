//! Objects in an archive class, from the store to what is said of them.

use lakemirror_journal::command::MirrorCommand;
use lakemirror_journal::state::State;
use lakemirror_journal::state::policy::{ArchivedRule, Policy};
use lakemirror_journal::state::tree::Completeness;

use super::world::{MIRROR, World, id, tree};
use super::{SECOND, Settings};
use crate::status::{self, RuntimeStatus};

async fn blocking() -> World {
    let policy = Policy { archived: ArchivedRule::Block, ..Policy::default() };
    World::with(State { policy, ..State::default() }, Settings::default()).await
}

fn archive(world: &World, key: &str) {
    world.store.archived.lock().unwrap().insert(format!("ns/{key}"), 1);
}

async fn problems(world: &World) -> Vec<String> {
    let runtime = RuntimeStatus { verify: world.status.lock().unwrap().clone(), ..RuntimeStatus::default() };
    let looked = world.recorder.read(move |state| {
        let status = status::of(state.mirror(&MIRROR).unwrap(), &state.policy, &runtime, (0, [0; 32]));
        let waiting = status.branches.into_iter().flat_map(|branch| branch.waiting);
        waiting
            .map(|waiting| format!("{}: {}", waiting.kind.name(), waiting.what))
            .chain(status.problems.iter().map(ToString::to_string))
            .collect()
    });
    looked.await.unwrap()
}

#[tokio::test]
async fn a_head_waits_for_an_archived_object_and_says_so_until_it_is_restored() {
    let world = blocking().await;
    let files = tree(&[&[("a", "data/1", 1), ("b", "data/2", 2)]]);
    world.arrive_files(&files);
    world.arrive("data/1", 1);
    world.arrive("data/2", 2);
    archive(&world, "data/2");
    world.see(&[("main", 1)], &[(1, &[], files.id)]).await;
    world.until_status("archived", |status| status.tree(&files.id).is_some_and(|tree| tree.counts.archived == 1)).await;
    assert_eq!(world.completeness(files.id).await, Completeness::Incomplete);
    let said = problems(&world).await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("archived: objects of commit 010101010101: 1 in an archive class"), "{said:?}");
    assert!(said[0].contains("b (s3://there/ns/data/2: in storage class GLACIER)"), "{said:?}");
    world.pass(10 * SECOND).await;
    assert!(world.source.probes.lock().unwrap().is_empty(), "to restore it is its owner's");
    world.store.archived.lock().unwrap().clear();
    world.until_grade(files.id, Completeness::Complete).await;
}

#[tokio::test]
async fn what_the_mirror_shows_is_reported_and_holds_up_nothing_that_has_it_too() {
    let world = blocking().await;
    let old = tree(&[&[("a", "data/1", 1)]]);
    let new = tree(&[&[("a", "data/1", 1), ("b", "data/2", 2)]]);
    for files in [&old, &new] {
        world.arrive_files(files);
    }
    world.arrive("data/1", 1);
    world.see(&[("main", 1)], &[(1, &[], old.id)]).await;
    world.until_grade(old.id, Completeness::Complete).await;
    for ask in [
        MirrorCommand::PlanMoves,
        MirrorCommand::RecordsWritten(vec![id(1)]),
        MirrorCommand::FinishMove { branch: "main".into() },
    ] {
        world.recorder.ask(MIRROR, ask).await.unwrap();
    }
    world.pass(SECOND).await;
    assert_eq!(problems(&world).await, [""; 0]);
    archive(&world, "data/1");
    world.clock.forward_ms.store(2 * 86_400_000, std::sync::atomic::Ordering::Relaxed);
    world.recorder.ask(MIRROR, MirrorCommand::Scrub).await.unwrap();
    world.until_grade(old.id, Completeness::Complete).await;
    world.pass(SECOND).await;
    let said = problems(&world).await;
    assert!(said.len() == 1 && said[0].ends_with("cannot be read before they are restored: 1 in GLACIER"), "{said:?}");
    world.see(&[("main", 2)], &[(2, &[1], new.id)]).await;
    world.arrive("data/2", 2);
    world.until_grade(new.id, Completeness::Complete).await;
}
