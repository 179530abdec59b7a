//! A store in memory, for tests and simulations: what a well-behaved store answers, and nothing else.
//!
//! Owns its objects and counts its requests. Faults are put in front of it by those who need them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use lakemirror_ports::{Fault, FaultKind, Fetched, Location};

use super::{Costs, Found, Page, Store, fault};

/// Objects by bucket and key.
#[derive(Debug, Default)]
pub struct Memory {
    inner: Mutex<Inner>,
    heads: AtomicU64,
    lists: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    objects: BTreeMap<String, BTreeMap<String, Bytes>>,
    markers: HashSet<(String, String)>,
    /// Objects in an archive class, and the number of it; 0 once they are restored.
    archived: HashMap<(String, String), u8>,
}

impl Memory {
    /// A store without buckets.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an empty bucket.
    pub fn create_bucket(&self, bucket: &str) {
        self.inner().objects.entry(bucket.to_owned()).or_default();
    }

    /// Puts an object, making the bucket if needed.
    pub fn put(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) {
        let mut inner = self.inner();
        inner.markers.remove(&(bucket.to_owned(), key.to_owned()));
        inner.objects.entry(bucket.to_owned()).or_default().insert(key.to_owned(), bytes.into());
    }

    /// Removes an object without a trace.
    pub fn remove(&self, bucket: &str, key: &str) {
        if let Some(objects) = self.inner().objects.get_mut(bucket) {
            objects.remove(key);
        }
    }

    /// Puts an object that is there into an archive class; class 0 restores it.
    pub fn archive(&self, bucket: &str, key: &str, class: u8) {
        self.inner().archived.insert((bucket.to_owned(), key.to_owned()), class);
    }

    /// Puts a delete marker in an object's place.
    pub fn mark_deleted(&self, bucket: &str, key: &str) {
        self.remove(bucket, key);
        self.inner().markers.insert((bucket.to_owned(), key.to_owned()));
    }

    /// HEAD requests so far.
    pub fn heads(&self) -> u64 {
        self.heads.load(Ordering::Relaxed)
    }

    /// LIST requests so far.
    pub fn lists(&self) -> u64 {
        self.lists.load(Ordering::Relaxed)
    }

    fn look(&self, bucket: &str, key: &str) -> Result<Fetched, ()> {
        let inner = self.inner();
        let objects = inner.objects.get(bucket).ok_or(())?;
        Ok(match objects.get(key) {
            Some(bytes) => Fetched::Bytes(bytes.clone()),
            None if inner.markers.contains(&(bucket.to_owned(), key.to_owned())) => Fetched::Deleted,
            None => Fetched::Absent,
        })
    }
}

fn no_bucket(bucket: &str) -> Fault {
    fault(FaultKind::Refused, format!("bucket {bucket} in memory"), "there is no such bucket")
}

#[async_trait]
impl Store for Memory {
    fn name(&self) -> &str {
        "memory"
    }

    fn costs(&self) -> Costs {
        Costs::S3
    }

    async fn get(&self, at: &Location, limit: u64) -> Result<Fetched, Fault> {
        let fetched = self.look(&at.bucket, &at.key).map_err(|()| no_bucket(&at.bucket))?;
        match &fetched {
            Fetched::Bytes(bytes) if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit => Err(fault(
                FaultKind::Refused,
                format!("get {} of bucket {} in memory", at.key, at.bucket),
                format!("the object has {} bytes, more than the limit of {limit}", bytes.len()),
            )),
            _ => Ok(fetched),
        }
    }

    async fn head(&self, bucket: &str, key: &str) -> Result<Found, Fault> {
        self.heads.fetch_add(1, Ordering::Relaxed);
        // As on S3, a HEAD cannot tell a missing bucket from a missing key.
        Ok(match self.look(bucket, key) {
            Ok(Fetched::Bytes(bytes)) => {
                let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                let class = self.inner().archived.get(&(bucket.to_owned(), key.to_owned())).copied();
                let class = class.filter(|class| *class != 0);
                class.map_or(Found::Present { size }, |class| Found::Archived { size, class })
            }
            Ok(Fetched::Deleted) => Found::Deleted,
            Ok(Fetched::Absent) | Err(()) => Found::Absent,
        })
    }

    async fn list(&self, bucket: &str, prefix: &str, after: &str, max: usize) -> Result<Page, Fault> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        let inner = self.inner();
        let objects = inner.objects.get(bucket).ok_or_else(|| no_bucket(bucket))?;
        let from = if after < prefix { Bound::Included(prefix) } else { Bound::Excluded(after) };
        let from = if after.is_empty() && prefix.is_empty() { Bound::Unbounded } else { from };
        let mut page = Page::default();
        let matching = objects.range::<str, _>((from, Bound::Unbounded)).take_while(|(key, _)| key.starts_with(prefix));
        for (key, bytes) in matching {
            if page.len() >= max {
                page.more = true;
                break;
            }
            let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            if inner.archived.contains_key(&(bucket.to_owned(), key.clone())) {
                page.push_cold(key, size);
            } else {
                page.push(key, size);
            }
        }
        Ok(page)
    }
}
