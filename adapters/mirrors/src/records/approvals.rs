//! Held deletions that operators approved: one item for some of them, written by the region that took the call and never
//! changed, so that no two regions write the same one.
//!
//! An approval names the branch and what the mirror showed there. It may be read again at any time and by whoever drives
//! the mirror then: it lets nothing else be deleted than what was approved.

use lakemirror_ports::{ApprovedDeletion, CommitId};

use super::*;

/// Bytes of names that one item has, at most; the heads beside them come to less than as much again for short names.
const NAMES_BYTES_MAX: usize = 16 * 1024;
/// Branches that one item has, at most.
const BRANCHES_MAX: usize = 400;
/// Items that one region keeps for one mirror: the oldest go first.
const ITEMS_MAX: usize = 64;

const APPROVALS: &str = "approvals/";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Approvals {
    #[serde(with = "envelope::incarnation")]
    incarnation: Incarnation,
    /// lakeFS's name of the user.
    by: String,
    /// Milliseconds since 1970, for people.
    approved_at_ms: u64,
    branches: Vec<Approved>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Approved {
    branch: String,
    #[serde(with = "envelope::commit", default, skip_serializing_if = "Option::is_none")]
    head: Option<CommitId>,
}

fn prefix(incarnation: Incarnation) -> String {
    format!("{APPROVALS}{incarnation}/")
}

impl Records {
    /// Writes down that deletions were approved, in `region`, which took the call. Repeatable.
    ///
    /// # Errors
    /// [`RecordsError`]; some may be written then.
    pub async fn approve_deletions(
        &self,
        region: &str,
        incarnation: Incarnation,
        approved: &[(String, Option<CommitId>)],
        by: &str,
    ) -> Result<(), RecordsError> {
        let approved_at_ms = self.clock.wall_ms();
        for some in chunks(approved) {
            let approved =
                |(branch, head): &(String, Option<CommitId>)| Approved { branch: branch.clone(), head: *head };
            let branches = some.iter().map(approved).collect();
            self.add(region, &Approvals { incarnation, by: by.to_owned(), approved_at_ms, branches }).await?;
        }
        self.drop_oldest(region, incarnation).await?;
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
        Ok(())
    }

    /// Writes an item that is not there yet: of calls within one millisecond, each gets its own.
    async fn add(&self, region: &str, record: &Approvals) -> Result<(), RecordsError> {
        let name =
            |number: usize| format!("{}{region}/{:015}-{number:04}", prefix(record.incarnation), record.approved_at_ms);
        for number in 0..ITEMS_MAX * 2 {
            let key = name(number);
            let value = envelope::seal(record).map_err(|what| RecordsError::Unreadable { key: key.clone(), what })?;
            match self.items.put(&key, value, Expect::Absent).await {
                Ok(_) => return Ok(()),
                Err(PutError::Fault(fault)) => return Err(fault.into()),
                Err(PutError::Conflict { .. }) => {}
            }
        }
        Err(RecordsError::Contended { key: name(0) })
    }

    async fn drop_oldest(&self, region: &str, incarnation: Incarnation) -> Result<(), RecordsError> {
        let own = self.whole::<Approvals>(&format!("{}{region}/", prefix(incarnation))).await?;
        for (key, version, _) in own.iter().take(own.len().saturating_sub(ITEMS_MAX)) {
            self.remove(key, *version).await?;
        }
        Ok(())
    }

    async fn remove(&self, key: &str, version: u64) -> Result<(), RecordsError> {
        match self.items.delete(key, version).await {
            Ok(()) | Err(PutError::Conflict { .. }) => Ok(()),
            Err(PutError::Fault(fault)) => Err(fault.into()),
        }
    }

    /// The deletions of a mirror that operators approved, in any region.
    ///
    /// # Errors
    /// [`RecordsError`], also for an item that cannot be read.
    pub async fn approved_deletions(&self, incarnation: Incarnation) -> Result<Vec<ApprovedDeletion>, RecordsError> {
        let found = self.whole::<Approvals>(&prefix(incarnation)).await?;
        let each = found.into_iter().flat_map(|(_, _, one)| {
            let by = one.by;
            one.branches.into_iter().map(move |Approved { branch, head }| ApprovedDeletion {
                branch,
                head,
                by: by.clone(),
            })
        });
        Ok(each.collect())
    }

    /// Removes the approvals that `region` wrote for mirrors that nobody defines any more. Returns how many items.
    pub(super) async fn remove_approvals(
        &self,
        region: &str,
        known: &BTreeSet<Incarnation>,
    ) -> Result<u64, RecordsError> {
        let mut removed = 0;
        for (key, version, one) in self.whole::<Approvals>(APPROVALS).await? {
            let own = key.starts_with(&format!("{}{region}/", prefix(one.incarnation)));
            if own && !known.contains(&one.incarnation) {
                self.remove(&key, version).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// In pieces that fit into an item each.
fn chunks(approved: &[(String, Option<CommitId>)]) -> Vec<&[(String, Option<CommitId>)]> {
    let (mut chunks, mut from, mut bytes) = (Vec::new(), 0, 0);
    for (at, (name, _)) in approved.iter().enumerate() {
        if at > from && (bytes + name.len() > NAMES_BYTES_MAX || at - from >= BRANCHES_MAX) {
            chunks.extend(approved.get(from..at));
            (from, bytes) = (at, 0);
        }
        bytes += name.len();
    }
    chunks.extend(approved.get(from..).filter(|rest| !rest.is_empty()));
    chunks
}
