//! The composition root: `connect` builds the adapters that a configuration names, and `serve` runs the service on the
//! adapters that it is given. The demo, the tests and the simulation therefore run the same wiring.

mod api;
pub mod definitions;
mod gap;
mod gate;
mod housekeeping;
pub mod http;
pub mod journal_writer;
pub mod policy;
pub mod registry;
pub mod snapshotter;
pub mod stores;
pub mod upkeep;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use lakemirror_api::server::{Startup, Unready, router};
use lakemirror_engine::lease::manager::Process;
use lakemirror_engine::mirror::{Ended, Settings};
use lakemirror_engine::ports::Registry;
use lakemirror_engine::recorder::{self, Halt, JournalWriter, Recorder, RecorderThread};
use lakemirror_engine::{Engine, Parts, Region};
use lakemirror_journal::command::Command;
use lakemirror_journal::log::OpenError;
use lakemirror_journal::state::State;
use lakemirror_journal::state::policy::Policy;
use lakemirror_mirrors::records::Records;
use lakemirror_mirrors::{Dynamodb, Embedded, Items, Postgres, dynamodb, embedded, postgres};
use lakemirror_objects::s3;
use lakemirror_outbound::Proxies;
use lakemirror_ports::clock::{Clock, Entropy};
use lakemirror_ports::{Alarm, FaultKind, Lakefs, LeaseTable};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config, MirrorsDatabase, Recheck};
use crate::service::RequestLog;

use definitions::{JournaledItems, ReconcileError};
use gap::Continuity;
use journal_writer::{Journal, SealPolicy};
use registry::SharedRegistry;
use upkeep::Upkeep;

/// How long the API keeps answering after a store of this process has failed.
const LINGER: Duration = Duration::from_secs(2);
/// How long to wait for the reason why the journal's thread stopped.
const REASON_TIME_MAX: Duration = Duration::from_secs(2);
/// How long a stop may take. Requests still in flight after that are abandoned.
const STOP_TIME_MAX: Duration = Duration::from_secs(3);

