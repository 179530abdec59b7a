//! What a mirror is, as the region that took the call wrote it, and the tombstone that it becomes.
//!
//! Owns the stored form of one name's item. Several regions may have written the same name; [`contested`] says which of
//! them counts, the same everywhere.

use std::collections::{BTreeMap, BTreeSet};

use lakemirror_ports::{Incarnation, StoreIdentity};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::envelope;

/// Where a record is in the order of its writer's records: later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Stamp {
    /// Counts the writers: a new one has a higher epoch.
    pub epoch: u64,
    /// Counts the writes of one writer.
    pub seq: u64,
}

/// A mirror, or the tombstone of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// The name of the mirror repository; unique in the organization among those that are not deleted.
    pub name: String,
    /// Random, minted at creation.
    #[serde(with = "envelope::incarnation")]
    pub incarnation: Incarnation,
    /// The repository that is mirrored.
    pub source_repository: String,
    /// The region whose lakeFS has it: the writer of this record.
    pub source_region: String,
    /// The mirror's region.
    pub region: String,
    /// The mirror's storage namespace.
    pub storage_namespace: String,
    /// Seconds since 1970.
    pub creation_date: i64,
    /// The user who created it; may be empty.
    pub created_by: String,
    /// The source's object store, as the source's region describes it. Definitions of earlier versions have none.
    #[serde(default = "unknown_store", skip_serializing_if = "is_unknown_store")]
    pub source_store: StoreIdentity,
    /// Milliseconds since 1970 when it was deleted; missing while it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at_ms: Option<u64>,
    /// When this record was last written, in its writer's order.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Fields that this program does not know, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

fn unknown_store() -> StoreIdentity {
    StoreIdentity::Unknown
}

fn is_unknown_store(store: &StoreIdentity) -> bool {
    *store == StoreIdentity::Unknown
}

impl Definition {
    /// Whether it is not deleted.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.deleted_at_ms.is_none()
    }
}

/// What a caller knows of a mirror to be created; the rest of [`Definition`] is filled in when it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMirror {
    /// See [`Definition::name`].
    pub name: String,
    /// See [`Definition::incarnation`].
    pub incarnation: Incarnation,
    /// See [`Definition::source_repository`].
    pub source_repository: String,
    /// See [`Definition::source_region`].
    pub source_region: String,
    /// See [`Definition::region`].
    pub region: String,
    /// See [`Definition::storage_namespace`].
    pub storage_namespace: String,
    /// See [`Definition::created_by`].
    pub created_by: String,
    /// See [`Definition::source_store`].
    pub source_store: StoreIdentity,
}

impl NewMirror {
    pub(super) fn define(&self, now_ms: u64, stamp: Stamp) -> Definition {
        Definition {
            name: self.name.clone(),
            incarnation: self.incarnation,
            source_repository: self.source_repository.clone(),
            source_region: self.source_region.clone(),
            region: self.region.clone(),
            storage_namespace: self.storage_namespace.clone(),
            creation_date: i64::try_from(now_ms / 1000).unwrap_or(i64::MAX),
            created_by: self.created_by.clone(),
            source_store: self.source_store.clone(),
            deleted_at_ms: None,
            stamp,
            unknown: Map::new(),
        }
    }
}

/// One name's item: at most one mirror, and the tombstones of those before it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Named {
    /// The greatest stamp ever written into this item.
    #[serde(flatten)]
    pub(super) stamp: Stamp,
    /// Oldest first.
    pub(super) mirrors: Vec<Definition>,
}

impl Named {
    pub(super) fn active(&self) -> Option<&Definition> {
        self.mirrors.iter().find(|mirror| mirror.is_active())
    }

    /// The stamp of the next write. It is at least the wall clock, so that an item which was removed and made anew does
    /// not fall behind what readers remember of the old one.
    pub(super) fn next_stamp(&mut self, now_ms: u64) -> Stamp {
        self.stamp.seq = self.stamp.seq.saturating_add(1).max(now_ms);
        self.stamp
    }
}

/// The active definitions that do not count because another region gave the name away first: all but the one with the
/// smallest (creation date, incarnation) of each name. Possible only where a shared database is replicated without
/// strong consistency.
#[must_use]
pub fn contested(definitions: &[Definition]) -> BTreeSet<Incarnation> {
    let mut first: BTreeMap<&str, (i64, Incarnation)> = BTreeMap::new();
    let active = || definitions.iter().filter(|definition| definition.is_active());
    let order = |definition: &Definition| (definition.creation_date, definition.incarnation);
    for definition in active() {
        let winner = first.entry(&definition.name).or_insert(order(definition));
        *winner = (*winner).min(order(definition));
    }
    active()
        .filter(|definition| first.get(definition.name.as_str()) != Some(&order(definition)))
        .map(|definition| definition.incarnation)
        .collect()
}
