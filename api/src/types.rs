//! The bodies of the API, with lakeFS's own field names.
//!
//! Fields are only ever added. Readers ignore unknown fields, but the body of a creation must not have any.

mod wait_kind;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use wait_kind::WaitKind;

/// The most results that lakeFS returns on one page.
pub const PAGE_RESULTS_MAX: usize = 1000;
/// The number of results that lakeFS returns on one page by default.
pub const PAGE_RESULTS_DEFAULT: usize = 100;

/// A mirror to be created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MirrorCreation {
    /// Name of the mirror repository: 3 to 63 lower-case letters, digits and hyphens, not starting with a hyphen.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{2,62}$", example = "sample-mirror")]
    pub name: String,
    /// The mirror's region.
    #[schema(example = "us-west-2")]
    pub region: String,
    /// The bucket and prefix to which the object store replicates the source's objects.
    #[schema(example = "s3://west/sample")]
    pub storage_namespace: String,
}

/// Held deletions that an operator approves. No body and `{}` both mean all held deletions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeletionsApproval {
    /// The branches that may be deleted on the mirror. If missing or null, all branches whose deletion is held.
    #[serde(default)]
    #[schema(min_items = 1, example = json!(["feature-1"]))]
    pub branches: Option<Vec<String>>,
}

/// Held deletions that were approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApprovedDeletions {
    /// The branches by name. Each is deleted on the mirror after `deletion.grace`, unless it reappears at the source.
    pub branches: Vec<String>,
}

/// Whether a mirror may be deleted without the region of its source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Deletion {
    /// Only in the source's region.
    #[default]
    Regular,
    /// In the mirror's region, while the source's region does not answer.
    Forced,
}

/// A mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mirror {
    /// Name of the mirror repository.
    pub id: String,
    /// The repository that is mirrored.
    pub source_repository_id: String,
    /// The region that has the source repository.
    pub source_region: String,
    /// The mirror's region.
    pub region: String,
    /// The mirror's storage namespace.
    pub storage_namespace: String,
    /// When it was created, in seconds since 1970.
    pub creation_date: i64,
    /// Random id of this creation; a new mirror of the same name has another one. 32 hexadecimal digits.
    pub incarnation: String,
    /// `creating`, `syncing`, `synced`, `stuck`, `failed`, `deleting` or `unknown`.
    pub state: MirrorState,
    /// A sentence about the state, if there is more to say.
    pub state_message: Option<String>,
    /// Its branches by name. `counts.branches` says whether these are all.
    pub branches: Vec<Branch>,
    /// Totals.
    pub counts: Counts,
    /// Problems that need the attention of an operator.
    pub problems: Vec<String>,
    /// How many seconds the mirror is behind, computed at each read: since the oldest head was observed that is not
    /// promoted, or since the last answer of the source or the driver. 0 if in sync, null if unknown.
    pub lag_seconds: Option<u64>,
    /// Seconds since the driver of the mirror last confirmed this status with a heartbeat. Null if this process drives
    /// the mirror itself, and before the first heartbeat it reads.
    pub status_age_seconds: Option<u64>,
    /// The end of the mirror's journal. Store it elsewhere and pass it to `journal verify --anchor SEQ:HASH` later.
    /// Null if unknown.
    pub journal_head: Option<JournalHead>,
}

/// The end of a journal. With a stored copy one can prove later whether the journal was rewritten or cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JournalHead {
    /// The number of its last durable record.
    pub seq: u64,
    /// BLAKE3 of the frame that ends with that record, as 64 hexadecimal digits.
    pub hash: String,
}

/// The state of a mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MirrorState {
    /// Its repository does not exist yet.
    Creating,
    /// At least one branch is behind its source.
    Syncing,
    /// Every branch is in sync with the last observed head of its source.
    Synced,
    /// Something that it waits for is overdue.
    Stuck,
    /// It continues only after an operator has changed something.
    Failed,
    /// It is being deleted; its repository still exists.
    Deleting,
    /// The state is not confirmed, because the driver or the mirrors database does not answer. `state_message` has the
    /// last known state. Also used for a state that only a newer lakemirror knows.
    #[serde(other)]
    Unknown,
}

/// A branch of a mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Branch {
    /// Its name.
    pub id: String,
    /// The last observed head of the source's branch; null if it was deleted there.
    pub source_commit_id: Option<String>,
    /// The head of the mirror's branch; null before the first promotion.
    pub promoted_commit_id: Option<String>,
    /// `waiting`, `promoting`, `synced`, `stuck`, `diverged`, `deleting` or `unknown`.
    pub state: BranchState,
    /// What it waits for.
    pub waiting: Vec<Waiting>,
}

