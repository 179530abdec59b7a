//! The engine: every mirror of the regions that this process serves, each at work on its own (I9).
//!
//! One task looks after the list of mirrors; each mirror has four stages that share nothing but the journal. A stage
//! that ends with a stopped journal ends the engine, and so the process: nothing may be done that is not recorded.

pub mod audit;
pub mod board;
pub mod keeper;
pub mod mirror;
pub mod observe;
pub mod ownership;
pub mod ports;
pub mod promote;
pub mod publish;
pub mod recorder;
pub mod scrub;
pub mod status;
pub mod verify;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use lakemirror_journal::command::Ask;
use lakemirror_journal::ids::Incarnation;
use lakemirror_journal::state::mirror::{Definition, Phase};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Entropy};
use board::{Board, Subject};
use mirror::{Ended, Settings, Site};
use ports::{Destination, Lakefs, MirrorDefinition, Registry};
use recorder::Recorder;
use status::MirrorStatus;

/// A region whose destination work this process does.
#[derive(Clone)]
pub struct Region {
    /// Its lakeFS.
    pub lakefs: Arc<dyn Lakefs>,
    /// Its blockstore.
    pub destination: Arc<dyn Destination>,
    /// The scheme of its blockstore's addresses: `s3` or `local`.
    pub scheme: &'static str,
}

/// Everything the engine works with.
#[derive(Clone)]
pub struct Parts {
    /// The lakeFS of every region that is known, by region id: sources.
    pub sources: BTreeMap<String, Arc<dyn Lakefs>>,
    /// The regions that are served, by region id.
    pub regions: BTreeMap<String, Region>,
    /// The mirrors database.
    pub registry: Arc<dyn Registry>,
    /// The journal.
    pub recorder: Recorder,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// How to go about it.
    pub settings: Arc<Settings>,
}

/// The engine. Clones share their mirrors.
#[derive(Clone)]
pub struct Engine {
    parts: Parts,
    sites: Arc<Mutex<BTreeMap<Incarnation, Site>>>,
}

