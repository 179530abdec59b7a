//! `lakemirror sandbox`: one sandbox lakeFS by itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use lakemirror_core::secret::Secret;
use lakemirror_ports::clock::Clock as _;
use lakemirror_ports::clock::system::{OsEntropy, SystemClock};
use lakemirror_sandbox::sandbox::{Credentials, Options, Sandbox};
use tokio::net::TcpListener;

use super::signals::{self, HangUp};
use super::{Exit, Failure, output};

/// How long requests that are under way at the end may take.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);

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
    #[arg(long, value_name = "KEY", default_value = lakemirror_sandbox::sandbox::EXAMPLE_SECRET_KEY)]
    pub(super) secret_key: Secret,
}

/// Serves until it is told to end.
pub(super) fn sandbox(arguments: &SandboxArguments) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::because(Exit::Io, "cannot start the runtime", error))?;
    let ended = runtime.block_on(serve(arguments));
    runtime.shutdown_timeout(CLOSE_TIME_MAX);
    ended
}

async fn serve(arguments: &SandboxArguments) -> Result<Exit, Failure> {
    let stop = signals::stop_token(HangUp::Ends)?;
    let listen = arguments.listen;
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        Failure::because(Exit::Io, format!("cannot listen on {listen}; choose another with --listen"), error)
    })?;
    let address = listener.local_addr().map_err(|error| Failure::because(Exit::Io, "cannot listen", error))?;
    let sandbox = Sandbox::open(options(arguments), Arc::new(SystemClock::new()), Arc::new(OsEntropy));
    let sandbox = sandbox.map_err(|error| Failure::because(Exit::Io, "the sandbox cannot be opened", error))?;
    output::line(&format!("sandbox lakeFS on http://{address}, state in {}", arguments.dir.display()))?;
    output::line(&format!("access key id: {}", arguments.access_key_id))?;
    output::line(&format!("secret access key: {}", arguments.secret_access_key.expose()))?;
    output::line("repositories need a storage namespace such as local://bucket/prefix")?;
    let serving = sandbox.serve(listener, stop.clone().cancelled_owned());
    let closing = async {
        stop.cancelled().await;
        SystemClock::new().sleep(CLOSE_TIME_MAX).await;
    };
    tokio::select! {
        ended = serving => ended.map_err(|error| Failure::because(Exit::Io, "the sandbox cannot serve any longer", error))?,
        // Requests that take longer are cut off: the state survives that.
        () = closing => {}
    }
    Ok(Exit::Ok)
}

fn options(arguments: &SandboxArguments) -> Options {
    Options {
        credentials: Credentials {
            access_key_id: arguments.access_key_id.clone(),
            secret_access_key: arguments.secret_access_key.expose().to_owned(),
        },
        secret_key: arguments.secret_key.expose().to_owned(),
        ..Options::new(arguments.dir.clone())
    }
}
