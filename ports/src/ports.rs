//! The ports: what the engine needs from the outside, as traits, and the values that cross them.
//!
//! The adapters (`lakefs`, `objects`, `mirrors`) implement these traits; the engine sees nothing else of them. Every
//! answer from outside is a value or a [`Fault`]. The kind of a fault says how the engine treats it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
pub use lakemirror_core::commit::CommitRecord;
pub use lakemirror_core::ids::{CommitId, Incarnation, MetarangeId};
pub use lakemirror_core::limits::NAME_BYTES_MAX;

mod store;

pub use store::{Inode, Machine, Sameness, StoreIdentity};

mod alarm;

pub use alarm::Alarm;

/// What a failed call to the outside means for the caller. Each kind has one treatment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The thing asked for is proven not to exist: the answer names it, and not something around it.
    Absent,
    /// A transport error, a timeout, throttling, a server error or a truncated answer: the same call may succeed later.
    Retry,
    /// Wrong credentials or a missing permission: the call succeeds only after an operator has changed something.
    Denied,
    /// The request can never succeed as it is.
    Refused,
    /// An answer that contradicts itself: an id that does not match its content, or a body that does not parse.
    Contradiction,
}

/// A failed call to the outside: the call and the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What the failure means.
    pub kind: FaultKind,
    /// The call and its target, such as `get branch main of repository sample at http://…`. Never a secret.
    pub call: String,
    /// The HTTP status, if there was one.
    pub status: Option<u16>,
    /// The answer's message or the transport error, with its causes.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "{}: {} {}", self.call, status, self.message),
            None => write!(f, "{}: {}", self.call, self.message),
        }
    }
}

impl std::error::Error for Fault {}

/// A repository as lakeFS returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Its name.
    pub id: String,
    /// Seconds since 1970; changes when a repository is deleted and created again under its name.
    pub creation_date: i64,
    /// The branch that can never be deleted.
    pub default_branch: String,
    /// The storage namespace, such as `s3://bucket/prefix`, exactly as stored.
    pub storage_namespace: String,
    /// Whether writes need force.
    pub read_only: bool,
}

/// A branch and the commit it points to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BranchHead {
    /// The branch's name.
    pub name: String,
    /// The commit at its head.
    pub head: CommitId,
}

/// A listing of branches, part of which may be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Branches that are there, and their heads, each once and sorted by name.
    pub heads: Vec<BranchHead>,
    /// What is wrong with the listing, if anything. A flawed listing does not prove that a branch is gone.
    pub flaw: Option<Fault>,
}

/// The outcome of a call that creates something which may exist already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateOutcome {
    /// This call created it.
    Created,
    /// It existed before (409).
    Existed,
}

/// Whether the source still has an object's bytes (a one-byte ranged read through lakeFS).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceObject {
    /// 206 or 416: the bytes exist, with this size if the answer states it.
    There {
        /// Size in bytes by the answer's `Content-Range`; 0 for an empty object.
        size: Option<u64>,
    },
    /// 410 `No data` from the source itself: the bytes no longer exist.
    Gone,
    /// 404: the commit has no such path.
    NoSuchPath,
}