impl Engine {
    /// An engine that does nothing before it is run.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts, sites: Arc::default() }
    }

    /// The status of a mirror that is at work here.
    pub async fn status(&self, mirror: &Incarnation) -> Option<MirrorStatus> {
        let site = self.sites().get(mirror).cloned()?;
        let status = publish::status_now(&site).await;
        status.ok().flatten()
    }

    fn sites(&self) -> std::sync::MutexGuard<'_, BTreeMap<Incarnation, Site>> {
        self.sites.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works until stopped, or until the journal stops.
    ///
    /// # Errors
    /// [`Ended::Journal`].
    pub async fn run(&self, stop: CancellationToken) -> Result<(), Ended> {
        let mut changes = self.parts.registry.changes();
        let mut tasks: JoinSet<(Incarnation, Result<(), Ended>)> = JoinSet::new();
        let board = Board::new(Arc::clone(&self.parts.clock));
        loop {
            changes.borrow_and_update();
            match self.parts.registry.definitions().await {
                Ok(definitions) => {
                    board.clear("", &Subject::Registry);
                    self.follow(definitions, &mut tasks, &stop).await?;
                }
                Err(fault) => board.note("", Subject::Registry, fault.to_string()),
            }
            let interval = self.parts.settings.definitions_interval;
            let deadline = self.parts.clock.sleep(interval);
            tokio::select! {
                () = stop.cancelled() => break,
                changed = changes.changed() => if changed.is_err() { deadline_only(&*self.parts.clock, interval).await },
                Some(done) = tasks.join_next(), if !tasks.is_empty() => match done {
                    Ok((_, Err(Ended::Journal))) => return Err(Ended::Journal),
                    Ok((id, _)) => drop(self.sites().remove(&id)),
                    Err(crash) => tracing::error!("a mirror's work ended with a panic: {crash}"),
                },
                () = deadline => {}
            }
        }
        while let Some(done) = tasks.join_next().await {
            if let Ok((_, Err(Ended::Journal))) = done {
                return Err(Ended::Journal);
            }
        }
        Ok(())
    }

    /// Brings the mirrors at work in line with what is defined.
    async fn follow(
        &self,
        definitions: Vec<MirrorDefinition>,
        tasks: &mut JoinSet<(Incarnation, Result<(), Ended>)>,
        stop: &CancellationToken,
    ) -> Result<(), Ended> {
        for definition in definitions {
            let Some(region) = self.parts.regions.get(&definition.region).cloned() else { continue };
            let Some(source) = self.parts.sources.get(&definition.source_region).cloned() else {
                tracing::error!(
                    mirror = definition.name,
                    region = definition.source_region,
                    "the source's region has no lakeFS here: add it to dst_endpoints"
                );
                continue;
            };
            let id = definition.incarnation;
            let running = self.sites().get(&id).cloned();
            match running {
                Some(site) if definition.deleted && !site.definition.deleted => site.stop.cancel(),
                Some(_) => {}
                None => {
                    let site = self.site(definition, region, source, stop);
                    self.define(&site).await?;
                    self.sites().insert(id, site.clone());
                    tasks.spawn(async move { (id, work(site).await) });
                }
            }
        }
        Ok(())
    }

    fn site(
        &self,
        definition: MirrorDefinition,
        region: Region,
        source: Arc<dyn Lakefs>,
        stop: &CancellationToken,
    ) -> Site {
        Site {
            definition: Arc::new(definition),
            source,
            mirror: region.lakefs,
            destination: region.destination,
            registry: Arc::clone(&self.parts.registry),
            recorder: self.parts.recorder.clone(),
            clock: Arc::clone(&self.parts.clock),
            entropy: Arc::clone(&self.parts.entropy),
            settings: Arc::clone(&self.parts.settings),
            board: Board::new(Arc::clone(&self.parts.clock)),
            verify: Arc::default(),
            stop: stop.child_token(),
        }
    }

    async fn define(&self, site: &Site) -> Result<(), Ended> {
        let definition = &site.definition;
        site.ask(Ask::Define(Definition {
            name: definition.name.clone(),
            source_repository: definition.source_repository.clone(),
            source_region: definition.source_region.clone(),
            region: definition.region.clone(),
            storage_namespace: definition.storage_namespace.clone(),
            created_ms: definition.created_ms,
        }))
        .await?;
        if definition.deleted {
            site.ask(Ask::StartDeletion).await?;
        }
        Ok(())
    }
}

async fn deadline_only(clock: &dyn Clock, interval: std::time::Duration) {
    clock.sleep(interval).await;
}

/// One mirror's work, to its end.
async fn work(site: Site) -> Result<(), Ended> {
    if site.look(|mirror| mirror.phase == Phase::Deleting).await? == Some(true) {
        return keeper::dismantle(&site).await;
    }
    let stages = async {
        tokio::try_join!(
            observe::run(&site),
            verify_until_stopped(&site),
            promote::run(&site),
            publish::run(&site),
            scrub::run(&site),
            keeper::ensure(&site)
        )
    };
    match stages.await {
        Ok(_) => Ok(()),
        Err(ended) => {
            site.stop.cancel();
            Err(ended)
        }
    }
}

async fn verify_until_stopped(site: &Site) -> Result<(), Ended> {
    let verifier = verify::Verifier {
        mirror: site.definition.incarnation,
        recorder: site.recorder.clone(),
        destination: Arc::clone(&site.destination),
        source: Arc::clone(&site.source),
        clock: Arc::clone(&site.clock),
        entropy: Arc::clone(&site.entropy),
        settings: verify::Settings {
            metadata_prefix: site.settings.metadata_prefix.clone(),
            recheck: site.settings.recheck,
            diagnose_after: site.settings.diagnose_after,
            workers: site.settings.workers.max(2),
        },
        status: Arc::clone(&site.verify),
    };
    verifier.run(site.stop.clone()).await;
    // It ends early where the namespace cannot be used, and says so in its status; the other stages go on.
    site.stop.cancelled().await;
    Err(Ended::Stopped)
}
