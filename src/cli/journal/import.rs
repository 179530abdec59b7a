//! `lakemirror journal import FILE DIR`: a journal of an export.

use std::path::PathBuf;

use clap::Args;
use lakemirror_evidence::import::{self, Imported, Refused};
use lakemirror_journal::log::ImportError;

use super::{Exit, Failure};
use crate::cli::output;

/// From where, and where to.
#[derive(Debug, Args)]
#[command(after_help = "\
Makes the journal that FILE is a whole export of (--format jsonl): the same records in the same frames and segments, so \
that every hash is the one that it was. A file that was cut or changed anywhere is refused with the line's number, and \
nothing is left. DIR must not exist, or be empty; nothing is ever written over.

  lakemirror journal import journal.jsonl ./again
  lakemirror journal diff ./journal ./again

Exit codes: 0 done; 2 DIR is there and not empty; 70 the file is no whole export, or damaged; 74 reading or writing \
failed.")]
pub(in crate::cli) struct ImportArguments {
    /// The export
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The directory of the new journal
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Makes the journal, and says which one.
pub(super) fn import(arguments: &ImportArguments) -> Result<Exit, Failure> {
    let ImportArguments { file, dir } = arguments;
    let Imported { uuid, records, frames, head } = import::import(file, dir).map_err(failure)?;
    output::line(&format!("journal   {}", hex::encode(uuid)))?;
    output::line(&format!("records   {records}, in {frames} frames; {} checks", head.checks_total))?;
    output::line(&format!("head      {}:{}", head.last_seq, hex::encode(head.hash)))?;
    Ok(Exit::Ok)
}

fn failure(refused: Refused) -> Failure {
    match refused {
        Refused::Journal(error @ (ImportError::Exists { .. } | ImportError::Unfinished { .. })) => {
            Failure::new(Exit::Usage, error.to_string())
        }
        Refused::Line { .. } => Failure::new(Exit::Journal, refused.to_string()),
        Refused::Unreadable { path, source } => Failure::because(Exit::Io, format!("cannot read {path}"), source),
        Refused::Journal(ImportError::Io { action, path, source }) => {
            Failure::because(Exit::Io, format!("cannot {action} {path}: check the volume"), source)
        }
        Refused::Journal(error) => Failure::new(Exit::Journal, error.to_string()),
    }
}
