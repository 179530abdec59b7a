//! Maps an `Authorization` header to a user.
//!
//! Basic carries a lakeFS access key, Bearer a lakeFS session token. A token is verified locally first, which rejects
//! garbage without a call. For both, lakeFS then confirms that the user exists.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lakemirror_core::secret::Secret;
use lakemirror_lakefs::CallerCredentials;
use lakemirror_ports::clock::{Clock, Entropy};

use super::AuthError;
use super::cache::{Answers, CacheSettings, Freshness};
use super::directory::Directory;
use super::token;

/// A user whom lakeFS knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The user's name (lakeFS's user id).
    pub name: String,
}

/// Authenticates callers.
pub struct Authenticator {
    directory: Arc<dyn Directory>,
    signing_key: Secret,
    clock: Arc<dyn Clock>,
    answers: Answers<String>,
}

impl Authenticator {
    /// `directory` is the region's lakeFS, `signing_key` is `auth.encrypt.secret_key`, `cache` is off by default.
    pub fn new(
        directory: Arc<dyn Directory>,
        signing_key: Secret,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        cache: Option<CacheSettings>,
    ) -> Self {
        let answers = Answers::new(cache, Arc::clone(&clock), entropy);
        Self { directory, signing_key, clock, answers }
    }

    /// The user to whom the header's credentials belong.
    ///
    /// # Errors
    /// `Unauthenticated` for missing or wrong credentials, `Unavailable` if lakeFS did not answer.
    pub async fn authenticate(&self, authorization: Option<&str>, freshness: Freshness) -> Result<User, AuthError> {
        let header = authorization.ok_or(AuthError::Unauthenticated)?;
        let credentials = parse(header).ok_or(AuthError::Unauthenticated)?;
        let claimed = match &credentials {
            CallerCredentials::Basic { .. } => None,
            CallerCredentials::Bearer(text) => {
                let user = token::verify(text.expose(), &self.signing_key, self.clock.wall_ms());
                Some(user.ok_or(AuthError::Unauthenticated)?)
            }
        };
        let found = self.answers.ask(header, freshness, self.directory.whoami(&credentials)).await;
        let name = found.map_err(AuthError::Unavailable)?.ok_or(AuthError::Unauthenticated)?;
        match claimed {
            Some(claimed) if claimed != name => Err(AuthError::Unauthenticated),
            _ => Ok(User { name }),
        }
    }
}

/// Parses the header; `None` for another scheme, and for credentials with an empty part.
fn parse(header: &str) -> Option<CallerCredentials> {
    let (scheme, rest) = header.trim().split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return (!rest.is_empty()).then(|| CallerCredentials::Bearer(rest.into()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    if id.is_empty() || secret.is_empty() {
        return None;
    }
    Some(CallerCredentials::Basic { access_key_id: id.to_owned(), secret_access_key: secret.into() })
}
