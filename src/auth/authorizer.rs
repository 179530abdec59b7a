//! Authorizes a user's action by the user's own lakeFS policies.
//!
//! Policies are read with the service's credentials, because ordinary users may not list their own. If lakeFS has no
//! policies (one user, or plain access control lists), every known user may do everything, as in lakeFS itself.

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

/// Authorizes actions.
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

    /// Whether the user may do this from `source` (see [`super::source_ip`]).
    ///
    /// # Errors
    /// `NotPermitted` with all missing permissions; `Unauthenticated` if the user does not exist any more; `Unavailable` if
    /// lakeFS did not answer, or does not let the service query policies.
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

    /// Reads the user's policies into the cache.
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
