//! What the verifier has under way and tried before: one track for each file and range, and the choice of the next job.
//!
//! Owns fairness (I9): trees take turns, large jobs never take the last places, what the mirror shows already has a
//! place of its own beside them all, and what was tried waits by [`super::schedule`]. Synchronous; all of it can be lost and is rebuilt from the durable state.

mod finish;

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use lakemirror_core::ids::{MetarangeId, RangeId};

use super::batch::{Batch, Bounds, look};
use super::check::{KEPT_MAX, Look, Looked, Missing, Suspect};
use super::files::{Files, Miss};
use super::loss::Gone;
use super::many::{Mass, Reach, SINGLY_MAX, scouts_of};
use super::need::{Plan, RangeNeed, Role, TreeNeed};
use super::prints::Print;
use super::probe::{PASS, ProbeTrack, Probed, SAMPLE, Said};
use super::schedule;
use crate::ports::Effort;

/// Ranges of one tree that are checked together.
const CHECK_RANGES_MAX: usize = 16;
/// Keys that are checked together, unless one range has more.
const CHECK_KEYS_MAX: u32 = 250_000;
/// Ranges of all trees whose few missing keys are looked for together.
const RECHECK_RANGES_MAX: usize = 512;
/// Entries from which on a job is a large one.
const LARGE: u32 = 2_000;
/// Rechecks this close to being due come along.
const EARLY: Duration = Duration::from_millis(20);
/// Room for so many tracks is never given back.
const ROOM_MIN: usize = 64;
/// Missing entries that one missing file counts for in the rate of looking.
const FILE_WEIGHT: u64 = 5;
/// Time that one question to the source takes of the budget: 50 a second.
const PROBE_COST: Duration = Duration::from_millis(20);
const PROBE_AGAIN: Duration = Duration::from_secs(1);
const PROBE_BACKOFF_MIN: Duration = Duration::from_secs(30);
const PROBE_BACKOFF_MAX: Duration = Duration::from_secs(600);
/// Replication that was seen to be at work makes old waits no longer than this, for as long as [`STIR`].
const STIRRED_WAIT_MAX: Duration = Duration::from_secs(5);
const STIR: Duration = Duration::from_secs(10);

/// What was tried of one file or range, by monotonic time.
#[derive(Debug, Clone, Default)]
pub(super) struct RetryState {
    pub(super) read: bool,
    pub(super) wanted: u32,
    pub(super) tries: u32,
    pub(super) running: bool,
    pub(super) last: Duration,
    since: Duration,
    jitter: u64,
    least: Duration,
    /// Of a tree: since when, in this run, a head that is to be promoted needs it.
    head_since: Option<Duration>,
    pub(super) fault: Option<String>,
    pub(super) looked: Looked,
    pub(super) gone: Gone,
    pub(super) kept: Option<Arc<Vec<Missing>>>,
    pub(super) said: Said,
    /// A few of what is missing, where it is much.
    pub(super) scouts: Option<Arc<Vec<Missing>>>,
    /// Of a range: when its many missing entries are looked for. Of a tree: when its many range files are.
    mass: Mass,
    /// Of a tree: whether its range files are looked for together. Of a range: whether its file is one of them.
    massed: bool,
    /// The file was seen to be there.
    there: bool,
    probe: ProbeTrack,
    /// The number of the last plan that needs it.
    plan: u64,
}

impl RetryState {
    fn new(now: Duration) -> Self {
        Self { since: now, ..Self::default() }
    }

    /// Since when it is needed, or was last seen to get on, by a wall clock that says `wall_ms` now.
    pub(super) fn since_ms(&self, now: Duration, wall_ms: u64) -> u64 {
        wall_ms.saturating_sub(now.saturating_sub(self.since).as_millis() as u64)
    }

    /// Whether the file is about to be read, or was just now and the plan does not know it yet.
    fn is_hopeful(&self) -> bool {
        self.there || self.tries == 0 || self.tries < 3 && self.fault.is_none()
    }

