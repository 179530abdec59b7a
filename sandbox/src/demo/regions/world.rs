//! Three regions: a lakeFS sandbox in each, the replications between their buckets, and the shared database.
//!
//! ```text
//! DIR/dynamodb                       the shared table
//! DIR/<region>/lakefs/               the sandbox: its state and, under blocks/<bucket>/, its bucket
//! DIR/<region>/lakemirror.yaml, .log, journal/     that region's lakemirror
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lakemirror_ports::clock::{Clock, Entropy};

use crate::checker::http::Http;
use crate::demo::background::{Background, StageError};
use crate::demo::stage::access;
use crate::sandbox::replication::{Behaviour, Replication};

/// One of the regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    East,
    West,
    Eu,
}

impl Place {
    pub(super) const ALL: [Self; 3] = [Self::East, Self::West, Self::Eu];

    /// The region's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::East => "us-east-1",
            Self::West => "us-west-2",
            Self::Eu => "eu-central-1",
        }
    }

    /// Its bucket's name.
    pub(super) fn bucket(self) -> &'static str {
        match self {
            Self::East => "east",
            Self::West => "west",
            Self::Eu => "eu",
        }
    }
}

/// A mirror to create.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) name: &'static str,
    pub(super) source: &'static str,
    pub(super) from: Place,
    pub(super) to: Place,
}

/// One half of the fan-out.
pub(super) const SAMPLE_WEST: Wanted =
    Wanted { name: "sample-west", source: "sample", from: Place::East, to: Place::West };
/// The other half.
pub(super) const SAMPLE_EU: Wanted = Wanted { name: "sample-eu", source: "sample", from: Place::East, to: Place::Eu };
/// The other direction.
pub(super) const LEDGER_EAST: Wanted =
    Wanted { name: "ledger-east", source: "ledger", from: Place::West, to: Place::East };

impl Wanted {
    /// Where the source's objects are.
    pub(super) fn source_namespace(&self) -> String {
        format!("local://{}/{}", self.from.bucket(), self.source)
    }

    /// Where their copies arrive.
    pub(super) fn namespace(&self) -> String {
        format!("local://{}/{}", self.to.bucket(), self.source)
    }
}

/// A region without lakemirror.
pub(super) struct Region {
    pub(super) place: Place,
    /// URL of its lakeFS.
    pub(super) url: String,
    /// The API of its lakeFS.
    pub(super) lakefs: Http,
    pub(super) dir: PathBuf,
}

impl Region {
    /// The sandbox's blockstore.
    pub(super) fn blocks(&self) -> PathBuf {
        self.dir.join("lakefs/blocks")
    }

    /// The files of one repository in the region's bucket.
    pub(super) fn files(&self, repository: &str) -> PathBuf {
        self.blocks().join(self.place.bucket()).join(repository)
    }
}

/// The complete environment.
pub(super) struct World {
    east: Region,
    west: Region,
    eu: Region,
    to_west: Arc<Replication>,
    /// The replication in which objects are held.
    pub(super) to_eu: Arc<Replication>,
    to_east: Arc<Replication>,
    /// URL of the shared database.
    pub(super) database: String,
    pub(super) background: Background,
    pub(super) clock: Arc<dyn Clock>,
}

impl World {
    /// Sets everything up, on top of what the directory contains. Replication does not start before
    /// [`Self::replicate`].
    pub(super) async fn open(
        dir: &Path,
        behaviour: Behaviour,
        clock: &Arc<dyn Clock>,
        entropy: &Arc<dyn Entropy>,
    ) -> Result<Self, StageError> {
        let mut background = Background::default();
        let mut region = async |place: Place| {
            let dir = dir.join(place.name());
            let (_, url) = background.lakefs(place.name(), dir.join("lakefs"), clock, entropy).await?;
            let lakefs = Http::new(&format!("{url}/api/v1"), &access())?;
            Ok::<_, StageError>(Region { place, url, lakefs, dir })
        };
        let (east, west) = (region(Place::East).await?, region(Place::West).await?);
        let eu = region(Place::Eu).await?;
        let database = background.dynamodb(&dir.join("dynamodb"), clock).await?;
        let replication = |from: &Region, to: &Region, repository: &str| {
            let temporary = to.dir.join("replication").join(repository);
            let (from, to) = (from.files(repository), to.files(repository));
            let what = format!("replication into {}", to.display());
            Replication::new(from, to, temporary, behaviour, Arc::clone(clock), Arc::clone(entropy))
                .map(Arc::new)
                .map_err(|source| StageError::Io { what, source })
        };
        let to_west = replication(&east, &west, SAMPLE_WEST.source)?;
        let to_eu = replication(&east, &eu, SAMPLE_EU.source)?;
        let to_east = replication(&west, &east, LEDGER_EAST.source)?;
        Ok(Self { east, west, eu, to_west, to_eu, to_east, database, background, clock: Arc::clone(clock) })
    }

    /// Starts all replications.
    pub(super) fn replicate(&mut self) {
        for replication in [&self.to_west, &self.to_eu, &self.to_east] {
            self.background.replicate(replication);
        }
    }

    pub(super) fn region(&self, place: Place) -> &Region {
        match place {
            Place::East => &self.east,
            Place::West => &self.west,
            Place::Eu => &self.eu,
        }
    }
}
