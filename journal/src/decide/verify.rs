//! Decisions about what was found at the destination: which answers count as evidence.

use std::collections::BTreeSet;

use super::evidence::is_from_the_future;
use super::{Case, Refused};
use crate::bits::{Bits, EncodedBits};
use crate::event::{
    ArchivedShownV1, ArrivalsCheckedV1, Event, MetarangeReadV1, RangeReadV1, RangesReopenedV1, SourceProbedV1,
    WrongSizesGoneV1,
};
use crate::ids::{MetarangeId, RangeId};
use crate::mutant;
use crate::state::archived::ARCHIVED;
use crate::state::policy::{ArchivedRule, SizeRule};
use crate::state::tree::{Range, RangeDetail, WRONG_SIZE};

/// Ranges in one record of a metarange: 36 bytes each, well under the record limit.
const RANGES_PER_RECORD: usize = 4000;

/// Bytes that the two sets of a range may have together: a record of the journal holds 192 KiB in all.
const SETS_BYTES_MAX: usize = 160 * 1024;

/// The largest number of ordinals in one arrival batch.
const BATCH_ORDINALS_MAX: u32 = 4096;

pub(super) fn metarange(case: &Case<'_>, metarange: MetarangeId, ranges: &[(RangeId, u32)]) -> Vec<Event> {
    let known = case.mirror.trees.metaranges.get(&metarange);
    if known.is_none_or(|tree| tree.is_read() && !tree.evicted) {
        return Vec::new();
    }
    let part = |first: usize, part: &[(RangeId, u32)]| {
        Event::MetarangeRead(MetarangeReadV1 {
            mirror: case.id,
            metarange,
            total: ranges.len() as u32,
            first: first as u32,
            ranges: part.to_vec(),
            at_ms: case.at_ms,
        })
    };
    if ranges.is_empty() {
        return vec![part(0, &[])];
    }
    ranges.chunks(RANGES_PER_RECORD).enumerate().map(|(index, chunk)| part(index * RANGES_PER_RECORD, chunk)).collect()
}

pub(super) fn range(case: &Case<'_>, read: RangeReadV1) -> Result<Vec<Event>, Refused> {
    let known = known_range(case, &read.range)?;
    if known.read {
        return Ok(Vec::new());
    }
    if known.entries != read.entries {
        return Err(Refused::Rule(format!(
            "range {} holds {} entries, its metarange says {}: the two files contradict each other",
            read.range, read.entries, known.entries
        )));
    }
    check_sets(&read)?;
    check_inherited(case, &read)?;
    Ok(vec![Event::RangeRead(RangeReadV1 { mirror: case.id, at_ms: case.at_ms, ..read })])
}

/// Both sets are over the range's entries, and fit into one record.
fn check_sets(read: &RangeReadV1) -> Result<(), Refused> {
    let fits = |set: &EncodedBits| set.decode().is_ok_and(|bits| bits.len() == read.entries);
    if !fits(&read.imports) || !fits(&read.inherited) {
        return Err(Refused::Rule(format!("the sets of entries of range {} are malformed", read.range)));
    }
    let bases = read.inherited_from.len().saturating_mul(size_of::<RangeId>());
    if (read.imports.bytes.len() + read.inherited.bytes.len()).saturating_add(bases) > SETS_BYTES_MAX {
        return Err(Refused::Rule(format!(
            "range {} of {} entries is too large for a record of the journal",
            read.range, read.entries
        )));
    }
    Ok(())
}

