//! Calls about users and the installation: who a caller is, what they may do, what kind of lakeFS this is.

use std::collections::BTreeMap;

use lakemirror_ports::Fault;
use reqwest::Method;

use super::answer::message;
use super::call::{Call, PAGE, RECORD};
use super::client::{CallerCredentials, Client};
use super::types;
use super::walk::Order;

/// A policy attached to a user, directly or through groups, as lakeFS stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub id: String,
    /// What it allows and denies.
    pub statements: Vec<Statement>,
}

/// One statement of a policy, uninterpreted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// `allow` or `deny`.
    pub effect: String,
    /// A resource pattern, or a JSON array of them in one string.
    pub resource: String,
    /// Action patterns.
    pub actions: Vec<String>,
    /// Operator → field → values; empty for none.
    pub conditions: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

impl From<types::Policy> for Policy {
    fn from(wire: types::Policy) -> Self {
        let statements = wire.statement.into_iter().map(|statement| Statement {
            effect: statement.effect,
            resource: statement.resource,
            actions: statement.action,
            conditions: statement.condition.unwrap_or_default(),
        });
        Self { id: wire.id, statements: statements.collect() }
    }
}

impl Client {
    /// The user whom a caller's credentials belong to; `None` if they belong to nobody.
    ///
    /// # Errors
    /// A fault where lakeFS did not decide.
    pub async fn whoami(&self, credentials: &CallerCredentials) -> Result<Option<String>, Fault> {
        let call = Call::new(Method::GET, RECORD, "ask who a caller is".into()).path("/user");
        let Some(authorization) = credentials.header() else { return Ok(None) };
        let call = call.authorized_by(authorization);
        let reply = self.transport.ask(&call).await?;
        if reply.status == 431 || reply.status == 401 && reply.message().is_some() {
            return Ok(None);
        }
        let answer: types::CurrentUser = self.transport.parse(&call, &reply, None)?;
        // lakeFS answers 200 with an empty id to a caller without credentials, which some proxies make of any.
        Ok(Some(answer.user.id).filter(|id| !id.is_empty()))
    }

    /// The effective policies of a user, asked with the service's own credentials; `None` if this lakeFS has no
    /// policies (501: one user, or access control lists), where every user of it may do everything.
    ///
    /// # Errors
    /// `Absent` if there is no such user.
    pub async fn policies(&self, user: &str) -> Result<Option<Vec<Policy>>, Fault> {
        let call = || {
            Call::new(Method::GET, PAGE, format!("list the policies of user {user}"))
                .path("/auth/users")
                .segment(user)
                .path("/policies")
                .query("effective", "true")
        };
        match self.every(Order::Any, call, |wire: &types::Policy| &wire.id, Some(message::USER_NOT_FOUND)).await {
            Ok(all) => Ok(Some(all.into_iter().map(Policy::from).collect())),
            // Only with lakeFS's own words: a proxy's 501 must not open everything.
            Err(fault) if fault.status == Some(501) && fault.message == message::NOT_IMPLEMENTED => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// The server's version as it says it; `dev` for a build without one. Not to be refused when it cannot be parsed.
    ///
    /// # Errors
    /// A fault where it did not answer.
    pub async fn version(&self) -> Result<String, Fault> {
        let call = Call::new(Method::GET, RECORD, "get the version of lakeFS".into()).path("/config/version");
        let reply = self.transport.ask(&call).await?;
        let answer: types::Version = self.transport.parse(&call, &reply, None)?;
        Ok(answer.version)
    }

    /// The type of the blockstore: `s3`, `local`, `gs`, `azure`, `mem`.
    ///
    /// # Errors
    /// A fault where it did not answer.
    pub async fn blockstore_type(&self) -> Result<String, Fault> {
        let call = Call::new(Method::GET, RECORD, "get the configuration of lakeFS".into()).path("/config");
        let reply = self.transport.ask(&call).await?;
        let answer: types::Config = self.transport.parse(&call, &reply, None)?;
        Ok(answer.storage_config.blockstore_type)
    }
}
