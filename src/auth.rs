//! Authentication and authorization of callers of lakemirror's own API.
//!
//! This module has authentication ([`Authenticator`]), authorization ([`Authorizer`]) and the one table of what each
//! action needs ([`Action`]). Users and policies are those of lakeFS; nothing is stored here. In: a request's
//! `Authorization`. Out: a [`User`], and then permission or an [`AuthError`]. HTTP is handled by the service.
//!
//! lakeFS answers 401 to wrong credentials and to missing permissions alike, with different messages. The clients of the
//! service that lakemirror replaces expect that, so [`AuthError::status`] does the same.

mod action;
mod arn;
mod authenticator;
mod authorizer;
mod cache;
mod condition;
mod directory;
mod policy;
mod token;

pub use action::{Action, Permission};
pub use authenticator::{Authenticator, User};
pub use authorizer::Authorizer;
pub use cache::{CacheSettings, Freshness};
pub use condition::source_ip;
pub use directory::Directory;

use lakemirror_ports::Fault;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No credentials, or none that lakeFS knows. The message is lakeFS's own and gives no details.
    #[error("error authenticating request")]
    Unauthenticated,
    /// The user is known but lacks permissions.
    #[error("insufficient permissions: user {user} is not allowed to {}", listed(missing))]
    NotPermitted {
        /// The user's name.
        user: String,
        /// The permissions that a policy would have to allow.
        missing: Vec<Permission>,
    },
    /// lakeFS could not be queried, so nothing was decided.
    #[error("credentials and permissions cannot be checked at the moment; try again")]
    Unavailable(#[source] Fault),
}

impl AuthError {
    /// The HTTP status: 401 where lakeFS answers 401, 503 while lakeFS cannot be queried.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Unauthenticated | Self::NotPermitted { .. } => 401,
            Self::Unavailable(_) => 503,
        }
    }
}

fn listed(missing: &[Permission]) -> String {
    let all: Vec<String> = missing.iter().map(|one| format!("{} on {}", one.action, one.resource)).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests;
