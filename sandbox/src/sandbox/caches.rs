//! The caches of lakeFS that a mirror can notice: repository records by name, commits by repository *name* and id,
//! branch protection by repository name.
//!
//! They are per process, hold positive results only, and entries are removed by time only: after a repository is
//! deleted and created again, the old record and the old commits are still returned for a while. Lifetimes are lakeFS's
//! defaults. If caches are disabled, nothing is stored.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lakemirror_ports::clock::{Clock, Entropy};

use super::model::{Commit, Repository};

/// How long a repository's record is cached, and the maximum jitter.
const REPOSITORY: Lifetime = Lifetime { least: Duration::from_secs(5), jitter: Duration::from_secs(2) };
/// How long a commit is cached.
const COMMIT: Lifetime = Lifetime { least: Duration::from_secs(600), jitter: Duration::from_secs(2) };
/// How long protection rules are cached.
const PROTECTION: Lifetime = Lifetime { least: Duration::from_secs(3), jitter: Duration::from_secs(3) };
/// Maximum number of entries of one cache. When it is full, expired entries are removed; if there are none, all are.
const ENTRIES_MAX: usize = 50_000;

#[derive(Debug, Clone, Copy)]
struct Lifetime {
    least: Duration,
    jitter: Duration,
}

#[derive(Debug)]
struct Cache<V> {
    lifetime: Lifetime,
    entries: Mutex<HashMap<String, (V, Duration)>>,
}

impl<V: Clone> Cache<V> {
    fn new(lifetime: Lifetime) -> Self {
        Self { lifetime, entries: Mutex::default() }
    }

    fn get(&self, key: &str, now: Duration) -> Option<V> {
        let entries = super::lock(&self.entries);
        entries.get(key).filter(|(_, until)| now < *until).map(|(value, _)| value.clone())
    }

    fn put(&self, key: String, value: V, now: Duration, entropy: &dyn Entropy) {
        let jitter_ms = u64::try_from(self.lifetime.jitter.as_millis()).unwrap_or(u64::MAX).max(1);
        let until = now + self.lifetime.least + Duration::from_millis(entropy.random_u64() % jitter_ms);
        let mut entries = super::lock(&self.entries);
        if entries.len() >= ENTRIES_MAX {
            entries.retain(|_, (_, until)| now < *until);
        }
        if entries.len() >= ENTRIES_MAX {
            entries.clear();
        }
        entries.insert(key, (value, until));
    }
}

/// All caches of one server.
pub struct Caches {
    enabled: bool,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    repositories: Cache<Repository>,
    commits: Cache<Arc<Commit>>,
    protection: Cache<Arc<Vec<String>>>,
}

impl Caches {
    /// Empty caches; they stay empty unless `enabled`.
    pub fn new(enabled: bool, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            enabled,
            clock,
            entropy,
            repositories: Cache::new(REPOSITORY),
            commits: Cache::new(COMMIT),
            protection: Cache::new(PROTECTION),
        }
    }

    /// A repository's record, from the cache or from `load`.
    pub fn repository<E>(&self, name: &str, load: impl FnOnce() -> Result<Repository, E>) -> Result<Repository, E> {
        self.through(&self.repositories, name.to_owned(), load)
    }

    /// A commit, from the cache or from `load`.
    pub fn commit<E>(
        &self,
        repository: &str,
        id: &str,
        load: impl FnOnce() -> Result<Arc<Commit>, E>,
    ) -> Result<Arc<Commit>, E> {
        self.through(&self.commits, format!("{repository}:{id}"), load)
    }

    /// A repository's patterns of protected branches, from the cache or from `load`.
    pub fn protection<E>(
        &self,
        repository: &str,
        load: impl FnOnce() -> Result<Arc<Vec<String>>, E>,
    ) -> Result<Arc<Vec<String>>, E> {
        self.through(&self.protection, repository.to_owned(), load)
    }

    fn through<V: Clone, E>(&self, cache: &Cache<V>, key: String, load: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        if !self.enabled {
            return load();
        }
        let now = self.clock.monotonic();
        if let Some(value) = cache.get(&key, now) {
            return Ok(value);
        }
        let value = load()?;
        cache.put(key, value.clone(), now, &*self.entropy);
        Ok(value)
    }
}
