//! The API's question "who is this, and may they?" put to lakeFS.

use async_trait::async_trait;
use lakemirror_api::server::Caller;
use lakemirror_ports::FaultKind;

use ipnet::IpNet;

use crate::auth::{self, AuthError, Authenticator, Authorizer, Freshness};
use crate::service::{Action, Denied, Gate, User};

/// Credentials and permissions by lakeFS.
pub(super) struct LakefsGate {
    pub(super) authenticator: Authenticator,
    pub(super) authorizer: Authorizer,
    /// Whose word about a request's origin counts.
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