/// The state of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BranchState {
    /// It waits for something that the source's head needs.
    Waiting,
    /// Complete, and being promoted.
    Promoting,
    /// In sync: the mirror's branch points to the last observed head of the source.
    Synced,
    /// What it waits for is overdue.
    Stuck,
    /// Another writer moved the mirror's branch.
    Diverged,
    /// Deleted at the source; removed from the mirror after the grace period.
    Deleting,
    /// A state that only a newer lakemirror knows.
    #[serde(other)]
    Unknown,
}

/// One thing that a branch waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Waiting {
    /// The kind of thing.
    pub kind: WaitKind,
    /// A description for people.
    pub what: String,
    /// The number of missing objects, if it waits for objects.
    pub objects_missing: Option<u64>,
    /// Some of the objects, at most three.
    pub objects: Vec<WaitingObject>,
    /// How many more of this kind are not listed.
    pub and_more: u64,
    /// The start of the wait, in seconds since 1970.
    pub since: i64,
    /// The time of the last check, in seconds since 1970; null before the first.
    pub last_checked: Option<i64>,
}

/// An object that a branch waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitingObject {
    /// Its path in the repository; bytes that are not UTF-8 are escaped.
    pub path: String,
    /// Its expected place: a URI in the mirror's bucket.
    pub uri: String,
}

/// Totals of a mirror.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    /// Mirrored branches, including those that are not listed.
    pub branches: u64,
    /// Commit records on the mirror.
    pub commits_promoted: u64,
    /// Observed commits that are not on the mirror yet.
    pub commits_waiting: u64,
    /// Objects found at the destination.
    pub objects_present: u64,
    /// Objects checked and not found.
    pub objects_missing: u64,
    /// Objects of ancestors that the source does not have any more either.
    pub objects_expired: u64,
    /// Entries whose address is outside the namespace.
    pub objects_outside: u64,
}

/// lakeFS's pagination of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pagination {
    /// Whether there are more results.
    pub has_more: bool,
    /// The value of `after` for the next page; empty if there is none.
    pub next_offset: String,
    /// Results on this page.
    pub results: usize,
    /// The largest number of results on a page.
    pub max_per_page: usize,
}

/// A page of mirrors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MirrorList {
    /// The position of this page.
    pub pagination: Pagination,
    /// Mirrors by name.
    pub results: Vec<Mirror>,
}

impl MirrorList {
    /// The requested page of `mirrors`, which may be in any order.
    #[must_use]
    pub fn page(mut mirrors: Vec<Mirror>, asked: &ListPage) -> Self {
        mirrors.retain(|mirror| mirror.id.starts_with(&asked.prefix) && mirror.id > asked.after);
        mirrors.sort_by(|a, b| a.id.cmp(&b.id));
        let has_more = mirrors.len() > asked.amount;
        mirrors.truncate(asked.amount);
        let next_offset = mirrors.last().filter(|_| has_more).map(|last| last.id.clone()).unwrap_or_default();
        let pagination = Pagination { has_more, next_offset, results: mirrors.len(), max_per_page: PAGE_RESULTS_MAX };
        Self { pagination, results: mirrors }
    }
}

/// The requested part of a list, by lakeFS's rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPage {
    /// Only ids with this prefix.
    pub prefix: String,
    /// Only ids after this one.
    pub after: String,
    /// The maximum number of results, 1 to [`PAGE_RESULTS_MAX`].
    pub amount: usize,
}

impl Default for ListPage {
    fn default() -> Self {
        Self { prefix: String::new(), after: String::new(), amount: PAGE_RESULTS_DEFAULT }
    }
}

impl ListPage {
    /// Parses lakeFS's amount: -1 and 0 mean the default.
    ///
    /// # Errors
    /// A message if the text is not a number in -1..=1000.
    pub fn amount(text: &str) -> Result<usize, String> {
        match text.parse::<i64>() {
            Ok(-1 | 0) => Ok(PAGE_RESULTS_DEFAULT),
            Ok(amount @ 1..=1000) => Ok(usize::try_from(amount).unwrap_or(PAGE_RESULTS_MAX)),
            _ => Err(format!("amount must be a whole number from -1 to {PAGE_RESULTS_MAX}, not {text:?}")),
        }
    }
}

/// Whether lakemirror is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `starting`, `ready` or `unready`.
    pub state: HealthState,
    /// What it is doing, or why it is not ready.
    pub message: String,
}

/// See [`Health`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// Not ready: calls of the API answer 503.
    Starting,
    /// Ready.
    Ready,
    /// Started, but unable to answer at the moment; the message has the reason.
    Unready,
}

#[cfg(test)]
pub(crate) mod tests;
