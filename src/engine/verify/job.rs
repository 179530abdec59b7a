//! One piece of verification: reading a metarange, reading ranges and sweeping their entries, or looking again for the
//! few that were missing. Does what the agenda says, journals what it finds, and reports.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lakemirror_journal::bits::Bits;
use lakemirror_journal::command::Ask;
use lakemirror_journal::event::RangeReadV1;
use lakemirror_journal::ids::{CommitId, Incarnation, MetarangeId, RangeId};

use super::check::{self, Lack, Question, Tally};
use super::files::{FileRead, Files, Item};
use super::inherit::{Inheritance, inherit};
use super::needs::{Need, Subject, asks};
use super::probe::{Probed, probe};
use crate::engine::board::Detail;
use crate::engine::mirror::{Ended, Site};
use crate::engine::ports::{Effort, Fault, FaultKind};

/// Range files that one job reads at a time.
const FILES_AT_A_TIME: usize = 4;

/// Missing entries of one range that are kept for the next look.
const LACKS_KEPT_PER_RANGE: usize = 65_536;

/// Samples that a report names.
const SAMPLES: usize = 3;

/// One item of a job.
pub(super) struct Part {
    pub(super) need: Need,
    /// What was missing at the last look, where it was kept.
    pub(super) lacks: Option<Vec<Lack>>,
    /// How long the item has been on the agenda.
    pub(super) waited: Duration,
    /// Whether the source may be asked about it now.
    pub(super) may_probe: bool,
}

/// A job.
pub(super) struct Work {
    /// Whether all parts are looks again.
    pub(super) again: bool,
    pub(super) parts: Vec<Part>,
}

/// What an item came to.
pub(super) struct Done {
    pub(super) subject: Subject,
    pub(super) missing: u32,
    /// Whether the item is another one now (a file was read), so that it is looked at again at once.
    pub(super) moved: bool,
    pub(super) refused: bool,
    pub(super) lacks: Option<Vec<Lack>>,
    pub(super) probed: Option<Probed>,
    pub(super) detail: Detail,
}

/// What a job came to.
pub(super) struct Report {
    pub(super) took: Duration,
    pub(super) parts: Vec<Done>,
}

/// Runs a job.
pub(super) async fn run(site: Site, files: Arc<Files>, work: Work) -> Result<Report, Ended> {
    let started = site.clock.monotonic();
    let effort = if work.again { Effort::Recheck } else { Effort::Sweep };
    let mut done = Vec::new();
    let mut open = Vec::new();
    let read = work.parts.into_iter().map(|part| prepare(&site, &files, part));
    let mut prepared = futures_util::stream::iter(read).buffer_unordered(FILES_AT_A_TIME);
    while let Some(part) = prepared.next().await {
        match part? {
            Prepared::Done(report) => done.push(*report),
            Prepared::Open(part, question) => open.push((part, question)),
        }
    }
    drop(prepared);
    let (parts, questions): (Vec<Part>, Vec<Question>) = open.into_iter().unzip();
    let (tallies, fault) = check::ask(&site, &questions, effort).await?;
    for ((part, question), tally) in parts.into_iter().zip(questions).zip(tallies) {
        done.push(conclude(&site, part, question, tally, fault.as_ref()).await?);
    }
    Ok(Report { took: site.clock.monotonic().saturating_sub(started), parts: done })
}

enum Prepared {
    Done(Box<Done>),
    Open(Part, Question),
}

async fn prepare(site: &Site, files: &Files, mut part: Part) -> Result<Prepared, Ended> {
    let range = match part.need.subject {
        Subject::Metarange(id) => return Ok(Prepared::Done(Box::new(read_metarange(site, files, id).await?))),
        Subject::Range(id) => id,
    };
    let Some(asked) = asked_of(site, range, part.need.whole).await? else {
        return read_range(site, files, part, range).await;
    };
    let kept = part.lacks.take();
    let lacks = match kept {
        Some(lacks) => lacks.into_iter().filter(|lack| asked.contains(lack.ordinal)).collect(),
        None => match files.range(site, range).await {
            Ok(FileRead::There(items)) => lacks_of(items, &asked),
            Ok(FileRead::NotYet(why)) => return Ok(not_yet(&part, &format!("range {range}: {why}"), site)),
            Err(fault) => return Ok(failed(&part, &fault, site)),
        },
    };
    Ok(Prepared::Open(part, Question { range, lacks }))
}

