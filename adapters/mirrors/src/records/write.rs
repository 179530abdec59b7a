//! The writes: every one changes a single item, under the condition that it is as it was read.

use super::*;

/// What a step makes of an item's content.
pub(super) enum Step<T> {
    /// Write this.
    Write(T),
    /// Delete the item.
    Remove,
    /// Leave it as it is.
    Leave,
}

impl Records {
    /// Creates a mirror if no active one of any region has its name. Its stamp and creation date come from the clock.
    ///
    /// The item of a name is one region's, so of two calls within a region exactly one wins. Of two at once in two
    /// regions at most one does: each looks again after it has written, and takes back what it wrote if it sees another.
    ///
    /// # Errors
    /// [`CreateError`]. After a fault nothing is there or, if even looking again failed, possibly the whole definition.
    pub async fn create(&self, new: &NewMirror) -> Result<Definition, CreateError> {
        if let Some(by) = self.holder(&new.name, new.incarnation).await? {
            return Err(CreateError::AlreadyExists { by: Box::new(by) });
        }
        let key = definition_key(&new.source_region, &new.name);
        let forced = self.forced().await?;
        let created = self
            .modify(&key, |named: Option<Named>| {
                let mut named = named.unwrap_or_default();
                named.mirrors.iter_mut().for_each(|mirror| forced::bury(mirror, &forced));
                if let Some(active) = named.active() {
                    return Err(CreateError::AlreadyExists { by: Box::new(active.clone()) });
                }
                if named.mirrors.len() >= PREDECESSORS_MAX {
                    return Err(CreateError::TooManyPredecessors);
                }
                let now_ms = self.clock.wall_ms();
                let stamp = named.next_stamp(now_ms);
                let definition = new.define(now_ms, stamp);
                named.mirrors.push(definition.clone());
                Ok((Step::Write(named), definition))
            })
            .await?;
        if let Some(by) = self.holder(&new.name, new.incarnation).await? {
            self.mark_deleted(&new.source_region, &new.name, new.incarnation).await?;
            return Err(CreateError::AlreadyExists { by: Box::new(by) });
        }
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
        Ok(created)
    }

    /// Another active mirror of this name, in any region.
    async fn holder(&self, name: &str, besides: Incarnation) -> Result<Option<Definition>, RecordsError> {
        let listing = self.list_definitions().await?;
        let suffix = format!("/{name}");
        for unreadable in listing.unreadable {
            if matches!(&unreadable, RecordsError::Unreadable { key, .. } if key.ends_with(&suffix)) {
                return Err(unreadable);
            }
        }
        let mut holders = listing.definitions.into_iter();
        Ok(holders.find(|other| other.name == name && other.is_active() && other.incarnation != besides))
    }

    /// Turns a mirror into a tombstone. `false` if it is not there or was one already.
    ///
    /// # Errors
    /// [`RecordsError`]; after a fault the mirror may be deleted all the same, and the call can be repeated.
    pub async fn mark_deleted(
        &self,
        source_region: &str,
        name: &str,
        incarnation: Incarnation,
    ) -> Result<bool, RecordsError> {
        let deleted = self
            .modify(&definition_key(source_region, name), |named: Option<Named>| {
                let mut named = named.unwrap_or_default();
                let now_ms = self.clock.wall_ms();
                let stamp = named.next_stamp(now_ms);
                let mut active = named.mirrors.iter_mut().filter(|mirror| mirror.is_active());
                let Some(mirror) = active.find(|mirror| mirror.incarnation == incarnation) else {
                    return Ok::<_, RecordsError>((Step::Leave, false));
                };
                mirror.deleted_at_ms = Some(now_ms);
                mirror.stamp = stamp;
                Ok((Step::Write(named), true))
            })
            .await?;
        if deleted {
            self.changed.send_modify(|count| *count = count.wrapping_add(1));
        }
        Ok(deleted)
    }

    /// Says that the mirror repository of a deleted mirror of `region` is gone. Repeatable. Its summary stays until
    /// [`Self::remove_tombstones`]: in another region an older one could come after its removal.
    ///
    /// # Errors
    /// [`RecordsError`].
    pub async fn ack_deletion(&self, region: &str, incarnation: Incarnation, epoch: u64) -> Result<(), RecordsError> {
        let acked_at_ms = self.clock.wall_ms();
        let stamp = Stamp { epoch, seq: acked_at_ms };
        self.modify(&ack_key(region, incarnation), |found: Option<Ack>| match found {
            Some(_) => Ok::<_, RecordsError>((Step::Leave, ())),
            None => Ok((Step::Write(Ack { incarnation, acked_at_ms, stamp }), ())),
        })
        .await
    }

    /// The deleted mirrors whose repositories are known to be gone.
    ///
    /// # Errors
    /// [`RecordsError::Fault`].
    pub async fn acknowledged(&self) -> Result<BTreeSet<Incarnation>, RecordsError> {
        Ok(self.acks().await?.into_values().map(|ack| ack.incarnation).collect())
    }

    async fn acks(&self) -> Result<BTreeMap<String, Ack>, RecordsError> {
        Ok(self.list(ACKS, &Seen::default(), |ack: &Ack| ack.stamp).await?.0)
    }

