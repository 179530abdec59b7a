//! The requests to one lakeFS repository: branches, commits, listings, bytes.
//!
//! Lists are read completely, page by page, or the call fails.

use std::collections::BTreeMap;

use bytes::Bytes;
use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::http::{Access, Http, HttpError, encode};

/// Maximum number of pages of a list: more than any repository of a test has.
const PAGES_MAX: usize = 10_000;

/// A commit as lakeFS shows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Commit {
    /// Its id.
    pub id: String,
    /// Who made it.
    pub committer: String,
    /// Its message.
    pub message: String,
    /// Seconds since 1970.
    pub creation_date: i64,
    /// Its tree; empty if it has none.
    pub meta_range_id: String,
    /// User metadata; lakeFS shows none as `{}` or `null`.
    #[serde(default)]
    pub metadata: Option<BTreeMap<String, String>>,
    /// Parents in order.
    pub parents: Vec<String>,
    /// Distance from the first commit.
    #[serde(default)]
    pub generation: i64,
    /// 0 or 1.
    #[serde(default)]
    pub version: i64,
}

/// An object as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Object {
    /// Its path.
    pub path: String,
    /// Where its bytes are, in the store's own form.
    pub physical_address: String,
    /// Its checksum.
    pub checksum: String,
    /// Its size.
    #[serde(default)]
    pub size_bytes: i64,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Media type.
    #[serde(default)]
    pub content_type: String,
    /// User metadata.
    #[serde(default)]
    pub metadata: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Branch {
    id: String,
    commit_id: String,
}

#[derive(Deserialize)]
struct Pagination {
    has_more: bool,
    next_offset: String,
}

#[derive(Deserialize)]
struct Page<T> {
    pagination: Pagination,
    results: Vec<T>,
}

/// One repository of one lakeFS.
#[derive(Debug, Clone)]
pub struct Lake {
    http: Http,
    repository: String,
}

impl Lake {
    /// For a lakeFS's URL without `/api/v1`.
    ///
    /// # Errors
    /// [`HttpError::Client`].
    pub fn new(endpoint: &str, repository: &str, access: &Access) -> Result<Self, HttpError> {
        let http = Http::new(&format!("{}/api/v1", endpoint.trim_end_matches('/')), access)?;
        Ok(Self { http, repository: repository.to_owned() })
    }

    fn path(&self, rest: &str) -> String {
        format!("/repositories/{}/{rest}", encode(&self.repository))
    }

    async fn pages<T: DeserializeOwned>(&self, rest: &str) -> Result<Vec<T>, HttpError> {
        let (mut all, mut after) = (Vec::new(), String::new());
        for _ in 0..PAGES_MAX {
            let joint = if rest.contains('?') { '&' } else { '?' };
            let path = self.path(&format!("{rest}{joint}amount=1000&after={}", encode(&after)));
            let page: Page<T> = self.http.get(&path).await?;
            all.extend(page.results);
            if !page.pagination.has_more {
                return Ok(all);
            }
            after = page.pagination.next_offset;
        }
        Err(HttpError::TooLong { call: format!("GET {}{}", self.http.base(), self.path(rest)) })
    }

    /// Heads by branch, including hidden branches. Empty if the repository does not exist.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn branches(&self) -> Result<BTreeMap<String, String>, HttpError> {
        match self.pages::<Branch>("branches?show_hidden=true").await {
            Ok(found) => Ok(found.into_iter().map(|branch| (branch.id, branch.commit_id)).collect()),
            Err(error) if error.status() == Some(404) => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        }
    }

    /// A commit's record.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn commit(&self, id: &str) -> Result<Commit, HttpError> {
        let mut commit: Commit = self.http.get(&self.path(&format!("commits/{}", encode(id)))).await?;
        commit.metadata.get_or_insert_default();
        Ok(commit)
    }

    /// All objects of a ref, by path.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn objects(&self, reference: &str) -> Result<Vec<Object>, HttpError> {
        self.pages(&format!("refs/{}/objects/ls", encode(reference))).await
    }

    /// The bytes of an object.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn bytes(&self, reference: &str, path: &str) -> Result<Bytes, HttpError> {
        let path = self.path(&format!("refs/{}/objects?path={}", encode(reference), encode(path)));
        self.http.send(Method::GET, &path, None).await
    }
}
