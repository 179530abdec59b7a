//! The stage: two sandbox lakeFS installations on loopback ports and the replication between their buckets.
//!
//! Everything is under one directory: `east` and `west` (the sandboxes), and what lakemirror keeps, `mirrors` and
//! `journal`. Used by the demo and by the tests that start lakemirror as a process of its own.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::checker::http::{Access, Http, HttpError};
use crate::checker::{CheckError, Checker, Setup};
use crate::clock::{Clock, Entropy};
use crate::sandbox::replication::{Behaviour, Replication};
use crate::sandbox::{
    EXAMPLE_ACCESS_KEY_ID, EXAMPLE_SECRET_ACCESS_KEY, EXAMPLE_SECRET_KEY, OpenError, Options, Sandbox,
};
use crate::secret::Secret;

/// The source's region.
pub const SOURCE_REGION: &str = "us-east-1";
/// The mirror's region.
pub const MIRROR_REGION: &str = "us-west-2";
/// The source repository.
pub const SOURCE: &str = "sample";
/// The mirror repository.
pub const MIRROR: &str = "sample-mirror";
/// The source's storage namespace.
pub const SOURCE_NAMESPACE: &str = "local://east/sample";
/// The mirror's storage namespace.
pub const MIRROR_NAMESPACE: &str = "local://west/sample";

/// How long connections may take to end.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);

/// Why the stage does not stand.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// A sandbox does not open.
    #[error("a sandbox cannot be opened")]
    Sandbox(#[from] OpenError),
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

/// How the parts are set up.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where everything is kept.
    pub dir: PathBuf,
    /// How replication behaves.
    pub behaviour: Behaviour,
}

/// The stage, up.
pub struct Stage {
    /// URL of the source's lakeFS.
    pub source_url: String,
    /// URL of the mirror's lakeFS.
    pub mirror_url: String,
    /// The API of the source's lakeFS.
    pub source: Http,
    /// The API of the mirror's lakeFS.
    pub mirror: Http,
    /// The source's sandbox, for its knobs.
    pub east: Sandbox,
    /// The mirror's sandbox, for its knobs.
    pub west: Sandbox,
    /// The replication, for its knobs.
    pub replication: Arc<Replication>,
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    broken: Broken,
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

/// The key pair of both sandboxes.
pub fn access() -> Access {
    Access { id: EXAMPLE_ACCESS_KEY_ID.to_owned(), secret: Secret::new(EXAMPLE_SECRET_ACCESS_KEY) }
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

impl Stage {
    /// Sets everything up, over what the directory has from before. Replication stands still until [`Self::replicate`].
    ///
    /// # Errors
    /// [`StageError`].
    pub async fn open(plan: Plan, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<Self, StageError> {
        let Plan { dir, behaviour } = plan;
        let (stop, broken, mut tasks) = (CancellationToken::new(), Broken::default(), JoinSet::new());
        let mut sandboxes = Vec::new();
        for name in ["east", "west"] {
            let options = Options::new(dir.join(name));
            let sandbox = Sandbox::open(options, Arc::clone(&clock), Arc::clone(&entropy))?;
            let (listener, address) = listen().await?;
            let (served, ended, told) = (sandbox.clone(), stop.clone().cancelled_owned(), broken.clone());
            tasks.spawn(async move {
                if let Err(error) = served.serve(listener, ended).await {
                    told.tell(format!("the sandbox {name} ended: {error}"));
                }
            });
            sandboxes.push((sandbox, format!("http://{address}")));
        }
        let [(east, source_url), (west, mirror_url)]: [(Sandbox, String); 2] =
            sandboxes.try_into().map_err(|_| StageError::Io {
                what: "two sandboxes were started".to_owned(),
                source: std::io::Error::other("another number"),
            })?;
        let replication = Replication::new(
            dir.join("east/blocks/east"),
            dir.join("west/blocks/west"),
            dir.join("west/replication"),
            behaviour,
            Arc::clone(&clock),
            entropy,
        );
        let io = |source| StageError::Io { what: format!("replication in {}", dir.display()), source };
        let replication = Arc::new(replication.map_err(io)?);
        let api = |url: &str| Http::new(&format!("{url}/api/v1"), &access());
        let (source, mirror) = (api(&source_url)?, api(&mirror_url)?);
        Ok(Self { source_url, mirror_url, source, mirror, east, west, replication, dir, clock, stop, tasks, broken })
    }

    /// Starts the replication.
    pub fn replicate(&mut self) {
        let (replication, stop, told) = (Arc::clone(&self.replication), self.stop.clone(), self.broken.clone());
        self.tasks.spawn(async move {
            if let Err(error) = replication.run(stop, |_| {}).await {
                told.tell(format!("the replication ended: {error}"));
            }
        });
    }

    /// What tells when a part ends by itself.
    pub fn broken(&self) -> &Broken {
        &self.broken
    }

    /// Where everything is kept.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A lakemirror configuration for this stage: the smallest one, one process for both ends.
    pub fn config(&self, listen_address: &str) -> String {
        let text = |path: PathBuf| serde_json::Value::from(path.to_string_lossy().as_ref()).to_string();
        let (east, west) = (text(self.dir.join("east/blocks")), text(self.dir.join("west/blocks")));
        let (mirrors, journal) = (text(self.dir.join("mirrors")), text(self.dir.join("journal")));
        let (source, mirror) = (&self.source_url, &self.mirror_url);
        format!(
            "region: {SOURCE_REGION}\n\
             organization_id: acme\n\
             regional_endpoint: {source}\n\
             dst_endpoints: {{ {MIRROR_REGION}: {mirror} }}\n\
             lakefs_access_key_id: {EXAMPLE_ACCESS_KEY_ID}\n\
             lakefs_secret_access_key: {EXAMPLE_SECRET_ACCESS_KEY}\n\
             auth: {{ encrypt: {{ secret_key: {EXAMPLE_SECRET_KEY} }} }}\n\
             mirrors_database: {{ type: local, local: {{ path: {mirrors} }} }}\n\
             blockstore: {{ type: local, local: {{ path: {east} }} }}\n\
             also_serves:\n  \
               {MIRROR_REGION}: {{ blockstore: {{ type: local, local: {{ path: {west} }} }} }}\n\
             journal: {{ path: {journal} }}\n\
             listen_address: {listen_address}\n\
             commit_sensor: {{ process_branches_duration: 1s }}\n\
             deletion: {{ grace: 3s }}\n"
        )
    }

    /// A judge of this stage's mirror.
    ///
    /// # Errors
    /// [`CheckError`].
    pub fn checker(&self) -> Result<Checker, CheckError> {
        let setup = Setup {
            source: self.source_url.clone(),
            source_repository: SOURCE.to_owned(),
            mirror: self.mirror_url.clone(),
            mirror_repository: MIRROR.to_owned(),
            access: access(),
            bucket: self.dir.join("west/blocks/west/sample"),
            every: Duration::from_millis(20),
            ancestors_complete: true,
        };
        Checker::new(setup, Arc::clone(&self.clock))
    }

    /// Ends everything, within a bounded time.
    pub async fn close(mut self) {
        self.stop.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        // What has not ended by then ends with the tasks, which are aborted when they are dropped.
        let _ = tokio::time::timeout(CLOSE_TIME_MAX, ended).await;
    }
}