/// The ordinals to ask for; `None` when the range's file was not read yet.
async fn asked_of(site: &Site, id: RangeId, whole: bool) -> Result<Option<Bits>, Ended> {
    let mirror = site.definition.incarnation;
    let look = site.recorder.read(move |state| {
        let range = state.mirror(&mirror)?.trees.range(&id)?;
        asks(range, &state.policy, whole)
    });
    look.await.map_err(|_| Ended::Journal)
}

fn lacks_of(items: Vec<Item>, asked: &Bits) -> Vec<Lack> {
    let numbered = items.into_iter().zip(0u32..).filter(|(_, ordinal)| asked.contains(*ordinal));
    numbered.map(|(item, ordinal)| Lack { ordinal, item }).collect()
}

async fn read_metarange(site: &Site, files: &Files, id: MetarangeId) -> Result<Done, Ended> {
    let subject = Subject::Metarange(id);
    let (text, refused) = match files.metarange(site, id).await {
        Ok(FileRead::There(ranges)) => {
            let ranges =
                ranges.iter().map(|range| (range.id, u32::try_from(range.count).unwrap_or(u32::MAX))).collect();
            site.ask(Ask::ReadMetarange { metarange: id, ranges }).await?;
            return Ok(Done {
                subject,
                missing: 0,
                moved: true,
                refused: false,
                lacks: None,
                probed: None,
                detail: detail(site, String::new()),
            });
        }
        Ok(FileRead::NotYet(why)) => (format!("metarange {id}: {why}"), false),
        Err(fault) => (fault.to_string(), fault.kind != FaultKind::Retry),
    };
    Ok(Done { subject, missing: 1, moved: false, refused, lacks: None, probed: None, detail: detail(site, text) })
}

/// Reads a range for the first time, and goes on to what it did not inherit.
async fn read_range(site: &Site, files: &Files, part: Part, id: RangeId) -> Result<Prepared, Ended> {
    let items = match files.range(site, id).await {
        Ok(FileRead::There(items)) => items,
        Ok(FileRead::NotYet(why)) => return Ok(not_yet(&part, &format!("range {id}: {why}"), site)),
        Err(fault) => return Ok(failed(&part, &fault, site)),
    };
    let entries = u32::try_from(items.len()).unwrap_or(u32::MAX);
    let inheritance = inherit(site, files, &part.need, id, &items).await?;
    let imports =
        Bits::from_ordinals(entries, items.iter().zip(0..).filter(|(item, _)| item.import).map(|(_, ordinal)| ordinal));
    site.ask(Ask::ReadRange(fact(id, entries, &imports, inheritance))).await?;
    let mut asked = asked_of(site, id, part.need.whole).await?;
    if asked.is_none() {
        // Refused: what it would have inherited is proven no more.
        site.ask(Ask::ReadRange(fact(id, entries, &imports, Inheritance::none(entries)))).await?;
        asked = asked_of(site, id, part.need.whole).await?;
    }
    match asked {
        Some(asked) => Ok(Prepared::Open(part, Question { range: id, lacks: lacks_of(items, &asked) })),
        None => Ok(not_yet(&part, &format!("range {id} and its metarange contradict each other"), site)),
    }
}

fn fact(range: RangeId, entries: u32, imports: &Bits, inheritance: Inheritance) -> RangeReadV1 {
    RangeReadV1 {
        mirror: Incarnation([0; 16]),
        range,
        entries,
        imports: imports.encode(),
        inherited: inheritance.bits.encode(),
        inherited_from: inheritance.from,
        inherited_oldest_ms: inheritance.oldest_ms,
        at_ms: 0,
    }
}

