//! What the embedded mirrors database has of definitions: a copy, from which it can be rebuilt.
//!
//! Owns the items and their generation, not their meaning. The database has the same generation in itself, so that the
//! older one of the two is known.

use std::collections::BTreeMap;

use crate::event::Event;

/// The copy. Empty where the mirrors database is a shared one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Database {
    /// Counts the changes; 0 before the first.
    pub generation: u64,
    /// Values by key.
    pub items: BTreeMap<String, String>,
}

impl Database {
    /// Adds one fact.
    pub(crate) fn apply(&mut self, event: &Event) {
        match event {
            Event::DatabaseItemWritten(e) => {
                self.generation = self.generation.max(e.generation);
                if e.removed {
                    self.items.remove(&e.key);
                } else {
                    self.items.insert(e.key.clone(), e.value.clone());
                }
            }
            Event::DatabaseRebuilt(e) => self.generation = self.generation.max(e.generation),
            _ => {}
        }
    }
}
