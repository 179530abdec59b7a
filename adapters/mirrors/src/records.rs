//! What the items mean: definitions of mirrors, their status, and the acknowledgement that a deleted one is gone.
//!
//! Owns the stored forms, who may overwrite what, and the notice to this process that something changed. Does not decide
//! who may create a mirror or what a status is. The API writes definitions and reads everything; the engine reads
//! definitions and writes summaries and acknowledgements.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lakemirror_ports::clock::Clock;
use lakemirror_ports::{Fault, FaultKind, Incarnation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{Expect, Item, Items, PAGE_ITEMS_MAX, PutError};

mod approvals;
mod definition;
mod envelope;
mod forced;
mod lease;
mod publish;
mod seen;
mod stored;
mod summary;
mod write;

use definition::Named;
pub use definition::{Definition, NewMirror, Stamp, contested};
use seen::Seen;
pub use stored::ITEM_BYTES_MAX;
pub use summary::{
    BranchState, BranchStatus, Counts, JournalHead, MirrorState, PROBLEMS_MAX, Status, Summary, Waiting, WaitingObject,
};

/// Most tombstones that one name keeps. Each lasts until the mirror repository is gone and 30 days have passed.
pub const PREDECESSORS_MAX: usize = 200;
/// How often a write is tried again because somebody else was faster.
const ATTEMPTS_MAX: usize = 8;

/// Why a record could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordsError {
    /// The database did not answer or refused.
    #[error("the mirrors database failed")]
    Fault(#[from] Fault),
    /// An item is not what it should be.
    #[error("item {key} of the mirrors database cannot be used: {what}")]
    Unreadable {
        /// The item's key.
        key: String,
        /// What is wrong with it, and what to do.
        what: String,
    },
    /// Others changed the item each time.
    #[error("item {key} of the mirrors database is being changed by others; try again")]
    Contended {
        /// The item's key.
        key: String,
    },
}

/// Why a mirror was not created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// The name is taken.
    #[error("a mirror of this name exists")]
    AlreadyExists {
        /// The mirror that has it.
        by: Box<Definition>,
    },
    /// The name was used and deleted too often within a short time.
    #[error("{PREDECESSORS_MAX} mirrors of this name were deleted and are not yet forgotten; choose another name")]
    TooManyPredecessors,
    /// The database.
    #[error(transparent)]
    Records(#[from] RecordsError),
}

/// Everything that a listing found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Active ones and tombstones, by name, oldest first, the newest that was ever seen of each.
    pub definitions: Vec<Definition>,
    /// Items that cannot be used, each with its reason. They hold back nothing else.
    pub unreadable: Vec<RecordsError>,
}

impl Listing {
    /// The mirrors that are there: neither deleted nor contested.
    #[must_use]
    pub fn all_active(&self) -> Vec<&Definition> {
        let contested = contested(&self.definitions);
        let counts = |one: &&Definition| one.is_active() && !contested.contains(&one.incarnation);
        self.definitions.iter().filter(counts).collect()
    }

    /// The mirror that has this name, if there is one.
    #[must_use]
    pub fn active(&self, name: &str) -> Option<&Definition> {
        self.all_active().into_iter().find(|definition| definition.name == name)
    }

    /// The mirrors as `region` answers for them: a name that it gave away itself is its own mirror, also where another
    /// region was first. Nobody else could delete it.
    #[must_use]
    pub fn all_at(&self, region: &str) -> Vec<&Definition> {
        let own = |one: &&Definition| one.is_active() && one.source_region == region;
        let names: BTreeSet<&str> = self.definitions.iter().filter(own).map(|one| one.name.as_str()).collect();
        let others = self.all_active().into_iter();
        let mut all: Vec<&Definition> = others.filter(|one| !names.contains(one.name.as_str())).collect();
        all.extend(self.definitions.iter().filter(own));
        all.sort_by_key(|one| (&one.name, one.incarnation));
        all
    }

    /// The region that gave a mirror's name away before, where that one is active too.
    #[must_use]
    pub fn rival(&self, mirror: &Definition) -> Option<&str> {
        let winner = self.active(&mirror.name)?;
        (winner.incarnation != mirror.incarnation).then_some(winner.source_region.as_str())
    }
}

/// What became of a summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// It was written.
    Written,
    /// Nothing but its stamp and time is new: not written.
    Unchanged,
    /// The database has a newer one: another process drives this mirror.
    Outdated,
}

/// The mirror repository of a deleted mirror is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Ack {
    #[serde(with = "envelope::incarnation")]
    incarnation: Incarnation,
    acked_at_ms: u64,
    #[serde(flatten)]
    stamp: Stamp,
}

