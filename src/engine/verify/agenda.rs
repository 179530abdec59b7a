//! What is looked for when: the items that are needed, each with its next look, and what of them is asked together.

use std::collections::BTreeMap;
use std::time::Duration;

use super::check::Lack;
use super::job::{Report, Work};
use super::needs::{Need, Subject};
use super::pace::{self, Look};
use crate::engine::mirror::Site;

/// Entries that one job asks for, about.
const KEYS_PER_JOB: u64 = 500_000;

/// Ranges that one job works on.
const RANGES_PER_JOB: usize = 16;

/// Looks again at small things that one job takes together.
const LOOKS_PER_JOB: usize = 512;

/// Missing entries that are kept in memory, so that looking again needs no file; beyond it files are read again.
const LACKS_KEPT: usize = 200_000;

/// How long the source is not asked again about a range whose objects it has.
const PROBE_REST: Duration = Duration::from_secs(30);

/// How soon the source is asked again about what it said is gone.
const PROBE_AGAIN: Duration = Duration::from_secs(1);

struct Entry {
    need: Need,
    since: Duration,
    progress: Duration,
    due: Duration,
    busy: bool,
    /// What was missing at the last look, where it is kept.
    lacks: Option<Vec<Lack>>,
    missing: u32,
    probe_due: Duration,
}

/// The agenda of one mirror.
#[derive(Default)]
pub(super) struct Agenda {
    entries: BTreeMap<Subject, Entry>,
    /// The order of work: the order in which the needs came.
    order: Vec<Subject>,
    kept: usize,
}

impl Agenda {
    /// Takes over what is needed now; returns what is needed no more.
    pub(super) fn refresh(&mut self, needs: Vec<Need>, now: Duration) -> Vec<Subject> {
        self.order = needs.iter().map(|need| need.subject).collect();
        let mut old = std::mem::take(&mut self.entries);
        for need in needs {
            let entry = match old.remove(&need.subject) {
                Some(entry) => Entry { need, ..entry },
                None => Entry {
                    missing: need.missing,
                    need,
                    since: now,
                    progress: now,
                    due: now,
                    busy: false,
                    lacks: None,
                    probe_due: now,
                },
            };
            self.entries.insert(entry.need.subject, entry);
        }
        // A job may still be on its way with something that is needed no more: its report finds nothing to settle.
        let gone: Vec<Subject> = old.keys().copied().collect();
        self.kept = self.entries.values().filter_map(|entry| entry.lacks.as_ref().map(Vec::len)).sum();
        gone
    }

    /// When the next item is due that nobody works on.
    pub(super) fn due(&self) -> Option<Duration> {
        self.entries.values().filter(|entry| !entry.busy).map(|entry| entry.due).min()
    }

    /// The next job, if anything is due: first the small looks again, all in one, then files and sweeps.
    pub(super) fn next(&mut self, now: Duration) -> Option<Work> {
        let due = |entry: &Entry| !entry.busy && entry.due <= now;
        let looks: Vec<Subject> = self
            .entries
            .iter()
            .filter(|(_, entry)| due(entry) && entry.lacks.is_some())
            .map(|(subject, _)| *subject)
            .take(LOOKS_PER_JOB)
            .collect();
        if !looks.is_empty() {
            return Some(Work {
                again: true,
                parts: looks.into_iter().filter_map(|subject| self.take(subject, now)).collect(),
            });
        }
        let mut chosen = Vec::new();
        let mut keys = 0;
        for subject in &self.order {
            let Some(entry) = self.entries.get(subject).filter(|entry| due(entry)) else { continue };
            chosen.push(*subject);
            keys += u64::from(entry.need.entries);
            let alone = matches!(subject, Subject::Metarange(_));
            if alone || keys >= KEYS_PER_JOB || chosen.len() >= RANGES_PER_JOB {
                break;
            }
        }
        if chosen.is_empty() {
            return None;
        }
        Some(Work { again: false, parts: chosen.into_iter().filter_map(|subject| self.take(subject, now)).collect() })
    }

    fn take(&mut self, subject: Subject, now: Duration) -> Option<super::job::Part> {
        let entry = self.entries.get_mut(&subject)?;
        entry.busy = true;
        let lacks = entry.lacks.take();
        self.kept = self.kept.saturating_sub(lacks.as_ref().map_or(0, Vec::len));
        Some(super::job::Part {
            need: entry.need.clone(),
            lacks,
            waited: now.saturating_sub(entry.since),
            may_probe: entry.probe_due <= now,
        })
    }

    /// Notes what a job came to, and when its items are looked at again.
    pub(super) fn settle(&mut self, report: Report, site: &Site) {
        let now = site.clock.monotonic();
        for part in report.parts {
            let Some(entry) = self.entries.get_mut(&part.subject) else { continue };
            entry.busy = false;
            if part.missing < entry.missing || part.moved {
                entry.progress = now;
            }
            entry.missing = part.missing;
            let look =
                Look { since_progress: now.saturating_sub(entry.progress), took: report.took, refused: part.refused };
            entry.due = now + if part.moved { Duration::ZERO } else { pace::next(&look, site.settings.recheck) };
            match part.probed {
                Some(probed) if probed.gone > 0 => {
                    entry.probe_due = now + PROBE_AGAIN;
                    entry.due = entry.due.max(now + PROBE_AGAIN).min(now + PROBE_AGAIN);
                }
                Some(_) => entry.probe_due = now + PROBE_REST,
                None => {}
            }
            if let Some(lacks) = part.lacks
                && self.kept + lacks.len() <= LACKS_KEPT
            {
                self.kept += lacks.len();
                entry.lacks = Some(lacks);
            }
            site.board.detail(part.subject, part.detail);
        }
    }

    /// A job was lost: its items are due again after a moment.
    pub(super) fn release_all(&mut self, now: Duration) {
        for entry in self.entries.values_mut().filter(|entry| entry.busy) {
            (entry.busy, entry.due) = (false, now + Duration::from_secs(5));
        }
    }
}
