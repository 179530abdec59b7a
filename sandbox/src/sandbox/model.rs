//! The state of the sandbox: repositories, branches, commits, tags, staged entries, settings.
//!
//! Plain data with one encoding (serde, for the log). Does no I/O and knows no rules of lakeFS: changes are
//! [`Mutation`](super::mutation::Mutation)s, `lake` reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A repository's record. Its content is in the partition named by `uid`, so a repository that is created again under
/// its name shares nothing with its predecessor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Its name.
    pub name: String,
    /// The partition that contains its branches, tags and commits.
    pub uid: String,
    /// Where its objects are, exactly as specified at creation, such as `local://bucket/prefix`.
    pub storage_namespace: String,
    /// The branch that can never be deleted.
    pub default_branch: String,
    /// Seconds since 1970.
    pub creation_date: i64,
    /// Whether writes need force.
    pub read_only: bool,
    /// Whether a deletion was started and not finished.
    #[serde(default)]
    pub in_deletion: bool,
}

/// A commit as it is stored. Ids are strings, because lakeFS accepts any strings in `createCommitRecord` as long as the
/// hash is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Its content id, 64 hexadecimal digits.
    pub id: String,
    /// The committer; empty for the first commit.
    pub committer: String,
    /// Its message.
    pub message: String,
    /// Whole seconds since 1970; part of the id.
    pub seconds: i64,
    /// Nanoseconds within the second; order the log among commits of one second.
    #[serde(default)]
    pub nanos: u32,
    /// The tree; empty for the first commit, which has no file.
    pub metarange: String,
    /// User metadata.
    pub metadata: BTreeMap<String, String>,
    /// Parents in stored order.
    pub parents: Vec<String>,
    /// 0 or 1; not part of the id.
    pub version: i32,
    /// Distance from the first commit; not part of the id.
    pub generation: i32,
}

/// How to interpret an entry's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Addressing {
    /// By its form: a URI is a full address (records of old servers).
    ByPrefix,
    /// Relative to the storage namespace.
    Relative,
    /// A URI of its own.
    Full,
}

/// One object in a tree or in the staging area.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where its bytes are.
    pub address: String,
    /// How to interpret `address`.
    pub addressing: Addressing,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Nanoseconds within the second.
    #[serde(default)]
    pub mtime_nanos: i32,
    /// Size in bytes, as the writer stated it.
    pub size: i64,
    /// The checksum, as the writer stated it; MD5 in hexadecimal for uploads.
    pub checksum: String,
    /// Media type; empty for none.
    pub content_type: String,
    /// User metadata.
    pub metadata: BTreeMap<String, String>,
}

/// Uncommitted changes by path; `None` is a deletion.
pub type Changes = BTreeMap<String, Option<Arc<Entry>>>;

/// A branch: its head and its uncommitted changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Branch {
    /// The commit it points to.
    pub head: String,
    /// Whether listings omit it.
    pub hidden: bool,
    /// Changes made since the last attempt to commit.
    pub staged: Changes,
    /// Changes that a failed attempt to commit left behind. They make the branch dirty for hard resets; staged changes
    /// alone do not.
    pub sealed: Changes,
}

impl Branch {
    /// All uncommitted changes; later ones win.
    pub fn uncommitted(&self) -> Changes {
        let mut all = self.sealed.clone();
        all.extend(self.staged.iter().map(|(path, entry)| (path.clone(), entry.clone())));
        all
    }
}

/// The content of one incarnation of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Partition {
    /// Branches by name.
    pub branches: BTreeMap<String, Branch>,
    /// Tags by name, with the commit of each.
    pub tags: BTreeMap<String, String>,
    /// Commits by id.
    pub commits: BTreeMap<String, Arc<Commit>>,
    /// The repository's metadata.
    pub metadata: BTreeMap<String, String>,
    /// Patterns of protected branches.
    pub protected: Vec<String>,
}

/// The whole key-value state of one server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// A random id, in the answer of `/_health`.
    pub installation: String,
    /// When the user was created, seconds since 1970.
    pub created: i64,
    /// Repositories by name.
    pub repositories: BTreeMap<String, Repository>,
    /// Partitions by [`Repository::uid`].
    pub partitions: BTreeMap<String, Partition>,
}
