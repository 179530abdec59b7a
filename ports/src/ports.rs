//! What the engine needs from the world, as traits, and the values that cross them.
//!
//! Adapters (`lakefs`, `objects`, `mirrors`) implement these; the engine sees nothing else of them. Every answer
//! from outside is a value or a [`Fault`], whose kind says what the engine does about it: one treatment a kind.

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

/// What a failed call to the outside means for the caller. One treatment each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// What was asked for is proven not to be there: the answer names the thing itself, not something around it.
    Absent,
    /// Transport errors, timeouts, throttling, server errors, answers cut short: the same call may work later.
    Retry,
    /// Wrong credentials or a missing permission: works once an operator has changed something.
    Denied,
    /// The request will never work as it is.
    Refused,
    /// An answer that contradicts itself: an id that does not match its content, a body that does not parse.
    Contradiction,
}

/// A failed call to the outside: what was asked of what, and what the answer was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What the failure means.
    pub kind: FaultKind,
    /// The call and its target, such as `get branch main of repository sample at http://…`. Never a secret.
    pub call: String,
    /// The HTTP status, where there was one.
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

/// A repository as lakeFS answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Its name.
    pub id: String,
    /// Seconds since 1970; changes when a repository is deleted and made again under its name.
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

/// A listing of branches, of which a part may be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Branches that are there, and their heads, each once and sorted by name.
    pub heads: Vec<BranchHead>,
    /// What is wrong with it, if anything: then it proves no branch to be gone.
    pub flaw: Option<Fault>,
}

/// What became of a call that makes something which may be there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateOutcome {
    /// It was made by this call.
    Created,
    /// It was there before (409).
    Existed,
}

/// Whether the source still has an object's bytes (a one-byte ranged read through lakeFS).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceObject {
    /// 206 or 416: it is there, with this true size where the answer tells it.
    There {
        /// Size in bytes by the answer's `Content-Range`; 0 for an empty object.
        size: Option<u64>,
    },
    /// 410 `No data` by the source itself: its bytes are gone.
    Gone,
    /// 404: the commit has no such path.
    NoSuchPath,
}

/// The lakeFS of one region, with the replication user's credentials. Reads are of committed state only.
///
/// All calls have a time limit and bounded retries of their own; a [`FaultKind::Retry`] that still comes out means
/// that the caller should come back later. `Absent` is only returned where the answer's message names the thing asked
/// for (`branch not found` for a branch), never for `repository not found` on a branch call: that one is `Refused`
/// with its message.
#[async_trait]
pub trait Lakefs: Send + Sync {
    /// Where it is, for messages.
    fn endpoint(&self) -> &str;
    /// `GET /repositories/{r}`. `Absent` for `repository not found`; a repository in deletion (410) is `Retry`.
    async fn repository(&self, repository: &str) -> Result<Repository, Fault>;
    /// Every branch, all pages, sorted by name; with hidden ones if `hidden`. Complete or failed.
    async fn branches(&self, repository: &str, hidden: bool) -> Result<Vec<BranchHead>, Fault>;
    /// As [`Lakefs::branches`], but a listing that repeats, goes back, or has a branch in it that cannot be read still
    /// shows the others.
    async fn listing(&self, repository: &str, hidden: bool) -> Result<Listing, Fault> {
        Ok(Listing { heads: self.branches(repository, hidden).await?, flaw: None })
    }
    /// One branch. `Absent` only for `branch not found`.
    async fn branch(&self, repository: &str, branch: &str) -> Result<CommitId, Fault>;
    /// One commit by its full id, its id recomputed (a mismatch is `Contradiction`). Only ever asked of a source.
    async fn commit(&self, repository: &str, commit: &CommitId) -> Result<CommitRecord, Fault>;
    /// Up to `amount` (1..=1000) commits reachable from `from`, newest first, ids recomputed; `from` itself is first.
    async fn log(&self, repository: &str, from: &CommitId, amount: usize) -> Result<Vec<CommitRecord>, Fault>;
    /// Creates a bare read-only repository. `Existed` for 409.
    async fn create_mirror_repository(
        &self,
        repository: &str,
        storage_namespace: &str,
        default_branch: &str,
    ) -> Result<CreateOutcome, Fault>;
    /// Deletes a repository with force, repeating until it is really gone. `Absent` when it is not there.
    async fn delete_repository(&self, repository: &str) -> Result<(), Fault>;
    /// The repository's metadata.
    async fn metadata(&self, repository: &str) -> Result<BTreeMap<String, String>, Fault>;
    /// Merges keys into the repository's metadata.
    async fn set_metadata(&self, repository: &str, entries: &BTreeMap<String, String>) -> Result<(), Fault>;
    /// Writes a commit record with force. `Existed` for 409, which is success: ids are content addresses.
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
    /// Asks whether the bytes behind a path of a commit (its raw bytes, which need not be UTF-8) are there, by a ranged read of one byte.
    async fn probe_object(&self, repository: &str, commit: &CommitId, path: &[u8]) -> Result<SourceObject, Fault>;
}

