//! How many objects there are, and how many are missing: each counted once.

use lakemirror_journal::command::MirrorCommand;
use lakemirror_journal::state::tree::Completeness;

use super::SECOND;
use super::world::{MIRROR, World, id, tree};
use crate::status::{self, RuntimeStatus, Sums};

async fn sums(world: &World) -> Sums {
    let runtime = RuntimeStatus { verify: world.status.lock().unwrap().clone(), ..RuntimeStatus::default() };
    let of = move |state: &lakemirror_journal::state::State| {
        status::of(state.mirror(&MIRROR).unwrap(), &state.policy, &runtime, (0, [0; 32])).sums
    };
    world.recorder.read(of).await.unwrap()
}

async fn promote(world: &World, commit: u8) {
    world.recorder.ask(MIRROR, MirrorCommand::PlanMoves).await.unwrap();
    world.recorder.ask(MIRROR, MirrorCommand::RecordsWritten(vec![id(commit)])).await.unwrap();
    world.recorder.ask(MIRROR, MirrorCommand::FinishMove { branch: "main".into() }).await.unwrap();
}

/// Three commits in a row, each with a version of the same range.
#[tokio::test]
async fn objects_are_counted_once_whatever_versions_of_a_range_there_are() {
    let world = World::new().await;
    let first = tree(&[&[("a", "data/1", 1), ("b", "data/2", 2)]]);
    let second = tree(&[&[("a", "data/1", 1), ("b", "data/2", 2), ("c", "data/3", 3)]]);
    let third = tree(&[&[("a", "data/1", 1), ("b", "data/2", 2), ("c", "data/3", 3), ("d", "data/4", 4)]]);
    for files in [&first, &second, &third] {
        world.arrive_files(files);
    }
    world.arrive("data/1", 1);
    world.arrive("data/2", 2);
    world.see(&[("main", 1)], &[(1, &[], first.id)]).await;
    world.until_grade(first.id, Completeness::Complete).await;
    promote(&world, 1).await;
    let counted = |sums: Sums| (sums.objects_present, sums.objects_missing);
    assert_eq!(counted(sums(&world).await), (2, 0));
    // Two more heads, both without the third object.
    world.see(&[("main", 2)], &[(2, &[1], second.id)]).await;
    world.see(&[("main", 3)], &[(3, &[2], third.id)]).await;
    world.pass(3 * SECOND).await;
    assert_eq!(counted(sums(&world).await), (2, 2), "the third and the fourth are missing, and no other");
    world.arrive("data/3", 3);
    world.arrive("data/4", 4);
    world.until_grade(third.id, Completeness::Complete).await;
    promote(&world, 2).await;
    world.recorder.ask(MIRROR, MirrorCommand::RecordsWritten(vec![id(3)])).await.unwrap();
    world.recorder.ask(MIRROR, MirrorCommand::FinishMove { branch: "main".into() }).await.unwrap_or_default();
    world.pass(SECOND).await;
    assert_eq!(counted(sums(&world).await), (4, 0), "what no branch shows any more is not counted");
}

/// Two branches that differ in one object each.
#[tokio::test]
async fn branches_that_have_objects_in_common_count_them_once() {
    let world = World::new().await;
    let main = tree(&[&[("a", "data/1", 1), ("b", "data/2", 2)]]);
    let dev = tree(&[&[("a", "data/1", 1), ("c", "data/3", 3)]]);
    for files in [&main, &dev] {
        world.arrive_files(files);
    }
    world.see(&[("dev", 2), ("main", 1)], &[(1, &[], main.id), (2, &[1], dev.id)]).await;
    world.pass(3 * SECOND).await;
    let counted = |sums: Sums| (sums.objects_present, sums.objects_missing);
    assert_eq!(counted(sums(&world).await), (0, 3), "everything is missing");
    for object in 1..=3u8 {
        world.arrive(&format!("data/{object}"), u64::from(object));
    }
    world.until_grade(dev.id, Completeness::Complete).await;
    world.until_grade(main.id, Completeness::Complete).await;
    world.pass(SECOND).await;
    assert_eq!(counted(sums(&world).await), (3, 0));
}
