//! What is tracked from plan to plan.

use std::time::Duration;

use lakemirror_core::ids::{CommitId, MetarangeId, RangeId};

use crate::verify::need::{Plan, RangeNeed, Role, TreeNeed};
use crate::verify::track::{Rules, Tracks};

fn needed(number: u16) -> TreeNeed {
    let mut id = [0; 32];
    id[..2].copy_from_slice(&number.to_le_bytes());
    TreeNeed {
        id: MetarangeId(id),
        role: Role::Head,
        of_ancestor: false,
        shown_only: false,
        lacks: None,
        commit: CommitId(id),
        generation: 1,
        since_ms: 0,
        total: None,
        open: 0,
        ranges: Vec::new(),
        unlisted: Default::default(),
        borrowed_from: Vec::new(),
        parents: Vec::new(),
    }
}

fn plan(numbers: impl IntoIterator<Item = u16>) -> Plan {
    Plan { trees: numbers.into_iter().map(needed).collect(), ..Plan::default() }
}

#[test]
fn a_track_lasts_as_long_as_it_is_needed_and_no_longer() {
    let mut tracks = Tracks::new(Rules { workers: 2, recheck: None, diagnose_after: Duration::ZERO });
    tracks.follow(plan([1, 2]), Duration::ZERO);
    let (one, two) = (needed(1).id, needed(2).id);
    tracks.trees.get_mut(&one).unwrap().tries = 7;
    tracks.trees.get_mut(&two).unwrap().tries = 7;
    tracks.follow(plan([1, 3]), Duration::ZERO);
    assert_eq!(tracks.trees.get(&one).map(|track| track.tries), Some(7));
    assert!(!tracks.trees.contains_key(&two));
    tracks.follow(plan([1, 2]), Duration::ZERO);
    assert_eq!(tracks.trees.get(&two).map(|track| track.tries), Some(0), "what comes again is new");
}

#[test]
fn room_for_what_once_was_many_is_given_back() {
    let mut tracks = Tracks::new(Rules { workers: 2, recheck: None, diagnose_after: Duration::ZERO });
    tracks.follow(plan(0..10_000), Duration::ZERO);
    assert_eq!(tracks.trees.len(), 10_000);
    tracks.follow(plan([1]), Duration::ZERO);
    assert_eq!(tracks.trees.len(), 1);
    assert!(tracks.trees.capacity() < 200, "{}", tracks.trees.capacity());
}

#[test]
fn what_was_opened_again_is_looked_for_as_if_for_the_first_time() {
    let id = RangeId([7; 32]);
    let wanting = |wanted| RangeNeed {
        id,
        entries: 9,
        read: true,
        wanted,
        few: Vec::new(),
        missing: wanted,
        wrong_size: 0,
        archived: 0,
        forbidden: 0,
        expired: 0,
        imports: 0,
        for_head: true,
        for_ancestor: false,
        shown: false,
        checked_ms: 0,
    };
    let plan = |wanted| Plan {
        trees: vec![TreeNeed { ranges: vec![wanting(wanted)], total: Some(1), ..needed(1) }],
        ..Plan::default()
    };
    let mut tracks = Tracks::new(Rules { workers: 2, recheck: None, diagnose_after: Duration::ZERO });
    tracks.follow(plan(5), Duration::ZERO);
    let track = tracks.ranges.get_mut(&id).unwrap();
    (track.tries, track.running) = (4, true);
    tracks.follow(plan(3), Duration::ZERO);
    assert_eq!(tracks.ranges[&id].tries, 4, "less is wanted: it goes on");
    tracks.follow(plan(4), Duration::ZERO);
    assert_eq!((tracks.ranges[&id].tries, tracks.ranges[&id].running), (0, true));
}
