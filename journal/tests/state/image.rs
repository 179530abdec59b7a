//! Images of states: exact, canonical, safe to read, and the same bytes for ever.

use lakemirror_journal::event::*;
use lakemirror_journal::ids::{CommitId, Incarnation, MetarangeId, RangeId};
use lakemirror_journal::state::State;
use lakemirror_journal::state::image::{self, ImageError, digest, digest_of};
use proptest::collection::vec;
use proptest::prelude::*;

use super::hostile;
use super::properties::{histories, replay, run};
use super::samples::one_of_each;

const GOLDEN: &str = include_str!("../golden/state_image.txt");

fn image(state: &State) -> Vec<u8> {
    let mut bytes = Vec::new();
    image::write(state, |part| bytes.extend_from_slice(part)).unwrap();
    assert_eq!(digest_of(&bytes), digest(state).unwrap());
    bytes
}

fn assert_exact(state: &State) {
    let bytes = image(state);
    let again = image::read(&bytes).unwrap();
    assert_eq!(&again, state);
    assert_eq!(image(&again), bytes);
}

/// Facts that make an image one of version 2.
fn is_version_2(event: &Event) -> bool {
    matches!(event, Event::JournalGapFound(_) | Event::DatabaseItemWritten(_) | Event::DatabaseRebuilt(_))
}

#[test]
fn gaps_and_the_copy_of_the_database_are_in_images_of_version_2_alone() {
    let version = |state: &State| image(state)[12..14].to_vec();
    assert_eq!(version(&everything()), [1, 0]);
    for facts in [0..1, 1..2, 2..3, 0..3] {
        let mut state = everything();
        let of_version_2: Vec<Event> = one_of_each().into_iter().filter(is_version_2).collect();
        of_version_2[facts].iter().for_each(|event| state.apply(event));
        assert_eq!(version(&state), [2, 0]);
        assert_ne!(digest(&state).unwrap(), digest(&everything()).unwrap());
        assert_exact(&state);
    }
}

/// A little of everything that a state can hold, from facts alone: no rule that may change has a part in it.
fn everything() -> State {
    let mut events = one_of_each();
    events.retain(|event| !matches!(event, Event::MirrorGone(_) | Event::BranchRemoved(_) | Event::BranchForgotten(_)));
    // Kinds that came after the golden image.
    let later = |event: &Event| {
        let about_deletions = matches!(
            event,
            Event::DeletionsApproved(_)
                | Event::BranchVisibilityChanged(_)
                | Event::BranchRemakeStarted(_)
                | Event::DeletionsHeld(_)
                | Event::DeletionsReleased(_)
        );
        let about_archives = matches!(event, Event::PolicySetV2(_) | Event::ArchivedShown(_));
        about_deletions
            || about_archives
            || matches!(event, Event::WrongSizesGone(_) | Event::TreesTakenBack(_) | Event::MoveGivenUp(_))
    };
    events.retain(|event| !later(event) && !is_version_2(event));
    let (one, other, at_ms) = (Incarnation([1; 16]), Incarnation([0x22; 16]), 77);
    let Some(Event::CommitObserved(commit)) = events.iter().find(|e| matches!(e, Event::CommitObserved(_))).cloned()
    else {
        panic!("a sample of a commit")
    };
    let Some(Event::MirrorDefined(defined)) = events.iter().find(|e| matches!(e, Event::MirrorDefined(_))).cloned()
    else {
        panic!("a sample of a mirror")
    };
    for (byte, parent, tree) in [(0x31, 2, Some(6)), (0x32, 0x31, None), (0x33, 0x99, Some(0x66))] {
        let (id, parents) = (CommitId([byte; 32]), vec![CommitId([parent; 32])]);
        let metarange = tree.map(|tree| MetarangeId([tree; 32]));
        events.push(Event::CommitObserved(CommitObservedV1 { id, parents, metarange, ..commit.clone() }));
    }
    for (name, head) in [("side", 0x31), ("side", 0x32), ("a branch with a longer name", 0x44)] {
        let (branch, head) = (name.to_owned(), CommitId([head; 32]));
        events.push(Event::BranchSeen(BranchSeenV1 { mirror: one, branch, head, hidden: false, at_ms }));
    }
    let branch = "side".to_owned();
    events.push(Event::MoveStarted(MoveStartedV1 {
        mirror: one,
        branch,
        from: None,
        to: CommitId([0x31; 32]),
        seen: 1,
        ranges: 1,
        entries: 70,
        oldest_evidence_ms: 3,
        at_ms,
    }));
    let checked = events.iter().find(|e| matches!(e, Event::ArrivalsChecked(_))).cloned();
    events.extend(checked);
    let probe = |gone| SourceProbedV1 { mirror: one, range: RangeId([5; 32]), gone, there: vec![], at_ms };
    events.push(Event::SourceProbed(probe(vec![20, 30])));
    events.push(Event::SourceProbed(probe(vec![30])));
    events.push(Event::TroubleNoted(TroubleNotedV1 { mirror: one, text: "once more".to_owned(), at_ms }));
    for mirror in [other, Incarnation([0x23; 16])] {
        events.push(Event::MirrorDefined(MirrorDefinedV1 { mirror, ..defined.clone() }));
    }
    events.push(Event::MirrorGone(MirrorGoneV1 { mirror: other, at_ms }));
    events.push(Event::MirrorGone(MirrorGoneV1 { mirror: Incarnation([0x55; 16]), at_ms }));
    let mut state = State::default();
    events.iter().for_each(|event| state.apply(event));
    state
}

