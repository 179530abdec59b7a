//! `lakemirror run --config FILE`: configuration, log, then the service.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use lakemirror_journal::log::OpenError;
use lakemirror_ports::Alarm;
use lakemirror_ports::clock::system::{OsEntropy, SystemClock};
use tokio_util::sync::CancellationToken;

use super::signals::{self, HangUp};
use super::{Exit, Failure, check};
use crate::config::{self, Config, Warning};
use crate::logging;
use crate::run::http::descriptors;
use crate::run::{self, RunError};

/// Threads of the runtime. Nearly all work is waiting; decoding files has threads of its own.
const WORKERS: usize = 2;

/// How long an end that was asked for may take.
const STOP_TIME_MAX: Duration = Duration::from_millis(4500);

/// How long the end after the failure of a volume may take.
const FAILURE_TIME_MAX: Duration = Duration::from_secs(8);

/// What to run.
#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// The configuration file; REPLICATION_… variables are laid over it.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// End in order when standard input ends too: whoever starts this as a part of itself takes it along, however it ends
    #[arg(long, hide = true)]
    until_input_ends: bool,
}

/// Runs until it is told to end.
pub(super) fn run(arguments: &RunArguments) -> Result<Exit, Failure> {
    // First the log: where it is JSON, problems of the configuration are logged as JSON too.
    let logging = Config::logging(&arguments.config, &config::process_variables());
    logging::init(logging).map_err(|error| Failure::because(Exit::Io, "cannot log", error))?;
    let (config, warnings) = check::load(&arguments.config)?;
    log_start(&config, &warnings);
    serve(config, arguments.until_input_ends)
}

fn log_start(config: &Config, warnings: &[Warning]) {
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "lakemirror starts");
    let settings: Vec<String> = config.summary().iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    tracing::info!("effective configuration: {}", settings.join(" "));
    for warning in warnings {
        tracing::warn!(%warning, "configuration");
    }
}

fn serve(config: Config, until_input_ends: bool) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::because(Exit::Io, "cannot start the runtime", error))?;
    let ended = runtime.block_on(serve_until_told(config, until_input_ends));
    if ended.is_ok() {
        // What is still under way is repeated after the next start; waiting for it would only delay the end.
        runtime.shutdown_timeout(Duration::from_millis(500));
    } else {
        // What it lets go of may hang on a volume that fails; it goes with the process.
        std::mem::forget(runtime);
    }
    ended
}

async fn serve_until_told(config: Config, until_input_ends: bool) -> Result<Exit, Failure> {
    let stop = signals::stop_token(HangUp::Ignored)?;
    if until_input_ends {
        stop_with_input(stop.clone());
    }
    let listener = run::http::listen::bind(&config.listen_address).await.map_err(|error| {
        Failure::because(Exit::Io, format!("cannot listen on {}; change listen_address", config.listen_address), error)
    })?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!("the API listens at http://{address}");
    }
    let connecting = run::connect(&config, Arc::new(SystemClock::new()), Arc::new(OsEntropy));
    let Some(ports) = stop.run_until_cancelled(connecting).await else {
        tracing::info!("lakemirror ended before it had started");
        return Ok(Exit::Ok);
    };
    let mut ports = ports.map_err(failure)?;
    ports.connections_max = allowed_connections(ports.connections_max);
    end_in_time(&stop, &ports.alarm);
    run::serve(ports, listener, stop).await.map_err(failure)?;
    tracing::info!("lakemirror ended");
    Ok(Exit::Ok)
}

/// Ends the process where its end in order does not come to one: a store on a volume that is full or fails can hang,
/// whatever is asked of it. Everything that was acknowledged is durable.
fn end_in_time(stop: &CancellationToken, alarm: &Alarm) {
    let (stop, alarm) = (stop.clone(), alarm.clone());
    tokio::spawn(async move {
        let (exit, time) = tokio::select! {
            () = stop.cancelled() => (Exit::Ok, STOP_TIME_MAX),
            _ = alarm.wait() => (Exit::Io, FAILURE_TIME_MAX),
        };
        // Not the runtime's: what hangs may hold up its threads.
        std::thread::spawn(move || {
            let (_kept, never) = std::sync::mpsc::channel::<()>();
            let _ = never.recv_timeout(time);
            let exit = if alarm.raised().is_some() { Exit::Io } else { exit };
            tracing::warn!("the process ends at once: not everything has ended within {} s", time.as_secs());
            std::process::exit(i32::from(exit.code()));
        });
    });
}

/// As many connections of the API as leave enough file descriptors for everything else.
fn allowed_connections(configured: usize) -> usize {
    let limit = descriptors::raise();
    let allowed = descriptors::connections(configured, limit);
    if allowed < configured {
        let limit = limit.unwrap_or(usize::MAX);
        tracing::warn!(
            "the API takes {allowed} connections at a time, not {configured}: the process may have {limit} files open; \
             raise its limit (ulimit -n) or lower api.max_connections"
        );
    }
    allowed
}

/// On a thread of its own, which nothing waits for: reading standard input cannot be given up.
fn stop_with_input(stop: CancellationToken) {
    std::thread::spawn(move || {
        // Unreadable is as good as ended.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        stop.cancel();
    });
}

fn failure(error: RunError) -> Failure {
    let exit = match &error {
        RunError::Lakefs { .. }
        | RunError::Blockstore { .. }
        | RunError::Archive(_)
        | RunError::Dynamodb(_)
        | RunError::Postgres(_) => Exit::Configuration,
        RunError::Journal {
            source: OpenError::NotWritable { .. } | OpenError::DiskFull { .. } | OpenError::Io { .. },
            ..
        } => Exit::Io,
        RunError::Journal { .. } | RunError::JournalStopped(_) => Exit::Journal,
        RunError::Volume(_) => Exit::Io,
        _ => Exit::Io,
    };
    Failure::because(exit, "lakemirror cannot go on", error)
}
