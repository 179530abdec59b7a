//! A mirrors database that lives as long as the process: for tests and the simulation.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use lakemirror_ports::Fault;

use super::table::Table;
use super::{Expect, Item, Items, Page, PutError};

/// One partition in memory.
#[derive(Debug, Default)]
pub struct Memory {
    table: Mutex<Table>,
}

impl Memory {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics while holding the lock, and every change to the table is a single step.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Items for Memory {
    fn place(&self) -> &str {
        "memory"
    }

    async fn get(&self, key: &str) -> Result<Option<Item>, Fault> {
        Ok(self.table().get(key))
    }

    async fn query(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, Fault> {
        Ok(self.table().query(prefix, after, limit))
    }

    async fn put(&self, key: &str, value: Bytes, expect: Expect) -> Result<u64, PutError> {
        let mut table = self.table();
        let item = table.plan_put(self.place(), key, value, expect)?;
        let version = item.version;
        table.load(key.to_owned(), item);
        Ok(version)
    }

    async fn delete(&self, key: &str, version: u64) -> Result<(), PutError> {
        let mut table = self.table();
        table.plan_delete(key, version)?;
        table.remove(key);
        Ok(())
    }
}
