//! Whether the lakeFS and buckets that the mirrors of this process need answer: asked once an interval and region, however
//! many mirrors there are and however quiet they are.
//!
//! Nothing decides on it: what it finds is noted on the conditions that all mirrors share, and told in the status of each
//! mirror that needs what does not answer. A mirror at rest asks nothing of its own lakeFS and bucket for minutes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, join_all, select};
use lakemirror_graveler::address::Namespace;
use lakemirror_ports::clock::Clock;
use tokio_util::sync::CancellationToken;

use super::conditions::{ConditionKind, Conditions};
use super::ports::{Destination, Fault, FaultKind, Lakefs, Location};
use super::{Parts, mirror::MirrorContext};

/// How often each is asked.
const INTERVAL: Duration = Duration::from_secs(10);

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Buckets of one region that are asked in one round, at most; more take turns.
const BUCKETS_MAX: usize = 16;

/// What is read of the object that is asked for, at most. It is not there.
const READ_BYTES_MAX: u64 = 1024;

/// The name that is asked for in a bucket's metadata: no file of lakeFS has it.
const NO_FILE: &str = "lakemirror-health";

/// What is asked in a round: one repository for each lakeFS, one place for each bucket.
#[derive(Debug, Default, PartialEq, Eq)]
struct Round {
    lakefs: BTreeMap<String, String>,
    buckets: BTreeMap<(String, String), Location>,
}

/// What the mirrors at work need. Every round begins with the next mirror, so that no single repository speaks for all.
fn round<'a>(contexts: impl Iterator<Item = &'a MirrorContext>, number: usize, metadata_prefix: &str) -> Round {
    let mut contexts: Vec<&MirrorContext> = contexts.collect();
    let start = number.checked_rem(contexts.len()).unwrap_or(0);
    contexts.rotate_left(start);
    let (mut round, mut places) = (Round::default(), BTreeMap::<&str, usize>::new());
    for context in contexts {
        let definition = &context.definition;
        let source = || definition.source_repository.clone();
        round.lakefs.entry(definition.source_region.clone()).or_insert_with(source);
        round.lakefs.entry(definition.region.clone()).or_insert_with(|| definition.name.clone());
        let Ok(namespace) = Namespace::parse(&definition.storage_namespace) else { continue };
        let bucket = (definition.region.clone(), namespace.bucket().to_string());
        let count = places.entry(&definition.region).or_default();
        if round.buckets.contains_key(&bucket) || *count >= BUCKETS_MAX {
            continue;
        }
        *count += 1;
        let key = namespace.metadata_key(metadata_prefix.trim_end_matches('/'), NO_FILE);
        round.buckets.insert(bucket, Location { bucket: Arc::clone(namespace.bucket()), key });
    }
    round
}

/// Asks until stopped; `contexts` are the mirrors at work.
pub(super) async fn run(
    parts: Parts,
    contexts: impl Fn() -> Vec<MirrorContext>,
    conditions: Conditions,
    stop: CancellationToken,
) {
    let mut number = 0usize;
    loop {
        let started = parts.clock.monotonic();
        let contexts = contexts();
        let round = round(contexts.iter(), number, &parts.settings.metadata_prefix);
        number = number.wrapping_add(1);
        if stop.run_until_cancelled(ask(&parts, &round, &conditions)).await.is_none() {
            return;
        }
        forget(&contexts, &conditions);
        let spent = parts.clock.monotonic().saturating_sub(started);
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = parts.clock.sleep(INTERVAL.saturating_sub(spent)) => {}
        }
    }
}

/// Notes about what no mirror needs any more go: nobody would ask again.
fn forget(contexts: &[MirrorContext], conditions: &Conditions) {
    let definitions = || contexts.iter().map(|context| &context.definition);
    let regions: BTreeSet<&str> =
        definitions().flat_map(|definition| [definition.source_region.as_str(), definition.region.as_str()]).collect();
    conditions.retain(|about| match about {
        ConditionKind::Lakefs(region) => regions.contains(region.as_str()),
        ConditionKind::Bucket { region, bucket } => {
            let has = |context: &MirrorContext| {
                context.definition.region == *region && context.bucket.as_ref() == Some(bucket)
            };
            contexts.iter().any(has)
        }
        _ => true,
    });
}

async fn ask(parts: &Parts, round: &Round, conditions: &Conditions) {
    let clock = &*parts.clock;
    let lakefs = round.lakefs.iter().filter_map(|(region, repository)| {
        let served = parts.regions.get(region).map(|region| &region.lakefs);
        let lakefs = Arc::clone(served.or_else(|| parts.sources.get(region))?);
        Some(async move { (ConditionKind::Lakefs(region.clone()), ask_lakefs(clock, &*lakefs, repository).await) })
    });
    let buckets = round.buckets.iter().filter_map(|((region, bucket), at)| {
        let destination = Arc::clone(&parts.regions.get(region)?.destination);
        let about = ConditionKind::Bucket { region: region.clone(), bucket: bucket.clone() };
        Some(async move { (about, ask_bucket(clock, &*destination, at).await) })
    });
    let (lakefs, buckets) = (join_all(lakefs).await, join_all(buckets).await);
    for (about, fault) in lakefs.into_iter().chain(buckets) {
        match fault {
            Some(text) => conditions.note("", about, text),
            None => conditions.clear("", &about),
        }
    }
}

/// Why a lakeFS does not count as answering. That it has no such repository is an answer.
async fn ask_lakefs(clock: &dyn Clock, lakefs: &dyn Lakefs, repository: &str) -> Option<String> {
    match in_time(clock, lakefs.repository(repository)).await {
        Some(answer) => answer.err().filter(|fault| fault.kind != FaultKind::Absent).map(|fault| fault.to_string()),
        None => Some(format!("get repository {repository} at {}: no answer within {PATIENCE:?}", lakefs.endpoint())),
    }
}

/// Why a bucket does not count as answering. That the object is not there is an answer.
async fn ask_bucket(clock: &dyn Clock, destination: &dyn Destination, at: &Location) -> Option<String> {
    match in_time(clock, destination.read(at, READ_BYTES_MAX)).await {
        Some(answer) => answer.err().filter(|fault| fault.kind != FaultKind::Absent).map(|fault| fault.to_string()),
        None => Some(format!("read {} of bucket {}: no answer within {PATIENCE:?}", at.key, at.bucket)),
    }
}

/// The answer, if it comes in time.
async fn in_time<T>(clock: &dyn Clock, call: impl Future<Output = Result<T, Fault>>) -> Option<Result<T, Fault>> {
    let (call, late) = (std::pin::pin!(call), std::pin::pin!(clock.sleep(PATIENCE)));
    match select(call, late).await {
        Either::Left((answer, _)) => Some(answer),
        Either::Right(_) => None,
    }
}

#[cfg(test)]
mod tests;
