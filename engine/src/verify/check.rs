//! The job that asks the destination for missing objects and records its answers as they come.
//!
//! Flow: durable state (which ordinals) → range file or kept keys (which objects) → store → batches → journal. Every
//! object is asked for once, however many ranges miss it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use lakemirror_core::ids::{CommitId, RangeId};
use lakemirror_core::mutant;
use lakemirror_graveler::address::Namespace;
use lakemirror_graveler::entry::EntryRef;
use lakemirror_graveler::range;
use lakemirror_journal::bits::Bits;
use lakemirror_journal::command::MirrorCommand;
use tokio::sync::mpsc;

use super::JobContext;
use super::arrivals::{Checked, batches};
use super::files::{Miss, blocking};
use super::many::{Reach, scouts_of};
use super::need::wanted;
use crate::ports::{Answer, Effort, Outcome, Wanted};

/// Up to this many missing entries of a range are kept in memory, so that looking again reads no file.
pub(super) const KEPT_MAX: usize = 256;
/// Answers that may wait to be recorded while more are coming.
const BUFFERED_MAX: usize = 65_536;
/// How long an answer may wait to be recorded while more are coming.
const RECORD_EVERY: Duration = Duration::from_secs(1);

/// One object that is missing.
#[derive(Debug, Clone)]
pub(super) struct Missing {
    pub(super) ordinal: u32,
    /// Its logical path: any bytes, by which the source is asked. [`Missing::shown`] is for people.
    pub(super) path: Box<[u8]>,
    pub(super) size: u64,
    /// Where it should be, or why that cannot be told.
    pub(super) place: Result<(Arc<str>, Box<str>), Box<str>>,
}

impl Missing {
    /// Its path for people; bytes that are no text as `\xE9`.
    pub(super) fn shown(&self) -> String {
        let mut shown = String::with_capacity(self.path.len());
        for chunk in self.path.utf8_chunks() {
            shown.push_str(chunk.valid());
            shown.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02X}")));
        }
        shown
    }
}

/// A range to be asked about.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) range: RangeId,
    pub(super) for_head: bool,
    /// Whether its file is to be read from the store, whatever is kept of it.
    pub(super) anew: bool,
    pub(super) kept: Option<Arc<Vec<Missing>>>,
    /// Whether what is kept is all that is asked for, or stands for all.
    pub(super) reach: Reach,
}

/// What came of a range.
#[derive(Debug, Clone, Default)]
pub(super) struct Looked {
    /// Found present by this job.
    pub(super) arrived: u32,
    /// Answered to be not there, or there and of no use.
    pub(super) gone: u32,
    /// Answers by kind, and entries whose address names nothing.
    pub(super) deleted: u32,
    pub(super) forbidden: u32,
    pub(super) unknown: u32,
    pub(super) unresolvable: u32,
    /// Entries that are still not there, if they are few.
    pub(super) kept: Option<Arc<Vec<Missing>>>,
    /// A few of them, if they are many.
    pub(super) scouts: Option<Arc<Vec<Missing>>>,
    /// Up to three of those, each with the answer; none where its address names nothing.
    pub(super) samples: Vec<(Missing, Option<Outcome>)>,
    /// Why the check failed as a whole, or could not begin.
    pub(super) miss: Option<Miss>,
}

/// A range under way.
struct Target {
    id: RangeId,
    entries: u32,
    missing: Arc<Vec<Missing>>,
    buffer: Vec<(u32, Outcome)>,
    still: Vec<usize>,
    looked: Looked,
}

/// Checks the ranges; each gets its result, whatever became of the others.
pub(super) async fn check(context: &JobContext, looks: Vec<Look>, effort: Effort) -> Vec<(RangeId, Looked)> {
    let (mut targets, mut out) = (Vec::new(), Vec::new());
    for (look, wanted) in wanted_of(context, looks).await {
        match load(context, &look, &wanted).await {
            Ok(missing) => targets.push(Target {
                id: look.range,
                entries: wanted.len(),
                missing,
                buffer: Vec::new(),
                still: Vec::new(),
                looked: Looked::default(),
            }),
            Err(miss) => out.push((look.range, Looked { miss: Some(miss), ..Looked::default() })),
        }
    }
    for (bucket, asked) in questions(&mut targets) {
        if let Err(miss) = ask(context, &bucket, asked, effort, &mut targets).await {
            // Where single objects could not be asked for, the fault is theirs, and the other ranges know theirs.
            let in_part = targets.iter().any(|target| target.looked.unknown > 0);
            for target in targets.iter_mut().filter(|target| !in_part || target.looked.unknown > 0) {
                target.looked.miss.get_or_insert_with(|| miss.clone());
            }
        }
    }
    out.extend(targets.into_iter().map(Target::finish));
    out
}

