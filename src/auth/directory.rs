//! Where users and policies are: a port, and lakeFS as its one implementation.

use async_trait::async_trait;
use lakemirror_ports::Fault;

use lakemirror_lakefs::{CallerCredentials, Client, Policy};

/// The users of an installation and what they may do.
#[async_trait]
pub trait Directory: Send + Sync {
    /// The user whom credentials belong to; `None` if they belong to nobody.
    async fn whoami(&self, credentials: &CallerCredentials) -> Result<Option<String>, Fault>;
    /// A user's effective policies; `None` where the installation has no policies. `Absent`: no such user.
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
