//! The embedded mirrors database, with a copy of its definitions in the journal from which it can be rebuilt.
//!
//! A database that was removed, zeroed or truncated looks like one in which mirrors were never created, or never
//! deleted. Every change to the set of mirrors is therefore in the journal as well, and both count the changes: at
//! start, the one with the higher count wins. A change is written to the database first, then to the journal, and is
//! acknowledged when it is in both. After a crash between the two, the database is ahead and the journal catches up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use lakemirror_engine::recorder::{RecordError, Recorder};
use lakemirror_journal::command::{Command, DATABASE_VALUE_BYTES_MAX, UpkeepStep};
use lakemirror_journal::state::State;
use lakemirror_journal::state::database::Database;
use lakemirror_ports::clock::Clock;
use lakemirror_ports::{Fault, FaultKind};
use tokio::sync::Mutex;

use lakemirror_mirrors::embedded::{Embedded, OpenError};
use lakemirror_mirrors::{Expect, Item, Items, PAGE_ITEMS_MAX, Page, PutError};

/// The prefixes that are copied: which mirrors exist, and which deletions are done.
const COPIED: [&str; 2] = ["definitions/", "acks/"];
/// The item with the count of changes.
const GENERATION_KEY: &str = "generation";

/// Why the database and the journal cannot be reconciled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconcileError {
    /// The database was damaged, and the journal has no copy.
    #[error(transparent)]
    Database(#[from] OpenError),
    /// The database cannot be read or written.
    #[error("the mirrors database cannot be compared with the journal")]
    Items(#[from] PutError),
    /// The journal has stopped.
    #[error("the journal cannot be compared with the mirrors database")]
    Journal(#[from] RecordError),
}

/// The embedded database and its copy in the journal.
pub struct JournaledItems {
    inner: Embedded,
    clock: Arc<dyn Clock>,
    journal: OnceLock<Recorder>,
    /// The count of changes. Locked while a change is made.
    generation: Mutex<u64>,
}

impl JournaledItems {
    /// Wraps the database. No copied item can be written before [`JournaledItems::reconcile`].
    #[must_use]
    pub fn new(inner: Embedded, clock: Arc<dyn Clock>) -> Self {
        Self { inner, clock, journal: OnceLock::new(), generation: Mutex::new(0) }
    }

    /// Brings the database and the journal's copy to the newer of the two, and uses that journal from then on.
    ///
    /// # Errors
    /// [`ReconcileError`].
    pub async fn reconcile(&self, journal: Recorder) -> Result<(), ReconcileError> {
        let mut generation = self.generation.lock().await;
        let found = self.found().await?;
        let (copy, mirrors) = journal.read(|state: &State| (state.database.clone(), state.mirrors.len())).await?;
        let lost = self.inner.lost().map(str::to_owned);
        *generation = match lost {
            Some(what) if copy.generation == 0 => {
                return Err(OpenError::Damaged { path: self.inner.path().to_owned(), what }.into());
            }
            Some(why) => self.rebuild(&journal, &copy, found, &why).await?,
            None if found < copy.generation => {
                let why = if found == 0 { "it has nothing" } else { "it is older than the journal" };
                self.rebuild(&journal, &copy, found, why).await?
            }
            None => self.follow(&journal, &copy, found, mirrors).await?,
        };
        drop(self.journal.set(journal));
        Ok(())
    }

    /// The database's generation; 0 if it has none.
    async fn found(&self) -> Result<u64, ReconcileError> {
        let item = self.inner.get(GENERATION_KEY).await.map_err(PutError::from)?;
        let number = item.and_then(|item| std::str::from_utf8(&item.value).ok()?.parse().ok());
        Ok(number.unwrap_or(0))
    }

    async fn set_generation(&self, generation: u64) -> Result<(), PutError> {
        self.inner.put(GENERATION_KEY, generation.to_string().into(), Expect::Any).await.map(drop)
    }

    /// The copied items, as the database has them.
    async fn items(&self) -> Result<BTreeMap<String, Item>, PutError> {
        let mut items = BTreeMap::new();
        for prefix in COPIED {
            let mut after: Option<String> = None;
            loop {
                let page = self.inner.query(prefix, after.as_deref(), PAGE_ITEMS_MAX).await?;
                after = page.items.last().map(|(key, _)| key.clone());
                items.extend(page.items);
                if !page.more {
                    break;
                }
            }
        }
        Ok(items)
    }

    /// Overwrites the database with the journal's copy.
    async fn rebuild(&self, journal: &Recorder, copy: &Database, found: u64, why: &str) -> Result<u64, ReconcileError> {
        let (there, mut changed) = (self.items().await?, 0);
        for (key, value) in &copy.items {
            if there.get(key).is_none_or(|item| item.value != value.as_bytes()) {
                self.inner.put(key, value.clone().into(), Expect::Any).await?;
                changed += 1;
            }
        }
        for (key, item) in there.iter().filter(|(key, _)| !copy.items.contains_key(*key)) {
            self.inner.delete(key, item.version).await?;
            changed += 1;
        }
        // The journal will count the same number.
        let generation = copy.generation.max(found).saturating_add(1);
        self.set_generation(generation).await?;
        let step = UpkeepStep::DatabaseRebuilt { found, items: changed, reason: why.to_owned() };
        journal.command(Command::Upkeep { step, at_ms: self.clock.wall_ms() }).await?;
        self.inner.restored()?;
        tracing::error!(
            found,
            generation,
            items = changed,
            "the mirrors database at {} was rebuilt from the journal: {why}. Mirrors that were created or deleted are as the journal has them; see to the volume",
            self.inner.place()
        );
        Ok(generation)
    }

    /// Overwrites the journal's copy with the database.
    async fn follow(
        &self,
        journal: &Recorder,
        copy: &Database,
        found: u64,
        mirrors: usize,
    ) -> Result<u64, ReconcileError> {
        let there = self.items().await?;
        if there.is_empty() && mirrors > 0 && copy.generation == 0 {
            tracing::error!(
                mirrors,
                "the mirrors database at {} is empty, and the journal knows of mirrors: create them again, or restore the database from a copy",
                self.inner.place()
            );
        }
        let mut changes: Vec<(String, Option<String>)> = Vec::new();
        for (key, item) in &there {
            let value = String::from_utf8_lossy(&item.value).into_owned();
            if copy.items.get(key) != Some(&value) && value.len() <= DATABASE_VALUE_BYTES_MAX {
                changes.push((key.clone(), Some(value)));
            }
        }
        let known: BTreeSet<&String> = there.keys().collect();
        changes.extend(copy.items.keys().filter(|key| !known.contains(key)).map(|key| (key.clone(), None)));
        if changes.is_empty() && found == copy.generation {
            return Ok(found);
        }
        let generation = found.max(copy.generation).saturating_add(1);
        self.set_generation(generation).await?;
        if changes.is_empty() {
            // Only the count is new. Any item carries it.
            changes.extend(copy.items.iter().next().map(|(key, value)| (key.clone(), Some(value.clone()))));
        }
        for (key, value) in changes {
            self.copy(journal, generation, key, value).await?;
        }
        Ok(generation)
    }

    async fn copy(
        &self,
        journal: &Recorder,
        generation: u64,
        key: String,
        value: Option<String>,
    ) -> Result<(), RecordError> {
        let step = UpkeepStep::DatabaseItem { generation, key, value };
        journal.command(Command::Upkeep { step, at_ms: self.clock.wall_ms() }).await.map(drop)
    }

    /// After a change of the database: writes the new count there, and the change to the journal.
    async fn changed(&self, generation: &mut u64, key: &str, value: Option<String>) -> Result<(), PutError> {
        let journal = self.journal.get().ok_or_else(|| self.fault(FaultKind::Retry, "it is being compared"))?;
        *generation = generation.saturating_add(1);
        self.set_generation(*generation).await?;
        let copied = self.copy(journal, *generation, key.to_owned(), value).await;
        copied.map_err(|error| self.fault(FaultKind::Retry, &format!("the journal does not take it: {error}")).into())
    }

    fn fault(&self, kind: FaultKind, message: &str) -> Fault {
        let call = format!("write to the mirrors database at {}", self.inner.place());
        Fault { kind, call, status: None, message: message.to_owned() }
    }
}

#[async_trait]
impl Items for JournaledItems {
    fn place(&self) -> &str {
        self.inner.place()
    }

    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    async fn get(&self, key: &str) -> Result<Option<Item>, Fault> {
        self.inner.get(key).await
    }

    async fn query(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, Fault> {
        self.inner.query(prefix, after, limit).await
    }

    async fn put(&self, key: &str, value: Bytes, expect: Expect) -> Result<u64, PutError> {
        if !is_copied(key) {
            return self.inner.put(key, value, expect).await;
        }
        let mut generation = self.generation.lock().await;
        let text = String::from_utf8(value.to_vec()).ok().filter(|text| text.len() <= DATABASE_VALUE_BYTES_MAX);
        let text = text.ok_or_else(|| self.fault(FaultKind::Refused, "the value is no text, or too long"))?;
        let version = self.inner.put(key, value, expect).await?;
        self.changed(&mut generation, key, Some(text)).await?;
        Ok(version)
    }

    async fn delete(&self, key: &str, version: u64) -> Result<(), PutError> {
        if !is_copied(key) {
            return self.inner.delete(key, version).await;
        }
        let mut generation = self.generation.lock().await;
        self.inner.delete(key, version).await?;
        self.changed(&mut generation, key, None).await
    }
}

fn is_copied(key: &str) -> bool {
    COPIED.iter().any(|prefix| key.starts_with(prefix))
}

#[cfg(test)]
mod tests;
