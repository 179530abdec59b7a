//! Who calls lakemirror's own API, and whether they may do what they ask.
//!
//! Owns authentication ([`Authenticator`]), permission ([`Authorizer`]) and the one table of what each action needs
//! ([`Action`]). Users and policies are lakeFS's: nothing is stored here. A request's `Authorization` flows in, a
//! [`User`] and then a yes or an [`AuthError`] flow out; HTTP itself is the service's business.
//!
//! Both wrong credentials and missing permissions are 401 in lakeFS, told apart by their messages, and the clients of
//! the service that this one replaces expect that: [`AuthError::status`] keeps it.

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

/// Why a request is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No credentials, or none that lakeFS knows. Says no more, in lakeFS's own words.
    #[error("error authenticating request")]
    Unauthenticated,
    /// The user is known and may not do this.
    #[error("insufficient permissions: user {user} is not allowed to {}", listed(missing))]
    NotPermitted {
        /// The user's name.
        user: String,
        /// What a policy would have to allow, and does not.
        missing: Vec<Permission>,
    },
    /// lakeFS could not be asked, so nothing was decided.
    #[error("credentials and permissions cannot be checked at the moment; try again")]
    Unavailable(#[source] Fault),
}

impl AuthError {
    /// The HTTP status of the answer: 401 for what lakeFS answers 401 to, 503 while it cannot be asked.
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
