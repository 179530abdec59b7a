//! The engine's [`Destination`] over any [`Store`]: whole files, and presence at scale.
//!
//! Owns retries, pacing, the spread of one check over parallel runs, and the classification of failures into "this
//! key" and "all of them". What to ask next is [`super::plan`]'s, how fast is [`super::pace`]'s. Wanted keys flow in
//! at once, answers flow out in batches as they come; nothing is remembered about keys between two checks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use lakemirror_ports::clock::{Clock, Entropy};
use lakemirror_ports::{Answer, Destination, Effort, Fault, FaultKind, Fetched, Location, Wanted};

use super::pace::{Gate, Load, Rate, pause};
use super::plan::{Plan, shared_folder, split};
use super::{Found, Page, Store};

mod run;

use run::{Progress, Run};

/// The most answers in one call of the engine's closure.
pub const ANSWERS_MAX: usize = 4096;
/// A recheck of up to this many keys asks for each at once and lists nothing.
pub const RECHECK_HEADS_MAX: usize = 100;
/// The most runs that one check is split into.
const RUNS_MAX: usize = 32;
/// After so many throttled answers in a row requests to a bucket are made one after another, with pauses in between that
/// grow, and none is repeated.
const THROTTLED_MIN: u32 = 4;
/// How long a bucket that once answered a listing counts as being there.
const BUCKET_KNOWN_FOR: Duration = Duration::from_secs(60);
/// Buckets with a memory of their own; beyond these (mirrors are few) the memory starts anew.
const BUCKETS_MAX: usize = 1024;

/// How hard a store may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests a second of this process; `None`: no limit.
    pub requests_per_second: Option<u32>,
    /// Requests in flight to one bucket at the start.
    pub in_flight_first: u32,
    /// The most requests in flight to one bucket.
    pub in_flight_most: u32,
    /// Attempts a request, at least 1.
    pub attempts: u32,
    /// Failed requests in a row after which a check stops asking.
    pub failures_in_row: u32,
}

impl Limits {
    /// For S3. AWS serves at least 5,500 reads a second and partition, and replication needs its share of them.
    pub const S3: Self = Self {
        requests_per_second: Some(2000),
        in_flight_first: 8,
        in_flight_most: 64,
        attempts: 3,
        failures_in_row: 64,
    };
    /// For directories on this machine.
    pub const LOCAL: Self =
        Self { requests_per_second: None, in_flight_first: 16, in_flight_most: 16, attempts: 1, failures_in_row: 64 };
}

/// [`Destination`] over a store.
pub struct Checker<S: ?Sized> {
    limits: Limits,
    rate: Rate,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    buckets: Mutex<HashMap<Box<str>, Arc<Bucket>>>,
    store: Arc<S>,
}

/// What is remembered of one bucket.
struct Bucket {
    gate: Gate,
    /// When it last answered a listing.
    known: Mutex<Option<Duration>>,
    /// Answers in a row by which the store asked for fewer requests: kept between checks, and shared by all mirrors.
    throttled: AtomicU32,
}

impl<S: Store + ?Sized> Checker<S> {
    /// A checker with its own rate and limits.
    pub fn new(store: Arc<S>, limits: Limits, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        let rate = Rate::new(limits.requests_per_second);
        Self { limits, rate, clock, entropy, buckets: Mutex::default(), store }
    }

