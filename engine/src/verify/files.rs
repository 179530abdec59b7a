//! Metadata files of the destination: read, verified by their ids, and the recently used ones kept.
//!
//! Owns the limits and the caches. A file that is not what its name says counts as not yet there and is reported.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use lakemirror_core::ids::{MetarangeId, RangeId};
use lakemirror_graveler::address::{Namespace, Scheme};
use lakemirror_graveler::metarange::{self, RangeInfo};
use lakemirror_graveler::range;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::cache::Recent;
use crate::ports::{Answer, Destination, Effort, Fault, FaultKind, Fetched, Location, Outcome, Wanted};
use crate::recorder::RecordError;

/// The largest metarange file: some 200 bytes a range, so 300,000 ranges.
const METARANGE_BYTES_MAX: u64 = 64 << 20;
/// The largest range file: lakeFS closes one near 20 MiB by default.
const RANGE_BYTES_MAX: u64 = lakemirror_graveler::limits::FILE_BYTES_MAX;
const METARANGES_KEPT_BYTES: usize = 32 << 20;
const RANGES_KEPT_BYTES: usize = 128 << 20;

/// Why there is no result this time.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Miss {
    /// The file is not there yet.
    #[error("{0} has not arrived")]
    Absent(String),
    /// The file is there and is not what its name says.
    #[error("{0}")]
    Damaged(String),
    /// The store failed.
    #[error("{0}")]
    Fault(Fault),
    /// The journal did not take the result.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The work was cut off.
    #[error("the work ended early: {0}")]
    Broken(String),
}

impl Miss {
    /// How long to wait at least before trying again.
    pub(super) fn least_wait(&self) -> Duration {
        match self {
            Miss::Absent(_) => Duration::ZERO,
            Miss::Fault(fault) if fault.kind == FaultKind::Denied => Duration::from_secs(5),
            Miss::Fault(fault) if fault.kind == FaultKind::Refused => Duration::from_secs(30),
            Miss::Damaged(_) | Miss::Fault(_) | Miss::Record(_) | Miss::Broken(_) => Duration::from_secs(1),
        }
    }
}

impl From<Fault> for Miss {
    fn from(fault: Fault) -> Self {
        Miss::Fault(fault)
    }
}

/// A parsed metarange.
pub(super) type Ranges = Arc<Vec<RangeInfo>>;

/// Reads metadata files of one namespace.
pub(super) struct Files {
    destination: Arc<dyn Destination>,
    namespace: Namespace,
    prefix: String,
    metaranges: Mutex<Recent<MetarangeId, Ranges>>,
    ranges: Mutex<Recent<RangeId, Bytes>>,
}

impl Files {
    pub(super) fn new(destination: Arc<dyn Destination>, namespace: Namespace, prefix: &str) -> Self {
        Self {
            destination,
            namespace,
            prefix: prefix.trim_end_matches('/').to_owned(),
            metaranges: Mutex::new(Recent::new(METARANGES_KEPT_BYTES)),
            ranges: Mutex::new(Recent::new(RANGES_KEPT_BYTES)),
        }
    }

    pub(super) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Where a file of this id is, as a URI.
    pub(super) fn uri(&self, id: impl std::fmt::Display) -> String {
        self.place(&self.key(&id))
    }

    fn place(&self, key: &str) -> String {
        let scheme = match self.namespace.scheme() {
            Scheme::S3 => "s3",
            Scheme::Gs => "gs",
            Scheme::Azure => "https",
            Scheme::Local => "local",
            Scheme::Mem => "mem",
        };
        format!("{scheme}://{}/{key}", self.namespace.bucket())
    }

