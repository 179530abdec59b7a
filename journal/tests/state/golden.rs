//! The bytes of every kind and version of fact, as they stand in journals: `tests/golden/events.txt`, written by
//! `cargo run -p lakemirror-journal --example golden_events`, to which lines are added and in which none is changed.

use lakemirror_journal::codec::{self, CodecError};
use lakemirror_journal::event::Event;
use proptest::prelude::*;

use super::samples::one_of_each;

const GOLDEN: &str = include_str!("../golden/events.txt");

struct Line {
    kind: u16,
    version: u16,
    name: &'static str,
    bytes: Vec<u8>,
}

fn lines() -> Vec<Line> {
    let parse = |line: &'static str| {
        let [kind, version, name, hex] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let bytes = (0..hex.len()).step_by(2).map(byte).collect();
        Line { kind: kind.parse().unwrap(), version: version.parse().unwrap(), name, bytes }
    };
    GOLDEN.lines().filter(|line| !line.starts_with('#')).map(parse).collect()
}

#[test]
fn every_kind_has_a_line_and_has_kept_its_bytes() {
    let (samples, lines) = (one_of_each(), lines());
    assert_eq!(samples.len(), lines.len());
    for (sample, line) in samples.iter().zip(&lines) {
        assert_eq!((sample.kind(), sample.name()), ((line.kind, line.version), line.name));
        assert_eq!(codec::encode(sample).unwrap().bytes, line.bytes, "{}: its format has changed", line.name);
        assert_eq!(&codec::decode(line.kind, line.version, &line.bytes).unwrap(), sample);
    }
}

/// The compiler says when a kind is added; this says that it has a sample.
#[test]
fn no_kind_is_without_a_sample() {
    let ordinal = |event: &Event| match event {
        Event::ServiceStarted(_) => 0,
        Event::PolicySet(_) => 1,
        Event::JournalRecovered(_) => 2,
        Event::MirrorDefined(_) => 3,
        Event::SourceIdentified(_) => 4,
        Event::RepositoryIntended(_) => 5,
        Event::RepositoryReady(_) => 6,
        Event::TroubleNoted(_) => 7,
        Event::MirrorDeletionStarted(_) => 8,
        Event::MirrorGone(_) => 9,
        Event::BranchSeen(_) => 10,
        Event::BranchMissed(_) => 11,
        Event::BranchTombstoned(_) => 12,
        Event::BranchRemovalStarted(_) => 13,
        Event::BranchRemoved(_) => 14,
        Event::BranchDiverged(_) => 15,
        Event::BranchAdopted(_) => 16,
        Event::CommitObserved(_) => 17,
        Event::MetarangeRead(_) => 18,
        Event::RangeRead(_) => 19,
        Event::ArrivalsChecked(_) => 20,
        Event::SourceProbed(_) => 21,
        Event::RangesReopened(_) => 22,
        Event::MoveStarted(_) => 23,
        Event::RecordsWritten(_) => 24,
        Event::MoveFinished(_) => 25,
        Event::SummaryPublished(_) => 26,
        Event::SegmentSealed(_) => 27,
        Event::SegmentArchived(_) => 28,
        Event::SegmentDropped(_) => 29,
        Event::SnapshotTaken(_) => 30,
        Event::LossAcknowledged(_) => 31,
        Event::MirrorTaken(_) => 32,
        Event::BranchForgotten(_) => 33,
        Event::WrongSizesGone(_) => 34,
        Event::TreesTakenBack(_) => 35,
        Event::MoveGivenUp(_) => 36,
        Event::PolicySetV2(_) => 37,
        Event::ArchivedShown(_) => 38,
        Event::DeletionsApproved(_) => 39,
        Event::BranchVisibilityChanged(_) => 40,
        Event::BranchRemakeStarted(_) => 41,
        Event::DeletionsHeld(_) => 42,
        Event::DeletionsReleased(_) => 43,
        Event::JournalGapFound(_) => 44,
        Event::DatabaseItemWritten(_) => 45,
        Event::DatabaseRebuilt(_) => 46,
        Event::ConditionRaised(_) => 47,
        Event::ConditionResolved(_) => 48,
    };
    let ordinals: Vec<i32> = one_of_each().iter().map(ordinal).collect();
    assert_eq!(ordinals, (0..49).collect::<Vec<_>>());
}

#[test]
fn bytes_are_read_wherever_they_lie() {
    for line in lines() {
        let wanted = codec::decode(line.kind, line.version, &line.bytes).unwrap();
        let mut room = vec![0u8; line.bytes.len() + 32];
        let base = room.as_ptr().align_offset(16);
        for shift in 0..16 {
            let place = base + shift..base + shift + line.bytes.len();
            room[place.clone()].copy_from_slice(&line.bytes);
            let read = codec::decode(line.kind, line.version, &room[place]).unwrap();
            assert_eq!(read, wanted, "{} at {shift}", line.name);
        }
    }
}

#[test]
fn unknown_numbers_are_named() {
    for line in lines() {
        let latest = lines().iter().filter(|other| other.kind == line.kind).map(|other| other.version).max().unwrap();
        for (kind, version) in [(line.kind, latest + 1), (line.kind, 0), (line.kind + 1000, 1)] {
            match codec::decode(kind, version, &line.bytes) {
                Err(CodecError::Unknown { kind: k, version: v }) => assert_eq!((k, v), (kind, version)),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn what_is_cut_short_is_never_the_fact_that_it_was() {
    for line in lines() {
        let whole = codec::decode(line.kind, line.version, &line.bytes).unwrap();
        for end in 0..line.bytes.len() {
            // Records have a length and a checksum of their own; here it is enough that nothing is read past the end.
            let read = codec::decode(line.kind, line.version, &line.bytes[..end]);
            assert!(read.as_ref().map_or(true, |read| *read != whole), "{} cut to {end}", line.name);
        }
        assert!(matches!(codec::decode(line.kind, line.version, &[]), Err(CodecError::Malformed { .. })));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Damage is the frame's to find; here it must do no harm: an error, or some other fact of that kind.
    #[test]
    fn damage_does_no_harm(which in any::<prop::sample::Index>(), flips in proptest::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..6)) {
        let mut lines = lines();
        let line = lines.swap_remove(which.index(lines.len()));
        let mut bytes = line.bytes;
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        if let Ok(event) = codec::decode(line.kind, line.version, &bytes) {
            prop_assert_eq!(event.kind(), (line.kind, line.version));
            lakemirror_journal::state::State::default().apply(&event);
        }
    }
}