#[test]
fn the_scenario_has_a_little_of_everything() {
    let state = everything();
    let mirror = &state.mirrors[&Incarnation([1; 16])];
    assert!(
        state.lifecycle.snapshot.is_some()
            && !state.lifecycle.losses.is_empty()
            && !state.lifecycle.segments.is_empty()
    );
    assert!(!state.gone_ms.is_empty() && state.ignored_events > 0 && state.checks > 0 && state.mirrors.len() == 2);
    assert!(mirror.source.is_some() && mirror.conditions().next().is_some() && mirror.adopted_ms.is_some());
    assert!(!mirror.resident.is_empty() && !mirror.graph.frontier.is_empty());
    assert!(mirror.branches.values().any(|branch| branch.moving.is_some()));
    assert!(mirror.graph.commits.values().any(|commit| commit.record.is_some()));
    let detail = mirror.trees.ranges.iter().find_map(|range| range.detail.as_deref()).unwrap();
    assert!(!detail.wrong_size.is_empty() && !detail.gone_once.is_empty() && !detail.expired.is_empty());
}

/// The file is never changed: a snapshot and the digests of checkpoints outlive the version that wrote them.
#[test]
fn version_1_has_kept_its_bytes() {
    let state = everything();
    let bytes = image(&state);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let lines: Vec<&str> = GOLDEN.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines, [hex(&digest(&state).unwrap()), hex(&bytes)]);
    assert_exact(&state);
    assert_exact(&State::default());
}

/// With an archived object, one of a range that the mirror shows, and the rule for them.
fn archived() -> State {
    let mut state = everything();
    let Some(Event::ArrivalsChecked(checked)) =
        one_of_each().into_iter().find(|e| matches!(e, Event::ArrivalsChecked(_)))
    else {
        panic!("a sample of checks")
    };
    let found = |ordinal, found| ArrivalExceptionV1 { ordinal, code: 5, found };
    let exceptions = vec![found(checked.base, 1), found(checked.base + 1, 4)];
    let (mirror, range, at_ms) = (checked.mirror, checked.range, 1);
    state.apply(&Event::ArrivalsChecked(ArrivalsCheckedV1 { exceptions, ..checked.clone() }));
    let ordinals = vec![checked.base];
    state.apply(&Event::ArchivedShown(ArchivedShownV1 { mirror, range, ordinals, at_ms }));
    let mut policy = state.policy.clone();
    policy.archived = lakemirror_journal::state::policy::ArchivedRule::Block;
    state.apply(&Event::PolicySetV2(policy.event()));
    state
}

#[test]
fn version_2_has_what_is_archived() {
    let state = archived();
    let ranges = || state.mirrors.values().flat_map(|mirror| &mirror.trees.ranges);
    let kept: Vec<_> =
        ranges().filter_map(|range| range.detail.as_deref()).flat_map(|detail| &detail.archived).collect();
    assert_eq!(kept.iter().map(|(_, one)| (one.class, one.shown)).collect::<Vec<_>>(), [(1, true), (4, false)]);
    assert_eq!(image(&state)[12], 2);
    assert_exact(&state);
    let bytes = image(&state);
    for end in 0..bytes.len() {
        assert!(image::read(&bytes[..end]).is_err(), "cut to {end}");
    }
}