/// An inherited answer is as old as the oldest check behind it, and that check must still stand.
fn check_inherited(case: &Case<'_>, read: &RangeReadV1) -> Result<(), Refused> {
    let inherits = read.inherited.decode().is_ok_and(|inherited| !inherited.is_none());
    if inherits && (read.inherited_from.is_empty() || read.inherited_oldest_ms == u64::MAX) {
        return Err(Refused::Rule(format!("range {} would inherit answers that nothing is behind", read.range)));
    }
    for id in &read.inherited_from {
        let base = known_range(case, id)?;
        // A base that was opened again has no oldest check: nothing of it stands. One whose checks are stamped after now
        // proves something of unknown age, which the reading's own time would hide.
        if !base.read
            || base.oldest_ms == u64::MAX
            || is_from_the_future(base, case.at_ms)
            || base.oldest_ms < read.inherited_oldest_ms && !mutant::is_on("inherited_age_forgotten")
        {
            return Err(Refused::Rule(format!(
                "range {id} does not prove what range {} would inherit from it",
                read.range
            )));
        }
    }
    Ok(())
}

pub(super) fn arrivals(case: &Case<'_>, batches: Vec<ArrivalsCheckedV1>) -> Result<Vec<Event>, Refused> {
    let mut events = Vec::with_capacity(batches.len());
    let mut reopened = BTreeSet::new();
    for batch in batches {
        let range = known_range(case, &batch.range)?;
        let (asked, present) = match (batch.asked.decode(), batch.present.decode()) {
            (Ok(asked), Ok(present)) => (asked, present),
            _ => return Err(Refused::Rule(format!("a batch of checks of range {} is malformed", batch.range))),
        };
        let fits = asked.len() <= BATCH_ORDINALS_MAX
            && batch.base.saturating_add(asked.len()) <= range.entries
            && present.len() == asked.count();
        if !range.read || !fits || !exceptions_fit(&batch, &asked, &present) {
            return Err(Refused::Rule(format!(
                "a batch of checks does not fit range {} of {} entries",
                batch.range, range.entries
            )));
        }
        let of = |code: u8| batch.exceptions.iter().filter(move |one| one.code == code).map(|one| one.ordinal);
        let archived: Vec<u32> = of(ARCHIVED).collect();
        let finds = present.count() > 0 || of(WRONG_SIZE).chain(of(ARCHIVED)).next().is_some();
        if finds && batch.started_ms < range.oldest_ms && range.oldest_ms != u64::MAX {
            reopened.insert(batch.range);
        }
        let shown = archived_shown(case, range, archived.clone());
        if reopened.contains(&batch.range) {
            events.push(Event::ArrivalsChecked(ArrivalsCheckedV1 { mirror: case.id, ..batch }));
            events.extend(shown);
            continue;
        }
        let sizes = of(WRONG_SIZE).filter(|_| case.state.policy.size == SizeRule::Strict);
        let archived = archived.into_iter().filter(|_| case.state.policy.archived == ArchivedRule::Block);
        let unfit: Vec<u32> = sizes.chain(archived).collect();
        let kept = gone_of(case, range, &unfit, |detail, ordinal| {
            let once = detail.gone_once.contains(&ordinal).then_some(Gone::Once);
            once.or_else(|| detail.expired.contains(&ordinal).then_some(Gone::Twice))
        });
        events.push(Event::ArrivalsChecked(ArrivalsCheckedV1 { mirror: case.id, ..batch }));
        events.extend(kept);
        events.extend(shown);
    }
    Ok(reopen(case, reopened).into_iter().chain(events).collect())
}

/// The clock has been put back since these ranges were looked at: what was found then has no known age, and beside
/// what was found now it would pass for as young as that.
fn reopen(case: &Case<'_>, ranges: BTreeSet<RangeId>) -> Option<Event> {
    let (mirror, at_ms) = (case.id, case.at_ms);
    let ranges: Vec<RangeId> = ranges.into_iter().collect();
    (!ranges.is_empty()).then_some(Event::RangesReopened(RangesReopenedV1 { mirror, ranges, at_ms }))
}

