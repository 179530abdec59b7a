//! The environment of the demo: two lakeFS sandboxes on loopback ports, and the replication between their buckets.
//!
//! Everything is in one directory: `east` and `west` (the sandboxes), and lakemirror's `mirrors` and `journal`. Used by
//! the demo and by the tests that start lakemirror as a process.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lakemirror_core::secret::Secret;
use lakemirror_ports::clock::{Clock, Entropy};

use super::background::Background;
pub use super::background::{Broken, StageError, listen};
use crate::checker::http::{Access, Http};
use crate::checker::{CheckError, Checker, Setup};
use crate::sandbox::replication::{Behaviour, Replication};
use crate::sandbox::{EXAMPLE_ACCESS_KEY_ID, EXAMPLE_SECRET_ACCESS_KEY, EXAMPLE_SECRET_KEY, Sandbox};

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

/// How to set it up.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The directory.
    pub dir: PathBuf,
    /// How replication behaves.
    pub behaviour: Behaviour,
}

/// The running environment.
pub struct Stage {
    /// URL of the source's lakeFS.
    pub source_url: String,
    /// URL of the mirror's lakeFS.
    pub mirror_url: String,
    /// The API of the source's lakeFS.
    pub source: Http,
    /// The API of the mirror's lakeFS.
    pub mirror: Http,
    /// The source's sandbox, for fault injection.
    pub east: Sandbox,
    /// The mirror's sandbox, for fault injection.
    pub west: Sandbox,
    /// The replication, for fault injection.
    pub replication: Arc<Replication>,
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    background: Background,
}

/// The key pair of both sandboxes.
pub fn access() -> Access {
    Access { id: EXAMPLE_ACCESS_KEY_ID.to_owned(), secret: Secret::new(EXAMPLE_SECRET_ACCESS_KEY) }
}

impl Stage {
    /// Sets everything up, on top of what the directory contains. Replication does not start before
    /// [`Self::replicate`].
    ///
    /// # Errors
    /// [`StageError`].
    pub async fn open(plan: Plan, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<Self, StageError> {
        let Plan { dir, behaviour } = plan;
        let mut background = Background::default();
        let (east, source_url) = background.lakefs("east", dir.join("east"), &clock, &entropy).await?;
        let (west, mirror_url) = background.lakefs("west", dir.join("west"), &clock, &entropy).await?;
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
        Ok(Self { source_url, mirror_url, source, mirror, east, west, replication, dir, clock, background })
    }

    /// Starts the replication.
    pub fn replicate(&mut self) {
        self.background.replicate(&self.replication);
    }

    /// The signal for parts that ended on their own.
    pub fn broken(&self) -> &Broken {
        self.background.broken()
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The smallest lakemirror configuration for this environment: one process for both regions.
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

    /// A checker of this environment's mirror.
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
    pub async fn close(self) {
        self.background.close().await;
    }
}
