//! The verification stage: finds out which files and objects of needed commits have arrived, and records it.
//!
//! Owns the loop that looks at the durable state, starts jobs and waits for news. Flow: state → [`need`] (what is
//! open) → [`track`] (what to do next) → jobs ([`read`], [`check`], [`probe`]: I/O, each ends in a command to the
//! journal) → state. Decides nothing about promotion. Costs nothing while nothing is needed.

mod arrivals;
mod batch;
mod cache;
mod check;
mod files;
mod inherit;
pub mod loss;
mod many;
pub mod need;
mod prints;
mod probe;
mod read;
pub mod schedule;
pub mod status;
mod track;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lakemirror_core::ids::Incarnation;
use lakemirror_graveler::address::Namespace;
use lakemirror_journal::state::mirror::Phase;
use lakemirror_ports::clock::{Clock, Entropy};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::check::Missing;
use self::files::{Files, Miss, lock};
use self::loss::Loss;
use self::need::{Plan, TreeNeed};
use self::prints::Prints;
use self::status::{Counts, Sample, SourceAnswer, TreeWait, VerifyStatus, WaitsFor};
use self::track::{Ended, Held, Job, Rules, Tracks};
use super::ports::{Destination, Lakefs, Outcome};
use super::recorder::Recorder;
use super::ticker::Ticks;

/// The state is looked at no more often than this, however much happens.
const REFRESH_MIN: Duration = Duration::from_millis(25);
/// Looking at the state may take one part in so many of the journal's time.
const REFRESH_SHARE: u32 = 10;

/// Settings of the verifier.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where metadata files are below the namespace; `_lakefs` unless lakeFS is configured otherwise.
    pub metadata_prefix: String,
    /// A fixed interval between looks at what is missing, where the operator set one.
    pub recheck: Option<Duration>,
    /// How long a head may wait for an object before the source is asked about it.
    pub diagnose_after: Duration,
    /// Jobs at a time; at least 2.
    pub workers: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            metadata_prefix: "_lakefs".to_owned(),
            recheck: None,
            diagnose_after: Duration::from_secs(600),
            workers: 8,
        }
    }
}

/// The verification stage of one mirror.
pub struct Verifier {
    /// The mirror.
    pub mirror: Incarnation,
    /// The journal.
    pub recorder: Recorder,
    /// The destination's blockstore.
    pub destination: Arc<dyn Destination>,
    /// The source's lakeFS.
    pub source: Arc<dyn Lakefs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness for jitter.
    pub entropy: Arc<dyn Entropy>,
    /// Settings.
    pub settings: Settings,
    /// What is waiting, for everybody to read.
    pub status: Arc<Mutex<VerifyStatus>>,
}

/// What every job needs.
struct JobContext {
    mirror: Incarnation,
    repository: String,
    recorder: Recorder,
    destination: Arc<dyn Destination>,
    source: Arc<dyn Lakefs>,
    clock: Arc<dyn Clock>,
    files: Files,
}

impl Verifier {
    /// Verifies until `stop`. Jobs under way are dropped: what they would have recorded is found out again.
    pub async fn run(self, stop: CancellationToken) {
        let mut changes = self.recorder.changes(self.mirror);
        if let Some(Some(context)) = stop.run_until_cancelled(self.open(&mut changes)).await {
            Loop::new(&self, Arc::new(context)).run(&stop, changes).await;
        }
    }

    /// Waits for the mirror to be defined.
    async fn open(&self, changes: &mut Ticks) -> Option<JobContext> {
        let mirror = self.mirror;
        loop {
            changes.mark_unchanged();
            let defined = self.recorder.read(move |state| {
                let definition = &state.mirror(&mirror)?.definition;
                Some((definition.storage_namespace.clone(), definition.source_repository.clone()))
            });
            if let Some((namespace, repository)) = defined.await.ok()? {
                return self.context(&namespace, repository);
            }
            changes.changed().await;
        }
    }

    fn context(&self, namespace: &str, repository: String) -> Option<JobContext> {
        let namespace = match Namespace::parse(namespace) {
            Ok(namespace) => namespace,
            Err(error) => {
                lock(&self.status).fault = Some(format!("the mirror's storage namespace cannot be used: {error}"));
                return None;
            }
        };
        let destination = Arc::clone(&self.destination);
        Some(JobContext {
            mirror: self.mirror,
            repository,
            recorder: self.recorder.clone(),
            destination: Arc::clone(&destination),
            source: Arc::clone(&self.source),
            clock: Arc::clone(&self.clock),
            files: Files::new(destination, namespace, &self.settings.metadata_prefix),
        })
    }
}

struct Loop<'a> {
    of: &'a Verifier,
    context: Arc<JobContext>,
    tracks: Tracks,
    prints: Prints,
    jobs: JoinSet<Ended>,
    held: HashMap<Id, Held>,
    is_stale: bool,
    refresh_at: Duration,
}

