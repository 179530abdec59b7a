//! The question that every call asks first: who is this, and may they do it?
//!
//! Owns the question only. Credentials and permissions are lakeFS's; whoever implements [`Gate`] asks there, and knows
//! which permissions each action needs.

use async_trait::async_trait;
use lakemirror_api::server::Caller;

/// What a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// Making a mirror.
    CreateMirror {
        /// The mirror repository's name, not yet validated.
        mirror: &'a str,
        /// The source repository's name, not yet validated.
        source: &'a str,
        /// The mirror's storage namespace, not yet validated.
        namespace: &'a str,
    },
    /// Deleting a mirror.
    DeleteMirror {
        /// The mirror repository's name, not yet validated.
        mirror: &'a str,
    },
    /// Changing a mirror, or letting it go on.
    EditMirror {
        /// The source repository's name, not yet validated.
        source: &'a str,
    },
    /// Listing mirrors, or reading one.
    ReadMirrors,
}

/// A caller whose credentials are right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// lakeFS's name of the user.
    pub name: String,
}

/// Why a call goes no further, each with the message to answer. No message may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// No credentials, or wrong ones.
    Unauthenticated(String),
    /// The user may not do this.
    NotPermitted(String),
    /// lakeFS could not be asked.
    Unavailable(String),
}

/// Checks callers.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Who the caller is, if they may do this.
    async fn check(&self, caller: &Caller, action: Action<'_>) -> Result<User, Denied>;
}