    fn bucket(&self, name: &str) -> Arc<Bucket> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get(name) {
            return Arc::clone(bucket);
        }
        if buckets.len() >= BUCKETS_MAX {
            buckets.clear();
        }
        let gate = Gate::new(self.limits.in_flight_first, self.limits.in_flight_most);
        let bucket = Arc::new(Bucket { gate, known: Mutex::new(None), throttled: AtomicU32::new(0) });
        buckets.insert(name.into(), Arc::clone(&bucket));
        bucket
    }

    async fn head(&self, bucket: &Bucket, name: &str, key: &str) -> Result<Found, Fault> {
        self.repeat(bucket, || self.store.head(name, key)).await
    }

    async fn list(&self, bucket: &Bucket, name: &str, prefix: &str, after: &str, max: usize) -> Result<Page, Fault> {
        let page = self.repeat(bucket, || self.store.list(name, prefix, after, max)).await?;
        bucket.set_known(self.clock.monotonic());
        Ok(page)
    }

    /// One request, paced, and repeated while that may help.
    async fn repeat<T, F>(&self, bucket: &Bucket, request: impl Fn() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let mut failed = 0;
        loop {
            // The place in flight first: the rate's instant would be past when the place comes.
            let pass = bucket.gate.enter().await;
            let throttled = bucket.throttled.load(Ordering::Relaxed);
            if throttled >= THROTTLED_MIN {
                // The place in flight is held meanwhile: all who ask of this bucket wait, not each for itself.
                self.clock.sleep(pause(throttled, &*self.entropy)).await;
            }
            self.rate.take(&*self.clock).await;
            let result = request().await;
            pass.leave(load(&result), self.clock.monotonic());
            let throttled = bucket.learn(&result);
            match result {
                Err(fault) if fault.kind == FaultKind::Retry => {
                    failed += 1;
                    // Who asks will ask again by itself: repeats on top of that are no help to a store that is throttling.
                    if failed >= self.limits.attempts || throttled >= THROTTLED_MIN {
                        return Err(fault);
                    }
                    self.clock.sleep(pause(failed, &*self.entropy)).await;
                }
                result => return result,
            }
        }
    }

    /// A check that found nothing may have looked in a bucket that is not there, or with credentials that count for
    /// nothing: HEAD's answers have no body that would say so. A listing's have.
    async fn ensure_bucket(&self, bucket: &Bucket, name: &str, prefix: &str) -> Result<(), Fault> {
        if bucket.is_known(self.clock.monotonic()) {
            return Ok(());
        }
        match self.list(bucket, name, prefix, "", 1).await {
            Err(fault) if fault.kind != FaultKind::Retry => Err(fault),
            _ => Ok(()),
        }
    }

    /// The runs of one check, each with its plan.
    fn plans<'w>(&self, wanted: &'w [Wanted], effort: Effort) -> Vec<Plan<'w>> {
        let costs = self.store.costs();
        if effort == Effort::Recheck && wanted.len() <= RECHECK_HEADS_MAX {
            return vec![Plan::heads_only(wanted)];
        }
        split(wanted, RUNS_MAX, costs.page_keys).into_iter().map(|run| Plan::new(run, costs)).collect()
    }
}

fn load<T>(result: &Result<T, Fault>) -> Load {
    match result {
        Err(fault) if fault.kind == FaultKind::Retry => Load::Throttled,
        _ => Load::Carried,
    }
}

impl Bucket {
    /// How many answers in a row, up to this one, asked for fewer requests.
    fn learn<T>(&self, result: &Result<T, Fault>) -> u32 {
        match result {
            Err(fault) if fault.kind == FaultKind::Retry && matches!(fault.status, Some(429 | 503)) => {
                self.throttled.fetch_add(1, Ordering::Relaxed).saturating_add(1)
            }
            // Whatever else went wrong says nothing about it.
            Err(fault) if fault.kind == FaultKind::Retry => self.throttled.load(Ordering::Relaxed),
            _ => {
                self.throttled.store(0, Ordering::Relaxed);
                0
            }
        }
    }

    fn set_known(&self, now: Duration) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    fn is_known(&self, now: Duration) -> bool {
        let known = *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.is_some_and(|at| now.saturating_sub(at) < BUCKET_KNOWN_FOR)
    }
}

#[async_trait]
impl<S: Store + ?Sized> Destination for Checker<S> {
    async fn read(&self, at: &Location, limit: u64) -> Result<Fetched, Fault> {
        let bucket = self.bucket(&at.bucket);
        self.repeat(&bucket, || self.store.get(at, limit)).await
    }

    async fn check(
        &self,
        name: &str,
        mut wanted: Vec<Wanted>,
        effort: Effort,
        answers: &(dyn Fn(Vec<Answer>) + Send + Sync),
    ) -> Result<(), Fault> {
        if wanted.is_empty() {
            return Ok(());
        }
        wanted.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let bucket = self.bucket(name);
        let plans = self.plans(&wanted, effort);
        let in_flight = usize::try_from(self.limits.in_flight_most).unwrap_or(usize::MAX);
        let width = in_flight.div_ceil(plans.len().max(1)).max(1);
        let progress = Progress::new(answers, self.limits.failures_in_row);
        let prefix = shared_folder(&wanted);
        let mut running = FuturesUnordered::new();
        for plan in plans {
            let run = Run { checker: self, bucket: &bucket, name, prefix, width, progress: &progress, plan };
            running.push(run.go());
        }
        // The first run that fails, fails by what concerns them all: dropping the others ends them.
        while let Some(result) = running.next().await {
            result?;
        }
        drop(running);
        if !progress.any_found() && progress.any_answer() {
            self.ensure_bucket(&bucket, name, prefix).await?;
        }
        progress.finish()
    }
}

#[cfg(test)]
mod tests;
