//! The stored forms of leases: one heartbeat for each process, one owner for each mirror, both of one region.
//!
//! A heartbeat's item is its process's alone. An owner's item is written by the processes of its region only, each time
//! under the condition that it is as it was read; every process of a region uses the same copy of the table.

use lakemirror_ports::{Heartbeat, Owner};

use super::*;

/// A process's heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Beat {
    process: String,
    node: String,
    about: String,
    #[serde(default)]
    ended: bool,
    /// Milliseconds since 1970 by the process's clock: for people, and to tell what is a day old.
    written_at_ms: u64,
    /// Epoch 0; counts the heartbeats.
    #[serde(flatten)]
    stamp: Stamp,
}

/// Who drives a mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Driver {
    #[serde(with = "envelope::incarnation")]
    incarnation: Incarnation,
    #[serde(default)]
    holder: Option<String>,
    about: String,
    node: String,
    #[serde(default)]
    meant_for: Option<String>,
    /// Milliseconds since 1970, for people.
    written_at_ms: u64,
    /// The lease's epoch.
    #[serde(flatten)]
    stamp: Stamp,
}

const HEARTBEATS: &str = "heartbeats/";
const OWNERS: &str = "owners/";

fn owner_key(region: &str, mirror: &Incarnation) -> String {
    format!("{OWNERS}{region}/{mirror}")
}

impl Records {
    /// Whether other processes can use this database.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.items.is_shared()
    }

    /// Writes a heartbeat, whatever was there: the item is its process's own.
    ///
    /// # Errors
    /// [`RecordsError::Fault`].
    pub async fn beat(&self, region: &str, beat: &Heartbeat) -> Result<(), RecordsError> {
        let key = format!("{HEARTBEATS}{region}/{}", beat.process);
        let stored = Beat {
            process: beat.process.clone(),
            node: beat.node.clone(),
            about: beat.about.clone(),
            ended: beat.ended,
            written_at_ms: self.clock.wall_ms(),
            stamp: Stamp { epoch: 0, seq: beat.count },
        };
        let value = sealed(&key, &stored)?;
        match self.items.put(&key, value, Expect::Any).await {
            Ok(_) => Ok(()),
            Err(PutError::Fault(fault)) => Err(fault.into()),
            Err(PutError::Conflict { key }) => Err(RecordsError::Contended { key }),
        }
    }

    /// Every heartbeat of a region.
    ///
    /// # Errors
    /// [`RecordsError`], also for an item that cannot be read: a process that is not understood is not a dead one.
    pub async fn heartbeats(&self, region: &str) -> Result<Vec<Heartbeat>, RecordsError> {
        Ok(self.dated_heartbeats(region).await?.into_iter().map(|(beat, _)| beat).collect())
    }

    /// As [`Records::heartbeats`], each with the time at which it was written, milliseconds since 1970 by its writer's clock:
    /// to be compared with other times of that writer only.
    ///
    /// # Errors
    /// As there.
    pub async fn dated_heartbeats(&self, region: &str) -> Result<Vec<(Heartbeat, u64)>, RecordsError> {
        let found = self.whole::<Beat>(&format!("{HEARTBEATS}{region}/")).await?;
        let dated = found.into_iter().map(|(_, _, beat)| {
            let Beat { process, node, about, ended, written_at_ms, stamp } = beat;
            (Heartbeat { process, node, about, count: stamp.seq, ended }, written_at_ms)
        });
        Ok(dated.collect())
    }

    /// Who drives which mirror of a region.
    ///
    /// # Errors
    /// [`RecordsError`], also for an item that cannot be read: then it is not nobody's.
    pub async fn owners(&self, region: &str) -> Result<BTreeMap<Incarnation, Owner>, RecordsError> {
        let found = self.whole::<Driver>(&format!("{OWNERS}{region}/")).await?;
        let owner = |version, driver: Driver| Owner {
            holder: driver.holder,
            about: driver.about,
            node: driver.node,
            epoch: driver.stamp.epoch,
            meant_for: driver.meant_for,
            version: Some(version),
        };
        Ok(found.into_iter().map(|(_, version, driver)| (driver.incarnation, owner(version, driver))).collect())
    }

    /// Writes who drives a mirror if the item has still the version that `owner` names. The new version; none if it was
    /// changed by somebody else.
    ///
    /// # Errors
    /// [`RecordsError::Fault`]: whether it was written is not known, and the next reading tells.
    pub async fn write_owner(
        &self,
        region: &str,
        mirror: &Incarnation,
        owner: &Owner,
    ) -> Result<Option<u64>, RecordsError> {
        let key = owner_key(region, mirror);
        let stored = Driver {
            incarnation: *mirror,
            holder: owner.holder.clone(),
            about: owner.about.clone(),
            node: owner.node.clone(),
            meant_for: owner.meant_for.clone(),
            written_at_ms: self.clock.wall_ms(),
            stamp: Stamp { epoch: owner.epoch, seq: 0 },
        };
        let value = sealed(&key, &stored)?;
        let blind = lakemirror_core::mutant::is_on("taken_unconditionally");
        let expect = if blind { Expect::Any } else { owner.version.map_or(Expect::Absent, Expect::Version) };
        match self.items.put(&key, value.clone(), expect).await {
            Ok(version) => Ok(Some(version)),
            Err(PutError::Conflict { .. }) => Ok(None),
            Err(PutError::Fault(fault)) if fault.kind == FaultKind::Retry => match self.items.get(&key).await? {
                // The answer was lost, not the write: nobody else writes these bytes.
                Some(item) if item.value == value => Ok(Some(item.version)),
                _ => Err(fault.into()),
            },
            Err(PutError::Fault(fault)) => Err(fault.into()),
        }
    }

    /// Removes what processes and mirrors that are gone left behind in `region`: heartbeats older than `age` by this
    /// process's clock, and owners as old whose mirrors nobody defines any more. Returns how many.
    ///
    /// # Errors
    /// [`RecordsError`]; what was removed before stays removed. Nothing is removed while a definition cannot be read.
    pub async fn remove_leases(&self, region: &str, age: Duration) -> Result<u64, RecordsError> {
        let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let Some(before_ms) = self.clock.wall_ms().checked_sub(age_ms) else { return Ok(0) };
        let mut old = Vec::new();
        for (key, version, beat) in self.whole::<Beat>(&format!("{HEARTBEATS}{region}/")).await? {
            if beat.written_at_ms <= before_ms {
                old.push((key, version));
            }
        }
        let owners = self.whole::<Driver>(&format!("{OWNERS}{region}/")).await?;
        // Read after the owners: whose definition is not there now was not being made then.
        let listing = self.list_definitions().await?;
        let known: BTreeSet<Incarnation> = listing.definitions.iter().map(|mirror| mirror.incarnation).collect();
        for (key, version, driver) in owners {
            let orphan = listing.unreadable.is_empty() && !known.contains(&driver.incarnation);
            if orphan && driver.written_at_ms <= before_ms {
                old.push((key, version));
            }
        }
        let mut removed = 0;
        for (key, version) in old {
            match self.items.delete(&key, version).await {
                Ok(()) => removed += 1,
                // Somebody has just written it: then it is not old.
                Err(PutError::Conflict { .. }) => {}
                Err(PutError::Fault(fault)) => return Err(fault.into()),
            }
        }
        Ok(removed)
    }
}

fn sealed<T: Serialize>(key: &str, record: &T) -> Result<bytes::Bytes, RecordsError> {
    envelope::seal(record).map_err(|what| RecordsError::Unreadable { key: key.to_owned(), what })
}

#[cfg(test)]
mod tests;
