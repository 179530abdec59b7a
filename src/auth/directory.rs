//! The source of users and policies: a port, and lakeFS as its one implementation.

use async_trait::async_trait;
use lakemirror_ports::Fault;

use lakemirror_lakefs::{CallerCredentials, Client, Policy};

/// The users of an installation and their permissions.
#[async_trait]
pub trait Directory: Send + Sync {
    /// The user to whom credentials belong; `None` if there is none.
    async fn whoami(&self, credentials: &CallerCredentials) -> Result<Option<String>, Fault>;
    /// A user's effective policies; `None` if the installation has no policies. `Absent`: no such user.
    async fn policies(&self, user: &str) -> Result<Option<Vec<Policy>>, Fault>;
}

#[async_trait]
impl Directory for Client {
    async fn whoami(&self, credentials: &CallerCredentials) -> Result<Option<String>, Fault> {
        Client::whoami(self, credentials).await
    }

    async fn policies(&self, user: &str) -> Result<Option<Vec<Policy>>, Fault> {
        Client::policies(self, user).await
    }
}
