//! Arrival checks: questions to the destination, answers into batches of the journal.
//!
//! Nobody reads an outcome before its batch is durable. Each question is one bit of exactly one batch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use lakemirror_journal::bits::Bits;
use lakemirror_journal::command::Ask;
use lakemirror_journal::event::{ArrivalExceptionV1, ArrivalsCheckedV1};
use lakemirror_journal::ids::RangeId;
use lakemirror_journal::state::tree::{DELETED, FORBIDDEN, UNKNOWN, WRONG_SIZE};

use super::files::Item;
use crate::engine::mirror::{Ended, Site};
use crate::engine::ports::{Answer, Effort, Fault, Outcome, Wanted};

/// Ordinals that one batch spans, at most.
const BATCH_SPAN: u32 = 4096;

/// Batches that are journaled with one command.
const BATCHES_PER_COMMAND: usize = 64;

/// An entry that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// Its ordinal in the range.
    pub ordinal: u32,
    /// The entry.
    pub item: Item,
}

/// The entries of one range that are asked for, ordinals ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The range.
    pub range: RangeId,
    /// The entries.
    pub lacks: Vec<Lack>,
}

/// What the answers to one question were, after they became durable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Entries that are not there, by place in the question.
    pub absent: Vec<usize>,
    /// Entries seen present.
    pub present: u32,
    /// Refusals.
    pub forbidden: u32,
    /// Sizes found that are not the entry's, by place in the question.
    pub wrong_size: Vec<(usize, u64)>,
    /// No answers, and entries that cannot be asked for.
    pub unknown: u32,
}

/// Asks, journals, and tells. A fault of a whole bucket is returned beside what was answered all the same.
///
/// # Errors
/// [`Ended::Journal`].
pub async fn ask(site: &Site, questions: &[Question], effort: Effort) -> Result<(Vec<Tally>, Option<Fault>), Ended> {
    let started_ms = site.clock.wall_ms();
    let mut buckets: BTreeMap<Arc<str>, Vec<Wanted>> = BTreeMap::new();
    let mut places = Vec::new();
    for (question, asked) in questions.iter().enumerate() {
        for (place, lack) in asked.lacks.iter().enumerate() {
            let Ok(at) = &lack.item.place else { continue };
            let wanted = Wanted { key: at.key.as_str().into(), size: lack.item.size, tag: places.len() as u64 };
            buckets.entry(Arc::clone(&at.bucket)).or_default().push(wanted);
            places.push((question, place));
        }
    }
    let outcomes: Mutex<Vec<Option<Outcome>>> = Mutex::new(vec![None; places.len()]);
    let take = |answers: Vec<Answer>| {
        let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        for answer in answers {
            if let Some(slot) = usize::try_from(answer.tag).ok().and_then(|tag| outcomes.get_mut(tag)) {
                *slot = Some(answer.outcome);
            }
        }
    };
    let mut fault = None;
    for (bucket, wanted) in buckets {
        if let Err(failed) = site.destination.check(&bucket, wanted, effort, &take).await {
            fault = Some(failed);
        }
    }
    let finished_ms = site.clock.wall_ms().max(started_ms);
    let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut answers: Vec<Vec<(usize, Outcome)>> = vec![Vec::new(); questions.len()];
    for ((question, place), outcome) in places.into_iter().zip(outcomes) {
        if let (Some(list), Some(outcome)) = (answers.get_mut(question), outcome) {
            list.push((place, outcome));
        }
    }
    let mut batches = Vec::new();
    let mut tallies = Vec::with_capacity(questions.len());
    for (question, answers) in questions.iter().zip(answers) {
        batches.extend(batches_of(question, &answers, started_ms, finished_ms));
        tallies.push(tally(question, &answers));
    }
    let mut batches = batches.into_iter().peekable();
    while batches.peek().is_some() {
        site.ask(Ask::CheckArrivals(batches.by_ref().take(BATCHES_PER_COMMAND).collect())).await?;
    }
    Ok((tallies, fault))
}

fn tally(question: &Question, answers: &[(usize, Outcome)]) -> Tally {
    let mut tally =
        Tally { unknown: u32::try_from(question.lacks.len() - answers.len()).unwrap_or(u32::MAX), ..Tally::default() };
    for (place, outcome) in answers {
        match outcome {
            Outcome::Present => tally.present += 1,
            Outcome::Absent | Outcome::Deleted => tally.absent.push(*place),
            Outcome::WrongSize { found } => tally.wrong_size.push((*place, *found)),
            Outcome::Forbidden => tally.forbidden += 1,
            Outcome::Unknown => tally.unknown += 1,
        }
    }
    tally
}

