//! What came of jobs, into the tracks. Owns what a result means for the next look; the choice of jobs is its parent's.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use lakemirror_core::ids::{MetarangeId, RangeId};

use super::{Ended, Held, Job, PROBE_AGAIN, PROBE_BACKOFF_MAX, PROBE_BACKOFF_MIN, PROBE_COST, RetryState, Tracks};
use crate::verify::check::Looked;
use crate::verify::files::{Files, Miss};
use crate::verify::many::{Came, Reach, SCOUTS};
use crate::verify::probe::{Probed, SAMPLE};

impl Tracks {
    /// Takes what came of a job.
    pub(in crate::verify) fn finish(
        &mut self,
        held: &Held,
        ended: Ended,
        files: &Files,
        now: Duration,
        random: &mut dyn FnMut() -> u64,
    ) {
        self.set_running(held, false);
        let (took, fixed) = (now.saturating_sub(held.since), self.rules.recheck);
        match (&held.job, ended) {
            (Job::Metarange(id), Ended::Read(result)) => {
                if let Some(track) = self.trees.get_mut(id) {
                    track.tried(now, random(), result.err().as_ref());
                }
            }
            (Job::Range(id, ..), Ended::Read(result)) => {
                if let Some(track) = self.ranges.get_mut(id) {
                    track.there = false;
                    track.tried(now, random(), result.err().as_ref());
                }
            }
            (Job::Files(tree, ids, reach), Ended::Found(result)) => {
                let jitter = random();
                self.files_found(*tree, ids, &result, files, (now, jitter));
                if let (Some(track), Ok(found)) = (self.trees.get_mut(tree), &result) {
                    let came = Came { reach: *reach, asked: ids.len(), found: found.len(), took };
                    track.mass.looked(came, now, fixed);
                }
            }
            (Job::Check(looks, _), ended) => {
                let mut results: HashMap<RangeId, Looked> = match ended {
                    Ended::Checked(results) => results.into_iter().collect(),
                    _ => HashMap::new(),
                };
                for look in looks {
                    let looked = results.remove(&look.range).unwrap_or_default();
                    if looked.arrived > 0 {
                        self.progressed = Some(now);
                    }
                    if let Some(track) = self.ranges.get_mut(&look.range) {
                        let asked = if look.reach == Reach::All { track.wanted as usize } else { SCOUTS };
                        // Scouts that were found by another look have arrived as well.
                        let none_left = looked.kept.as_ref().is_some_and(|kept| kept.is_empty());
                        let found = (looked.arrived as usize).max(usize::from(none_left));
                        let came = Came { reach: look.reach, asked, found, took };
                        track.checked(now, random(), looked, came, fixed);
                    }
                }
            }
            (Job::Probe(suspect), Ended::Probed(result)) => {
                let asked = result.as_ref().map_or(SAMPLE, |probed| probed.asked);
                self.probes_free_at = now + PROBE_COST * asked as u32;
                if let Some(track) = self.ranges.get_mut(&suspect.range) {
                    track.probed(now, result);
                }
            }
            (_, _) => {}
        }
    }

    /// Range files of a tree were looked for together. Those that are there are read as soon as there is a place.
    fn files_found(
        &mut self,
        tree: MetarangeId,
        ids: &[RangeId],
        result: &Result<HashSet<RangeId>, Miss>,
        files: &Files,
        (now, jitter): (Duration, u64),
    ) {
        for id in ids {
            let Some(track) = self.ranges.get_mut(id) else { continue };
            match result {
                Ok(found) if found.contains(id) => {
                    (track.there, track.massed, track.tries, track.fault) = (true, false, 0, None);
                }
                Ok(_) => track.tried(now, jitter, Some(&files.absent_range(id))),
                Err(miss) => track.tried(now, jitter, Some(miss)),
            }
        }
        if let (Some(track), Err(miss)) = (self.trees.get_mut(&tree), result) {
            track.mass.failed(now, miss.least_wait());
        }
    }
}

impl RetryState {
    fn tried(&mut self, now: Duration, jitter: u64, miss: Option<&Miss>) {
        (self.tries, self.last, self.jitter) = (self.tries.saturating_add(1), now, jitter);
        self.least = miss.map_or(Duration::ZERO, Miss::least_wait);
        self.fault = miss.map(ToString::to_string);
        self.gone.file_read(miss);
    }

    fn checked(&mut self, now: Duration, jitter: u64, looked: Looked, came: Came, fixed: Option<Duration>) {
        self.tried(now, jitter, looked.miss.as_ref());
        match &looked.miss {
            None => self.mass.looked(came, now, fixed),
            Some(miss) => self.mass.failed(now, miss.least_wait()),
        }
        if came.reach == Reach::Scouts {
            // They stand for the others, and say nothing of how many there are.
            return;
        }
        if looked.arrived > 0 {
            self.since = now;
        }
        if looked.forbidden > 0 && looked.arrived == 0 {
            self.least = self.least.max(Duration::from_secs(5));
        }
        self.gone.checked(&looked);
        (self.kept, self.scouts) = (looked.kept.clone(), looked.scouts.clone());
        self.looked = looked;
    }

    fn probed(&mut self, now: Duration, result: Result<Probed, Miss>) {
        result.iter().for_each(|probed| self.said.take(&probed.answers));
        let probe = &mut self.probe;
        probe.last = now;
        let backoff = (probe.backoff * 2).clamp(PROBE_BACKOFF_MIN, PROBE_BACKOFF_MAX);
        match result {
            Ok(probed) if probed.gone > 0 => {
                (probe.backoff, probe.next, probe.found_gone) = (Duration::ZERO, now + PROBE_AGAIN, true);
                self.fault = probed.oddity;
            }
            Ok(probed) => {
                (probe.backoff, probe.next, probe.found_gone) = (backoff, now + backoff, false);
                probe.cursor = probe.cursor.wrapping_add(probed.asked as u32);
                self.fault = probed.oddity;
            }
            Err(miss) => {
                probe.backoff = (probe.backoff * 2).clamp(Duration::from_secs(5), Duration::from_secs(60));
                probe.next = now + probe.backoff;
                // Another one is the first next time, in case that it is this one which is never answered.
                probe.cursor = probe.cursor.wrapping_add(1);
                self.fault = Some(format!("asking the source failed: {miss}"));
            }
        }
    }
}
