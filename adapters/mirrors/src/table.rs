//! The items in memory: the rules of reading and conditional writing, without durability.
//!
//! Owns the map and the checks; [`super::memory`] is little more than this behind a lock, [`super::embedded`] writes what
//! is planned here to disk before it is applied here.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use lakemirror_ports::{Fault, FaultKind};

use super::{Expect, Item, KEY_BYTES_MAX, PAGE_ITEMS_MAX, Page, PutError, VALUE_BYTES_MAX};

/// The items of one partition.
#[derive(Debug, Default)]
pub(super) struct Table {
    items: BTreeMap<String, Item>,
    /// The highest version given so far; versions of one table never come again.
    version: u64,
}

impl Table {
    /// Takes over an item that was stored before.
    pub(super) fn load(&mut self, key: String, item: Item) {
        self.version = self.version.max(item.version);
        self.items.insert(key, item);
    }

    pub(super) fn get(&self, key: &str) -> Option<Item> {
        self.items.get(key).cloned()
    }

    pub(super) fn query(&self, prefix: &str, after: Option<&str>, limit: usize) -> Page {
        let limit = limit.clamp(1, PAGE_ITEMS_MAX);
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let mut found = self
            .items
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, item)| (key.clone(), item.clone()));
        let items = found.by_ref().take(limit).collect();
        Page { items, more: found.next().is_some() }
    }

    /// Checks a write and returns the item to store; nothing changes until [`Table::load`].
    pub(super) fn plan_put(&self, place: &str, key: &str, value: Bytes, expect: Expect) -> Result<Item, PutError> {
        check_limits(place, key, value.len())?;
        let found = self.items.get(key).map(|item| item.version);
        let as_expected = match expect {
            Expect::Absent => found.is_none(),
            Expect::Version(version) => found == Some(version),
            Expect::Any => true,
        };
        if !as_expected {
            return Err(PutError::Conflict { key: key.to_owned() });
        }
        Ok(Item { value, version: self.version.saturating_add(1) })
    }

    /// Checks a deletion; nothing changes until [`Table::remove`].
    pub(super) fn plan_delete(&self, key: &str, version: u64) -> Result<(), PutError> {
        match self.items.get(key) {
            Some(item) if item.version == version => Ok(()),
            _ => Err(PutError::Conflict { key: key.to_owned() }),
        }
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.items.remove(key);
    }
}

/// Refuses what no implementation takes.
pub(super) fn check_limits(place: &str, key: &str, value_bytes: usize) -> Result<(), Fault> {
    let problem = if key.is_empty() || key.len() > KEY_BYTES_MAX {
        format!("a key must have 1 to {KEY_BYTES_MAX} bytes, this one has {}", key.len())
    } else if value_bytes > VALUE_BYTES_MAX {
        format!("a value may have {VALUE_BYTES_MAX} bytes, this one has {value_bytes}")
    } else {
        return Ok(());
    };
    Err(Fault {
        kind: FaultKind::Refused,
        call: format!("write item {key} of the mirrors database at {place}"),
        status: None,
        message: problem,
    })
}