impl<'a> Loop<'a> {
    fn new(of: &'a Verifier, context: Arc<JobContext>) -> Self {
        let rules = Rules {
            workers: of.settings.workers,
            recheck: of.settings.recheck,
            diagnose_after: of.settings.diagnose_after,
        };
        let (jobs, held) = (JoinSet::new(), HashMap::new());
        let prints = Prints::default();
        Self { of, context, tracks: Tracks::new(rules), prints, jobs, held, is_stale: true, refresh_at: Duration::ZERO }
    }

    async fn run(mut self, stop: &CancellationToken, mut changes: Ticks) {
        loop {
            let now = self.context.clock.monotonic();
            if self.is_stale && now >= self.refresh_at {
                changes.mark_unchanged();
                match stop.run_until_cancelled(self.refresh()).await {
                    Some(Ok(())) => {}
                    Some(Err(_)) | None => break,
                }
            }
            self.start_jobs();
            let now = self.context.clock.monotonic();
            let refresh = self.is_stale.then_some(self.refresh_at);
            let wake = [self.tracks.wake_at(now).filter(|at| *at > now), refresh].into_iter().flatten().min();
            let sleep = async {
                match wake {
                    Some(at) => self.context.clock.sleep(at.saturating_sub(now)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = self.jobs.join_next_with_id() => self.finish(ended),
                () = changes.changed(), if !self.is_stale => self.is_stale = true,
                () = sleep => {}
            }
        }
        self.jobs.shutdown().await;
    }

    /// Looks at the durable state; how long that takes limits how often it is done.
    async fn refresh(&mut self) -> Result<(), super::recorder::RecordError> {
        let (mirror, clock) = (self.context.mirror, Arc::clone(&self.context.clock));
        let looked = self.context.recorder.read(move |state| {
            let start = clock.monotonic();
            let live = state.mirror(&mirror).filter(|mirror| mirror.phase != Phase::Deleting);
            let plan = live.map_or_else(Plan::default, |mirror| need::plan(state, mirror));
            (plan, clock.monotonic().saturating_sub(start))
        });
        let (plan, took) = looked.await?;
        let now = self.context.clock.monotonic();
        self.refresh_at = now + REFRESH_MIN.max(took * (REFRESH_SHARE - 1));
        self.is_stale = false;
        self.prints.follow(&plan.counted);
        self.tracks.follow(plan, now);
        self.report(now);
        Ok(())
    }

    fn start_jobs(&mut self) {
        loop {
            let now = self.context.clock.monotonic();
            let Some(held) = self.tracks.next(now, &self.context.files).or_else(|| self.next_print()) else { return };
            let id = self.jobs.spawn(work(Arc::clone(&self.context), held.job.clone())).id();
            self.held.insert(id, held);
        }
    }

    /// Counting takes no place of what is waited for.
    fn next_print(&mut self) -> Option<Held> {
        self.prints.next().map(|id| Held::new(Job::Print(id), false, true))
    }

    fn finish(&mut self, ended: Result<(Id, Ended), JoinError>) {
        let (id, ended) = match ended {
            Ok((id, ended)) => (id, Some(ended)),
            Err(error) => (error.id(), None),
        };
        let Some(held) = self.held.remove(&id) else { return };
        if let Job::Print(id) = held.job {
            let print = if let Some(Ended::Printed(Ok(print))) = ended { Some(print) } else { None };
            self.prints.finish(id, print);
            lock(&self.of.status).shared = self.prints.shared();
            return;
        }
        let broken = || Miss::Broken("its task ended without a result".to_owned());
        let ended = ended.unwrap_or_else(|| match held.job {
            Job::Metarange(_) | Job::Range(..) | Job::Print(_) => Ended::Read(Err(broken())),
            Job::Files(..) => Ended::Found(Err(broken())),
            Job::Check(..) => Ended::Checked(Vec::new()),
            Job::Probe(_) => Ended::Probed(Err(broken())),
        });
        let entropy = &self.of.entropy;
        self.tracks
            .finish(&held, ended, &self.context.files, self.context.clock.monotonic(), &mut || entropy.random_u64());
        self.is_stale = true;
    }

    /// Writes down what is waiting.
    fn report(&self, now: Duration) {
        let at_ms = self.context.clock.wall_ms();
        let trees = self.tracks.plan.trees.iter().map(|tree| (tree.id, self.tree_wait(tree, now, at_ms)));
        let shown = self.tracks.plan.trees.iter().filter_map(|tree| Some((tree.id, self.loss(tree)?)));
        let lost = shown.filter(|(_, loss)| !loss.is_none()).collect();
        let (repeated, shared) = (self.tracks.repeated(), self.prints.shared());
        let mut next = VerifyStatus { trees: trees.collect(), lost, fault: None, repeated, shared, at_ms };
        next.fault = next.trees.values().find_map(|tree| tree.fault.clone());
        *lock(&self.of.status) = next;
    }

    /// What of a tree that the mirror shows was looked for and is not there; none of other trees.
    fn loss(&self, tree: &TreeNeed) -> Option<Loss> {
        let lacks = tree.lacks.as_ref()?;
        let mut loss = Loss::default();
        if let Some(track) = self.tracks.trees.get(&tree.id).filter(|_| tree.total.is_none()) {
            loss.add(&track.gone, 0);
        }
        for track in lacks.iter().filter_map(|range| self.tracks.ranges.get(range)) {
            loss.add(&track.gone, track.wanted);
        }
        Some(loss)
    }

    fn tree_wait(&self, tree: &TreeNeed, now: Duration, wall_ms: u64) -> TreeWait {
        let file = self.tracks.trees.get(&tree.id);
        let mut wait = TreeWait {
            metarange: tree.id,
            commit: tree.commit,
            role: tree.role,
            waits_for: WaitsFor::MetarangeFile,
            ranges: tree.total,
            ranges_open: tree.open,
            counts: Counts::default(),
            counted_at: tree.borrowed_from.clone(),
            samples: Vec::new(),
            file: tree.total.is_none().then(|| self.context.files.uri(tree.id)),
            source_has: 0,
            source_lost: 0,
            since_ms: match file.filter(|_| tree.shown_only) {
                Some(track) => track.since_ms(now, wall_ms),
                None => tree.since_ms,
            },
            checked_ms: 0,
            next_check_ms: None,
            fault: file.and_then(|track| track.fault.clone()),
        };
        let mut looks = Vec::new();
        if tree.total.is_none() {
            looks.extend(file);
        } else {
            wait.waits_for = WaitsFor::Objects;
        }
        wait.add_unlisted(&tree.unlisted);
        for need in &tree.ranges {
            let Some(track) = self.tracks.ranges.get(&need.id) else { continue };
            looks.push(track);
            wait.checked_ms = wait.checked_ms.max(need.checked_ms);
            if !need.read && wait.file.is_none() {
                wait.file = Some(self.context.files.uri(need.id));
            }
            wait.add(need, track);
        }
        let wall = |at: Duration| wall_ms.saturating_add(at.saturating_sub(now).as_millis() as u64);
        let tried = looks.iter().filter(|track| track.tries > 0).map(|track| track.last).max();
        let ago = tried.map_or(0, |at| wall_ms.saturating_sub(now.saturating_sub(at).as_millis() as u64));
        wait.checked_ms = wait.checked_ms.max(ago);
        let alone = looks.iter().filter(|track| !track.running).filter_map(|track| self.tracks.next_look(track, now));
        let next = alone.chain(file.and_then(|track| track.files_at())).min();
        wait.next_check_ms = next.map(wall);
        wait
    }
}

impl TreeWait {
    fn add_unlisted(&mut self, unlisted: &need::Unlisted) {
        if unlisted.files > 0 {
            self.waits_for = WaitsFor::RangeFiles;
        }
        self.counts.range_files += u64::from(unlisted.files);
        self.counts.missing += unlisted.missing;
    }

    fn add(&mut self, need: &need::RangeNeed, track: &track::RetryState) {
        let counts = &mut self.counts;
        if !need.read {
            self.waits_for = WaitsFor::RangeFiles;
            counts.range_files += 1;
            counts.missing += u64::from(need.entries);
        } else if need.checked_ms > 0 {
            counts.missing += u64::from(need.missing);
        } else {
            counts.unasked += u64::from(need.missing);
        }
        counts.wrong_size += u64::from(need.wrong_size);
        counts.archived += u64::from(need.archived);
        counts.forbidden += u64::from(need.forbidden.max(track.looked.forbidden));
        counts.deleted += u64::from(track.looked.deleted);
        counts.unknown += u64::from(track.looked.unknown);
        counts.expired += u64::from(need.expired);
        counts.imports += u64::from(need.imports);
        counts.unresolvable += u64::from(track.looked.unresolvable);
        let room = status::SAMPLES_MAX.saturating_sub(self.samples.len());
        // What a look found missing may have been found since, by another one or at another tree.
        let known = need.few.len() == need.wanted as usize;
        let missing = track.looked.samples.iter().filter(|(one, _)| !known || need.few.contains(&one.ordinal));
        let sample =
            |one: &(Missing, Option<Outcome>)| Sample { source: track.said.of(one.0.ordinal), ..Sample::of(one) };
        self.samples.extend(missing.take(room).map(sample));
        self.source_has += track.said.count(SourceAnswer::HasIt);
        self.source_lost += track.said.count(SourceAnswer::Gone);
        if self.fault.is_none() {
            self.fault.clone_from(&track.fault);
        }
    }
}

async fn work(context: Arc<JobContext>, job: Job) -> Ended {
    match job {
        Job::Metarange(id) => Ended::Read(read::metarange(&context, id).await),
        Job::Range(id, tree, parents) => Ended::Read(read::range(&context, id, tree, &parents).await),
        Job::Files(_, ids, _) => Ended::Found(context.files.there(&ids).await),
        Job::Check(looks, effort) => Ended::Checked(check::check(&context, looks, effort).await),
        Job::Print(id) => Ended::Printed(prints::print(&context, id).await),
        Job::Probe(suspect) => Ended::Probed(probe::probe(&context, suspect).await),
    }
}

#[cfg(test)]
pub(super) mod tests;
