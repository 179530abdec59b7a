//! `lakemirror run --config FILE`: configuration, log, then the service.

use std::path::PathBuf;

use clap::Args;

use super::{Exit, Failure, check};
use crate::config::{Config, Warning};
use crate::logging;

/// What to run.
#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// The configuration file; REPLICATION_… variables are laid over it.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs until it is told to end.
pub(super) fn run(arguments: &RunArguments) -> Result<Exit, Failure> {
    let (config, warnings) = check::load(&arguments.config)?;
    logging::init(config.logging).map_err(|error| Failure::because(Exit::Io, "cannot log", error))?;
    log_start(&config, &warnings);
    serve(config)
}

fn log_start(config: &Config, warnings: &[Warning]) {
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "lakemirror starts");
    for (setting, value) in config.summary() {
        tracing::info!(setting, value, "setting");
    }
    for warning in warnings {
        tracing::warn!(%warning, "configuration");
    }
}

fn serve(config: Config) -> Result<Exit, Failure> {
    let what = format!("this build cannot serve {} yet", config.region);
    Err(Failure::new(Exit::Unavailable, what))
}