/// Where an object is: bucket and key of a store, as resolved by lakeFS's own rules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The bucket, or the first folder of a local store.
    pub bucket: Arc<str>,
    /// The key within it, verbatim.
    pub key: String,
}

/// A whole small object, or why it is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// Its bytes.
    Bytes(Bytes),
    /// Not there (404 without a delete marker, as far as the store tells).
    Absent,
    /// Under a delete marker, where the store says so.
    Deleted,
}

/// One object that should have arrived.
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
    /// There with the wanted size, and not to be read before it is restored from an archive.
    Archived {
        /// The number of its class ([`lakemirror_core::archived`]).
        class: u8,
    },
    /// The store refuses to say (403): a matter of permission, never absence.
    Forbidden,
    /// No answer (timeouts, throttling, server errors) within this check's bounds.
    Unknown,
}

/// One answered check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The tag of the [`Wanted`].
    pub tag: u64,
    /// What the store said.
    pub outcome: Outcome,
}

/// How a check may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// A first look at many keys: the cheapest mix of LIST and HEAD.
    Sweep,
    /// A look again at what was missing: HEAD for few, LIST where that is cheaper.
    Recheck,
}

/// The destination's blockstore as the verifier sees it: whole metadata files and presence at scale.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Reads an object of at most `limit` bytes (a larger one is `Refused`).
    async fn read(&self, at: &Location, limit: u64) -> Result<Fetched, Fault>;
    /// Asks for every wanted key of one bucket. Every wanted key is answered exactly once, in any order and in any
    /// number of calls to `answers`, unless the check fails as a whole. An individual key without an answer is
    /// [`Outcome::Unknown`]; a fault is for what concerns them all (no such bucket, wrong credentials).
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
    /// Its name, which is the mirror repository's.
    pub name: String,
    /// The repository that it mirrors.
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
    /// Whether its deletion was asked for and not yet acknowledged.
    pub deleted: bool,
}

/// A held deletion that an operator lets go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovedDeletion {
    /// The branch.
    pub branch: String,
    /// Where it was on the mirror then: what its deletion was approved to lose.
    pub head: Option<CommitId>,
    /// Who approved.
    pub by: String,
}

/// What a process says of itself in the mirrors database, again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// The process: random, another one with every start.
    pub process: String,
    /// Its journal's id.
    pub node: String,
    /// What it is, for people: host, process number, version.
    pub about: String,
    /// Counts its heartbeats.
    pub count: u64,
    /// Whether it has stopped, and holds nothing.
    pub ended: bool,
}

/// Who drives a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The process that has it; none after it was given back.
    pub holder: Option<String>,
    /// What the holder, or the last one, is, for people.
    pub about: String,
    /// The journal that has the mirror's history up to now.
    pub node: String,
    /// Higher with every taking.
    pub epoch: u64,
    /// Whom the last holder gave it to.
    pub meant_for: Option<String>,
    /// The version of the item that says so; none if there is no item yet.
    pub version: Option<u64>,
}

/// Heartbeats and owners: the leases of a region, in the mirrors database as this region sees it.
#[async_trait]
pub trait LeaseTable: Send + Sync {
    /// Whether other processes can be in the database at all. Where not, there are no heartbeats.
    fn is_shared(&self) -> bool;
    /// Writes this process's heartbeat.
    async fn beat(&self, region: &str, beat: &Heartbeat) -> Result<(), Fault>;
    /// Every heartbeat of the region.
    async fn heartbeats(&self, region: &str) -> Result<Vec<Heartbeat>, Fault>;
    /// Who drives which mirror of the region. What cannot be read is an error: it is never taken for nobody.
    async fn owners(&self, region: &str) -> Result<BTreeMap<Incarnation, Owner>, Fault>;
    /// Writes who drives a mirror, if the item still has the version that `owner` says. The new version; none if the
    /// item was changed by somebody else.
    async fn write_owner(&self, region: &str, mirror: &Incarnation, owner: &Owner) -> Result<Option<u64>, Fault>;
}
