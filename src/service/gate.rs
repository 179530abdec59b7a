//! Authentication and authorization of every call, as a port.
//!
//! This module has only the port. Credentials and permissions are those of lakeFS; the implementation of [`Gate`]
//! queries it and knows which permissions each action needs.

use async_trait::async_trait;
use lakemirror_api::server::Caller;

/// What a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// Create a mirror.
    CreateMirror {
        /// The mirror repository's name, not yet validated.
        mirror: &'a str,
        /// The source repository's name, not yet validated.
        source: &'a str,
        /// The mirror's storage namespace, not yet validated.
        namespace: &'a str,
    },
    /// Delete a mirror.
    DeleteMirror {
        /// The mirror repository's name, not yet validated.
        mirror: &'a str,
    },
    /// Change a mirror, or let it continue.
    EditMirror {
        /// The source repository's name, not yet validated.
        source: &'a str,
    },
    /// List mirrors, or read one.
    ReadMirrors,
}

/// A caller with valid credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// lakeFS's name of the user.
    pub name: String,
}

/// Why a call is refused, with the message of the response. No message may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// No credentials, or wrong ones.
    Unauthenticated(String),
    /// The user may not do this.
    NotPermitted(String),
    /// lakeFS could not be queried.
    Unavailable(String),
}

/// Checks callers.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Returns the caller's user if the action is permitted.
    async fn check(&self, caller: &Caller, action: Action<'_>) -> Result<User, Denied>;
}
