//! Rules about the journal's own files, each as the smallest story that shows it.

use lakemirror_journal::command::{Command, UpkeepStep};
use lakemirror_journal::decide::Refused;
use lakemirror_journal::event::{Event, SegmentDroppedV1, SegmentSealedV1};
use lakemirror_journal::state::lifecycle::Stage;

use super::world::Reducer;

fn sealed(first: u64, last: u64) -> UpkeepStep {
    let (hash, last_frame) = ([first as u8; 32], [2; 32]);
    UpkeepStep::Sealed { first, last, frames: 2, bytes: 300, checks: 9, hash, last_frame }
}

fn archived(first: u64, last: u64, place: &str) -> UpkeepStep {
    let (hash, file_hash) = ([first as u8; 32], [3; 32]);
    UpkeepStep::Archived { first, last, hash, bytes: 70, file_hash, place: place.to_owned() }
}

fn dropped(first: u64, last: u64) -> UpkeepStep {
    UpkeepStep::Dropped { first, last, hash: [first as u8; 32] }
}

fn snapshot(seq: u64, digest: u8) -> UpkeepStep {
    UpkeepStep::SnapshotTaken { seq, digest: [digest; 32], bytes: 900 }
}

fn lost(from: u64, to: u64, reason: &str) -> UpkeepStep {
    UpkeepStep::LossAcknowledged { from, to, reason: reason.to_owned(), who: "op".to_owned() }
}

/// The number of facts.
fn tell(reducer: &mut Reducer, step: UpkeepStep) -> Result<usize, Refused> {
    reducer.command(Command::Upkeep { step, at_ms: 7 }).map(|facts| facts.len())
}

fn refused(reducer: &mut Reducer, step: UpkeepStep, why: &str) {
    let before = reducer.state.clone();
    let error = tell(reducer, step).unwrap_err();
    assert!(error.to_string().contains(why), "{error}");
    assert_eq!(reducer.state, before);
}

#[test]
fn segments_climb_the_ladder_in_order_and_each_step_counts_once() {
    let mut reducer = Reducer::default();
    refused(&mut reducer, sealed(2, 9), "record 1 follows");
    refused(&mut reducer, sealed(1, 0), "record 1 follows");
    refused(&mut reducer, archived(1, 9, "a"), "not sealed");
    for step in [sealed(1, 9), sealed(10, 19), sealed(20, 29)] {
        assert_eq!(tell(&mut reducer, step.clone()), Ok(1));
        assert_eq!(tell(&mut reducer, step), Ok(0));
    }
    refused(&mut reducer, sealed(1, 8), "not the one");
    refused(&mut reducer, sealed(40, 49), "record 30 follows");
    refused(&mut reducer, dropped(1, 9), "no snapshot");
    assert_eq!(tell(&mut reducer, snapshot(8, 1)), Ok(1));
    refused(&mut reducer, dropped(1, 9), "no snapshot");
    assert_eq!(tell(&mut reducer, snapshot(35, 1)), Ok(1));
    refused(&mut reducer, dropped(10, 19), "before the one of record 1");
    assert_eq!(tell(&mut reducer, archived(1, 9, "a")), Ok(1));
    assert_eq!(tell(&mut reducer, archived(1, 9, "a")), Ok(0));
    assert_eq!(tell(&mut reducer, dropped(1, 9)), Ok(1));
    assert_eq!(tell(&mut reducer, dropped(1, 9)), Ok(0));
    assert_eq!(tell(&mut reducer, archived(1, 9, "a")), Ok(0), "that is known");
    refused(&mut reducer, archived(1, 9, "b"), "was dropped");
    assert_eq!(tell(&mut reducer, dropped(10, 19)), Ok(1), "nobody asked for an archive");
    refused(&mut reducer, archived(10, 19, "a"), "was dropped");
    refused(&mut reducer, dropped(20, 29), "newest");
    let stages: Vec<bool> = reducer
        .state
        .lifecycle
        .segments
        .values()
        .filter_map(
            |segment| if let Stage::Dropped { archive, .. } = &segment.stage { Some(archive.is_some()) } else { None },
        )
        .collect();
    assert_eq!(stages, [true, false]);
    assert_eq!(reducer.state.lifecycle.oldest_kept().map(|(first, _)| first), Some(20));
    assert_eq!(reducer.state.lifecycle.open_from(), 30);
}

#[test]
fn a_segment_is_known_by_its_hash() {
    let mut reducer = Reducer::default();
    assert_eq!(tell(&mut reducer, sealed(1, 9)), Ok(1));
    let other = UpkeepStep::Dropped { first: 1, last: 9, hash: [77; 32] };
    refused(&mut reducer, other, "another hash");
    refused(&mut reducer, dropped(1, 8), "not sealed");
}

#[test]
fn snapshots_only_go_forward_and_losses_have_reasons() {
    let mut reducer = Reducer::default();
    assert_eq!(tell(&mut reducer, snapshot(8, 1)), Ok(1));
    assert_eq!(tell(&mut reducer, snapshot(8, 1)), Ok(0));
    assert_eq!(tell(&mut reducer, snapshot(7, 3)), Ok(0));
    refused(&mut reducer, snapshot(8, 2), "another digest");
    refused(&mut reducer, lost(0, 4, "why"), "a loss is of records");
    refused(&mut reducer, lost(5, 4, "why"), "a loss is of records");
    refused(&mut reducer, lost(4, 5, " "), "a loss is of records");
    assert_eq!(tell(&mut reducer, lost(4, 5, "why")), Ok(1));
    assert_eq!(tell(&mut reducer, lost(4, 5, "why")), Ok(0));
    assert_eq!(tell(&mut reducer, lost(9, 10, "again")), Ok(1));
    assert_eq!(reducer.state.lifecycle.losses.len(), 2);
}

/// Facts that no decision would have made change nothing and are counted.
#[test]
fn facts_that_contradict_the_ladder_are_strays() {
    let mut reducer = Reducer::default();
    assert_eq!(tell(&mut reducer, sealed(1, 9)), Ok(1));
    let before = reducer.state.clone();
    let gap = SegmentSealedV1 {
        first: 20,
        last: 29,
        frames: 1,
        bytes: 1,
        checks: 0,
        hash: [0; 32],
        last_frame: [0; 32],
        at_ms: 1,
    };
    let drop = |archived, hash| SegmentDroppedV1 { first: 1, last: 9, hash, archived, at_ms: 1 };
    reducer.take(&[
        Event::SegmentSealed(gap),
        Event::SegmentDropped(drop(true, [1; 32])),
        Event::SegmentDropped(drop(false, [2; 32])),
    ]);
    assert_eq!(reducer.state.lifecycle, before.lifecycle);
    assert_eq!(reducer.state.ignored_events, 3);
}