    /// Removes what deleted mirrors left behind: tombstones that `region` wrote, once they are acknowledged and older
    /// than `age`; and acknowledgements and summaries of `region` older than `age` whose tombstones are gone. Returns how many.
    ///
    /// # Errors
    /// [`RecordsError`]; what was removed before stays removed.
    pub async fn remove_tombstones(&self, region: &str, age: Duration) -> Result<u64, RecordsError> {
        let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let Some(before_ms) = self.clock.wall_ms().checked_sub(age_ms) else { return Ok(0) };
        self.accept_forced(region).await?;
        // Acknowledgements first: one that comes in between is left for the next time.
        let acks = self.acks().await?;
        let acked: BTreeSet<Incarnation> = acks.values().map(|ack| ack.incarnation).collect();
        let listing = self.list_definitions().await?;
        let due = |mirror: &Definition| {
            mirror.deleted_at_ms.is_some_and(|at_ms| at_ms <= before_ms) && acked.contains(&mirror.incarnation)
        };
        let names: BTreeSet<&str> = listing
            .definitions
            .iter()
            .filter(|mirror| mirror.source_region == region && due(mirror))
            .map(|mirror| mirror.name.as_str())
            .collect();
        let mut removed = 0;
        for name in names {
            removed += self.remove_due(&definition_key(region, name), &due).await?;
        }
        let known: BTreeSet<Incarnation> = listing.definitions.iter().map(|mirror| mirror.incarnation).collect();
        let own = format!("{ACKS}{region}/");
        // An unreadable definition may be the one that an acknowledgement belongs to.
        let orphans = acks.iter().filter(|(key, ack)| {
            listing.unreadable.is_empty()
                && key.starts_with(&own)
                && ack.acked_at_ms <= before_ms
                && !known.contains(&ack.incarnation)
        });
        for (key, _) in orphans {
            self.modify(key, |_: Option<Ack>| Ok::<_, RecordsError>((Step::Remove, ()))).await?;
            removed += 1;
        }
        if listing.unreadable.is_empty() {
            removed += self.remove_orphans(region, &known, before_ms).await?;
            removed += self.remove_forced(region, &known, before_ms).await?;
            removed += self.remove_approvals(region, &known).await?;
        }
        Ok(removed)
    }

    async fn remove_due(&self, key: &str, due: &(dyn Fn(&Definition) -> bool + Sync)) -> Result<u64, RecordsError> {
        self.modify(key, |named: Option<Named>| {
            let Some(mut named) = named else { return Ok((Step::Leave, 0)) };
            let before = named.mirrors.len();
            named.mirrors.retain(|mirror| !due(mirror));
            let removed = u64::try_from(before - named.mirrors.len()).unwrap_or(u64::MAX);
            named.next_stamp(self.clock.wall_ms());
            let step = match (removed, named.mirrors.is_empty()) {
                (0, _) => Step::Leave,
                (_, true) => Step::Remove,
                (_, false) => Step::Write(named),
            };
            Ok((step, removed))
        })
        .await
    }

    /// Reads an item, lets `step` decide, and writes what it decided if the item is still as it was read; else again.
    pub(super) async fn modify<T, R, E>(
        &self,
        key: &str,
        step: impl Fn(Option<T>) -> Result<(Step<T>, R), E> + Send,
    ) -> Result<R, E>
    where
        T: Serialize + DeserializeOwned + Send,
        R: Send,
        E: From<RecordsError>,
    {
        for _ in 0..ATTEMPTS_MAX {
            let read: Option<(u64, T)> = self.read(key).await?;
            let (expect, found) = match read {
                None => (None, None),
                Some((version, found)) => (Some(version), Some(found)),
            };
            let (step, result) = step(found)?;
            let done = match (step, expect) {
                (Step::Leave, _) | (Step::Remove, None) => Ok(()),
                (Step::Remove, Some(version)) => self.items.delete(key, version).await,
                (Step::Write(record), expect) => self.write(key, &record, expect).await?,
            };
            match done {
                Ok(()) => return Ok(result),
                Err(PutError::Conflict { .. }) => {}
                Err(PutError::Fault(fault)) => return Err(RecordsError::Fault(fault).into()),
            }
        }
        Err(RecordsError::Contended { key: key.to_owned() }.into())
    }

    /// Writes a record. A write whose answer was lost is looked up, so that it is not taken for somebody else's.
    async fn write<T: Serialize>(
        &self,
        key: &str,
        record: &T,
        expect: Option<u64>,
    ) -> Result<Result<(), PutError>, RecordsError> {
        let value = envelope::seal(record).map_err(|what| RecordsError::Unreadable { key: key.to_owned(), what })?;
        let written = self.items.put(key, value.clone(), expect.map_or(Expect::Absent, Expect::Version)).await;
        match written {
            Err(PutError::Fault(fault)) if fault.kind == FaultKind::Retry => match self.items.get(key).await {
                Ok(Some(item)) if item.value == value => Ok(Ok(())),
                _ => Ok(Err(PutError::Fault(fault))),
            },
            written => Ok(written.map(|_| ())),
        }
    }
}
