//! `lakemirror sst FILE…`: what lakeFS metadata files hold, as JSON lines, and whether their ids are right.

use std::path::PathBuf;

use clap::Args;

use super::{Exit, Failure};

/// What to print.
#[derive(Debug, Args)]
pub(super) struct SstArguments {
    /// Metadata files, named by their ids as under `_lakefs/`
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
}

/// Prints every file; [`Exit::CheckFailed`] where an id is not the file's name or anything in one is damaged.
pub(super) fn sst(arguments: &SstArguments) -> Result<Exit, Failure> {
    let what = format!("this build cannot read {} file(s) yet", arguments.files.len());
    Err(Failure::new(Exit::Unavailable, what))
}
