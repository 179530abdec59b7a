//! What a reader remembers, so that a late replay of an old write changes nothing.
//!
//! A table that is replicated between regions may show an older item after a newer one. This keeps the newest that was
//! seen of each item, for as long as the item is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::definition::Stamp;

/// The newest of each item.
#[derive(Debug)]
pub(super) struct Seen<T> {
    newest: Mutex<BTreeMap<String, (Stamp, T)>>,
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self { newest: Mutex::default() }
    }
}

impl<T: Clone> Seen<T> {
    /// What was just read, or what was read before if that is newer.
    pub(super) fn newest(&self, key: &str, stamp: Stamp, read: T) -> T {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        match newest.get(key) {
            Some((before, remembered)) if *before > stamp => remembered.clone(),
            _ => {
                newest.insert(key.to_owned(), (stamp, read.clone()));
                read
            }
        }
    }

    /// Forgets the items that a complete listing did not have.
    pub(super) fn keep(&self, present: &BTreeSet<String>) {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).retain(|key, _| present.contains(key));
    }
}
