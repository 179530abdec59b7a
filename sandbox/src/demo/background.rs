//! What runs beside a demo until it is told to end: servers, replications and judges as tasks, and the first of them
//! that ended by itself.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lakemirror_ports::clock::{Clock, Entropy};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::checker::http::HttpError;
use crate::sandbox::dynamodb::Dynamodb;
use crate::sandbox::log::LogError;
use crate::sandbox::replication::Replication;
use crate::sandbox::{OpenError, Options, Sandbox};

/// How long connections may take to end.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);

/// Why the stage does not stand.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// A sandbox does not open.
    #[error("a sandbox cannot be opened")]
    Sandbox(#[from] OpenError),
    /// The sandbox's DynamoDB does not open.
    #[error("the DynamoDB sandbox cannot be opened")]
    Database(#[from] LogError),
    /// The system did not give what is needed.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// There is no HTTP client.
    #[error("no HTTP client")]
    Http(#[from] HttpError),
}

/// The first thing that ended by itself, and a signal for it.
#[derive(Clone, Default)]
pub struct Broken {
    what: Arc<Mutex<Option<String>>>,
    signal: CancellationToken,
}

impl Broken {
    /// Tells that something ended that should not have.
    pub fn tell(&self, what: String) {
        self.what.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
        self.signal.cancel();
    }

    /// Returns once something has.
    pub async fn told(&self) -> String {
        self.signal.cancelled().await;
        let what = self.what.lock().unwrap_or_else(PoisonError::into_inner).clone();
        what.unwrap_or_default()
    }
}

/// A listener on a free loopback port, and its address.
///
/// # Errors
/// [`StageError::Io`].
pub async fn listen() -> Result<(TcpListener, String), StageError> {
    let io = |source| StageError::Io { what: "no port on 127.0.0.1".to_owned(), source };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(io)?;
    let address = listener.local_addr().map_err(io)?.to_string();
    Ok((listener, address))
}

/// The tasks. Dropped, they end at once.
#[derive(Default)]
pub(super) struct Background {
    stop: CancellationToken,
    tasks: JoinSet<()>,
    broken: Broken,
}

impl Background {
    /// Opens a sandbox lakeFS over a directory and serves it; gives its URL as well.
    pub(super) async fn lakefs(
        &mut self,
        name: &'static str,
        dir: PathBuf,
        clock: &Arc<dyn Clock>,
        entropy: &Arc<dyn Entropy>,
    ) -> Result<(Sandbox, String), StageError> {
        let sandbox = Sandbox::open(Options::new(dir), Arc::clone(clock), Arc::clone(entropy))?;
        let (listener, address) = listen().await?;
        let (served, ended, told) = (sandbox.clone(), self.stop.clone().cancelled_owned(), self.broken.clone());
        self.tasks.spawn(async move {
            if let Err(error) = served.serve(listener, ended).await {
                told.tell(format!("the sandbox {name} ended: {error}"));
            }
        });
        Ok((sandbox, format!("http://{address}")))
    }

    /// Opens a sandbox DynamoDB over a file, serves it, and gives its URL.
    pub(super) async fn dynamodb(&mut self, file: &Path, clock: &Arc<dyn Clock>) -> Result<String, StageError> {
        let database = Dynamodb::open(file, Arc::clone(clock))?;
        let (listener, address) = listen().await?;
        let (ended, told) = (self.stop.clone().cancelled_owned(), self.broken.clone());
        self.tasks.spawn(async move {
            if let Err(error) = database.serve(listener, ended).await {
                told.tell(format!("the DynamoDB sandbox ended: {error}"));
            }
        });
        Ok(format!("http://{address}"))
    }

    /// Starts a replication.
    pub(super) fn replicate(&mut self, replication: &Arc<Replication>) {
        let (replication, stop, told) = (Arc::clone(replication), self.stop.clone(), self.broken.clone());
        self.tasks.spawn(async move {
            if let Err(error) = replication.run(stop, |_| {}).await {
                told.tell(format!("the replication ended: {error}"));
            }
        });
    }

    /// Runs something that ends by a token of its own.
    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// What tells when a part ends by itself.
    pub(super) fn broken(&self) -> &Broken {
        &self.broken
    }

    /// Ends everything, within a bounded time.
    pub(super) async fn close(mut self) {
        self.stop.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        // What has not ended by then ends with the tasks, which are aborted when they are dropped.
        let _ = tokio::time::timeout(CLOSE_TIME_MAX, ended).await;
    }
}