    /// When the many range files of the tree are looked for next.
    pub(super) fn files_at(&self) -> Option<Duration> {
        (self.massed && !self.mass.running).then(|| self.mass.next())
    }

    /// Whether it is looked for as a mass: all of it, or a few on its behalf.
    fn is_mass(&self) -> bool {
        self.read && self.tries > 0 && self.scouts.is_some() && self.wanted as usize > KEPT_MAX
    }

    fn is_few(&self) -> bool {
        self.tries > 0 && self.kept.is_some() && self.wanted as usize <= KEPT_MAX
    }
}

/// A job to start.
#[derive(Debug, Clone)]
pub(super) enum Job {
    /// Read a metarange.
    Metarange(MetarangeId),
    /// Read a range of a tree, with the trees of the parents to inherit from.
    Range(RangeId, MetarangeId, Vec<MetarangeId>),
    /// Ask the destination which of many range files of a tree are there.
    Files(MetarangeId, Vec<RangeId>, Reach),
    /// Ask the destination for missing objects.
    Check(Vec<Look>, Effort),
    /// Read which objects a range has, to count them once.
    Print(RangeId),
    /// Ask the source.
    Probe(Suspect),
}

/// What a running job holds, so that it is let go whatever becomes of the job.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) job: Job,
    pub(super) large: bool,
    /// Whether it is for what the mirror shows already: such a job takes no place of the others.
    pub(super) shown: bool,
    /// When it was begun.
    since: Duration,
}

impl Held {
    pub(super) fn new(job: Job, large: bool, shown: bool) -> Self {
        Self { job, large, shown, since: Duration::ZERO }
    }
}

/// How a job ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// A file was read, or not.
    Read(Result<(), Miss>),
    /// Range files were looked for: those that are there.
    Found(Result<HashSet<RangeId>, Miss>),
    /// Ranges were checked.
    Checked(Vec<(RangeId, Looked)>),
    /// The objects of a range.
    Printed(Result<Print, Miss>),
    /// The source was asked.
    Probed(Result<Probed, Miss>),
}

/// The rules of choosing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) workers: usize,
    pub(super) recheck: Option<Duration>,
    /// How long a head waits for an object before the source is asked about it.
    pub(super) diagnose_after: Duration,
}

/// Everything that is tracked.
pub(super) struct Tracks {
    pub(super) rules: Rules,
    pub(super) plan: Plan,
    /// Plans so far.
    plans: u64,
    pub(super) trees: HashMap<MetarangeId, RetryState>,
    pub(super) ranges: HashMap<RangeId, RetryState>,
    places: HashMap<MetarangeId, usize>,
    /// Missing keys that are looked for one by one.
    missing: u64,
    running: usize,
    running_large: usize,
    running_shown: usize,
    probing: bool,
    probes_free_at: Duration,
    progressed: Option<Duration>,
    turn: usize,
}

/// Drops the tracks that the last plan does not need, and most of the room of what once was many.
fn drop_older<Id: Eq + Hash>(tracks: &mut HashMap<Id, RetryState>, plan: u64) {
    tracks.retain(|_, track| track.plan == plan);
    if tracks.capacity() > ROOM_MIN + 4 * tracks.len() {
        tracks.shrink_to(2 * tracks.len());
    }
}

