//! A mirror's status as its region publishes it.
//!
//! It is also the shape in which the engine tells this process's API about mirrors that it drives itself. How it lies in
//! the database is [`super::stored`]'s.

use lakemirror_api::types::WaitKind;
use lakemirror_ports::{CommitId, Incarnation};
use serde::{Deserialize, Serialize};

use super::definition::Stamp;
use super::envelope;

/// Most problems that a summary lists.
pub const PROBLEMS_MAX: usize = 50;

/// Where a mirror is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// A state that only a newer lakemirror knows.
    #[serde(other)]
    Unknown,
}

/// Where a branch of a mirror is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BranchState {
    /// It waits for what its source points to.
    Waiting,
    /// Complete, its records and head on their way to the mirror.
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

/// An object that a branch waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingObject {
    /// Its path in the repository, escaped.
    pub path: String,
    /// Where it should be: a URI.
    pub uri: String,
}

/// One thing that a branch waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// What sort of thing it is.
    pub kind: WaitKind,
    /// What it is, for people: a key, an id, an answer.
    pub what: String,
    /// How many objects are missing, where it waits for objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects_missing: Option<u64>,
    /// Some of the objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<WaitingObject>,
    /// How many more of this kind are not listed.
    #[serde(default)]
    pub and_more: u64,
    /// Milliseconds since 1970 since when.
    pub since_ms: u64,
    /// Milliseconds since 1970 when it was last looked for.
    #[serde(default)]
    pub checked_at_ms: Option<u64>,
}

/// One branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchStatus {
    /// Its name.
    pub name: String,
    /// Where the source's branch was last seen; none when it is gone there.
    #[serde(with = "envelope::commit", default, skip_serializing_if = "Option::is_none")]
    pub source_commit: Option<CommitId>,
    /// Where the mirror's branch is; none before the first promotion.
    #[serde(with = "envelope::commit", default, skip_serializing_if = "Option::is_none")]
    pub promoted_commit: Option<CommitId>,
    /// Where it is.
    pub state: BranchState,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Waiting>,
    /// Since when the oldest head waits that was seen and not promoted, milliseconds since 1970 by the writer's clock; none
    /// when level, or where an earlier version wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind_since_ms: Option<u64>,
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Branches followed, those that are not listed included.
    pub branches: u64,
    /// Commit records on the mirror.
    pub commits_promoted: u64,
    /// Commits that a branch leads to and that are not yet on the mirror.
    pub commits_waiting: u64,
    /// Objects seen at the destination.
    pub objects_present: u64,
    /// Objects not seen there that what a branch shows, or is to show, needs.
    pub objects_missing: u64,
    /// Objects of ancestors that are gone at the source as well.
    pub objects_expired: u64,
    /// Entries whose address is outside the namespace.
    pub objects_outside: u64,
}

/// The last durable record of the journal behind a summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalHead {
    /// Its number.
    pub seq: u64,
    /// BLAKE3 of the frame that ends with it, in hexadecimal digits.
    pub hash: String,
    /// The journal's id. Older versions did not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<String>,
}

/// What is known of a mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Where it is.
    pub state: MirrorState,
    /// The state in a sentence, where there is more to say than its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_message: Option<String>,
    /// Its branches by name; perhaps not all of them ([`Counts::branches`]).
    #[serde(skip)]
    pub branches: Vec<BranchStatus>,
    /// How much there is.
    #[serde(default)]
    pub counts: Counts,
    /// What somebody should look at.
    #[serde(default)]
    pub problems: Vec<String>,
    /// How far behind it was when this was written, in seconds: for readers of earlier versions, and for what those wrote.
    #[serde(default)]
    pub lag_seconds: u64,
    /// Since when the mirror is not known to show everything that the source has, milliseconds since 1970 by the writer's
    /// clock; none while it does. The lag is computed from it when it is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind_since_ms: Option<u64>,
    /// The journal behind this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal_head: Option<JournalHead>,
}

impl Status {
    /// Of a mirror of which nothing is known yet.
    #[must_use]
    pub fn creating() -> Self {
        Self {
            state: MirrorState::Creating,
            state_message: None,
            branches: Vec::new(),
            counts: Counts::default(),
            problems: Vec::new(),
            lag_seconds: 0,
            behind_since_ms: None,
            journal_head: None,
        }
    }
}

/// A status with its place in its writer's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The mirror.
    #[serde(with = "envelope::incarnation")]
    pub incarnation: Incarnation,
    /// Its name, for people who look into the database.
    pub name: String,
    /// The writer's epoch and count: a lower one never overwrites a higher one.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Milliseconds since 1970 by the writer's clock.
    pub written_at_ms: u64,
    /// What is known.
    #[serde(flatten)]
    pub status: Status,
}
