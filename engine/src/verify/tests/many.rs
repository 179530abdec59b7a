//! Much that is missing for long: what waiting for it costs, and that nobody else waits for it.

use lakemirror_journal::state::tree::Completeness;

use super::SECOND;
use super::world::{Files, World, tree};

/// A tree of so many ranges with so many objects each.
fn large(ranges: usize, objects: usize) -> Files {
    let text = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let range = |range: usize| -> Vec<(&str, &str, i64)> {
        let object = |object| (text(format!("p{range:05}/{object:05}")), text(format!("data/{range}-{object}")), 7);
        (0..objects).map(object).collect()
    };
    let ranges: Vec<Vec<_>> = (0..ranges).map(range).collect();
    tree(&ranges.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn arrive_all(world: &World, ranges: usize, objects: usize) {
    for range in 0..ranges {
        for object in 0..objects {
            world.arrive(&format!("data/{range}-{object}"), 7);
        }
    }
}

/// Another branch is seen, and its only object arrives a second later: that is found within two more.
async fn another_branch_goes_on(world: &World) {
    let small = tree(&[&[("z", "data/z", 1)]]);
    world.arrive_files(&small);
    world.see(&[("large", 1), ("main", 2)], &[(2, &[], small.id)]).await;
    world.pass(SECOND).await;
    world.arrive("data/z", 1);
    world.pass(2 * SECOND).await;
    assert_eq!(world.completeness(small.id).await, Completeness::Complete);
}

fn requests(world: &World) -> (usize, usize) {
    (world.store.reads.lock().unwrap().len(), world.store.asked.lock().unwrap().len())
}

#[tokio::test]
async fn waiting_for_many_range_files_costs_next_to_nothing() {
    const RANGES: usize = 400;
    let world = World::new().await;
    let files = large(RANGES, 1);
    world.arrive_file(files.id, &files.metarange);
    world.see(&[("large", 1)], &[(1, &[], files.id)]).await;
    world.pass(2 * SECOND).await;
    let before = requests(&world);
    // The metarange; and a few range files, where the verifier is woken before the whole list is recorded.
    assert!((1..=4).contains(&before.0), "hardly a file is read that is not there: {}", before.0);
    world.pass(120 * SECOND).await;
    let (reads, asked) = requests(&world);
    assert_eq!(reads, before.0);
    assert!(asked - before.1 <= 200 * RANGES + 130 * 8, "{asked}");
    let said = world.status.lock().unwrap().tree(&files.id).unwrap().clone();
    assert_eq!((said.counts.range_files, said.counts.missing), (RANGES as u64, RANGES as u64));
    assert!(said.next_check_ms.is_some() && said.checked_ms > 0 && said.fault.unwrap().contains("has not arrived"));
    another_branch_goes_on(&world).await;
    world.arrive_files(&files);
    arrive_all(&world, RANGES, 1);
    world.until_grade(files.id, Completeness::Complete).await;
    let (reads, _) = requests(&world);
    assert!(reads <= RANGES + 16, "each is read once: {reads}");
}

#[tokio::test]
async fn waiting_for_many_objects_costs_next_to_nothing() {
    const OBJECTS: usize = 4000;
    let world = World::new().await;
    let files = large(2, OBJECTS);
    world.arrive_files(&files);
    world.see(&[("large", 1)], &[(1, &[], files.id)]).await;
    world.pass(2 * SECOND).await;
    let before = requests(&world);
    assert!(before.1 >= 2 * OBJECTS, "{before:?}");
    world.pass(60 * SECOND).await;
    let (reads, asked) = requests(&world);
    assert_eq!(reads, before.0);
    // All of them twelve seconds after the last look at all, since 30 µs each are 2 % of that; between those, scouts.
    assert!(asked - before.1 <= 12 * 2 * OBJECTS + 62 * 2 * 8, "{asked}");
    another_branch_goes_on(&world).await;
    arrive_all(&world, 2, OBJECTS);
    world.pass(3 * SECOND).await;
    assert_eq!(world.completeness(files.id).await, Completeness::Complete, "a scout that arrived calls the others");
}