/// The entries to ask for by the durable state.
async fn wanted_of(context: &JobContext, looks: Vec<Look>) -> Vec<(Look, Bits)> {
    let mirror = context.mirror;
    let read = context.recorder.read(move |state| {
        let Some(mirror) = state.mirror(&mirror) else { return Vec::new() };
        let open = |look: Look| {
            let range = mirror.trees.range(&look.range).filter(|range| range.read)?;
            let bits = wanted(range, &state.policy, look.for_head);
            Some((look, bits))
        };
        looks.into_iter().filter_map(open).collect()
    });
    read.await.unwrap_or_default()
}

async fn load(context: &JobContext, look: &Look, wanted: &Bits) -> Result<Arc<Vec<Missing>>, Miss> {
    if let Some(kept) = &look.kept {
        let still: Vec<Missing> = kept.iter().filter(|one| wanted.contains(one.ordinal)).cloned().collect();
        if look.reach == Reach::Scouts || still.len() == wanted.count() as usize {
            return Ok(Arc::new(still));
        }
    }
    let file = match look.anew {
        true => context.files.range_again(look.range).await?,
        false => context.files.known_range(look.range).await?,
    };
    let (id, wanted, namespace) = (look.range, wanted.clone(), context.files.namespace().clone());
    let listed = blocking(move || {
        let mut missing = Vec::new();
        range::scan(file, id, |ordinal, key, entry| {
            if wanted.contains(ordinal) {
                missing.push(missing_of(&namespace, ordinal, key, entry));
            }
        })
        .map(|_| missing)
    });
    listed.await?.map(Arc::new).map_err(|damage| super::files::damaged_range(id, &damage))
}

fn missing_of(namespace: &Namespace, ordinal: u32, key: &[u8], entry: &EntryRef<'_>) -> Missing {
    let place = match namespace.resolve(entry.address, entry.address_type) {
        Ok(at) if at.scheme == namespace.scheme() => Ok((at.bucket, at.key.into_boxed_str())),
        Ok(at) => Err(format!("{} is in a store of scheme {}", entry.address, at.scheme).into()),
        Err(error) => Err(error.to_string().into()),
    };
    // A negative size is no object's; it matches none.
    let size = u64::try_from(entry.size).unwrap_or(u64::MAX);
    Missing { ordinal, path: key.into(), size, place }
}

/// For each bucket, the objects to ask for, each with the entries (target, place in its list) that wait for it.
type Questions = BTreeMap<Arc<str>, Vec<(Wanted, Waiting)>>;
type Waiting = Vec<(usize, usize)>;

fn questions(targets: &mut [Target]) -> Questions {
    let mut known: HashMap<(Arc<str>, Box<str>, u64), usize> = HashMap::new();
    let mut questions = Questions::new();
    for (at, target) in targets.iter_mut().enumerate() {
        for (slot, missing) in target.missing.iter().enumerate() {
            let Ok((bucket, key)) = &missing.place else {
                target.looked.unresolvable += 1;
                target.still.push(slot);
                note_sample(&mut target.looked.samples, missing, None);
                continue;
            };
            let asked = questions.entry(Arc::clone(bucket)).or_default();
            let tag = *known.entry((Arc::clone(bucket), key.clone(), missing.size)).or_insert(asked.len());
            if tag == asked.len() {
                asked.push((Wanted { key: key.clone(), size: missing.size, tag: tag as u64 }, Vec::new()));
            }
            if let Some((_, waiting)) = asked.get_mut(tag) {
                waiting.push((at, slot));
            }
        }
    }
    questions
}

fn note_sample(samples: &mut Vec<(Missing, Option<Outcome>)>, missing: &Missing, found: Option<Outcome>) {
    if samples.len() < super::status::SAMPLES_MAX {
        samples.push((missing.clone(), found));
    }
}

/// Asks for the objects of one bucket and records the answers while they stream in.
async fn ask(
    context: &JobContext,
    bucket: &str,
    asked: Vec<(Wanted, Waiting)>,
    effort: Effort,
    targets: &mut [Target],
) -> Result<(), Miss> {
    let (wanted, waiting): (Vec<Wanted>, Vec<Waiting>) = asked.into_iter().unzip();
    let started_ms = context.clock.wall_ms();
    // Every key is answered once, so the queue is bounded by what is asked.
    let (sender, mut answers) = mpsc::unbounded_channel::<Vec<Answer>>();
    let deliver = move |more: Vec<Answer>| drop(sender.send(more));
    let checking = async {
        let checked = context.destination.check(bucket, wanted, effort, &deliver).await;
        drop(deliver);
        checked
    };
    let recording = async {
        let mut since = context.clock.monotonic();
        while let Some(more) = answers.recv().await {
            let arrived = take(targets, &waiting, &more);
            let buffered: usize = targets.iter().map(|target| target.buffer.len()).sum();
            let now = context.clock.monotonic();
            let prompt = arrived && waiting.len() <= KEPT_MAX && answers.is_empty();
            if prompt || buffered >= BUFFERED_MAX || now.saturating_sub(since) >= RECORD_EVERY {
                record(context, targets, started_ms).await?;
                since = context.clock.monotonic();
            }
        }
        record(context, targets, started_ms).await
    };
    let (checked, recorded) = tokio::join!(checking, recording);
    recorded?;
    Ok(checked?)
}

