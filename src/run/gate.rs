//! Authenticates and authorizes the API's callers through lakeFS.

use std::time::Duration;

use async_trait::async_trait;
use ipnet::IpNet;
use lakemirror_api::server::Caller;
use tokio_util::sync::CancellationToken;

use crate::auth::{self, AuthError, Authenticator, Authorizer, Freshness};
use crate::service::{Action, Denied, Gate, User};
use lakemirror_core::secret::Secret;
use lakemirror_ports::FaultKind;
use lakemirror_ports::clock::Clock;

/// How often the replication user's own credentials and permissions are queried.
const REMEMBER_EVERY: Duration = Duration::from_secs(60);

/// Credentials and permissions from lakeFS.
pub(super) struct LakefsGate {
    pub(super) authenticator: Authenticator,
    pub(super) authorizer: Authorizer,
    /// Proxies that are trusted to report a request's origin.
    pub(super) trusted_proxies: Vec<IpNet>,
}

#[async_trait]
impl Gate for LakefsGate {
    async fn check(&self, caller: &Caller, action: Action<'_>) -> Result<User, Denied> {
        let header = caller.credentials.to_header();
        let freshness = match action {
            Action::ReadMirrors => Freshness::Stale,
            Action::CreateMirror { .. } | Action::DeleteMirror { .. } | Action::EditMirror { .. } => Freshness::Current,
        };
        let header = header.as_ref().map(|header| header.expose());
        let user = self.authenticator.authenticate(header, freshness).await.map_err(denied)?;
        let action = match action {
            Action::CreateMirror { mirror, source, namespace } => {
                auth::Action::CreateMirror { mirror, source, namespace }
            }
            Action::DeleteMirror { mirror } => auth::Action::DeleteMirror { mirror },
            Action::EditMirror { source } => auth::Action::EditBranches { source },
            Action::ReadMirrors => auth::Action::ReadMirrors,
        };
        let peer = caller.peer.unwrap_or(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
        let source =
            auth::source_ip(caller.forwarded_for.as_deref(), caller.real_ip.as_deref(), peer, &self.trusted_proxies);
        self.authorizer.authorize(&user, &action, Some(&source), freshness).await.map_err(denied)?;
        Ok(User { name: user.name })
    }
}

impl LakefsGate {
    /// Queries the replication user periodically until stopped. An installation with a single user can then show a
    /// status during an outage of its lakeFS, even if nobody asked for one before.
    pub(super) async fn remember(&self, own: &Secret, clock: &dyn Clock, stop: CancellationToken) {
        while !stop.is_cancelled() {
            stop.run_until_cancelled(self.remember_once(own)).await;
            stop.run_until_cancelled(clock.sleep(REMEMBER_EVERY)).await;
        }
    }

    async fn remember_once(&self, own: &Secret) {
        // The engine's health checks report a failure.
        if let Ok(user) = self.authenticator.authenticate(Some(own.expose()), Freshness::Current).await {
            drop(self.authorizer.learn(&user).await);
        }
    }
}

fn denied(error: AuthError) -> Denied {
    let text = error.to_string();
    match error {
        AuthError::Unauthenticated => Denied::Unauthenticated(text),
        AuthError::NotPermitted { .. } => Denied::NotPermitted(text),
        AuthError::Unavailable(fault) if fault.kind == FaultKind::Denied => {
            tracing::error!("lakemirror's own credentials are refused: {fault}");
            let text = "lakeFS refuses lakemirror's own credentials: correct this region's key, in dst_credentials or \
                        lakefs_access_key_id and lakefs_secret_access_key";
            Denied::Unavailable(text.to_owned())
        }
        AuthError::Unavailable(fault) => {
            tracing::warn!("a caller's credentials cannot be checked: {fault}");
            Denied::Unavailable(text)
        }
    }
}

#[cfg(test)]
mod tests;