/// The answers to a question as batches: windows of ordinals, each with what was asked in it and what is there.
fn batches_of(
    question: &Question,
    answers: &[(usize, Outcome)],
    started_ms: u64,
    finished_ms: u64,
) -> Vec<ArrivalsCheckedV1> {
    let mut batches = Vec::new();
    let mut rest: Vec<(u32, Outcome)> = answers
        .iter()
        .filter_map(|(place, outcome)| question.lacks.get(*place).map(|lack| (lack.ordinal, *outcome)))
        .collect();
    rest.sort_unstable_by_key(|(ordinal, _)| *ordinal);
    let mut rest = rest.as_slice();
    while let Some((base, _)) = rest.first().copied() {
        let (window, later) = rest.split_at(rest.partition_point(|(ordinal, _)| ordinal - base < BATCH_SPAN));
        let span = window.last().map_or(0, |(ordinal, _)| ordinal - base + 1);
        let asked = Bits::from_ordinals(span, window.iter().map(|(ordinal, _)| ordinal - base));
        let there =
            window.iter().zip(0u32..).filter(|((_, outcome), _)| *outcome == Outcome::Present).map(|(_, rank)| rank);
        let present = Bits::from_ordinals(asked.count(), there);
        batches.push(ArrivalsCheckedV1 {
            mirror: lakemirror_journal::ids::Incarnation([0; 16]),
            range: question.range,
            base,
            asked: asked.encode(),
            present: present.encode(),
            exceptions: window.iter().filter_map(|(ordinal, outcome)| exception(*ordinal, *outcome)).collect(),
            started_ms,
            finished_ms,
        });
        rest = later;
    }
    batches
}

fn exception(ordinal: u32, outcome: Outcome) -> Option<ArrivalExceptionV1> {
    let (code, found) = match outcome {
        Outcome::Present | Outcome::Absent => return None,
        Outcome::Deleted => (DELETED, 0),
        Outcome::WrongSize { found } => (WRONG_SIZE, found),
        Outcome::Forbidden => (FORBIDDEN, 0),
        Outcome::Unknown => (UNKNOWN, 0),
    };
    Some(ArrivalExceptionV1 { ordinal, code, found })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(ordinals: &[u32]) -> Question {
        let item = Item { path: Box::default(), place: Err(String::new()), size: 1, import: false };
        let lacks = ordinals.iter().map(|ordinal| Lack { ordinal: *ordinal, item: item.clone() }).collect();
        Question { range: RangeId([1; 32]), lacks }
    }

    #[test]
    fn every_answer_is_one_bit_of_one_batch() {
        let ordinals: Vec<u32> = (0..10_000).filter(|ordinal| ordinal % 3 != 0).collect();
        let asked = question(&ordinals);
        let outcome = |place: usize| if place % 7 == 0 { Outcome::Absent } else { Outcome::Present };
        let answers: Vec<(usize, Outcome)> = (0..ordinals.len()).map(|place| (place, outcome(place))).collect();
        let mut seen = BTreeMap::new();
        for batch in batches_of(&asked, &answers, 1, 2) {
            let (asked, present) = (batch.asked.decode().unwrap(), batch.present.decode().unwrap());
            assert!(asked.len() <= BATCH_SPAN);
            for (offset, rank) in asked.iter().zip(0..) {
                assert_eq!(seen.insert(batch.base + offset, present.contains(rank)), None);
            }
        }
        let expected: BTreeMap<u32, bool> =
            ordinals.iter().enumerate().map(|(place, ordinal)| (*ordinal, place % 7 != 0)).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn what_is_neither_there_nor_absent_is_named() {
        let answers = [
            (0, Outcome::WrongSize { found: 9 }),
            (1, Outcome::Forbidden),
            (2, Outcome::Deleted),
            (3, Outcome::Unknown),
        ];
        let batch = batches_of(&question(&[5, 6, 7, 8]), &answers, 1, 2).remove(0);
        let codes: Vec<(u32, u8, u64)> = batch.exceptions.iter().map(|e| (e.ordinal, e.code, e.found)).collect();
        assert_eq!(codes, [(5, WRONG_SIZE, 9), (6, FORBIDDEN, 0), (7, DELETED, 0), (8, UNKNOWN, 0)]);
        assert!(batch.present.decode().unwrap().is_none());
    }
}
