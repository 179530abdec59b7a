//! What the sandbox remembers: repositories, branches, commits, tags, staged entries, settings.
//!
//! Plain data with one encoding (serde, for the log). Owns no I/O and no rule of lakeFS's: changes arrive as
//! [`Mutation`](super::mutation::Mutation)s, reads are made by `lake`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A repository's record. Everything in it lives in the partition named by `uid`, so that a repository recreated
/// under its name shares nothing with its predecessor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Its name.
    pub name: String,
    /// Names the partition that holds its branches, tags and commits.
    pub uid: String,
    /// Where its objects are, exactly as given at creation, such as `local://bucket/prefix`.
    pub storage_namespace: String,
    /// The branch that can never be deleted.
    pub default_branch: String,
    /// Seconds since 1970.
    pub creation_date: i64,
    /// Whether writes need force.
    pub read_only: bool,
    /// Whether a deletion was begun and not finished.
    #[serde(default)]
    pub in_deletion: bool,
}

/// A commit as it is kept. Ids are text, because lakeFS takes any text in `createCommitRecord` that hashes right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Its content id, 64 hexadecimal digits.
    pub id: String,
    /// Who made it; empty for the first commit.
    pub committer: String,
    /// Its message.
    pub message: String,
    /// Whole seconds since 1970: what the id hashes.
    pub seconds: i64,
    /// Nanoseconds within the second: what orders the log among commits of one second.
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

/// How an entry's address is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Addressing {
    /// By what it looks like: a URI is a full one (records of old servers).
    ByPrefix,
    /// Relative to the storage namespace.
    Relative,
    /// A URI of its own.
    Full,
}

/// One object as a tree or the staging area records it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where its bytes are.
    pub address: String,
    /// How `address` is to be read.
    pub addressing: Addressing,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Nanoseconds within the second.
    #[serde(default)]
    pub mtime_nanos: i32,
    /// Bytes, as the writer claimed.
    pub size: i64,
    /// The checksum, as the writer claimed; MD5 in hexadecimal for uploads.
    pub checksum: String,
    /// Media type; empty for none.
    pub content_type: String,
    /// User metadata.
    pub metadata: BTreeMap<String, String>,
}

/// Uncommitted changes by path; `None` is a deletion.
pub type Changes = BTreeMap<String, Option<Arc<Entry>>>;

/// A branch: its head and what is staged on top of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Branch {
    /// The commit it points to.
    pub head: String,
    /// Whether listings leave it out.
    pub hidden: bool,
    /// Changes made since the last attempt to commit.
    pub staged: Changes,
    /// Changes that an attempt to commit took and did not manage to commit. They make the branch dirty for
    /// hard resets, which plain staged changes do not.
    pub sealed: Changes,
}

impl Branch {
    /// Everything uncommitted; what is staged later wins.
    pub fn uncommitted(&self) -> Changes {
        let mut all = self.sealed.clone();
        all.extend(self.staged.iter().map(|(path, entry)| (path.clone(), entry.clone())));
        all
    }
}

/// What belongs to one incarnation of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Partition {
    /// Branches by name.
    pub branches: BTreeMap<String, Branch>,
    /// Tags by name: the commit each points to.
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
    /// When the one user was made, seconds since 1970.
    pub created: i64,
    /// Repositories by name.
    pub repositories: BTreeMap<String, Repository>,
    /// Partitions by [`Repository::uid`].
    pub partitions: BTreeMap<String, Partition>,
}
