//! `lakemirror journal log DIR MIRROR [BRANCH]`: the reflog of a mirror, and of its source as it was seen.

use std::io::{self, BufWriter, Write};

use clap::Args;
use lakemirror_core::escape;
use lakemirror_evidence::point::show;
use lakemirror_evidence::reflog::{self, Line, Request, Side};
use serde_json::json;

use super::table::short;
use super::{Exit, Failure, Place, Printing, remark_on_records};
use crate::cli::output;

/// Of which mirror.
#[derive(Debug, Args)]
#[command(after_help = "\
A line for each record that says where a branch is, or what became of the mirror, in the order of the records: its \
number, when it happened, the mirror's incarnation, the branch, what happened, from which commit to which, and why. What \
was seen of the source begins with `source`. Printed while the journal is read; with -o json, one object a line.

  lakemirror journal log ./journal sample-mirror main
  lakemirror journal log ./journal 5b1c77d0 -o json     one incarnation of a name that was used again

Exit codes: 0 done; 1 the journal never saw that mirror or branch; 70 not a journal, a damaged one, or a later version's; \
74 reading or writing failed.")]
pub(in crate::cli) struct LogArguments {
    #[command(flatten)]
    place: Place,
    /// The mirror's name, or at least 8 digits of its incarnation
    #[arg(value_name = "MIRROR")]
    mirror: String,
    /// Only this branch
    #[arg(value_name = "BRANCH")]
    branch: Option<String>,
    #[command(flatten)]
    printing: Printing,
}

/// Prints each line as it is read.
pub(super) fn log(arguments: &LogArguments) -> Result<Exit, Failure> {
    let LogArguments { place, mirror, branch, printing } = arguments;
    let request = Request { mirror, branch: branch.as_deref() };
    let mut out = BufWriter::new(output::stdout());
    let asked = place.ask_quietly(|source| {
        reflog::reflog(source, &request, &mut |line| match printing.is_json() {
            true => writeln!(out, "{}", as_json(line)),
            false => print(line, &mut out),
        })
    });
    // What was read before a fault is evidence, too.
    out.flush().map_err(Failure::Output)?;
    remark_on_records(asked?);
    Ok(Exit::Ok)
}

fn print(line: &Line, out: &mut dyn Write) -> io::Result<()> {
    let Line { seq, at_ms, mirror, branch, side, what, from, to, why, .. } = line;
    let mirror: String = mirror.to_string().chars().take(8).collect();
    let what = if *side == Side::Source { format!("source {what}") } else { (*what).to_owned() };
    let ends = match (from, to) {
        (None, None) => String::new(),
        _ => format!("{} -> {}", short(from.as_ref()), short(to.as_ref())),
    };
    let branch = branch.as_deref().unwrap_or("-");
    let text = format!("{seq:>8}  {}  {mirror}  {branch:<12}  {what:<17}  {ends:<28}  {why}", show(*at_ms));
    writeln!(out, "{}", escape::line(text.trim_end()))
}

fn as_json(line: &Line) -> serde_json::Value {
    let Line { seq, at_ms, committed_ms, mirror, branch, side, what, from, to, why } = line;
    json!({
        "seq": seq,
        "at_ms": at_ms,
        "committed_ms": committed_ms,
        "mirror": mirror.to_string(),
        "branch": branch,
        "side": match side { Side::Mirror => "mirror", Side::Source => "source" },
        "what": what,
        "from": from.map(|id| id.to_string()),
        "to": to.map(|id| id.to_string()),
        "why": why,
    })
}
