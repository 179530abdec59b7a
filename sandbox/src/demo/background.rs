//! The background tasks of a demo: servers, replications and checkers, and a signal if one of them ends on its own.

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

/// How long closing connections may take.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);

/// Why the environment cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// A sandbox cannot be opened.
    #[error("a sandbox cannot be opened")]
    Sandbox(#[from] OpenError),
    /// The DynamoDB sandbox cannot be opened.
    #[error("the DynamoDB sandbox cannot be opened")]
    Database(#[from] LogError),
    /// The operating system refused something.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The HTTP client cannot be created.
    #[error("the HTTP client cannot be created")]
    Http(#[from] HttpError),
}

/// The first task that ended on its own, and a signal for it.
#[derive(Clone, Default)]
pub struct Broken {
    what: Arc<Mutex<Option<String>>>,
    signal: CancellationToken,
}

impl Broken {
    /// Reports that something ended unexpectedly.
    pub fn tell(&self, what: String) {
        self.what.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
        self.signal.cancel();
    }

    /// Waits for the first such report.
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

/// The tasks. They are aborted when this is dropped.
#[derive(Default)]
pub(super) struct Background {
    stop: CancellationToken,
    tasks: JoinSet<()>,
    broken: Broken,
}

impl Background {
    /// Opens a lakeFS sandbox in a directory, serves it, and returns it with its URL.
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

    /// Opens a DynamoDB sandbox on a file, serves it, and returns its URL.
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

    /// Runs a task that ends by its own token.
    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// The signal for tasks that ended on their own.
    pub(super) fn broken(&self) -> &Broken {
        &self.broken
    }

    /// Ends everything, within a bounded time.
    pub(super) async fn close(mut self) {
        self.stop.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        // Tasks that have not ended by then are aborted when they are dropped.
        let _ = tokio::time::timeout(CLOSE_TIME_MAX, ended).await;
    }
}
