//! `lakemirror demo`: the main job on embedded defaults, nothing else installed.

use std::path::PathBuf;

use clap::Args;

use super::{Exit, Failure};

/// How to show it.
#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// Keep everything running at the end, and print the curl lines to play with
    #[arg(long)]
    pub(super) interactive: bool,
    /// Directory to keep the state in; a second start over it resumes. Without it, a temporary one that is removed
    #[arg(long)]
    pub(super) dir: Option<PathBuf>,
}

/// Runs the demo to its end.
pub(super) fn demo(arguments: &DemoArguments) -> Result<Exit, Failure> {
    let kept = if arguments.dir.is_some() || arguments.interactive { " and keep it" } else { "" };
    Err(Failure::new(Exit::Unavailable, format!("this build cannot run the demo{kept} yet")))
}
