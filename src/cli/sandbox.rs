//! `lakemirror sandbox`: one sandbox lakeFS by itself.

use std::path::PathBuf;

use clap::Args;

use super::{Exit, Failure};
use crate::secret::Secret;

/// Where to serve what. The default key pair is the example of the AWS documentation.
#[derive(Debug, Args)]
pub(super) struct SandboxArguments {
    /// Address to listen on, such as 127.0.0.1:8000
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: std::net::SocketAddr,
    /// Directory for its repositories and its bucket; made where it is not there
    #[arg(long)]
    pub(super) dir: PathBuf,
    /// Access key id that clients must use
    #[arg(long, value_name = "ID", default_value = "AKIAIOSFODNN7EXAMPLE")]
    pub(super) access_key_id: String,
    /// Secret access key that clients must use
    #[arg(long, value_name = "KEY", default_value = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY")]
    pub(super) secret_access_key: Secret,
    /// Key that signs session tokens
    #[arg(long, value_name = "KEY", default_value = "sandbox")]
    pub(super) secret_key: Secret,
}

/// Serves until it is told to end.
pub(super) fn sandbox(arguments: &SandboxArguments) -> Result<Exit, Failure> {
    let what = format!("this build cannot serve a sandbox on {} yet", arguments.listen);
    Err(Failure::new(Exit::Unavailable, what))
}