/// Why the service did not start, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The endpoint of a lakeFS, or its credentials, are invalid.
    #[error("the lakeFS of region {region} cannot be used")]
    Lakefs {
        /// The region.
        region: String,
        /// Why.
        #[source]
        source: lakemirror_lakefs::ConnectError,
    },
    /// A blockstore cannot be used.
    #[error("the blockstore of region {region} cannot be used")]
    Blockstore {
        /// The region.
        region: String,
        /// Why.
        #[source]
        source: lakemirror_objects::ConnectError,
    },
    /// The journal's archive cannot be used.
    #[error("journal.archive.s3 cannot be used")]
    Archive(#[source] s3::S3Error),
    /// The mirrors database cannot be opened.
    #[error("the mirrors database cannot be opened")]
    Mirrors(#[from] embedded::OpenError),
    /// The table of the mirrors database cannot be used.
    #[error("the mirrors database in DynamoDB cannot be used")]
    Dynamodb(#[from] dynamodb::OpenError),
    /// The SQL database cannot be used.
    #[error("the mirrors database in SQL cannot be used")]
    Postgres(#[from] postgres::OpenError),
    /// The journal cannot be opened.
    #[error("the journal at {} cannot be opened", path.display())]
    Journal {
        /// Its directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: OpenError,
    },
    /// The journal stopped. Nothing may be done that is not recorded.
    #[error("the journal stopped: {0}")]
    JournalStopped(String),
    /// The mirrors database and the journal cannot be reconciled.
    #[error("the mirrors database and the journal cannot be brought together")]
    Reconcile(#[from] ReconcileError),
    /// The volume of the journal, or of the embedded mirrors database, is full or failing.
    #[error("{0}")]
    Volume(String),
    /// A call to the operating system failed.
    #[error("{what}")]
    Io {
        /// What was attempted.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

/// Everything that `serve` needs.
pub struct Ports {
    /// The region whose API calls this process serves.
    pub region: String,
    /// The lakeFS of that region. It authenticates callers.
    pub home: Arc<lakemirror_lakefs::Client>,
    /// The lakeFS of every known region.
    pub sources: BTreeMap<String, Arc<dyn Lakefs>>,
    /// The regions for which this process does the destination work.
    pub regions: BTreeMap<String, Region>,
    /// The mirrors database.
    pub records: Arc<Records>,
    /// The embedded mirrors database, if that is the one in use. It is copied into the journal.
    pub definitions: Option<Arc<JournaledItems>>,
    /// Raised when the embedded mirrors database or the journal cannot be written.
    pub alarm: Alarm,
    /// The journal's directory.
    pub journal_path: PathBuf,
    /// When segments are sealed, and which frames are checkpoints.
    pub seal_policy: SealPolicy,
    /// How the journal's files are maintained.
    pub upkeep: upkeep::Settings,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Settings of the engine.
    pub settings: Arc<Settings>,
    /// The policy that promotions follow.
    pub policy: Policy,
    /// How callers are authenticated.
    pub auth: crate::config::Auth,
    /// The maximum number of connections to the API.
    pub connections_max: usize,
}

/// Builds the adapters. Makes no request, because a service that is down may come up later.
///
/// # Errors
/// [`RunError`] for settings that can never work.
pub async fn connect(config: &Config, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<Ports, RunError> {
    let proxies = Proxies::of_process();
    let client = |region: &str, endpoint: &str| {
        let pair = config.dst_credentials.get(region).unwrap_or(&config.lakefs_credentials);
        let settings = lakemirror_lakefs::Settings {
            endpoint: endpoint.to_owned(),
            region: Some(region.to_owned()),
            access_key_id: pair.access_key_id.clone(),
            secret_access_key: pair.secret_access_key.clone(),
            page_size: usize::try_from(config.commit_sensor.list_branch_page_size).unwrap_or(1000),
            ca_bundle: std::env::var_os("AWS_CA_BUNDLE").map(PathBuf::from),
            proxies: proxies.clone(),
        };
        lakemirror_lakefs::Client::new(settings, Arc::clone(&clock), Arc::clone(&entropy))
            .map(Arc::new)
            .map_err(|source| RunError::Lakefs { region: region.to_owned(), source })
    };
    let home = client(&config.region, config.regional_endpoint.as_str())?;
    let mut sources: BTreeMap<String, Arc<dyn Lakefs>> =
        BTreeMap::from([(config.region.clone(), Arc::clone(&home) as _)]);
    for (region, endpoint) in &config.dst_endpoints {
        if region != &config.region {
            sources.insert(region.clone(), client(region, endpoint.as_str())?);
        }
    }
    let mut regions = BTreeMap::new();
    let served = config.also_serves.iter().map(|(region, also)| (region, &also.blockstore));
    for (region, blockstore) in served.chain([(&config.region, &config.blockstore)]) {
        let Some(lakefs) = sources.get(region) else { continue };
        let destination = lakemirror_objects::connect(
            &stores::settings(blockstore, &proxies),
            Arc::clone(&clock),
            Arc::clone(&entropy),
        )
        .await;
        let destination = destination.map_err(|source| RunError::Blockstore { region: region.clone(), source })?;
        let (scheme, store) = (stores::scheme(blockstore), stores::identity::of(blockstore, variable));
        regions.insert(region.clone(), Region { lakefs: Arc::clone(lakefs), destination, scheme, store });
    }
    let alarm = Alarm::default();
    let (records, definitions) = open_records(config, &proxies, &alarm, &clock, &entropy).await?;
    Ok(Ports {
        region: config.region.clone(),
        home,
        sources,
        regions,
        records: Arc::new(records),
        definitions,
        alarm,
        journal_path: config.journal.path.clone(),
        seal_policy: seal_policy(&config.journal),
        upkeep: upkeep_settings(&config.journal, &proxies).await?,
        clock,
        entropy,
        settings: Arc::new(settings(config)),
        policy: policy::of(config),
        auth: config.auth.clone(),
        connections_max: usize::try_from(config.api.max_connections).unwrap_or(usize::MAX),
    })
}

/// An environment variable, if it is set and not empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

async fn open_records(
    config: &Config,
    proxies: &Proxies,
    alarm: &Alarm,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<(Records, Option<Arc<JournaledItems>>), RunError> {
    let organization = &config.organization_id;
    let items: Arc<dyn Items> = match &config.mirrors_database {
        MirrorsDatabase::Local { path } => {
            let embedded = Embedded::open(path, organization, alarm.clone()).await?;
            let items = Arc::new(JournaledItems::new(embedded, Arc::clone(clock)));
            return Ok((Records::new(Arc::clone(&items) as _, Arc::clone(clock)), Some(items)));
        }
        MirrorsDatabase::Dynamodb(table) => {
            let settings = stores::dynamodb_settings(table, proxies);
            Arc::new(Dynamodb::open(&settings, organization, Arc::clone(clock), Arc::clone(entropy)).await?)
        }
        MirrorsDatabase::Postgres(database) => {
            let settings = stores::postgres_settings(database);
            Arc::new(Postgres::open(&settings, organization, Arc::clone(clock), Arc::clone(entropy)).await?)
        }
    };
    Ok((Records::new(items, Arc::clone(clock)), None))
}

fn settings(config: &Config) -> Settings {
    Settings {
        scan_interval: config.commit_sensor.scan_interval(),
        definitions_interval: config.mirrors_manager.interval(),
        recheck: match config.validator.recheck() {
            Recheck::Every(interval) => Some(interval),
            Recheck::BackOff { .. } => None,
        },
        diagnose_after: config.verification.diagnose_after,
        metadata_prefix: config.committed.metadata_prefix.clone(),
        workers: usize::try_from(config.validator.num_workers).unwrap_or(3).clamp(1, 64),
        branch_concurrency: usize::try_from(config.commit_sensor.branches_scanner_concurrency_limit)
            .unwrap_or(10)
            .clamp(1, 256),
    }
}

fn seal_policy(journal: &config::Journal) -> SealPolicy {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    SealPolicy {
        seal_bytes_max: journal.seal_max_bytes,
        seal_age_ms_max: ms(journal.seal_max_age),
        checkpoint_age_ms_max: ms(journal.snapshot_interval),
        ..SealPolicy::default()
    }
}

async fn upkeep_settings(journal: &config::Journal, proxies: &Proxies) -> Result<upkeep::Settings, RunError> {
    let age_ms_max = u64::try_from(journal.retain_max_age.as_millis()).unwrap_or(u64::MAX);
    let (compress, archive) = (journal.compress, journal.archive.is_some());
    let to = match &journal.archive {
        None => None,
        Some(config::Archive::Directory(path)) => Some(upkeep::Archive::Directory(path.clone())),
        Some(config::Archive::S3 { bucket, prefix, store }) => {
            let archive = s3::archive::Archive::new(&stores::s3_settings(store, proxies), bucket, prefix).await;
            Some(upkeep::Archive::S3(Box::new(archive.map_err(RunError::Archive)?)))
        }
    };
    Ok(upkeep::Settings {
        rules: upkeep::plan::Rules { compress, archive, age_ms_max, bytes_max: journal.retain_max_bytes },
        archive: to,
        snapshot_interval: journal.snapshot_interval,
    })
}

/// Serves until stopped. The API answers from the beginning; mirrors are driven once the journal is replayed.
///
/// # Errors
/// [`RunError`].
pub async fn serve(ports: Ports, listener: TcpListener, stop: CancellationToken) -> Result<(), RunError> {
    let startup = Arc::new(Startup::new());
    let log = Arc::new(RequestLog::new(Arc::clone(&ports.entropy)));
    let limits = http::Limits::new(ports.connections_max);
    let app = router(Arc::clone(&startup), log);
    let http = tokio::spawn(http::serve(listener, app, limits, Arc::clone(&ports.clock), stop.clone()));
    let told = Arc::clone(&startup);
    let stopping = stop.clone();
    tokio::spawn(async move {
        stopping.cancelled().await;
        told.report(Unready::Stopping, "lakemirror is stopping");
    });
    let (alarm, clock) = (ports.alarm.clone(), Arc::clone(&ports.clock));
    let outcome = work(ports, &startup, &stop).await;
    if alarm.raised().is_some() {
        // Long enough for a probe or a person to read the reason.
        stop.run_until_cancelled(clock.sleep(LINGER)).await;
    }
    stop.cancel();
    if tokio::time::timeout(STOP_TIME_MAX, http).await.is_err() {
        tracing::warn!("requests were still in flight at the end");
    }
    outcome
}

async fn work(ports: Ports, startup: &Startup, stop: &CancellationToken) -> Result<(), RunError> {
    startup.doing("replaying the journal");
    introduce(&ports, stop);
    // An opening that is interrupted looks like a crash, and the next start recovers from it.
    let Some(opened) = stop.run_until_cancelled(open_journal(&ports)).await else { return Ok(()) };
    let (state, journal, recovery, node) = opened?;
    let (writer_epoch, head) = (journal.writer_epoch(), journal.head());
    let (recorder, thread) =
        recorder::start(state, Box::new(journal) as Box<dyn JournalWriter>, Arc::clone(&ports.clock))
            .map_err(|source| RunError::Io { what: "cannot start the journal's thread".to_owned(), source })?;
    let begun = begin(&recorder, &ports, writer_epoch, recovery).await;
    let watched = recorder.clone();
    let (dir, settings) = (ports.journal_path.clone(), ports.upkeep.clone());
    let upkeep = Upkeep::new(dir, settings, recorder.clone(), Arc::clone(&ports.clock));
    let mut upkeep = tokio::spawn(upkeep.run(stop.clone()));
    if let (Ok(()), Some(definitions)) = (&begun, &ports.definitions) {
        startup.doing("comparing the mirrors database with the journal");
        definitions.reconcile(recorder.clone()).await?;
    }
    let continuity = Continuity::new(ports.journal_path.clone(), node.clone(), head, recorder.clone());
    let registry = SharedRegistry::new(Arc::clone(&ports.records), Arc::clone(&ports.clock));
    let registry = Arc::new(registry.with_continuity(continuity));
    tokio::spawn(housekeeping::run(
        Arc::clone(&ports.records),
        ports.regions.keys().cloned().collect(),
        Arc::clone(&ports.clock),
        Arc::clone(&ports.entropy),
        stop.clone(),
    ));
    let engine = Engine::new(Parts {
        sources: ports.sources.clone(),
        regions: ports.regions.clone(),
        registry: Arc::clone(&registry) as Arc<dyn Registry>,
        table: Arc::clone(&registry) as Arc<dyn LeaseTable>,
        process: process(&ports, node),
        recorder,
        clock: Arc::clone(&ports.clock),
        entropy: Arc::clone(&ports.entropy),
        settings: Arc::clone(&ports.settings),
    });
    startup.ready(api::service(&ports, engine.clone(), registry, stop));
    let ended = match begun {
        Ok(()) => drive(&engine, &watched, &mut upkeep, &ports.alarm, stop).await,
        Err(_) => Err(Ended::Journal),
    };
    upkeep.abort();
    let failed = match (ports.alarm.raised(), ended) {
        (Some(why), _) => (Unready::Database, RunError::Volume(why)),
        (None, Ok(()) | Err(Ended::Stopped)) => return Ok(()),
        (None, Err(Ended::Journal)) => (Unready::Journal, why_stopped(thread, &ports.alarm).await),
    };
    let (unready, error) = failed;
    tracing::error!("the process ends: {error}");
    startup.report(unready, &error.to_string());
    Err(error)
}

/// Runs the engine until the journal stops or another store of this process fails. An idle engine would not notice
/// that the journal stopped.
async fn drive(
    engine: &Engine,
    recorder: &Recorder,
    upkeep: &mut JoinHandle<()>,
    alarm: &Alarm,
    stop: &CancellationToken,
) -> Result<(), Ended> {
    let mut running = pin!(engine.run(stop.clone()));
    tokio::select! {
        ended = &mut running => ended,
        _ = upkeep => if stop.is_cancelled() { running.await } else { Err(Ended::Journal) },
        () = recorder.stopped() => Err(Ended::Journal),
        _ = alarm.wait() => Err(Ended::Stopped),
    }
}

/// Why the journal's thread stopped. The wait is limited, because releasing its resources may hang on a failing volume.
async fn why_stopped(thread: RecorderThread, alarm: &Alarm) -> RunError {
    let joined = tokio::time::timeout(REASON_TIME_MAX, tokio::task::spawn_blocking(move || thread.join())).await;
    match joined {
        Ok(Ok(Err(Halt::Volume(why)))) => {
            alarm.raise(&why);
            RunError::Volume(why)
        }
        Ok(Ok(Err(why))) => RunError::JournalStopped(why.to_string()),
        Ok(Ok(Ok(())) | Err(_)) => RunError::JournalStopped("its thread ended".to_owned()),
        Err(_) => RunError::Volume("the journal stopped, and its thread does not end: check its volume".to_owned()),
    }
}

/// Checks in the background, once for each lakeFS, that it accepts our credentials. A lakeFS that is down may come up
/// later, but wrong credentials have to be in the log at start.
fn introduce(ports: &Ports, stop: &CancellationToken) {
    for (region, lakefs) in ports.sources.clone() {
        let stop = stop.clone();
        tokio::spawn(async move {
            // It does not matter whether this repository exists.
            let asked = stop.run_until_cancelled(lakefs.repository("lakemirror-start-check")).await;
            match asked {
                Some(Err(fault)) if fault.kind == FaultKind::Denied => {
                    tracing::error!(
                        region,
                        "the lakeFS of region {region} refuses our credentials: nothing can be mirrored from or to it ({fault})"
                    );
                }
                Some(Err(fault)) if fault.kind != FaultKind::Absent => {
                    tracing::warn!(region, "lakeFS does not answer yet: {fault}");
                }
                Some(_) => tracing::info!(region, endpoint = lakefs.endpoint(), "lakeFS answers"),
                None => {}
            }
        });
    }
}

/// This process as other processes see it in the mirrors database.
fn process(ports: &Ports, node: String) -> Process {
    let id = format!("{:016x}{:016x}", ports.entropy.random_u64(), ports.entropy.random_u64());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "a host" } else { host.trim() };
    let about = format!("{host}, process {}, lakemirror {}", std::process::id(), env!("CARGO_PKG_VERSION"));
    Process { id, node, about }
}

/// The state, the journal, what was repaired on opening, and the journal's id.
async fn open_journal(ports: &Ports) -> Result<(State, Journal, String, String), RunError> {
    let path = ports.journal_path.clone();
    let mut uuid = [0; 16];
    for half in uuid.chunks_exact_mut(8) {
        half.copy_from_slice(&ports.entropy.random_u64().to_le_bytes());
    }
    let wall_ms = ports.clock.wall_ms();
    let opened = tokio::task::spawn_blocking(move || {
        Journal::open(&path, uuid, wall_ms).map_err(|source| RunError::Journal { path, source })
    });
    let (journal, state, recovery) = opened.await.map_err(|error| RunError::JournalStopped(error.to_string()))??;
    let mended: Vec<String> = recovery.actions.iter().map(ToString::to_string).collect();
    let path = ports.journal_path.display();
    tracing::info!(%path, records = recovery.records, mirrors = state.mirrors.len(), "the journal is open");
    for action in &mended {
        tracing::warn!(%path, "journal: {action}");
    }
    let node = recovery.uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((state, journal.with_seal_policy(ports.seal_policy), mended.join("; "), node))
}

async fn begin(
    recorder: &Recorder,
    ports: &Ports,
    writer_epoch: u64,
    recovery: String,
) -> Result<(), recorder::RecordError> {
    let software = env!("CARGO_PKG_VERSION").to_owned();
    let at_ms = ports.clock.wall_ms();
    recorder.command(Command::Start { writer_epoch, software, policy: ports.policy.clone(), recovery, at_ms }).await?;
    Ok(())
}
