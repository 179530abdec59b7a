//! What is going on right now and is no fact: faults that may pass by themselves, each with since when.
//!
//! Nothing decides on it; it exists so that whatever waits can say what for (I11). Lost with the process. It logs nothing
//! itself: [`super::report`] compares what a status says with what it said before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use lakemirror_core::ids::CommitId;
use lakemirror_ports::clock::Clock;

use crate::ticker::{Ticker, Ticks};

/// Notes kept at most; further subjects are left out.
const NOTES_MAX: usize = 512;

/// A fault that lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What the last answer was.
    pub text: String,
    /// Since when it has been like this, milliseconds since 1970.
    pub since_ms: u64,
    /// When it was last seen, milliseconds since 1970.
    pub last_ms: u64,
}

/// What a note is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionKind {
    /// The source's repository, or its lakeFS.
    Source,
    /// The mirror's repository as a whole.
    Repository,
    /// The mirrors database.
    Registry,
    /// The mirror's lease.
    Lease,
    /// This process's heartbeats in the mirrors database.
    Heartbeat,
    /// The lakeFS of this region, whichever mirror asks it.
    Lakefs(String),
    /// A bucket, or a local store's first folder, of a region.
    Bucket {
        /// The region.
        region: String,
        /// Its name.
        bucket: String,
    },
    /// One branch of the mirror.
    Branch(String),
    /// One commit of the source.
    Commit(CommitId),
}

/// The notes about one mirror, or about what all mirrors of a process need.
#[derive(Clone)]
pub struct Conditions {
    notes: Arc<Mutex<BTreeMap<ConditionKind, Condition>>>,
    changed: Ticker,
    clock: Arc<dyn Clock>,
}

impl Conditions {
    /// An empty conditions.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { notes: Arc::default(), changed: Ticker::default(), clock }
    }

    /// Notes a fault.
    pub fn note(&self, mirror: &str, about: ConditionKind, text: String) {
        let now = self.clock.wall_ms();
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(note) = notes.get_mut(&about) {
            note.last_ms = now;
            if note.text == text {
                return;
            }
            note.text.clone_from(&text);
        } else if notes.len() < NOTES_MAX {
            notes.insert(about.clone(), Condition { text: text.clone(), since_ms: now, last_ms: now });
        }
        drop(notes);
        tracing::debug!(mirror, ?about, "{text}");
        self.changed.tick();
    }

    /// The fault is over.
    pub fn clear(&self, mirror: &str, about: &ConditionKind) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(note) = notes.remove(about) else { return };
        drop(notes);
        tracing::debug!(mirror, ?about, "over: {}", note.text);
        self.changed.tick();
    }

    /// Forgets what is about other subjects than these.
    pub fn retain(&self, keep: impl Fn(&ConditionKind) -> bool) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).retain(|about, _| keep(about));
    }

    /// All notes.
    #[must_use]
    pub fn notes(&self) -> BTreeMap<ConditionKind, Condition> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ticks when a note came, went or says something else.
    #[must_use]
    pub fn changes(&self) -> Ticks {
        self.changed.ticks()
    }
}