    /// Which of these range files are there, asked with as few requests as can be; what a file holds is not looked at.
    pub(super) async fn there(&self, ids: &[RangeId]) -> Result<HashSet<RangeId>, Miss> {
        // No file has this size: one that is there is of another.
        let wanted = |(id, tag): (&RangeId, u64)| Wanted { key: self.key(id).into(), size: u64::MAX, tag };
        let wanted: Vec<Wanted> = ids.iter().zip(0u64..).map(wanted).collect();
        let found = Mutex::new(HashSet::new());
        let take = |answers: Vec<Answer>| {
            let there = answers.into_iter().filter(|answer| is_there(answer.outcome));
            let ids = there.filter_map(|answer| ids.get(usize::try_from(answer.tag).ok()?));
            lock(&found).extend(ids.copied());
        };
        self.destination.check(self.namespace.bucket(), wanted, Effort::Recheck, &take).await?;
        Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is said of a range file that was not found.
    pub(super) fn absent_range(&self, id: &RangeId) -> Miss {
        Miss::Absent(format!("the range file {}", self.uri(id)))
    }

    fn key(&self, id: &impl std::fmt::Display) -> String {
        self.namespace.metadata_key(&self.prefix, id)
    }

    async fn fetch(&self, what: &str, id: impl std::fmt::Display, limit: u64) -> Result<Bytes, Miss> {
        let key = self.key(&id);
        let at = Location { bucket: Arc::clone(self.namespace.bucket()), key };
        match self.destination.read(&at, limit).await {
            Ok(Fetched::Bytes(bytes)) => Ok(bytes),
            Ok(Fetched::Absent) => Err(Miss::Absent(format!("{what} {}", self.place(&at.key)))),
            Ok(Fetched::Deleted) => {
                Err(Miss::Absent(format!("{what} {} (under a delete marker)", self.place(&at.key))))
            }
            Err(fault) if fault.kind == FaultKind::Absent => {
                Err(Miss::Absent(format!("{what} {}", self.place(&at.key))))
            }
            Err(fault) => Err(fault.into()),
        }
    }

    /// Reads the metarange from the store, whatever is kept of it.
    pub(super) async fn metarange(&self, id: MetarangeId) -> Result<Ranges, Miss> {
        let bytes = self.fetch("the metarange file", id, METARANGE_BYTES_MAX).await?;
        let weight = bytes.len() * 3;
        let parsed = blocking(move || metarange::read(bytes, id))
            .await?
            .map_err(|damage| Miss::Damaged(format!("the metarange file {id} is damaged: {damage}")))?;
        let ranges = Arc::new(parsed);
        lock(&self.metaranges).put(id, Arc::clone(&ranges), weight);
        Ok(ranges)
    }

    /// The metarange, from memory where it is kept.
    pub(super) async fn known_metarange(&self, id: MetarangeId) -> Result<Ranges, Miss> {
        let kept = lock(&self.metaranges).get(&id);
        match kept {
            Some(ranges) => Ok(ranges),
            None => self.metarange(id).await,
        }
    }

    /// The metarange if it is in memory.
    pub(super) fn kept_metarange(&self, id: &MetarangeId) -> Option<Ranges> {
        lock(&self.metaranges).get(id)
    }

    /// Reads the range file from the store, whatever is kept of it, without a look inside.
    pub(super) async fn fetch_range(&self, id: RangeId) -> Result<Bytes, Miss> {
        self.fetch("the range file", id, RANGE_BYTES_MAX).await
    }

    /// Keeps a range file that was verified.
    pub(super) fn keep_range(&self, id: RangeId, bytes: &Bytes) {
        lock(&self.ranges).put(id, bytes.clone(), bytes.len());
    }

    /// The verified range file, from memory where it is kept.
    pub(super) async fn known_range(&self, id: RangeId) -> Result<Bytes, Miss> {
        let kept = lock(&self.ranges).get(&id);
        if let Some(bytes) = kept {
            return Ok(bytes);
        }
        self.range_again(id).await
    }

    /// The verified range file from the store, whatever is kept of it.
    pub(super) async fn range_again(&self, id: RangeId) -> Result<Bytes, Miss> {
        let bytes = self.fetch_range(id).await?;
        let read = bytes.clone();
        blocking(move || range::read(read, id)).await?.map_err(|damage| damaged_range(id, &damage))?;
        self.keep_range(id, &bytes);
        Ok(bytes)
    }
}

/// Also where the store would not speak of it: reading it says why.
fn is_there(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Present | Outcome::WrongSize { .. } | Outcome::Archived { .. } | Outcome::Forbidden => true,
        Outcome::Absent | Outcome::Deleted | Outcome::Unknown => false,
    }
}

pub(super) fn damaged_range(id: RangeId, damage: &lakemirror_graveler::Damage) -> Miss {
    Miss::Damaged(format!("the range file {id} is damaged: {damage}"))
}

/// Runs decoding where it holds up no other task. On a runtime of one thread it is done at once: whoever runs the engine
/// there wants everything in one order.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Miss> {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(|error| Miss::Broken(error.to_string()))
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
