//! From a user and an action to yes or no, by the user's own lakeFS policies.
//!
//! Policies are fetched with the service's credentials: ordinary users may not list their own. Where lakeFS has no
//! policies (one user, or plain access control lists) whoever it knows may do everything, as in lakeFS itself.

use std::sync::Arc;

use super::action::{Action, Permission};
use super::authenticator::User;
use super::cache::{Cache, CacheSettings, key};
use super::directory::Directory;
use super::{AuthError, policy};
use crate::clock::{Clock, Entropy};
use crate::engine::ports::FaultKind;
use crate::lakefs::Policy;

type Policies = Option<Arc<Vec<Policy>>>;

/// Decides who may do what.
pub struct Authorizer {
    directory: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    cache: Option<Cache<Policies>>,
}

impl Authorizer {
    /// `directory` is the region's lakeFS, `cache` is off by default.
    pub fn new(
        directory: Arc<dyn Directory>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        cache: Option<CacheSettings>,
    ) -> Self {
        Self { directory, clock, entropy, cache: cache.map(Cache::new) }
    }

    /// Whether the user may, coming from `source` (see [`super::source_ip`]).
    ///
    /// # Errors
    /// `NotPermitted` with all that is missing; `Unauthenticated` if the user is gone; `Unavailable` where lakeFS did
    /// not say, or does not let the service ask.
    pub async fn authorize(&self, user: &User, action: &Action<'_>, source: Option<&str>) -> Result<(), AuthError> {
        let Some(policies) = self.policies(&user.name).await? else { return Ok(()) };
        let denied = |wanted: &Permission| !policy::allows(&policies, &user.name, source, wanted);
        let missing: Vec<Permission> = action.required().into_iter().filter(denied).collect();
        if missing.is_empty() { Ok(()) } else { Err(AuthError::NotPermitted { user: user.name.clone(), missing }) }
    }

    async fn policies(&self, user: &str) -> Result<Policies, AuthError> {
        let key = key(user);
        let known = self.cache.as_ref().and_then(|cache| cache.get(&key, self.clock.monotonic()));
        if let Some(policies) = known {
            return Ok(policies);
        }
        let found = self.directory.policies(user).await.map_err(|fault| match fault.kind {
            FaultKind::Absent => AuthError::Unauthenticated,
            _ => AuthError::Unavailable(fault),
        })?;
        let policies = found.map(Arc::new);
        if let Some(cache) = &self.cache {
            cache.put(key, policies.clone(), self.clock.monotonic(), &*self.entropy);
        }
        Ok(policies)
    }
}