impl Tracks {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            plan: Plan::default(),
            plans: 0,
            trees: HashMap::new(),
            ranges: HashMap::new(),
            places: HashMap::new(),
            missing: 0,
            running: 0,
            running_large: 0,
            running_shown: 0,
            probing: false,
            probes_free_at: Duration::ZERO,
            progressed: None,
            turn: 0,
        }
    }

    /// Takes a new plan: tracks of what is needed no more are dropped.
    pub(super) fn follow(&mut self, plan: Plan, now: Duration) {
        self.plans += 1;
        self.missing = 0;
        for tree in &plan.trees {
            let track = self.trees.entry(tree.id).or_insert_with(|| RetryState::new(now));
            track.plan = self.plans;
            let awaited = !tree.shown_only && tree.role == Role::Head;
            track.head_since = if awaited { track.head_since.or(Some(now)) } else { None };
            let massed = tree.ranges.iter().filter(|need| !need.read).count() > SINGLY_MAX;
            track.massed = massed;
            self.missing += if tree.total.is_none() { FILE_WEIGHT } else { 0 };
            for need in &tree.ranges {
                let track = self.ranges.entry(need.id).or_insert_with(|| RetryState::new(now));
                // More is wanted than before only where what counted was opened again: nothing was looked for since.
                let opened_again = need.wanted > track.wanted && track.tries > 0 && need.read;
                if track.read != need.read || opened_again {
                    *track = RetryState { read: need.read, running: track.running, ..RetryState::new(now) };
                }
                (track.wanted, track.plan) = (need.wanted, self.plans);
                track.massed = massed && !need.read && !track.there;
                // What is looked for as a mass has a pace of its own, and slows nothing else down.
                let singly = if need.read { u64::from(need.wanted) } else { FILE_WEIGHT };
                self.missing += if track.massed || track.is_mass() { 0 } else { singly };
            }
        }
        drop_older(&mut self.trees, self.plans);
        drop_older(&mut self.ranges, self.plans);
        self.places.clear();
        self.places.extend(plan.trees.iter().enumerate().map(|(place, tree)| (tree.id, place)));
        self.plan = plan;
    }

    /// When the track is due, by monotonic time.
    pub(super) fn due(&self, track: &RetryState, now: Duration) -> Duration {
        if track.tries == 0 {
            return Duration::ZERO;
        }
        let look = schedule::Look {
            age: track.last.saturating_sub(track.since),
            missing: self.missing,
            fixed: self.rules.recheck,
            jitter: track.jitter,
            least: track.least,
        };
        let mut wait = schedule::interval(&look);
        let stirred = self.progressed.is_some_and(|at| now.saturating_sub(at) < STIR);
        if stirred && self.rules.recheck.is_none() && self.missing <= schedule::FEW {
            wait = wait.min(STIRRED_WAIT_MAX.max(track.least));
        }
        track.last + wait
    }

    /// When the track is looked at next, where it is looked at by itself.
    pub(super) fn next_look(&self, track: &RetryState, now: Duration) -> Option<Duration> {
        match () {
            () if track.massed => None,
            () if track.is_mass() => Some(track.mass.next()),
            () => Some(self.due(track, now)),
        }
    }

    /// When something is to be done next without any news; none when nothing is needed.
    pub(super) fn wake_at(&self, now: Duration) -> Option<Duration> {
        let unread = self.plan.trees.iter().filter(|tree| tree.total.is_none());
        let trees = unread.filter_map(|tree| self.trees.get(&tree.id));
        let ranges = self.ranges.values().filter(|track| !track.read || track.wanted > 0);
        let waiting = trees.chain(ranges).filter(|track| !track.running && track.tries > 0);
        let files = self.trees.values().filter_map(RetryState::files_at);
        waiting.filter_map(|track| self.next_look(track, now)).chain(files).min()
    }

    /// The next job that may start now.
    pub(super) fn next(&mut self, now: Duration, files: &Files) -> Option<Held> {
        let mut held = self.pending(now, files).or_else(|| self.shown(now, files))?;
        held.since = now;
        self.set_running(&held, true);
        Some(held)
    }

    /// A job for what is to be promoted.
    fn pending(&mut self, now: Duration, files: &Files) -> Option<Held> {
        let total = self.rules.workers.max(2);
        if self.running >= total {
            return None;
        }
        let large_may = self.running_large < total - (total / 4).max(1);
        let probe = |suspect| Held::new(Job::Probe(suspect), false, false);
        self.few(now, false)
            .or_else(|| self.in_turn(now, large_may, false, files))
            .or_else(|| self.suspect(now).map(probe))
    }

    /// A job for what the mirror shows, one at a time: whatever becomes of it, nothing else waits for it.
    fn shown(&mut self, now: Duration, files: &Files) -> Option<Held> {
        if self.running_shown > 0 {
            return None;
        }
        self.few(now, true).or_else(|| self.in_turn(now, true, true, files))
    }

    fn set_running(&mut self, held: &Held, running: bool) {
        let step = |count: &mut usize| *count = if running { *count + 1 } else { count.saturating_sub(1) };
        if held.shown {
            step(&mut self.running_shown);
        } else {
            step(&mut self.running);
        }
        if held.large && !held.shown {
            step(&mut self.running_large);
        }
        let mark = |track: &mut RetryState| track.running = running;
        match &held.job {
            Job::Metarange(id) => self.trees.get_mut(id).into_iter().for_each(mark),
            Job::Range(id, ..) => self.ranges.get_mut(id).into_iter().for_each(mark),
            Job::Files(tree, ..) => {
                self.trees.get_mut(tree).into_iter().for_each(|track| track.mass.running = running);
            }
            Job::Check(looks, _) => {
                for look in looks {
                    self.ranges.get_mut(&look.range).into_iter().for_each(mark);
                }
            }
            Job::Probe(_) => self.probing = running,
            Job::Print(_) => {}
        }
    }

    /// The few missing keys of all ranges that are due, in one job.
    fn few(&self, now: Duration, shown: bool) -> Option<Held> {
        let mut looks: Vec<Look> = Vec::new();
        let trees = self.plan.trees.iter().filter(|tree| tree.shown_only == shown);
        for need in trees.flat_map(|tree| &tree.ranges) {
            let Some(track) = self.ranges.get(&need.id) else { continue };
            let ready = track.read && !track.running && track.wanted > 0 && track.is_few();
            if ready && self.due(track, now) <= now + if looks.is_empty() { Duration::ZERO } else { EARLY } {
                looks.push(look(need, track, Reach::All));
            }
            if looks.len() >= RECHECK_RANGES_MAX {
                break;
            }
        }
        (!looks.is_empty()).then(|| Held::new(Job::Check(looks, Effort::Recheck), false, shown))
    }

    /// One job of the next tree that has any.
    fn in_turn(&mut self, now: Duration, large_may: bool, shown: bool, files: &Files) -> Option<Held> {
        let count = self.plan.trees.len();
        for step in 0..count {
            let place = (self.turn + step) % count;
            let Some(tree) = self.plan.trees.get(place).filter(|tree| tree.shown_only == shown) else { continue };
            if let Some(held) = self.of_tree(tree, place, now, large_may, files) {
                self.turn = (place + 1) % count;
                return Some(held);
            }
        }
        None
    }

    fn of_tree(&self, tree: &TreeNeed, place: usize, now: Duration, large_may: bool, files: &Files) -> Option<Held> {
        if tree.total.is_none() {
            let track = self.trees.get(&tree.id).filter(|track| !track.running)?;
            let held = || Held::new(Job::Metarange(tree.id), false, tree.shown_only);
            return (self.due(track, now) <= now).then(held);
        }
        if let Some(held) = self.files_of(tree, now) {
            return Some(held);
        }
        let (mut batch, mut keys) = (Batch::of(tree), 0u32);
        let mut unread = None;
        let mut reading = false;
        let mut bounds = Bounds::new(tree, place, files);
        for need in &tree.ranges {
            let Some(track) = self.ranges.get(&need.id) else { continue };
            if track.running {
                reading |= !need.read;
                continue;
            }
            let large = need.entries.min(if need.read { need.wanted } else { u32::MAX }) > LARGE;
            let mass = track.is_mass();
            let reach = if mass { track.mass.due(now) } else { (self.due(track, now) <= now).then_some(Reach::All) };
            let Some(reach) = reach.filter(|reach| !track.massed && (large_may || !large || *reach == Reach::Scouts))
            else {
                continue;
            };
            if !need.read {
                if unread.is_none() && !self.must_wait(&mut bounds, need, files) {
                    unread = Some((need.id, large));
                }
            } else if need.wanted > 0 && !track.is_few() && batch.takes(track, reach) {
                keys = keys.saturating_add(if reach == Reach::All { need.wanted } else { 0 });
                batch.add(need, track, large && reach == Reach::All, reach);
                if batch.looks.len() >= CHECK_RANGES_MAX || keys >= CHECK_KEYS_MAX {
                    return batch.held();
                }
            }
        }
        match unread {
            Some((id, large)) => {
                let job = Job::Range(id, tree.id, tree.parents.clone());
                Some(Held::new(job, large, tree.shown_only))
            }
            None if reading && batch.is_large => None,
            None => batch.held(),
        }
    }

    /// A look for the range files of a tree that lacks many: for all of them, or for a few on their behalf.
    fn files_of(&self, tree: &TreeNeed, now: Duration) -> Option<Held> {
        let track = self.trees.get(&tree.id).filter(|track| track.massed)?;
        let reach = track.mass.due(now)?;
        let massed = |id: &RangeId| self.ranges.get(id).is_some_and(|track| track.massed && !track.running);
        let mut ids: Vec<RangeId> = tree.ranges.iter().map(|need| need.id).filter(massed).collect();
        if reach == Reach::Scouts {
            ids = scouts_of(&ids);
        }
        (!ids.is_empty()).then(|| Held::new(Job::Files(tree.id, ids, reach), false, tree.shown_only))
    }

    /// Whether the parents' part of this range is about to be read and checked: then it is worth waiting for, because
    /// most answers can be inherited. What was tried without success is not waited for.
    fn must_wait(&self, bounds: &mut Bounds<'_>, need: &RangeNeed, files: &Files) -> bool {
        let keys = bounds.of(need);
        bounds.tree.parents.iter().any(|parent| {
            let Some(place) = self.places.get(parent).filter(|place| **place < bounds.place) else { return false };
            let Some(tree) = self.plan.trees.get(*place) else { return false };
            if tree.total.is_none() {
                return self.trees.get(parent).is_some_and(RetryState::is_hopeful);
            }
            let fresh = |id: &RangeId| {
                let track = self.ranges.get(id).filter(|_| *id != need.id);
                track.is_some_and(|track| match track.read {
                    true => track.tries == 0 && track.wanted > 0,
                    false => track.is_hopeful(),
                })
            };
            let Some((theirs, (min, max))) = files.kept_metarange(parent).zip(keys.as_ref()) else { return false };
            let first = theirs.partition_point(|base| base.max_key < *min);
            theirs.iter().skip(first).take_while(|base| base.min_key <= *max).any(|base| fresh(&base.id))
        })
    }

    /// A range whose missing entries the source should be asked about.
    fn suspect(&self, now: Duration) -> Option<Suspect> {
        if self.probing || now < self.probes_free_at {
            return None;
        }
        let mut best: Option<(Duration, Suspect)> = None;
        for tree in &self.plan.trees {
            // What the source says of a head that the mirror shows changes nothing: it has to be there.
            let since = self.trees.get(&tree.id).and_then(|track| track.head_since);
            let late = since.is_some_and(|since| now.saturating_sub(since) >= self.rules.diagnose_after);
            for need in tree.ranges.iter().filter(|need| need.read && (need.for_ancestor || late)) {
                let Some(track) = self.ranges.get(&need.id) else { continue };
                let probe = &track.probe;
                // The size of an object is for its owner to mend, unless the commit is past.
                let misfits = if need.for_ancestor { 0 } else { need.wrong_size.saturating_add(need.archived) };
                let absent = need.wanted.saturating_sub(misfits.saturating_add(need.forbidden)) > 0;
                let checked = track.tries > 0 && !track.running && track.last > probe.last;
                if !absent || !checked || now < probe.next || best.as_ref().is_some_and(|(last, _)| *last <= probe.last)
                {
                    continue;
                }
                let limit = if probe.found_gone { PASS } else { SAMPLE };
                let for_ancestor = need.for_ancestor;
                let suspect =
                    Suspect { range: need.id, commit: tree.commit, for_ancestor, limit, cursor: probe.cursor };
                best = Some((probe.last, suspect));
            }
        }
        best.map(|(_, suspect)| suspect)
    }
}
