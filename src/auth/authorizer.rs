//! From a user and an action to yes or no, by the user's own lakeFS policies.
//!
//! Policies are fetched with the service's credentials: ordinary users may not list their own. Where lakeFS has no
//! policies (one user, or plain access control lists) whoever it knows may do everything, as in lakeFS itself.

use std::sync::Arc;

use lakemirror_lakefs::Policy;
use lakemirror_ports::FaultKind;
use lakemirror_ports::clock::{Clock, Entropy};

use super::action::{Action, Permission};
use super::authenticator::User;
use super::cache::{Answers, CacheSettings, Freshness};
use super::directory::Directory;
use super::{AuthError, policy};

type Policies = Option<Arc<Vec<Policy>>>;

/// Decides who may do what.
pub struct Authorizer {
    directory: Arc<dyn Directory>,
    answers: Answers<Policies>,
}

impl Authorizer {
    /// `directory` is the region's lakeFS, `cache` is off by default.
    pub fn new(
        directory: Arc<dyn Directory>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        cache: Option<CacheSettings>,
    ) -> Self {
        Self { directory, answers: Answers::new(cache, clock, entropy) }
    }

    /// Whether the user may, coming from `source` (see [`super::source_ip`]).
    ///
    /// # Errors
    /// `NotPermitted` with all that is missing; `Unauthenticated` if the user is gone; `Unavailable` where lakeFS did
    /// not say, or does not let the service ask.
    pub async fn authorize(
        &self,
        user: &User,
        action: &Action<'_>,
        source: Option<&str>,
        freshness: Freshness,
    ) -> Result<(), AuthError> {
        let Some(policies) = self.policies(&user.name, freshness).await? else { return Ok(()) };
        let denied = |wanted: &Permission| !policy::allows(&policies, &user.name, source, wanted);
        let missing: Vec<Permission> = action.required().into_iter().filter(denied).collect();
        if missing.is_empty() { Ok(()) } else { Err(AuthError::NotPermitted { user: user.name.clone(), missing }) }
    }

    /// Asks for the user's policies, so that they are remembered.
    ///
    /// # Errors
    /// As [`Authorizer::authorize`], without `NotPermitted`.
    pub async fn learn(&self, user: &User) -> Result<(), AuthError> {
        self.policies(&user.name, Freshness::Current).await.map(drop)
    }

    async fn policies(&self, user: &str, freshness: Freshness) -> Result<Policies, AuthError> {
        let call = async {
            match self.directory.policies(user).await {
                Ok(found) => Ok(Some(found.map(Arc::new))),
                Err(fault) if fault.kind == FaultKind::Absent => Ok(None),
                Err(fault) => Err(fault),
            }
        };
        let found = self.answers.ask(user, freshness, call).await;
        found.map_err(AuthError::Unavailable)?.ok_or(AuthError::Unauthenticated)
    }
}