fn detail(site: &Site, text: String) -> Detail {
    Detail { text, checked_ms: site.clock.wall_ms() }
}

fn not_yet(part: &Part, text: &str, site: &Site) -> Prepared {
    Prepared::Done(Box::new(Done {
        subject: part.need.subject,
        missing: part.need.missing,
        moved: false,
        refused: false,
        lacks: None,
        probed: None,
        detail: detail(site, text.to_owned()),
    }))
}

fn failed(part: &Part, fault: &Fault, site: &Site) -> Prepared {
    let refused = fault.kind != FaultKind::Retry;
    match not_yet(part, &fault.to_string(), site) {
        Prepared::Done(done) => Prepared::Done(Box::new(Done { refused, ..*done })),
        open @ Prepared::Open(..) => open,
    }
}

/// After the answers are durable: asks the source where that is due, and says what is still missing.
async fn conclude(
    site: &Site,
    part: Part,
    question: Question,
    tally: Tally,
    fault: Option<&Fault>,
) -> Result<Done, Ended> {
    let overdue = part.need.ancestor || part.waited >= site.settings.diagnose_after;
    let probed = if part.may_probe && overdue && !tally.absent.is_empty() {
        Some(probe(site, commit_of(&part.need), &question, &tally).await?)
    } else {
        None
    };
    let missing = u32::try_from(question.lacks.len()).unwrap_or(u32::MAX).saturating_sub(tally.present);
    let text = describe(&question, &tally, fault);
    let keeps = missing as usize <= LACKS_KEPT_PER_RANGE && missing > 0;
    let lacks = keeps.then(|| still_missing(question.lacks, &tally));
    Ok(Done {
        subject: part.need.subject,
        missing,
        moved: false,
        refused: tally.forbidden > 0 || fault.is_some_and(|fault| fault.kind != FaultKind::Retry),
        lacks,
        probed,
        detail: detail(site, text),
    })
}

fn commit_of(need: &Need) -> CommitId {
    need.commit
}

/// What is to be asked for again. Without the list of those that are there, everything that was asked is kept: the
/// state says which of it still counts.
fn still_missing(lacks: Vec<Lack>, tally: &Tally) -> Vec<Lack> {
    if tally.present == 0 {
        return lacks;
    }
    let answered: std::collections::BTreeSet<usize> =
        tally.absent.iter().copied().chain(tally.wrong_size.iter().map(|(place, _)| *place)).collect();
    let certain = tally.unknown == 0 && tally.forbidden == 0;
    lacks
        .into_iter()
        .enumerate()
        .filter(|(place, _)| !certain || answered.contains(place))
        .map(|(_, lack)| lack)
        .collect()
}

fn describe(question: &Question, tally: &Tally, fault: Option<&Fault>) -> String {
    let path =
        |place: &usize| question.lacks.get(*place).map(|lack| String::from_utf8_lossy(&lack.item.path).into_owned());
    let mut parts: Vec<String> = Vec::new();
    let samples: Vec<String> = tally.absent.iter().filter_map(path).take(SAMPLES).collect();
    if !samples.is_empty() {
        parts.push(format!("missing: {}{}", samples.join(", "), more(tally.absent.len(), samples.len())));
    }
    for (place, found) in tally.wrong_size.iter().take(SAMPLES) {
        if let Some(lack) = question.lacks.get(*place) {
            parts.push(format!(
                "{} has {found} bytes, its entry says {}",
                String::from_utf8_lossy(&lack.item.path),
                lack.item.size
            ));
        }
    }
    let unresolvable = question.lacks.iter().filter_map(|lack| lack.item.place.as_ref().err());
    parts.extend(unresolvable.take(SAMPLES).cloned());
    if tally.forbidden > 0 {
        parts.push(format!(
            "the store refuses to say for {} objects: give the service the right to list the bucket",
            tally.forbidden
        ));
    }
    parts.extend(fault.map(ToString::to_string));
    parts.join("; ")
}

fn more(all: usize, shown: usize) -> String {
    if all > shown { format!(" and {} more", all - shown) } else { String::new() }
}