/// Hands the answers to the entries that wait for them; says whether any arrived.
fn take(targets: &mut [Target], waiting: &[Waiting], answers: &[Answer]) -> bool {
    let mut arrived = false;
    for answer in answers {
        let entries = usize::try_from(answer.tag).ok().and_then(|tag| waiting.get(tag));
        for (at, slot) in entries.into_iter().flatten() {
            if let Some(target) = targets.get_mut(*at) {
                target.take(*slot, answer.outcome);
                arrived |= answer.outcome == Outcome::Present;
            }
        }
    }
    arrived
}

async fn record(context: &JobContext, targets: &mut [Target], started_ms: u64) -> Result<(), Miss> {
    let finished_ms = context.clock.wall_ms();
    let mut all = Vec::new();
    for target in targets.iter_mut().filter(|target| !target.buffer.is_empty()) {
        let of = Checked { mirror: context.mirror, range: target.id, entries: target.entries, started_ms, finished_ms };
        all.extend(batches(&of, std::mem::take(&mut target.buffer)));
    }
    if !all.is_empty() {
        context.recorder.ask(context.mirror, MirrorCommand::CheckArrivals(all)).await?;
    }
    Ok(())
}

/// The outcome, but for deliberate breaks.
fn mutated(outcome: Outcome) -> Outcome {
    let misread = match outcome {
        Outcome::Absent => mutant::is_on("absent_read_as_present"),
        Outcome::Deleted => mutant::is_on("deleted_read_as_present"),
        Outcome::WrongSize { .. } => mutant::is_on("wrong_size_read_as_present"),
        Outcome::Forbidden => mutant::is_on("forbidden_read_as_present"),
        Outcome::Unknown => mutant::is_on("unknown_read_as_present"),
        Outcome::Archived { .. } | Outcome::Present => false,
    };
    if misread { Outcome::Present } else { outcome }
}

fn is_gone(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Absent | Outcome::Deleted | Outcome::WrongSize { .. })
}

impl Target {
    fn take(&mut self, slot: usize, outcome: Outcome) {
        let Some(missing) = self.missing.get(slot) else { return };
        let outcome = mutated(outcome);
        self.buffer.push((missing.ordinal, outcome));
        self.looked.gone += u32::from(is_gone(outcome));
        match outcome {
            Outcome::Present => {
                self.looked.arrived += 1;
                return;
            }
            Outcome::WrongSize { .. } | Outcome::Archived { .. } | Outcome::Absent => {}
            Outcome::Deleted => self.looked.deleted += 1,
            Outcome::Forbidden => self.looked.forbidden += 1,
            Outcome::Unknown => self.looked.unknown += 1,
        }
        self.still.push(slot);
        note_sample(&mut self.looked.samples, missing, Some(outcome));
    }

    fn finish(mut self) -> (RangeId, Looked) {
        if self.looked.miss.is_none() && self.still.len() <= KEPT_MAX {
            self.still.sort_unstable();
            let still = self.still.iter().filter_map(|slot| self.missing.get(*slot)).cloned();
            self.looked.kept = Some(Arc::new(still.collect()));
        } else if self.looked.miss.is_none() {
            let scouts = scouts_of(&self.still);
            let scouts = scouts.iter().filter_map(|slot| self.missing.get(*slot)).cloned();
            self.looked.scouts = Some(Arc::new(scouts.collect()));
        }
        (self.id, self.looked)
    }
}

/// Paths and sizes of entries that the source is to be asked about.
pub(super) async fn paths(context: &JobContext, range: RangeId, ordinals: &[u32]) -> Result<Vec<Missing>, Miss> {
    let wanted = Bits::from_ordinals(ordinals.iter().max().map_or(0, |last| last + 1), ordinals.iter().copied());
    let look = Look { range, for_head: false, anew: false, kept: None, reach: Reach::All };
    load(context, &look, &wanted).await.map(|missing| missing.to_vec())
}

/// A commit to ask the source about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Suspect {
    pub(super) range: RangeId,
    pub(super) commit: CommitId,
    /// Whether an ancestor needs the range.
    pub(super) for_ancestor: bool,
    /// How many entries to ask about.
    pub(super) limit: usize,
    /// Where among them to begin.
    pub(super) cursor: u32,
}