/// The records of one organization.
pub struct Records {
    items: Arc<dyn Items>,
    clock: Arc<dyn Clock>,
    definitions: Seen<Named>,
    summaries: Seen<stored::Main>,
    parts: Seen<stored::Part>,
    written: publish::Written,
    changed: watch::Sender<u64>,
}

impl Records {
    /// Over one partition.
    #[must_use]
    pub fn new(items: Arc<dyn Items>, clock: Arc<dyn Clock>) -> Self {
        Self {
            items,
            clock,
            definitions: Seen::default(),
            summaries: Seen::default(),
            parts: Seen::default(),
            written: publish::Written::default(),
            changed: watch::Sender::new(0),
        }
    }

    /// Where the database is, for messages.
    #[must_use]
    pub fn place(&self) -> &str {
        self.items.place()
    }

    /// Tells of every definition that **this process** created or deleted. Others' are found by listing.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Every mirror and tombstone of the organization, complete or failed.
    ///
    /// # Errors
    /// [`RecordsError::Fault`]; single unusable items are in the listing.
    pub async fn list_definitions(&self) -> Result<Listing, RecordsError> {
        let (named, unreadable) = self.list(DEFINITIONS, &self.definitions, |named: &Named| named.stamp).await?;
        let mut definitions: Vec<Definition> = named.into_values().flat_map(|named| named.mirrors).collect();
        // Read after them: a deletion that comes in between is not missed.
        let forced = self.forced().await?;
        definitions.iter_mut().for_each(|definition| forced::bury(definition, &forced));
        definitions.sort_by(|a, b| (&a.name, a.stamp, a.incarnation).cmp(&(&b.name, b.stamp, b.incarnation)));
        Ok(Listing { definitions, unreadable })
    }

    /// All items under a prefix, by key, and those that cannot be used.
    async fn list<T: DeserializeOwned + Clone + Send>(
        &self,
        prefix: &str,
        seen: &Seen<T>,
        stamp: impl Fn(&T) -> Stamp + Sync,
    ) -> Result<(BTreeMap<String, T>, Vec<RecordsError>), RecordsError> {
        let (mut found, mut unreadable, mut present) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        self.each(prefix, |key, item| {
            match decode::<T>(&key, &item) {
                Ok(record) => {
                    let newest = seen.newest(&key, stamp(&record), record);
                    found.insert(key.clone(), newest);
                }
                Err(error) => unreadable.push(error),
            }
            present.insert(key);
            Ok(())
        })
        .await?;
        seen.keep(&present);
        Ok((found, unreadable))
    }

    /// All items under a prefix; one that cannot be read is an error.
    async fn whole<T: DeserializeOwned + Send>(&self, prefix: &str) -> Result<Vec<(String, u64, T)>, RecordsError> {
        let mut found = Vec::new();
        self.each(prefix, |key, item| {
            let record = decode(&key, &item)?;
            found.push((key, item.version, record));
            Ok(())
        })
        .await?;
        Ok(found)
    }

    /// Shows every item under a prefix, in the order of their keys.
    async fn each(
        &self,
        prefix: &str,
        mut show: impl FnMut(String, Item) -> Result<(), RecordsError> + Send,
    ) -> Result<(), RecordsError> {
        let mut after: Option<String> = None;
        loop {
            let page = self.items.query(prefix, after.as_deref(), PAGE_ITEMS_MAX).await?;
            after = page.items.last().map(|(key, _)| key.clone()).or(after);
            for (key, item) in page.items {
                show(key, item)?;
            }
            if !page.more {
                return Ok(());
            }
        }
    }

    async fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<(u64, T)>, RecordsError> {
        match self.items.get(key).await? {
            None => Ok(None),
            Some(item) => Ok(Some((item.version, decode(key, &item)?))),
        }
    }
}

const DEFINITIONS: &str = "definitions/";
const SUMMARIES: &str = "summaries/";
const ACKS: &str = "acks/";

fn definition_key(source_region: &str, name: &str) -> String {
    format!("{DEFINITIONS}{source_region}/{name}")
}

fn summary_key(region: &str, incarnation: Incarnation) -> String {
    format!("{SUMMARIES}{region}/{incarnation}")
}

fn ack_key(region: &str, incarnation: Incarnation) -> String {
    format!("{ACKS}{region}/{incarnation}")
}

fn decode<T: DeserializeOwned>(key: &str, item: &Item) -> Result<T, RecordsError> {
    envelope::unseal(&item.value).map_err(|what| RecordsError::Unreadable { key: key.to_owned(), what })
}

#[cfg(test)]
mod tests;