#[test]
fn images_are_read_wherever_they_lie() {
    let (state, bytes) = (everything(), image(&everything()));
    let mut room = vec![0u8; bytes.len() + 32];
    let base = room.as_ptr().align_offset(16);
    for shift in 0..16 {
        let place = base + shift..base + shift + bytes.len();
        room[place.clone()].copy_from_slice(&bytes);
        assert_eq!(image::read(&room[place]).unwrap(), state, "at {shift}");
    }
}

#[test]
fn a_mark_is_the_low_half_of_the_digest_and_never_zero() {
    let mut digest = [0; 32];
    assert_eq!(image::mark(&digest), 1);
    digest[9] = 9;
    assert_eq!(image::mark(&digest), 1);
    digest[..8].copy_from_slice(&[2, 1, 0, 0, 0, 0, 0, 0x80]);
    assert_eq!(image::mark(&digest), 0x8000_0000_0000_0102);
}

#[test]
fn later_versions_are_named_and_what_is_cut_is_refused() {
    let bytes = image(&everything());
    let mut later = bytes.clone();
    later[12] = 3;
    assert!(matches!(image::read(&later), Err(ImageError::Newer { found: 3 })));
    later[12] = 2;
    assert!(matches!(image::read(&later), Err(ImageError::NotCanonical)), "what version 1 can hold is of version 1");
    for end in 0..bytes.len() {
        assert!(image::read(&bytes[..end]).is_err(), "cut to {end}");
    }
    assert!(image::read(&[&bytes[..], &[0]].concat()).is_err());
    assert!(image::read(&[&bytes[..], &bytes[..]].concat()).is_err());
}

/// Every flip of one bit is either refused, or the image of another state.
#[test]
fn flips_are_refused_or_make_another_state() {
    let (state, bytes) = (everything(), image(&everything()));
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            if let Ok(other) = image::read(&flipped) {
                assert_ne!(other, state, "byte {at} bit {bit}");
                assert_eq!(image(&other), flipped);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// What a history comes to reads back; and from an image taken anywhere, the rest of it comes to the same.
    #[test]
    fn an_image_stands_for_the_facts_before_it((world, steps, policy) in histories(), cut in any::<prop::sample::Index>()) {
        let (reducer, _) = run(&world, &steps, &policy);
        assert_exact(&reducer.state);
        let (head, tail) = reducer.journal.split_at(cut.index(reducer.journal.len()));
        let restored = image::read(&image(&replay(State::default(), head))).unwrap();
        let end = replay(restored, tail);
        prop_assert_eq!(digest(&end).unwrap(), digest(&reducer.state).unwrap());
        prop_assert_eq!(&end, &reducer.state);
    }

    /// Two states differ exactly if their digests do.
    #[test]
    fn digests_tell_states_apart((world, steps, policy) in histories()) {
        let (reducer, _) = run(&world, &steps, &policy);
        let mut state = State::default();
        let mut before = digest(&state).unwrap();
        for event in &reducer.journal {
            let old = state.clone();
            state.apply(event);
            let after = digest(&state).unwrap();
            prop_assert_eq!(after == before, old == state, "{:?}", event);
            before = after;
        }
    }

    /// States that no sensible history reaches.
    #[test]
    fn wild_states_read_back(events in vec(hostile::event(), 0..40)) {
        let mut state = State::default();
        events.iter().for_each(|event| state.apply(event));
        assert_exact(&state);
    }

    /// Damage and nonsense: an error, or exactly the state whose image these bytes are.
    #[test]
    fn what_reads_is_canonical(
        spots in vec((any::<prop::sample::Index>(), any::<u8>()), 1..9),
        cut in proptest::option::weighted(0.3, any::<(prop::sample::Index, prop::sample::Index)>()),
    ) {
        let mut bytes = image(&everything());
        for (at, byte) in spots {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some((from, to)) = cut {
            let (a, b) = (from.index(bytes.len()), to.index(bytes.len()));
            bytes.drain(a.min(b)..a.max(b));
        }
        if let Ok(state) = image::read(&bytes) {
            prop_assert_eq!(image(&state), bytes);
        }
    }
}