/// The lakeFS of one region, used with the replication user's credentials. Only committed state is read.
///
/// Every call has a time limit and bounded retries of its own. If it still returns [`FaultKind::Retry`], the caller
/// should try again later. `Absent` is returned only if the answer's message names the thing asked for (`branch not
/// found` for a branch). `repository not found` on a branch call is `Refused`, with its message.
#[async_trait]
pub trait Lakefs: Send + Sync {
    /// The endpoint, for messages.
    fn endpoint(&self) -> &str;
    /// `GET /repositories/{r}`. `Absent` for `repository not found`; `Retry` for a repository in deletion (410).
    async fn repository(&self, repository: &str) -> Result<Repository, Fault>;
    /// All branches of all pages, sorted by name, including hidden ones if `hidden`. The listing is complete or the
    /// call fails.
    async fn branches(&self, repository: &str, hidden: bool) -> Result<Vec<BranchHead>, Fault>;
    /// Like [`Lakefs::branches`], but a listing that repeats, goes back, or contains an unreadable branch still returns
    /// the other branches.
    async fn listing(&self, repository: &str, hidden: bool) -> Result<Listing, Fault> {
        Ok(Listing { heads: self.branches(repository, hidden).await?, flaw: None })
    }
    /// One branch. `Absent` only for `branch not found`.
    async fn branch(&self, repository: &str, branch: &str) -> Result<CommitId, Fault>;
    /// One commit by its full id, which is recomputed (a mismatch is `Contradiction`). Used only with a source.
    async fn commit(&self, repository: &str, commit: &CommitId) -> Result<CommitRecord, Fault>;
    /// Up to `amount` (1..=1000) commits reachable from `from`, newest first and beginning with `from`. Their ids are
    /// recomputed.
    async fn log(&self, repository: &str, from: &CommitId, amount: usize) -> Result<Vec<CommitRecord>, Fault>;
    /// Creates a bare read-only repository. `Existed` for 409.
    async fn create_mirror_repository(
        &self,
        repository: &str,
        storage_namespace: &str,
        default_branch: &str,
    ) -> Result<CreateOutcome, Fault>;
    /// Deletes a repository with force, and repeats the call until it no longer exists. `Absent` if it does not exist.
    async fn delete_repository(&self, repository: &str) -> Result<(), Fault>;
    /// The repository's metadata.
    async fn metadata(&self, repository: &str) -> Result<BTreeMap<String, String>, Fault>;
    /// Merges keys into the repository's metadata.
    async fn set_metadata(&self, repository: &str, entries: &BTreeMap<String, String>) -> Result<(), Fault>;
    /// Writes a commit record with force. `Existed` for 409, which is success because ids are content addresses.
    async fn put_commit(&self, repository: &str, commit: &CommitRecord) -> Result<CreateOutcome, Fault>;
    /// Creates a branch at a commit with force. `Existed` for 409 `branch already exists`; any other 409 is `Refused`.
    async fn create_branch(
        &self,
        repository: &str,
        branch: &str,
        commit: &CommitId,
        hidden: bool,
    ) -> Result<CreateOutcome, Fault>;
    /// Moves a branch to a commit (hard reset) with force. `Absent` only for `branch not found`.
    async fn reset_branch(&self, repository: &str, branch: &str, commit: &CommitId) -> Result<(), Fault>;
    /// Deletes a branch with force. `Absent` only for `branch not found`.
    async fn delete_branch(&self, repository: &str, branch: &str) -> Result<(), Fault>;
    /// Asks with a ranged read of one byte whether the bytes behind a commit's path exist. The path is raw bytes and
    /// need not be UTF-8.
    async fn probe_object(&self, repository: &str, commit: &CommitId, path: &[u8]) -> Result<SourceObject, Fault>;
}

/// The location of an object: bucket and key of a store, resolved by lakeFS's own rules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The bucket, or the first directory of a local store.
    pub bucket: Arc<str>,
    /// The key within it, verbatim.
    pub key: String,
}

/// A small object read as a whole, or why it could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// Its bytes.
    Bytes(Bytes),
    /// It does not exist (404 without a delete marker, as far as the store tells).
    Absent,
    /// It is under a delete marker, where the store says so.
    Deleted,
}

/// One object whose arrival is to be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its key in the bucket that the check names.
    pub key: Box<str>,
    /// The size that its entry records, in bytes.
    pub size: u64,
    /// The caller's own number, returned with the answer.
    pub tag: u64,
}

/// The answer to one arrival check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There, with the wanted size.
    Present,
    /// Not there.
    Absent,
    /// Under a delete marker.
    Deleted,
    /// There with another size.
    WrongSize {
        /// The size found, in bytes.
        found: u64,
    },
    /// It exists with the wanted size, but cannot be read before it is restored from an archive.
    Archived {
        /// The number of its class ([`lakemirror_core::archived`]).
        class: u8,
    },
    /// The store refuses to answer (403): a matter of permission, never absence.
    Forbidden,
    /// No answer within the bounds of this check (timeouts, throttling, server errors).
    Unknown,
}

