//! The job that asks the source whether it still has objects that do not arrive.
//!
//! Only the source's own 410 says that one is gone, and it must say so in two passes; a source that does not answer
//! decides nothing. Which ranges are asked about, and when, is the verifier's.

use std::collections::BTreeMap;
use std::time::Duration;

use lakemirror_core::mutant;
use lakemirror_journal::command::MirrorCommand;
use lakemirror_journal::event::SourceProbedV1;

use super::JobContext;
use super::check::{Missing, Suspect, paths};
use super::files::Miss;
use super::need::doubtful;
use super::status::SourceAnswer;
use crate::ports::{FaultKind, SourceObject};

/// Entries of a first pass: a sample that tells lost objects from slow replication.
pub(super) const SAMPLE: usize = 8;
/// Entries of a pass after one that found some gone.
pub(super) const PASS: usize = 50;

/// What the source said.
#[derive(Debug, Clone, Default)]
pub(super) struct Probed {
    /// Questions asked.
    pub(super) asked: usize,
    /// Objects that are gone, by the source's own word.
    pub(super) gone: usize,
    /// Objects that the source has.
    pub(super) there: usize,
    /// The answers, by ordinal.
    pub(super) answers: Vec<(u32, SourceAnswer)>,
    /// What is odd: another size at the source, a path that the commit does not have.
    pub(super) oddity: Option<String>,
}

/// What was asked of the source about one range, by monotonic time.
#[derive(Debug, Clone, Default)]
pub(super) struct ProbeTrack {
    pub(super) last: Duration,
    pub(super) next: Duration,
    pub(super) backoff: Duration,
    pub(super) cursor: u32,
    pub(super) found_gone: bool,
}

/// Answers of the source that are kept of one range.
const ANSWERS_KEPT: usize = 2 * PASS;

/// What the source said of a range's entries when it was last asked, for people.
#[derive(Debug, Clone, Default)]
pub(super) struct Said(BTreeMap<u32, SourceAnswer>);

impl Said {
    /// Takes answers, by ordinal. Where they become too many, the earlier ones go.
    pub(super) fn take(&mut self, answers: &[(u32, SourceAnswer)]) {
        if self.0.len() + answers.len() > ANSWERS_KEPT {
            self.0.clear();
        }
        self.0.extend(answers.iter().copied());
    }

    /// The answer about one entry.
    pub(super) fn of(&self, ordinal: u32) -> Option<SourceAnswer> {
        self.0.get(&ordinal).copied()
    }

    /// How often that was the answer.
    pub(super) fn count(&self, answer: SourceAnswer) -> u64 {
        self.0.values().filter(|one| **one == answer).count() as u64
    }
}

/// Asks about some entries of a range that are not as they should be; those that were gone once come first.
pub(super) async fn probe(context: &JobContext, suspect: Suspect) -> Result<Probed, Miss> {
    let ordinals = choose(context, suspect).await?;
    if ordinals.is_empty() {
        return Ok(Probed::default());
    }
    let mut probed = Probed::default();
    let (mut gone, mut there) = (Vec::new(), Vec::new());
    let mut stopped = None;
    for missing in paths(context, suspect.range, &ordinals).await? {
        probed.asked += 1;
        match context.source.probe_object(&context.repository, &suspect.commit, &missing.path).await {
            Ok(SourceObject::Gone) => gone.push(missing.ordinal),
            Ok(SourceObject::There { size }) => {
                there.push(missing.ordinal);
                probed.oddity = other_size(&missing, size).or(probed.oddity);
            }
            Ok(SourceObject::NoSuchPath) => {
                probed.oddity =
                    Some(format!("commit {} of the source has no path {}", suspect.commit, missing.shown()));
            }
            Err(_) if mutant::is_on("fault_read_as_object_gone") => gone.push(missing.ordinal),
            // About this object alone: those behind it are asked about all the same.
            Err(fault) if matches!(fault.kind, FaultKind::Absent | FaultKind::Refused | FaultKind::Contradiction) => {
                probed.oddity = Some(fault.to_string());
            }
            Err(fault) => {
                stopped = Some(fault);
                break;
            }
        }
    }
    (probed.gone, probed.there) = (gone.len(), there.len());
    let answers = gone.iter().map(|ordinal| (*ordinal, SourceAnswer::Gone));
    probed.answers = answers.chain(there.iter().map(|ordinal| (*ordinal, SourceAnswer::HasIt))).collect();
    if probed.gone + probed.there > 0 {
        let fact = SourceProbedV1 {
            mirror: context.mirror,
            range: suspect.range,
            gone,
            there,
            at_ms: context.clock.wall_ms(),
        };
        context.recorder.ask(context.mirror, MirrorCommand::ProbeSource(fact)).await?;
    }
    match stopped {
        Some(fault) => Err(fault.into()),
        None => Ok(probed),
    }
}

fn other_size(missing: &Missing, size: Option<u64>) -> Option<String> {
    let size = size.filter(|size| *size != missing.size)?;
    Some(format!("{} has {size} bytes at the source, its entry says {}", missing.shown(), missing.size))
}

async fn choose(context: &JobContext, suspect: Suspect) -> Result<Vec<u32>, Miss> {
    let mirror = context.mirror;
    let chosen = context.recorder.read(move |state| {
        let range = state.mirror(&mirror)?.trees.range(&suspect.range)?;
        let detail = range.detail.as_deref()?;
        let doubtful = doubtful(detail, &state.policy, suspect.for_ancestor);
        let again = detail.gone_once.iter().copied().filter(|ordinal| doubtful.contains(*ordinal));
        let mut chosen: Vec<u32> = again.take(suspect.limit).collect();
        let fresh = || doubtful.iter().filter(|ordinal| !detail.gone_once.contains(ordinal));
        // Every pass begins where the one before ended, so that in time all of them are asked about.
        let start = suspect.cursor.checked_rem(fresh().count() as u32).unwrap_or(0) as usize;
        let rest = fresh().skip(start).chain(fresh().take(start));
        for ordinal in rest {
            if chosen.len() >= suspect.limit {
                break;
            }
            chosen.push(ordinal);
        }
        Some(chosen)
    });
    Ok(chosen.await?.unwrap_or_default())
}
