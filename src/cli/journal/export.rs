//! `lakemirror journal export DIR`: the journal as lines, on standard output.

use std::io::{self, BufWriter, Write};

use clap::{Args, ValueEnum};
use lakemirror_evidence::export::{self, Exported, Form, Span};
use lakemirror_evidence::point::Asked;

use super::{Exit, Failure, Place, remark_on_records};
use crate::cli::output;

/// What to export, and how.
#[derive(Debug, Args)]
#[command(after_help = "\
jsonl: a first line about the journal, a line for each record with all of its fields, its exact payload and its frame's \
number, stamps and hash, and a last line that counts them. A line that is missing or changed is noticed by `import`, which \
makes the same journal of it again. csv: a row a record, for spreadsheets; it cannot be imported.

  lakemirror journal export ./journal --format jsonl > journal.jsonl
  lakemirror journal export ./journal --format csv --from 12:00 --to 13:00 > noon.csv
  lakemirror journal export ./journal --format jsonl | jq -c 'select(.name == \"MoveStarted\") | .event'

Exit codes: 0 done; 1 the journal has nothing in that span; 70 not a journal, a damaged one, or a later version's; 74 \
reading or writing failed.")]
pub(in crate::cli) struct ExportArguments {
    #[command(flatten)]
    place: Place,
    /// The form of the lines
    #[arg(long, value_name = "FORMAT")]
    format: Format,
    /// Begin with this record, or the first that was committed at this time or later
    #[arg(long, value_name = "SEQ|TIME")]
    from: Option<Asked>,
    /// End with this record, or the last that was committed before this time was past
    #[arg(long, value_name = "SEQ|TIME")]
    to: Option<Asked>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object a line, exact
    Jsonl,
    /// For spreadsheets
    Csv,
}

/// Prints each record as it is read.
pub(super) fn export(arguments: &ExportArguments) -> Result<Exit, Failure> {
    let ExportArguments { place, format, from, to } = arguments;
    let resolve = |asked: Option<Asked>| asked.map(|asked| place.ask(|source| asked.resolve(source))).transpose();
    let span = Span { from: resolve(*from)?, to: resolve(*to)? };
    let form = match format {
        Format::Jsonl => Form::Jsonl,
        Format::Csv => Form::Csv,
    };
    // Escapes in JSON mean what they stand for; rows of CSV end in a CR, and escape their cells themselves.
    let stdout: Box<dyn Write> = match form {
        Form::Jsonl => Box::new(output::stdout()),
        Form::Csv => Box::new(io::stdout().lock()),
    };
    let mut out = BufWriter::new(stdout);
    let exported = place.ask_quietly(|source| export::export(source, &span, form, &mut out));
    // What was read before a fault is evidence, too; without its last line it is not taken for the whole.
    out.flush().map_err(Failure::Output)?;
    let Exported { records, begins_at } = exported?;
    remark_on_records(begins_at);
    if records == 0 && span != Span::default() {
        output::complain("lakemirror: the journal has no record in that span");
        return Ok(Exit::CheckFailed);
    }
    Ok(Exit::Ok)
}
