//! The object store of one region: reading whole metadata files, and asking for the presence of very many keys.
//!
//! Owns the port [`Store`] with its three ways to ask (get, head, list from a key), the adapters behind it
//! ([`s3`], [`local`], [`memory`]), and [`checker::Checker`], which answers the engine's
//! [`Destination`](lakemirror_ports::Destination) port by the cheapest mix of them. It writes to no store and
//! deletes nothing, and it knows nothing of repositories, ranges or commits: keys come in, outcomes go out.

use async_trait::async_trait;

use lakemirror_ports::{Fault, FaultKind, Fetched, Location};

pub mod checker;
pub mod connect;
pub mod list_page;
pub mod local;
pub mod memory;
pub mod pace;
pub mod page;
pub mod plan;
pub mod s3;
pub mod self_test;

pub use checker::Checker;
pub use connect::{ConnectError, Settings, connect, open};
pub use page::Page;
pub use plan::Costs;

/// What a store says about one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// An object is there.
    Present {
        /// Its length in bytes.
        size: u64,
    },
    /// An object is there, and cannot be read before it is restored from an archive.
    Archived {
        /// Its length in bytes.
        size: u64,
        /// The number of its class ([`lakemirror_core::archived`]).
        class: u8,
    },
    /// No object is there, or the store cannot hold one of that name.
    Absent,
    /// The key is under a delete marker, where the store says so.
    Deleted,
    /// The store refuses to say (403). Never to be read as absence.
    Forbidden,
}

/// An object store, read only.
///
/// Every call is one attempt with a time limit of its own: retries, pacing and limits are the caller's
/// ([`checker::Checker`]). A [`FaultKind::Retry`] with status 429 or 503 means that the store wants fewer requests.
#[async_trait]
pub trait Store: Send + Sync {
    /// What and where it is, for messages. Never a secret.
    fn name(&self) -> &str;

    /// What its requests cost in relation to each other.
    fn costs(&self) -> Costs;

    /// Reads an object of at most `limit` bytes. A larger one, and a key that can leave the store, is `Refused`.
    async fn get(&self, at: &Location, limit: u64) -> Result<Fetched, Fault>;

    /// Asks for one key. A key that the store cannot hold is [`Found::Absent`].
    async fn head(&self, bucket: &str, key: &str) -> Result<Found, Fault>;

    /// The keys that start with `prefix` and sort, by their bytes, after `after` (which need not exist; empty: from
    /// the first), at most about `max` of them, in ascending order of their bytes.
    ///
    /// What comes back is the store's word as it stands: [`Page::in_order`] is what makes it safe to use.
    async fn list(&self, bucket: &str, prefix: &str, after: &str, max: usize) -> Result<Page, Fault>;
}

/// A [`Fault`] without an HTTP status.
pub(crate) fn fault(kind: FaultKind, call: impl Into<String>, message: impl Into<String>) -> Fault {
    Fault { kind, call: call.into(), status: None, message: message.into() }
}
