//! A lakeFS for experiments and tests: the API of a real server on a directory, with fault injection.
//!
//! ```text
//! HTTP ─► serve (connections) ─► http (routes, answers) ─► lake (lakeFS's rules) ─► log + blocks (files)
//!              ▲                      ▲
//!              └── faults (delay, errors, lost answers, unreachable)
//! ```
//!
//! What a client can see is as in lakeFS: routes, statuses, messages, ids, files. It is not clustered, has no security
//! beyond its one key pair, and is slow with a hundred thousand uncommitted changes on one branch. In addition,
//! [`replication`] copies files between the blockstores of two sandboxes as bucket replication would, and [`dynamodb`]
//! implements the part of DynamoDB that a mirrors database needs.

mod apply;
mod auth;
mod blocks;
mod build;
mod caches;
mod content;
pub mod dynamodb;
mod failure;
pub mod faults;
mod http;
pub mod lake;
pub mod log;
mod merge;
pub mod model;
mod mutation;
mod names;
mod pattern;
mod refs;
pub mod replication;
mod serve;
mod tree;
mod validate;

pub use auth::Credentials;
pub use failure::{Failure, Kind, Outcome};
pub use faults::Faults;
pub use lake::Lake;
pub use log::{Durability, LogError};

use std::fs::TryLockError;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use lakemirror_ports::clock::{Clock, Entropy};

/// The access key id of the AWS documentation's example pair.
pub const EXAMPLE_ACCESS_KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
/// The secret access key of the AWS documentation's example pair.
pub const EXAMPLE_SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY";
/// The secret with which tokens are signed by default; it is public.
pub const EXAMPLE_SECRET_KEY: &str = "the-one-lakefs-uses";

/// Options of a sandbox.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data directory: `DIR/state.jsonl` and, under `DIR/blocks`, the buckets.
    pub dir: PathBuf,
    /// The only key pair.
    pub credentials: Credentials,
    /// The key with which Bearer tokens are signed (lakeFS's `auth.encrypt.secret_key`).
    pub secret_key: String,
    /// Whether the server caches repository records for 5 to 7 s and commits for 10 min, as a real one does.
    pub caches: bool,
    /// What an acknowledged change survives.
    pub durability: Durability,
    /// Whether `/_sandbox/…`, which injects faults over HTTP, is served.
    pub control: bool,
}

impl Options {
    /// A sandbox in `dir` that behaves like a real server, with the example credentials.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            credentials: Credentials {
                access_key_id: EXAMPLE_ACCESS_KEY_ID.to_owned(),
                secret_access_key: EXAMPLE_SECRET_ACCESS_KEY.to_owned(),
            },
            secret_key: EXAMPLE_SECRET_KEY.to_owned(),
            caches: true,
            durability: Durability::Process,
            control: true,
        }
    }
}

/// Why a sandbox cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory cannot be used.
    #[error("sandbox folder {dir}")]
    Dir {
        /// The directory.
        dir: PathBuf,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// Another sandbox uses the directory.
    #[error("sandbox folder {dir} is in use by another process: stop it, or choose another folder")]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The state cannot be used.
    #[error("sandbox folder {dir}")]
    State {
        /// The directory.
        dir: PathBuf,
        /// What is wrong with it.
        #[source]
        source: LogError,
    },
    /// The first change failed.
    #[error("sandbox folder {dir}")]
    First {
        /// The directory.
        dir: PathBuf,
        /// What is wrong.
        #[source]
        source: Failure,
    },
}

/// One lakeFS sandbox. Cheap to clone; all clones share their state.
#[derive(Clone)]
pub struct Sandbox {
    lake: Arc<Lake>,
    faults: Arc<Faults>,
    access: Arc<auth::Access>,
    clock: Arc<dyn Clock>,
    control: bool,
    /// Holds the directory's lock.
    _held: Arc<std::fs::File>,
}

impl Sandbox {
    /// Opens the sandbox in a directory, or creates it. One process per directory.
    ///
    /// # Errors
    /// The directory is not writable, or the state is damaged before its end.
    pub fn open(options: Options, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<Self, OpenError> {
        let Options { dir, credentials, secret_key, caches, durability, control } = options;
        let io = |source| OpenError::Dir { dir: dir.clone(), source };
        std::fs::create_dir_all(&dir).map_err(io)?;
        let held = std::fs::File::create(dir.join("lock")).map_err(io)?;
        held.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::InUse { dir: dir.clone() },
            TryLockError::Error(source) => io(source),
        })?;
        let blocks = blocks::Blocks::open(dir.join("blocks"), dir.join("tmp"), durability).map_err(io)?;
        let (log, state) = log::Log::open(&dir.join("state.jsonl"), durability)
            .map_err(|source| OpenError::State { dir: dir.clone(), source })?;
        let lake = Lake::new(lake::Parts {
            log,
            state,
            blocks,
            caches: caches::Caches::new(caches, Arc::clone(&clock), Arc::clone(&entropy)),
            clock: Arc::clone(&clock),
            entropy,
            signing_key: secret_key.clone().into_bytes(),
        })
        .map_err(|source| OpenError::First { dir, source })?;
        let access = Arc::new(auth::Access::new(credentials, secret_key));
        Ok(Self { lake: Arc::new(lake), faults: Arc::default(), access, clock, control, _held: Arc::new(held) })
    }

    /// The server's rules and state, for use within the process.
    pub fn lake(&self) -> &Arc<Lake> {
        &self.lake
    }

    /// Fault injection.
    pub fn faults(&self) -> &Arc<Faults> {
        &self.faults
    }

    /// The HTTP API. With [`Self::serve`] it can close connections without a response; with another server it truncates
    /// the response instead.
    pub fn router(&self) -> axum::Router {
        http::router(self.clone())
    }

    /// Serves the API on a listener until `shutdown` completes.
    ///
    /// # Errors
    /// Errors of accepting connections.
    pub async fn serve(
        &self,
        listener: tokio::net::TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        serve::serve(self, listener, shutdown).await
    }
}

/// Locks a mutex, and ignores poisoning: no code panics while it holds one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