/// One answered check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The tag of the [`Wanted`].
    pub tag: u64,
    /// The store's answer.
    pub outcome: Outcome,
}

/// How a check may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// The first check of many keys: the cheapest mix of LIST and HEAD.
    Sweep,
    /// A repeated check of missing keys: HEAD for a few keys, LIST where that is cheaper.
    Recheck,
}

/// The destination's object store as the verifier sees it: whole metadata files, and arrival checks at scale.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Reads an object of at most `limit` bytes (a larger one is `Refused`).
    async fn read(&self, at: &Location, limit: u64) -> Result<Fetched, Fault>;
    /// Checks every wanted key of one bucket. Unless the check fails as a whole, every key is answered exactly once, in
    /// any order and in any number of calls to `answers`. A single key without an answer is [`Outcome::Unknown`]. A
    /// fault concerns all keys (no such bucket, wrong credentials).
    async fn check(
        &self,
        bucket: &str,
        wanted: Vec<Wanted>,
        effort: Effort,
        answers: &(dyn Fn(Vec<Answer>) + Send + Sync),
    ) -> Result<(), Fault>;
}

/// A mirror as the mirrors database defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorDefinition {
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// Its name, which is also the name of the mirror repository.
    pub name: String,
    /// The source repository.
    pub source_repository: String,
    /// The source's region.
    pub source_region: String,
    /// The mirror's region.
    pub region: String,
    /// The mirror repository's storage namespace.
    pub storage_namespace: String,
    /// When it was created, milliseconds since 1970.
    pub created_ms: u64,
    /// The source's object store, as the source's region describes it.
    pub source_store: StoreIdentity,
    /// Whether its deletion was requested and is not acknowledged yet.
    pub deleted: bool,
}

/// A held deletion that an operator approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovedDeletion {
    /// The branch.
    pub branch: String,
    /// The head of the branch on the mirror at the time of the approval: what the deletion may lose.
    pub head: Option<CommitId>,
    /// Who approved it.
    pub by: String,
}

/// What a process publishes about itself in the mirrors database, periodically.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// The process: a random id, new with every start.
    pub process: String,
    /// The id of its journal.
    pub node: String,
    /// A description for people: host, process number, version.
    pub about: String,
    /// The number of this heartbeat.
    pub count: u64,
    /// Whether the process has stopped and holds no lease.
    pub ended: bool,
}

/// The driver of a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The process that holds the lease; none after the lease was released.
    pub holder: Option<String>,
    /// A description of the holder, or of the last one, for people.
    pub about: String,
    /// The journal that has the mirror's history up to now.
    pub node: String,
    /// Grows with every change of owner.
    pub epoch: u64,
    /// The process for which the last holder released the lease.
    pub meant_for: Option<String>,
    /// The version of the database item; none if there is no item yet.
    pub version: Option<u64>,
}

/// The leases of a region, that is, its heartbeats and owners, in the mirrors database as this region sees it.
#[async_trait]
pub trait LeaseTable: Send + Sync {
    /// Whether other processes can use the database at all. If not, there are no heartbeats.
    fn is_shared(&self) -> bool;
    /// Writes this process's heartbeat.
    async fn beat(&self, region: &str, beat: &Heartbeat) -> Result<(), Fault>;
    /// All heartbeats of the region.
    async fn heartbeats(&self, region: &str) -> Result<Vec<Heartbeat>, Fault>;
    /// The owner of each mirror of the region. An unreadable owner is an error: it is never taken for no owner.
    async fn owners(&self, region: &str) -> Result<BTreeMap<Incarnation, Owner>, Fault>;
    /// Writes the owner of a mirror if the item still has `owner`'s version. Returns the new version, or none if
    /// another process changed the item.
    async fn write_owner(&self, region: &str, mirror: &Incarnation, owner: &Owner) -> Result<Option<u64>, Fault>;
}
