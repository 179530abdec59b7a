//! Caches lakeFS's answers about callers for a short time, and limits the calls to it.
//!
//! There are three bounded stores. A positive answer is valid for `auth.cache.ttl` if the cache is on. For reads it is
//! also valid for [`STALE_MAX`] while lakeFS does not answer, so that there is a status during an incident. A refusal is
//! valid for [`REFUSED_FOR`], so that a thousand wrong passwords are not a thousand calls, and invalidates earlier
//! positive answers. Keys are salted digests: no credentials stay in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use lakemirror_ports::clock::{Clock, Entropy};
use lakemirror_ports::{Fault, FaultKind};

/// How long an answer is valid for reads while lakeFS does not answer.
const STALE_MAX: Duration = Duration::from_secs(15 * 60);
/// How long a refusal is valid.
const REFUSED_FOR: Duration = Duration::from_secs(5);
/// How long a read waits for lakeFS if there is a cached answer.
const READ_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long lakeFS counts as unresponsive after a read timed out.
const SILENT_FOR: Duration = Duration::from_secs(5);
/// The maximum number of cached answers if the cache is off.
const KEPT_MAX: usize = 1024;
/// The maximum number of concurrent calls to lakeFS; further ones wait.
const ASKED_AT_ONCE: usize = 16;

/// `auth.cache`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheSettings {
    /// The maximum number of cached answers of each kind.
    pub size: usize,
    /// How long an answer is valid. Revoked permissions still work here for this time.
    pub ttl: Duration,
    /// Up to this is added at random, so that answers do not expire all at once.
    pub jitter: Duration,
}

/// Which answers a call accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// A current or freshly cached answer: for changes.
    Current,
    /// Also one of the last 15 minutes, while lakeFS does not answer: for reads.
    Stale,
}

/// A positive answer.
struct Found<V> {
    value: V,
    /// When lakeFS gave it, monotonic.
    at: Duration,
    /// Until when it is valid without a new call, monotonic.
    fresh_until: Duration,
}

struct Memory<V> {
    found: HashMap<[u8; 32], Found<V>>,
    /// Until when each refusal is valid, monotonic.
    refused: HashMap<[u8; 32], Duration>,
    /// Until when lakeFS counts as unresponsive, monotonic.
    silent_until: Duration,
}

/// The answers to one kind of question.
pub(super) struct Answers<V> {
    settings: Option<CacheSettings>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    salt: [u8; 32],
    calls: Semaphore,
    memory: Mutex<Memory<V>>,
}

impl<V: Clone> Answers<V> {
    pub(super) fn new(settings: Option<CacheSettings>, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        let mut salt = [0; 32];
        for part in salt.chunks_mut(8) {
            part.copy_from_slice(&entropy.random_u64().to_le_bytes());
        }
        let memory = Memory { found: HashMap::new(), refused: HashMap::new(), silent_until: Duration::ZERO };
        Self { settings, clock, entropy, salt, calls: Semaphore::new(ASKED_AT_ONCE), memory: Mutex::new(memory) }
    }

    /// The answer about `text`, which may be secret; `None` for a refusal. Makes `call` unless the answer is cached.
    ///
    /// # Errors
    /// The call's error, if no cached answer may replace it.
    pub(super) async fn ask(
        &self,
        text: &str,
        freshness: Freshness,
        call: impl Future<Output = Result<Option<V>, Fault>>,
    ) -> Result<Option<V>, Fault> {
        let key = self.key(text);
        if let Some(known) = self.known(&key) {
            return Ok(known);
        }
        let stale = if freshness == Freshness::Stale { self.stale(&key) } else { None };
        let Some(stale) = stale else { return self.fetch(key, call).await };
        if self.is_silent() {
            return Ok(Some(stale));
        }
        tokio::select! {
            biased;
            answer = self.fetch(key, call) => match answer {
                Err(fault) if fault.kind == FaultKind::Retry => {
                    self.note_silence();
                    Ok(Some(stale))
                }
                answer => answer,
            },
            () = self.clock.sleep(READ_WAIT_MAX) => {
                self.note_silence();
                Ok(Some(stale))
            }
        }
    }

    async fn fetch(
        &self,
        key: [u8; 32],
        call: impl Future<Output = Result<Option<V>, Fault>>,
    ) -> Result<Option<V>, Fault> {
        // The semaphore is never closed.
        let _turn = self.calls.acquire().await;
        // Another call may have been answered while this one waited.
        if let Some(known) = self.known(&key) {
            return Ok(known);
        }
        let answer = call.await?;
        match &answer {
            Some(value) => self.keep(key, value.clone()),
            None => self.refuse(key),
        }
        Ok(answer)
    }

    /// A cached answer that is valid without a call: a fresh one, or a recent refusal.
    fn known(&self, key: &[u8; 32]) -> Option<Option<V>> {
        let now = self.clock.monotonic();
        let memory = self.memory();
        if memory.refused.get(key).is_some_and(|until| now < *until) {
            return Some(None);
        }
        memory.found.get(key).filter(|found| now < found.fresh_until).map(|found| Some(found.value.clone()))
    }

    fn stale(&self, key: &[u8; 32]) -> Option<V> {
        let now = self.clock.monotonic();
        let memory = self.memory();
        memory.found.get(key).filter(|found| now < found.at.saturating_add(STALE_MAX)).map(|found| found.value.clone())
    }

    fn is_silent(&self) -> bool {
        self.clock.monotonic() < self.memory().silent_until
    }

    fn note_silence(&self) {
        self.memory().silent_until = self.clock.monotonic().saturating_add(SILENT_FOR);
    }

    fn keep(&self, key: [u8; 32], value: V) {
        let at = self.clock.monotonic();
        let fresh_until = self.settings.map_or(at, |settings| {
            let jitter_ns = u64::try_from(settings.jitter.as_nanos()).unwrap_or(u64::MAX);
            let extra = Duration::from_nanos(self.entropy.random_u64() % jitter_ns.max(1));
            at.saturating_add(settings.ttl).saturating_add(extra)
        });
        let mut memory = self.memory();
        memory.silent_until = Duration::ZERO;
        memory.refused.remove(&key);
        let size = self.settings.map_or(KEPT_MAX, |settings| settings.size.max(1));
        if memory.found.len() >= size && !memory.found.contains_key(&key) {
            let oldest = memory.found.iter().min_by_key(|(_, found)| found.at).map(|(key, _)| *key);
            oldest.map(|key| memory.found.remove(&key));
        }
        memory.found.insert(key, Found { value, at, fresh_until });
    }

    fn refuse(&self, key: [u8; 32]) {
        let now = self.clock.monotonic();
        let mut memory = self.memory();
        memory.found.remove(&key);
        if memory.refused.len() >= KEPT_MAX {
            memory.refused.retain(|_, until| now < *until);
        }
        // More refusals than that within their time are not cached: bounding memory comes first.
        if memory.refused.len() < KEPT_MAX {
            memory.refused.insert(key, now.saturating_add(REFUSED_FOR));
        }
    }

    fn key(&self, text: &str) -> [u8; 32] {
        Sha256::new_with_prefix(self.salt).chain_update(text.as_bytes()).finalize().into()
    }

    fn memory(&self) -> MutexGuard<'_, Memory<V>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
