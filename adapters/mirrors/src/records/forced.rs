//! Deletions that the mirror's region took because the source's region is lost.
//!
//! A definition is the source's region's item, and nobody else writes it: what that region wrote last may not have come
//! here. So a forced deletion is an item of its own, written by the mirror's region and joined with the definition by
//! every reader. Once the source's region is back it takes the deletion over into its own item, and a name that it gives
//! away again is a new incarnation, which no forced deletion reaches.

use super::write::Step;
use super::*;

const FORCED: &str = "forced/";

/// The mirror's region deleted the mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Forced {
    #[serde(with = "envelope::incarnation")]
    incarnation: Incarnation,
    /// The mirror's name, and the region that defined it.
    name: String,
    source_region: String,
    /// lakeFS's name of the user.
    by: String,
    deleted_at_ms: u64,
}

/// When each mirror was deleted by force, milliseconds since 1970.
pub(super) type ForcedAt = BTreeMap<Incarnation, u64>;

/// Makes a definition the tombstone that it is where its deletion was forced.
pub(super) fn bury(definition: &mut Definition, forced: &ForcedAt) {
    if definition.deleted_at_ms.is_none() {
        definition.deleted_at_ms = forced.get(&definition.incarnation).copied();
    }
}

impl Records {
    /// Deletes a mirror of `definition.region` without the source's region. `false` if that was done already.
    ///
    /// # Errors
    /// [`RecordsError`]; after a fault the mirror may be deleted all the same, and the call can be repeated.
    pub async fn force_deletion(&self, definition: &Definition, by: &str) -> Result<bool, RecordsError> {
        let key = format!("{FORCED}{}/{}", definition.region, definition.incarnation);
        let record = Forced {
            incarnation: definition.incarnation,
            name: definition.name.clone(),
            source_region: definition.source_region.clone(),
            by: by.to_owned(),
            deleted_at_ms: self.clock.wall_ms(),
        };
        let written = self
            .modify(&key, |found: Option<Forced>| match found {
                Some(_) => Ok::<_, RecordsError>((Step::Leave, false)),
                None => Ok((Step::Write(record.clone()), true)),
            })
            .await?;
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
        Ok(written)
    }

    /// Every forced deletion; one that cannot be read is an error: it is never taken for none.
    pub(super) async fn forced(&self) -> Result<ForcedAt, RecordsError> {
        let found = self.whole::<Forced>(FORCED).await?;
        Ok(found.into_iter().map(|(_, _, one)| (one.incarnation, one.deleted_at_ms)).collect())
    }

    /// Takes the forced deletions of mirrors that `region` defined over into its definitions.
    ///
    /// # Errors
    /// [`RecordsError`]; what was taken over before stays so.
    pub async fn accept_forced(&self, region: &str) -> Result<u64, RecordsError> {
        let mut accepted = 0;
        for (_, _, one) in self.whole::<Forced>(FORCED).await? {
            if one.source_region == region && self.mark_deleted(&one.source_region, &one.name, one.incarnation).await? {
                tracing::warn!(mirror = one.name, incarnation = %one.incarnation, by = one.by,
                    "deleted with force in the mirror's region while this one did not answer");
                accepted += 1;
            }
        }
        Ok(accepted)
    }

    /// Removes the forced deletions that `region` wrote, are older than `before_ms` and of mirrors that nobody defines any
    /// more. Returns how many.
    pub(super) async fn remove_forced(
        &self,
        region: &str,
        known: &BTreeSet<Incarnation>,
        before_ms: u64,
    ) -> Result<u64, RecordsError> {
        let mut removed = 0;
        for (key, version, one) in self.whole::<Forced>(&format!("{FORCED}{region}/")).await? {
            if one.deleted_at_ms <= before_ms && !known.contains(&one.incarnation) {
                match self.items.delete(&key, version).await {
                    Ok(()) => removed += 1,
                    Err(PutError::Conflict { .. }) => {}
                    Err(PutError::Fault(fault)) => return Err(fault.into()),
                }
            }
        }
        Ok(removed)
    }
}
