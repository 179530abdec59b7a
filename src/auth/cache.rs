//! Answers of the directory kept for a short time: bounded in number and age, off unless configured.
//!
//! Only what was found is kept, never a refusal or a failure. Keys are digests, so that no credentials stay in memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::clock::Entropy;

/// `auth.cache`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheSettings {
    /// The most answers of each sort that are kept.
    pub size: usize,
    /// How long an answer counts. What is revoked at lakeFS works here for as long.
    pub ttl: Duration,
    /// Up to this is added at random, so that answers do not all end at once.
    pub jitter: Duration,
}

pub(super) struct Cache<V> {
    settings: CacheSettings,
    /// Value and the monotonic time at which it ends.
    entries: Mutex<HashMap<[u8; 32], (V, Duration)>>,
}

/// A key for texts that may be secret.
pub(super) fn key(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

impl<V: Clone> Cache<V> {
    pub(super) fn new(settings: CacheSettings) -> Self {
        Self { settings, entries: Mutex::new(HashMap::new()) }
    }

    pub(super) fn get(&self, key: &[u8; 32], now: Duration) -> Option<V> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(key).filter(|(_, ends)| now < *ends).map(|(value, _)| value.clone())
    }

    pub(super) fn put(&self, key: [u8; 32], value: V, now: Duration, entropy: &dyn Entropy) {
        let jitter_ns = u64::try_from(self.settings.jitter.as_nanos()).unwrap_or(u64::MAX);
        let extra = Duration::from_nanos(entropy.random_u64() % jitter_ns.max(1));
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.settings.size && !entries.contains_key(&key) {
            entries.retain(|_, (_, ends)| now < *ends);
        }
        if entries.len() >= self.settings.size && !entries.contains_key(&key) {
            let Some(first) = entries.iter().min_by_key(|(_, (_, ends))| *ends).map(|(key, _)| *key) else { return };
            entries.remove(&first);
        }
        entries.insert(key, (value, now.saturating_add(self.settings.ttl).saturating_add(extra)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u64);
    impl Entropy for Fixed {
        fn random_u64(&self) -> u64 {
            self.0
        }
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn cache(size: usize) -> Cache<u8> {
        Cache::new(CacheSettings { size, ttl: s(20), jitter: s(3) })
    }

    #[test]
    fn an_answer_ends_after_its_time_and_jitter() {
        let cache = cache(9);
        cache.put(key("a"), 1, s(100), &Fixed(0));
        cache.put(key("b"), 2, s(100), &Fixed(1_000_000_000));
        assert_eq!(cache.get(&key("a"), s(119)), Some(1));
        assert_eq!(cache.get(&key("a"), s(120)), None);
        assert_eq!(cache.get(&key("b"), s(120)), Some(2));
        assert_eq!(cache.get(&key("b"), s(121)), None);
        assert_eq!(cache.get(&key("c"), s(0)), None);
    }

    #[test]
    fn it_never_holds_more_than_its_size() {
        let cache = cache(2);
        for (at, name) in ["a", "b", "c"].into_iter().enumerate() {
            cache.put(key(name), 0, s(at as u64), &Fixed(0));
        }
        assert_eq!(cache.entries.lock().unwrap().len(), 2);
        assert_eq!(cache.get(&key("a"), s(3)), None, "the oldest has gone");
        assert!(cache.get(&key("b"), s(3)).is_some() && cache.get(&key("c"), s(3)).is_some());
        let none = super::Cache::new(CacheSettings { size: 0, ttl: s(1), jitter: s(0) });
        none.put(key("a"), 0u8, s(0), &Fixed(7));
        assert!(none.get(&key("a"), s(0)).is_none());
    }
}
