//! Answers of the store, one range at a time, as the batches that the journal takes. Owns the cutting into windows;
//! says nothing about when.

use lakemirror_core::archived::ARCHIVED;
use lakemirror_core::ids::{Incarnation, RangeId};
use lakemirror_journal::bits::Bits;
use lakemirror_journal::event::{ArrivalExceptionV1, ArrivalsCheckedV1};
use lakemirror_journal::state::tree::{DELETED, FORBIDDEN, UNKNOWN, WRONG_SIZE};

use crate::ports::Outcome;

/// The largest number of ordinals that one batch may span.
const SPAN: u32 = 4096;

/// What the batches of one range have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checked {
    /// The mirror.
    pub(super) mirror: Incarnation,
    /// The range.
    pub(super) range: RangeId,
    /// Its entries.
    pub(super) entries: u32,
    /// When the first was asked, milliseconds since 1970.
    pub(super) started_ms: u64,
    /// When the last was answered, milliseconds since 1970.
    pub(super) finished_ms: u64,
}

/// The batches that hold each answer once. Of several answers for one ordinal the last counts.
#[must_use]
pub(super) fn batches(of: &Checked, mut answers: Vec<(u32, Outcome)>) -> Vec<ArrivalsCheckedV1> {
    answers.retain(|(ordinal, _)| *ordinal < of.entries);
    answers.sort_by_key(|(ordinal, _)| *ordinal);
    answers.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            earlier.1 = later.1;
        }
        same
    });
    let mut out = Vec::new();
    let mut rest = answers.as_slice();
    while let Some((base, _)) = rest.first() {
        let end = rest.partition_point(|(ordinal, _)| ordinal - base < SPAN);
        let (window, after) = rest.split_at(end);
        out.push(batch(of, *base, window));
        rest = after;
    }
    out
}

fn batch(of: &Checked, base: u32, window: &[(u32, Outcome)]) -> ArrivalsCheckedV1 {
    let span = window.last().map_or(0, |(ordinal, _)| ordinal - base + 1);
    let asked = Bits::from_ordinals(span, window.iter().map(|(ordinal, _)| ordinal - base));
    let there = window.iter().zip(0u32..).filter(|((_, outcome), _)| *outcome == Outcome::Present);
    let present = Bits::from_ordinals(window.len() as u32, there.map(|(_, rank)| rank));
    let exceptions = window.iter().filter_map(|(ordinal, outcome)| {
        let (code, found) = exception(outcome)?;
        Some(ArrivalExceptionV1 { ordinal: *ordinal, code, found })
    });
    ArrivalsCheckedV1 {
        mirror: of.mirror,
        range: of.range,
        base,
        asked: asked.encode(),
        present: present.encode(),
        exceptions: exceptions.collect(),
        started_ms: of.started_ms,
        finished_ms: of.finished_ms,
    }
}

fn exception(outcome: &Outcome) -> Option<(u8, u64)> {
    match outcome {
        Outcome::Present | Outcome::Absent => None,
        Outcome::Deleted => Some((DELETED, 0)),
        Outcome::WrongSize { found } => Some((WRONG_SIZE, *found)),
        Outcome::Archived { class } => Some((ARCHIVED, u64::from(*class))),
        Outcome::Forbidden => Some((FORBIDDEN, 0)),
        Outcome::Unknown => Some((UNKNOWN, 0)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            Just(Outcome::Present),
            Just(Outcome::Absent),
            Just(Outcome::Deleted),
            (0u64..9).prop_map(|found| Outcome::WrongSize { found }),
            (0u8..5).prop_map(|class| Outcome::Archived { class }),
            Just(Outcome::Forbidden),
            Just(Outcome::Unknown),
        ]
    }

    proptest! {
        #[test]
        fn every_answer_is_one_bit_of_one_batch(answers in proptest::collection::btree_map(0u32..20_000, outcome(), 0..300)) {
            let of = Checked { mirror: Incarnation([1; 16]), range: RangeId([2; 32]), entries: 15_000, started_ms: 5, finished_ms: 9 };
            let mut read = BTreeMap::new();
            for batch in batches(&of, answers.clone().into_iter().rev().collect()) {
                let (asked, present) = (batch.asked.decode().unwrap(), batch.present.decode().unwrap());
                prop_assert!(asked.len() <= SPAN && present.len() == asked.count() && batch.base + asked.len() <= of.entries);
                for (offset, rank) in asked.iter().zip(0u32..) {
                    let ordinal = batch.base + offset;
                    let special = batch.exceptions.iter().find(|exception| exception.ordinal == ordinal);
                    let outcome = match special.map(|exception| (exception.code, exception.found)) {
                        None if present.contains(rank) => Outcome::Present,
                        None => Outcome::Absent,
                        Some((DELETED, _)) => Outcome::Deleted,
                        Some((WRONG_SIZE, found)) => Outcome::WrongSize { found },
                        Some((ARCHIVED, found)) => Outcome::Archived { class: found as u8 },
                        Some((FORBIDDEN, _)) => Outcome::Forbidden,
                        Some(_) => Outcome::Unknown,
                    };
                    prop_assert!(special.is_none() || !present.contains(rank));
                    prop_assert!(read.insert(ordinal, outcome).is_none());
                }
            }
            let expected: BTreeMap<u32, Outcome> = answers.into_iter().filter(|(ordinal, _)| *ordinal < 15_000).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
