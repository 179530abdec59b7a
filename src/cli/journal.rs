//! `lakemirror journal …`: questions about a journal's directory, offline.
//!
//! Owns the table of subcommands and what they have in common: where the journal is, the form of the answer, and how a
//! question without an answer becomes an exit code. Each subcommand has its file under `journal/`, with its arguments
//! and how its answer is printed; the answers are `lakemirror_evidence`'s.

mod diff;
mod explain;
mod export;
mod heads;
mod import;
mod log;
mod progress;
mod repair;
mod replay;
mod stat;
mod table;
mod verify;
mod what_if;

use std::io;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use lakemirror_evidence::begin::{not_all_at_hand, not_at_hand};
use lakemirror_evidence::point::{PointInTime, show};
use lakemirror_evidence::replay::End;
use lakemirror_evidence::{EvidenceError, Source};
use lakemirror_journal::log::FrameInfo;

use super::{Exit, Failure, output};

/// What follows the list of subcommands in `--help`.
pub(super) const EXAMPLES: &str = "\
DIR is a journal's directory, or a copy of one. Nothing is written into it but by `repair`, and nothing else is needed: no \
network, no lakeFS, no credentials. The service may be running on it.

TIME is RFC 3339 (2026-11-24T12:34:56.5Z), the same without an offset (UTC), a date (its midnight, UTC), or a time of day \
(12:34, 12:34:56.789) on the UTC day of the journal's last record. Times are those of the writer's clock.

Where the first segments were dropped and no --archive has them, questions begin with the oldest snapshot of the state and \
say so.

Examples:
  lakemirror journal verify ./journal                  chain, checksums, counts, snapshots, what was dropped
  lakemirror journal verify ./journal --deep           and each record replayed, each check counted
  lakemirror journal heads ./journal --at 12:34:56     what every mirror showed then
  lakemirror journal explain ./journal sample-mirror main --objects
  lakemirror journal log ./journal sample-mirror main  how its branch main came where it is
  lakemirror journal replay ./journal --until 8123 --state -
  lakemirror journal export ./journal --format jsonl   every record, for other tools
  lakemirror journal import journal.jsonl ./again      and the journal of it again
  lakemirror journal diff ./journal ./copy
  lakemirror journal what-if ./journal --config strict.yaml
  lakemirror journal stat ./journal                    how much of what, how far along the lifecycle
  lakemirror journal repair ./journal                  what is lost, and how to go on

Exit codes: 0 done; 1 the check failed (verify), the journals differ (diff), or the journal never saw what was asked for; \
2 wrong arguments; 70 not a journal, a damaged one, or a later version's; 74 reading or writing failed.";

#[derive(Debug, Subcommand)]
pub(super) enum JournalCommand {
    /// Check chain, checksums and counts; says what is proven, and how far back.
    Verify(verify::VerifyArguments),
    /// Print the state at any point.
    Replay(replay::ReplayArguments),
    /// Print how the branches of a mirror came where they are, and what was seen of the source.
    Log(log::LogArguments),
    /// Print what every mirror showed at a point.
    Heads(heads::HeadsArguments),
    /// Say why a branch shows a commit, or what it is waiting for.
    Explain(explain::ExplainArguments),
    /// Print every record as a line.
    Export(export::ExportArguments),
    /// Make a journal of an export again.
    Import(import::ImportArguments),
    /// Say where two journals part.
    Diff(diff::DiffArguments),
    /// Say which promotions would differ under another configuration.
    WhatIf(what_if::WhatIfArguments),
    /// Count what is in a journal.
    Stat(stat::StatArguments),
    /// Go on after a loss that somebody accepts; the one command that writes.
    Repair(repair::RepairArguments),
}

