//! A commit of ten million objects, to measure with: the journal is written where `LAKEMIRROR_LARGE_JOURNAL` says.

use lakemirror_journal::event::Event;

use super::world::{World, at, checked, listed, moves, observed, read, seen};

/// Ranges of the commit, and the entries of each.
const RANGES: u8 = 200;
const ENTRIES: u32 = 50_000;
const BATCH: u32 = 4096;

/// Every batch finds all but some of its objects there, which a later one finds.
fn checks(world: &mut World, n: u8) {
    for base in (0..ENTRIES).step_by(BATCH as usize) {
        let len = BATCH.min(ENTRIES - base);
        let late: Vec<u32> = (base..base + len).step_by(97).collect();
        let mut events: Vec<Event> = vec![checked(n, base, len, &late, 20)];
        events.extend(late.iter().step_by(8).map(|ordinal| checked(n, *ordinal, 1, &[], 30)));
        events.push(checked(n, base, len, &[], 40));
        world.add(&events);
    }
}

#[test]
#[ignore = "writes a journal of a 10 M-object commit, to measure `journal explain` with"]
fn write_a_commit_of_ten_million_objects() {
    let dir = std::env::var_os("LAKEMIRROR_LARGE_JOURNAL").unwrap();
    let mut world = World::new(dir.as_ref());
    let ranges: Vec<(u8, u32)> = (1..=RANGES).map(|n| (n, ENTRIES)).collect();
    world.add(&[seen("main", 1, 10), observed(1, &[], Some(1), 10), listed(1, &ranges, 11)]);
    for (n, entries) in &ranges {
        world.add(&[read(*n, *entries, &[], None, 12)]);
    }
    (1..=RANGES).for_each(|n| checks(&mut world, n));
    let stated = (u32::from(RANGES), u64::from(RANGES) * u64::from(ENTRIES), at(12));
    moves(None, 1, 1, stated, 50).iter().for_each(|events| world.add(events));
}
