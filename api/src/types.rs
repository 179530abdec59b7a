//! The bodies of the API, in lakeFS's own field names.
//!
//! Fields are only ever added. Readers ignore fields that they do not know; the body of a creation may not have any.

mod wait_kind;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use wait_kind::WaitKind;

/// What lakeFS answers at most on one page.
pub const PAGE_RESULTS_MAX: usize = 1000;
/// What lakeFS answers on one page unless asked for another amount.
pub const PAGE_RESULTS_DEFAULT: usize = 100;

/// A mirror to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MirrorCreation {
    /// Name of the mirror repository: 3 to 63 lower-case letters, digits and hyphens, not starting with a hyphen.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{2,62}$", example = "sample-mirror")]
    pub name: String,
    /// The mirror's region.
    #[schema(example = "us-west-2")]
    pub region: String,
    /// Where the object store's replication puts the source's objects.
    #[schema(example = "s3://west/sample")]
    pub storage_namespace: String,
}

/// Held deletions that an operator approves. Without a body, as with `{}`, all that are held.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeletionsApproval {
    /// The branches that may be deleted on the mirror; missing or null for all whose deletion is held.
    #[serde(default)]
    #[schema(min_items = 1, example = json!(["feature-1"]))]
    pub branches: Option<Vec<String>>,
}

/// Held deletions that go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApprovedDeletions {
    /// The branches, by name. Each is deleted on the mirror after `deletion.grace`, unless it comes back at the source.
    pub branches: Vec<String>,
}

/// Whether a mirror may be deleted without the region of its source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Deletion {
    /// In the source's region only.
    #[default]
    Regular,
    /// In the mirror's region, while the source's does not answer.
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
    /// Random, another one for each creation, also of the same name: 32 hexadecimal digits.
    pub incarnation: String,
    /// `creating`, `syncing`, `synced`, `stuck`, `failed`, `deleting` or `unknown`.
    pub state: MirrorState,
    /// The state in a sentence, where there is more to say.
    pub state_message: Option<String>,
    /// Its branches by name. `counts.branches` says whether these are all.
    pub branches: Vec<Branch>,
    /// How much there is.
    pub counts: Counts,
    /// What somebody should look at.
    pub problems: Vec<String>,
    /// How many seconds the mirror is behind, computed when it is read: since the oldest head was seen that is not promoted,
    /// or since the source or the driver was last heard. 0 when in sync, null where nothing is known.
    pub lag_seconds: Option<u64>,
    /// Seconds since the driver of the mirror last confirmed this status, by its heartbeat. Null where this process drives the
    /// mirror itself, and until it has seen a heartbeat.
    pub status_age_seconds: Option<u64>,
    /// The journal behind all this, to be noted elsewhere and given to `journal verify --anchor SEQ:HASH`; null where
    /// nothing is known.
    pub journal_head: Option<JournalHead>,
}

/// The end of a journal: whoever has noted it can tell later whether the journal was rewritten or cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JournalHead {
    /// The number of its last durable record.
    pub seq: u64,
    /// BLAKE3 of the frame that ends with that record, as 64 hexadecimal digits.
    pub hash: String,
}

/// Where a mirror is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MirrorState {
    /// Its repository is not there yet.
    Creating,
    /// Some branch is behind its source.
    Syncing,
    /// Every branch is where its source was last seen.
    Synced,
    /// Something it waits for is overdue.
    Stuck,
    /// It goes on only after somebody has changed something.
    Failed,
    /// It is deleted, its repository not gone yet.
    Deleting,
    /// Nobody confirms the state: the driver or the mirrors database does not answer. `state_message` has the last known
    /// state. Also a state that only a newer lakemirror knows.
    #[serde(other)]
    Unknown,
}

/// A branch of a mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Branch {
    /// Its name.
    pub id: String,
    /// Where the source's branch was last seen; null when it is gone there.
    pub source_commit_id: Option<String>,
    /// Where the mirror's branch is; null before the first promotion.
    pub promoted_commit_id: Option<String>,
    /// `waiting`, `promoting`, `synced`, `stuck`, `diverged`, `deleting` or `unknown`.
    pub state: BranchState,
    /// What it waits for.
    pub waiting: Vec<Waiting>,
}

/// Where a branch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BranchState {
    /// It waits for what its source points to.
    Waiting,
    /// Complete, on its way to the mirror.
    Promoting,
    /// The mirror's branch is where the source's was last seen.
    Synced,
    /// What it waits for is overdue.
    Stuck,
    /// Somebody else moved the mirror's branch.
    Diverged,
    /// Gone at the source, to be removed after a grace time.
    Deleting,
    /// A state that only a newer lakemirror knows.
    #[serde(other)]
    Unknown,
}

/// One thing that a branch waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Waiting {
    /// What sort of thing it is.
    pub kind: WaitKind,
    /// What it is, for people.
    pub what: String,
    /// How many objects are missing, where it waits for objects.
    pub objects_missing: Option<u64>,
    /// Some of the objects, at most three.
    pub objects: Vec<WaitingObject>,
    /// How many more of this kind are not listed.
    pub and_more: u64,
    /// Since when, in seconds since 1970.
    pub since: i64,
    /// When it was last looked for, in seconds since 1970; null if not yet.
    pub last_checked: Option<i64>,
}

/// An object that a branch waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitingObject {
    /// Its path in the repository; bytes that are not UTF-8 are escaped.
    pub path: String,
    /// Where it should be: a URI in the mirror's bucket.
    pub uri: String,
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    /// Branches followed, those that are not listed included.
    pub branches: u64,
    /// Commit records on the mirror.
    pub commits_promoted: u64,
    /// Commits seen and not yet on the mirror.
    pub commits_waiting: u64,
    /// Objects seen at the destination.
    pub objects_present: u64,
    /// Objects looked for and not seen.
    pub objects_missing: u64,
    /// Objects of ancestors that are gone at the source as well.
    pub objects_expired: u64,
    /// Entries whose address is outside the namespace.
    pub objects_outside: u64,
}

/// lakeFS's description of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pagination {
    /// Whether there are more results.
    pub has_more: bool,
    /// What to send as `after` for the next page; empty when there is none.
    pub next_offset: String,
    /// Results on this page.
    pub results: usize,
    /// Results that a page may have.
    pub max_per_page: usize,
}

/// A page of mirrors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MirrorList {
    /// Where this page is.
    pub pagination: Pagination,
    /// Mirrors by name.
    pub results: Vec<Mirror>,
}

impl MirrorList {
    /// The page that was asked for, of mirrors in any order.
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

/// Which part of a list is wanted, by lakeFS's rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPage {
    /// Only ids that start so.
    pub prefix: String,
    /// Only ids after this one.
    pub after: String,
    /// At most so many, 1 to [`PAGE_RESULTS_MAX`].
    pub amount: usize,
}

impl Default for ListPage {
    fn default() -> Self {
        Self { prefix: String::new(), after: String::new(), amount: PAGE_RESULTS_DEFAULT }
    }
}

impl ListPage {
    /// lakeFS's amount: -1 and 0 mean the default.
    ///
    /// # Errors
    /// A message for what is no number or not in -1..=1000.
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
    /// It has started and cannot answer at the moment; the message says why.
    Unready,
}

#[cfg(test)]
pub(crate) mod tests;