/// Does what the arguments say.
pub(super) fn journal(command: &JournalCommand) -> Result<Exit, Failure> {
    match command {
        JournalCommand::Verify(arguments) => verify::verify(arguments),
        JournalCommand::Replay(arguments) => replay::replay(arguments),
        JournalCommand::Log(arguments) => log::log(arguments),
        JournalCommand::Heads(arguments) => heads::heads(arguments),
        JournalCommand::Explain(arguments) => explain::explain(arguments),
        JournalCommand::Export(arguments) => export::export(arguments),
        JournalCommand::Import(arguments) => import::import(arguments),
        JournalCommand::Diff(arguments) => diff::diff(arguments),
        JournalCommand::WhatIf(arguments) => what_if::what_if(arguments),
        JournalCommand::Stat(arguments) => stat::stat(arguments),
        JournalCommand::Repair(arguments) => repair::repair(arguments),
    }
}

/// Where the journal is.
#[derive(Debug, Clone, Args)]
pub(super) struct Place {
    /// The journal's directory, or a copy of it
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// A directory with segments that were archived and dropped, directly or in its `seg/`. May be repeated
    #[arg(long = "archive", value_name = "DIR")]
    archives: Vec<PathBuf>,
}

impl Place {
    fn source(&self) -> Source {
        Source::new(&self.dir).with_archives(self.archives.clone())
    }

    /// Asks a question, with a bar on a terminal that shows how far the reading is.
    fn ask<T>(&self, question: impl FnOnce(&Source) -> Result<T, EvidenceError>) -> Result<T, Failure> {
        let bar = progress::bar(std::slice::from_ref(&self.dir));
        let source = bar.watch(self.source());
        let answer = question(&source);
        bar.clear();
        answer.map_err(failure)
    }

    /// Asks a question whose answer is printed while the journal is read, so that there is no place for a bar.
    fn ask_quietly<T>(&self, question: impl FnOnce(&Source) -> Result<T, EvidenceError>) -> Result<T, Failure> {
        question(&self.source()).map_err(failure)
    }
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// For people
    Text,
    /// For scripts
    Json,
}

/// How the answer is printed.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Printing {
    /// The form of the answer; fields of json may be added in later versions
    #[arg(short = 'o', long = "output", value_name = "FORM", default_value = "text")]
    form: Form,
}

impl Printing {
    fn is_json(self) -> bool {
        self.form == Form::Json
    }
}

/// A question without an answer, as the command's end.
fn failure(error: EvidenceError) -> Failure {
    let exit = match error {
        EvidenceError::Output(error) => return Failure::Output(error),
        EvidenceError::NotSeen(_) => Exit::CheckFailed,
        EvidenceError::Unreadable { .. } => Exit::Io,
        EvidenceError::Scan(_) | EvidenceError::Record { .. } => Exit::Journal,
    };
    Failure::new(exit, error.with_causes())
}

/// Says where a point lies before the journal's first record or after its last one.
fn remark_on_point(at: &End, more: bool, point: PointInTime) {
    let PointInTime::At(asked) = point else { return };
    let text = match at.seq {
        0 if more => format!("at {} nothing was in the journal yet", show(asked)),
        0 => "the journal has no records yet".to_owned(),
        last if !more && asked > at.wall_ms => {
            format!("the journal ends with record {last}, of {}; nothing is known after that", show(at.wall_ms))
        }
        _ => return,
    };
    output::complain(&format!("lakemirror: {text}"));
}

/// Says with which record what is at hand begins, where that is not the first.
fn remark_on_beginning(begins_at: u64) {
    if begins_at > 1 {
        output::complain(&format!(
            "lakemirror: this begins with record {begins_at}, after a snapshot of the state: {}",
            not_all_at_hand(begins_at)
        ));
    }
}

/// The same of an answer that only has records.
fn remark_on_records(begins_at: u64) {
    if begins_at > 1 {
        output::complain(&format!("lakemirror: this begins with record {begins_at}: {}", not_at_hand(begins_at)));
    }
}

/// A failure to write the answer itself.
fn unwritten(error: io::Error) -> Failure {
    Failure::Output(error)
}
