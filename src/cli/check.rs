//! `lakemirror config check FILE`: every problem of a configuration at once.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Exit, Failure, output};
use crate::config::{self, Config, Warning};
use crate::logging;

/// What to check.
#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// The configuration file; REPLICATION_… variables are laid over it, as `run` does.
    file: PathBuf,
}

/// Prints `ok` and the warnings, or all problems.
pub(super) fn check(arguments: &CheckArguments) -> Result<Exit, Failure> {
    let (_, warnings) = load(&arguments.file)?;
    for warning in &warnings {
        output::line(&format!("warning: {warning}"))?;
    }
    output::line("ok")?;
    Ok(Exit::Ok)
}

/// Loads a configuration; its problems go to standard error, one a line, or to the log where that is JSON.
pub(super) fn load(file: &Path) -> Result<(Config, Vec<Warning>), Failure> {
    Config::load(file, &config::process_variables()).map_err(|problems| {
        for problem in &problems {
            if logging::is_json() {
                tracing::error!("configuration: {problem}");
            } else {
                output::complain(&problem.to_string());
            }
        }
        Failure::Configuration { file: file.display().to_string(), problems: problems.len() }
    })
}
