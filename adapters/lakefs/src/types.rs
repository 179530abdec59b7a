//! lakeFS's JSON, field by field, as this client reads and writes it.
//!
//! Private to the client: values leave it only by the explicit conversions beside their calls. Fields that are not
//! needed are not named; unknown ones are ignored, so that newer servers work.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Every listing's description of its page.
#[derive(Debug, Deserialize)]
pub(super) struct Pagination {
    pub(super) has_more: bool,
    #[serde(default)]
    pub(super) next_offset: String,
    pub(super) results: usize,
}

/// A page of any listing.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub(super) pagination: Pagination,
    pub(super) results: Vec<T>,
}

/// A branch. Borrowed from the body: a listing a second should not copy what it only compares.
#[derive(Debug, Deserialize)]
pub(super) struct Ref<'a> {
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) commit_id: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Repository {
    pub(super) id: String,
    pub(super) creation_date: i64,
    pub(super) default_branch: String,
    pub(super) storage_namespace: String,
    /// Absent in the answer to a bare creation and before 1.5.0.
    #[serde(default)]
    pub(super) read_only: bool,
}

/// A commit as `getCommit` and `logCommits` answer it.
#[derive(Debug, Deserialize)]
pub(super) struct Commit {
    pub(super) id: String,
    pub(super) parents: Option<Vec<String>>,
    pub(super) committer: String,
    pub(super) message: String,
    pub(super) creation_date: i64,
    pub(super) meta_range_id: String,
    pub(super) metadata: Option<BTreeMap<String, String>>,
    /// Not answered before 1.9.0.
    pub(super) generation: Option<i64>,
    /// Not answered before 1.9.0.
    pub(super) version: Option<i32>,
}

#[derive(Debug, Serialize)]
pub(super) struct NewRepository<'a> {
    pub(super) name: &'a str,
    pub(super) storage_namespace: &'a str,
    pub(super) default_branch: &'a str,
    pub(super) read_only: bool,
}

/// The body of `createCommitRecord`. `metadata` is always there: the server dies on a request without it.
#[derive(Debug, Serialize)]
pub(super) struct NewCommit<'a> {
    pub(super) commit_id: String,
    pub(super) version: i32,
    pub(super) committer: &'a str,
    pub(super) message: &'a str,
    pub(super) metarange_id: String,
    pub(super) creation_date: i64,
    pub(super) parents: Vec<String>,
    pub(super) generation: i64,
    pub(super) metadata: &'a BTreeMap<String, String>,
    pub(super) force: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct NewBranch<'a> {
    pub(super) name: &'a str,
    pub(super) source: String,
    pub(super) force: bool,
    pub(super) hidden: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct NewMetadata<'a> {
    pub(super) metadata: &'a BTreeMap<String, String>,
}

/// The answer of `GET /user`. Without credentials its id is empty.
#[derive(Debug, Deserialize)]
pub(super) struct CurrentUser {
    pub(super) user: User,
}

#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) id: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Policy {
    pub(super) id: String,
    pub(super) statement: Vec<Statement>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Statement {
    pub(super) effect: String,
    pub(super) resource: String,
    pub(super) action: Vec<String>,
    /// Operator → field → values.
    pub(super) condition: Option<BTreeMap<String, BTreeMap<String, Vec<String>>>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Version {
    pub(super) version: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Config {
    pub(super) storage_config: StorageConfig,
}

#[derive(Debug, Deserialize)]
pub(super) struct StorageConfig {
    pub(super) blockstore_type: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Location {
    pub(super) location: String,
}
