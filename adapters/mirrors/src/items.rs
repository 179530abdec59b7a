//! The low-level port: one partition of keys and versioned values, single-item conditional writes, ordered queries.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use lakemirror_ports::Fault;

/// Longest item key, in bytes: DynamoDB's limit for a sort key is 1024.
pub const KEY_BYTES_MAX: usize = 1024;
/// Largest value, in bytes: DynamoDB's limit for an item is 400 KB, names and the other attributes included.
pub const VALUE_BYTES_MAX: usize = 384 * 1024;
/// Most items of one page.
pub const PAGE_ITEMS_MAX: usize = 1000;
/// A page of a database server ends with the value that takes it over this, so that memory is bounded.
pub(crate) const PAGE_BYTES: usize = 4 << 20;
/// How long opening a store may take before it is given up.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(60);
/// An open that takes longer than this may hang: the next start sets the store aside.
pub(crate) const OPEN_SLOW_AFTER: Duration = Duration::from_secs(2);

/// The partition that holds everything of one organization, apart from lakeFS's own items in a shared table.
#[must_use]
pub fn partition(organization_id: &str) -> String {
    format!("lakemirror/{organization_id}")
}

/// A value and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The bytes, as written.
    pub value: Bytes,
    /// Opaque; another one after each write. May come again only after the item was deleted and made anew, so what
    /// others hold versions of is overwritten by a tombstone rather than deleted.
    pub version: u64,
}

/// Some items in the order of their keys' bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Keys and items.
    pub items: Vec<(String, Item)>,
    /// Whether there are more after the last of them.
    pub more: bool,
}

/// What must be there for a write to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Absent,
    /// An item of this version.
    Version(u64),
    /// Whatever there is: the last writer wins.
    Any,
}

/// Why a write was not made, or is not known to have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// Something else is there than was expected; nothing was written. Read it again and decide anew.
    #[error("item {key} was changed by somebody else meanwhile")]
    Conflict {
        /// The item's key.
        key: String,
    },
    /// The database did not answer or refused. After a `Retry` the write may have been made all the same: read the item
    /// before writing it again.
    #[error("the mirrors database failed")]
    Fault(#[from] Fault),
}

/// One partition of the mirrors database.
///
/// Reads see every write that was acknowledged in this region before; a write is acknowledged when it is durable.
#[async_trait]
pub trait Items: Send + Sync {
    /// Where it is, for messages. Never a secret.
    fn place(&self) -> &str;
    /// Whether other processes can be in it.
    fn is_shared(&self) -> bool {
        true
    }
    /// One item.
    async fn get(&self, key: &str) -> Result<Option<Item>, Fault>;
    /// Up to `limit` (1..=[`PAGE_ITEMS_MAX`], silently bounded) items whose keys start with `prefix` and come after
    /// `after`, in the order of their keys' bytes. A page may be shorter than `limit` although there are more.
    async fn query(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, Fault>;
    /// Writes an item if what is there is as expected, and returns its new version.
    async fn put(&self, key: &str, value: Bytes, expect: Expect) -> Result<u64, PutError>;
    /// Deletes an item if it is there in this version.
    async fn delete(&self, key: &str, version: u64) -> Result<(), PutError>;
}