/// Archived objects that the mirror shows: its readers have lost them already, and keeping back what comes after would
/// only cost them more.
fn archived_shown(case: &Case<'_>, range: &Range, ordinals: Vec<u32>) -> Option<Event> {
    if ordinals.is_empty() {
        return None;
    }
    let shown: BTreeSet<MetarangeId> = case
        .mirror
        .branches
        .values()
        .filter_map(|branch| case.mirror.graph.get(&branch.mirror?)?.metarange)
        .filter(|tree| range.users.contains(tree))
        .collect();
    let (mirror, range, at_ms) = (case.id, range.id, case.at_ms);
    (!shown.is_empty()).then_some(Event::ArchivedShown(ArchivedShownV1 { mirror, range, ordinals, at_ms }))
}

/// An exception speaks of an entry that was asked for and is not present, and each of another one.
fn exceptions_fit(batch: &ArrivalsCheckedV1, asked: &Bits, present: &Bits) -> bool {
    let absent = asked.iter().zip(0u32..).filter(|(_, rank)| !present.contains(*rank));
    let mut left: BTreeSet<u32> = absent.map(|(offset, _)| batch.base.saturating_add(offset)).collect();
    batch.exceptions.iter().all(|exception| left.remove(&exception.ordinal))
}

/// One answer names an entry once: an object is expired only by two answers.
pub(super) fn probes(case: &Case<'_>, probed: SourceProbedV1) -> Result<Vec<Event>, Refused> {
    let range = known_range(case, &probed.range)?;
    let answers = probed.there.len().saturating_add(probed.gone.len());
    if answers > BATCH_ORDINALS_MAX as usize {
        return Err(Refused::Rule(format!("{answers} answers of the source are too many for one record")));
    }
    let there: BTreeSet<u32> = probed.there.iter().copied().collect();
    let gone: BTreeSet<u32> = probed.gone.iter().copied().filter(|ordinal| !there.contains(ordinal)).collect();
    let (gone, there): (Vec<u32>, Vec<u32>) = (gone.into_iter().collect(), there.into_iter().collect());
    let of_other_size = gone_of(case, range, &gone, |detail, ordinal| {
        let again = detail.gone_once.contains(&ordinal) || mutant::is_on("one_answer_expires");
        let said = if again { Gone::Twice } else { Gone::Once };
        let size = case.state.policy.size == SizeRule::Strict && detail.wrong_size.contains_key(&ordinal);
        let archived = case.state.policy.archived == ArchivedRule::Block && detail.archived.contains_key(&ordinal);
        (size || archived).then_some(said)
    });
    let mut events =
        vec![Event::SourceProbed(SourceProbedV1 { mirror: case.id, at_ms: case.at_ms, gone, there, ..probed })];
    events.extend(of_other_size);
    Ok(events)
}

/// How often in succession the source said that an object is gone.
enum Gone {
    Once,
    Twice,
}

/// What the source said of objects that are at the destination with another size, or in an archive class. Where that is
/// only reported, such an object is there, and nothing is asked about it.
fn gone_of(
    case: &Case<'_>,
    range: &Range,
    ordinals: &[u32],
    said: impl Fn(&RangeDetail, u32) -> Option<Gone>,
) -> Option<Event> {
    let detail = range.detail.as_deref()?;
    let (mut once, mut twice) = (Vec::new(), Vec::new());
    for ordinal in ordinals.iter().copied() {
        match said(detail, ordinal) {
            Some(Gone::Once) => once.push(ordinal),
            Some(Gone::Twice) => twice.push(ordinal),
            None => {}
        }
    }
    let (mirror, range, at_ms) = (case.id, range.id, case.at_ms);
    let some = !once.is_empty() || !twice.is_empty();
    some.then_some(Event::WrongSizesGone(WrongSizesGoneV1 { mirror, range, once, twice, at_ms }))
}

fn known_range<'a>(case: &Case<'a>, id: &RangeId) -> Result<&'a Range, Refused> {
    case.mirror.trees.range(id).ok_or_else(|| Refused::Rule(format!("range {id} is in no tree of this mirror")))
}
