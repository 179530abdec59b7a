//! `lakemirror journal heads DIR`: what every mirror showed at a point, or shows as far as the journal goes.

use std::io::{self, Write};

use clap::Args;
use lakemirror_evidence::heads::{self, BranchHead, Heads};
use lakemirror_evidence::point::{Asked, PointInTime, show};
use serde_json::{Value, json};

use super::table::{Align, Table};
use super::verify::{gap, print_gaps};
use super::{Exit, Failure, Place, Printing, remark_on_beginning, remark_on_point, unwritten};
use crate::cli::output;

/// When.
#[derive(Debug, Args)]
#[command(after_help = "\
Counts what was in the journal by then: a branch shows a commit from the record on that says that it was seen there. A \
move under way at that point is said, because the branch may have shown either end of it; so is a branch that somebody \
else had moved.

  lakemirror journal heads ./journal                   as far as the journal goes
  lakemirror journal heads ./journal --at 12:34:56
  lakemirror journal heads ./journal --at 2026-11-24T12:34:56.789Z -o json

Exit codes: 0 done; 1 the journal has no such record yet; 70 not a journal, a damaged one, or a later version's; 74 \
reading or writing failed.")]
pub(in crate::cli) struct HeadsArguments {
    #[command(flatten)]
    place: Place,
    /// The point; a record's number is one, too [default: the journal's end]
    #[arg(long, value_name = "TIME|SEQ")]
    at: Option<Asked>,
    #[command(flatten)]
    printing: Printing,
}

/// Prints a line a branch.
pub(super) fn heads(arguments: &HeadsArguments) -> Result<Exit, Failure> {
    let HeadsArguments { place, at, printing } = arguments;
    let point = at.map(|at| place.ask(|source| at.resolve(source))).transpose()?;
    let heads = place.ask(|source| heads::heads(source, point))?;
    let mut out = output::stdout();
    match printing.is_json() {
        true => writeln!(out, "{}", as_json(&heads, point)),
        false => print(&heads, point, &mut out),
    }
    .map_err(unwritten)?;
    remark_on_beginning(heads.begins_at);
    if let Some(point) = point {
        remark_on_point(&heads.at, heads.more, point);
    }
    Ok(Exit::Ok)
}

fn print(heads: &Heads, point: Option<PointInTime>, out: &mut dyn Write) -> io::Result<()> {
    match point {
        Some(PointInTime::At(ms)) => writeln!(out, "at {}, after record {}", show(ms), heads.at.seq)?,
        Some(PointInTime::Seq(_)) => writeln!(out, "after record {}, of {}", heads.at.seq, show(heads.at.wall_ms))?,
        None if heads.at.seq == 0 => writeln!(out, "the journal has no records yet")?,
        None => writeln!(out, "after the last record, {}, of {}", heads.at.seq, show(heads.at.wall_ms))?,
    }
    print_gaps(&heads.gaps, out)?;
    let columns = ["mirror", "incarnation", "branch", "commit", "since", "record", "notes"];
    let mut table = Table::new(&columns.map(|name| (name, if name == "record" { Align::Right } else { Align::Left })));
    for (id, mirror) in &heads.mirrors {
        for (name, branch) in &mirror.branches {
            let shown = branch.shown.as_ref();
            table.row(vec![
                mirror.name.clone(),
                id.to_string().chars().take(8).collect(),
                name.clone(),
                shown.map_or_else(|| "-".to_owned(), |shown| shown.commit.to_string()),
                shown.map_or_else(|| "-".to_owned(), |shown| since(shown.since_ms)),
                record(shown.and_then(|shown| shown.seq)),
                remarks(branch),
            ]);
        }
    }
    if table.is_empty() { writeln!(out, "no mirror showed a branch") } else { table.print(out) }
}

/// Nor has it a time.
fn since(ms: u64) -> String {
    if ms == 0 { "-".to_owned() } else { show(ms) }
}

/// A record that is not at hand has no number here.
fn record(seq: Option<u64>) -> String {
    seq.map_or_else(|| "-".to_owned(), |seq| seq.to_string())
}

fn remarks(branch: &BranchHead) -> String {
    let mut remarks = Vec::new();
    if branch.shown.as_ref().is_some_and(|shown| shown.adopted == Some(true)) {
        remarks.push("found there, and taken over".to_owned());
    }
    let by = |word: &str, seq: &Option<u64>| seq.map_or_else(String::new, |seq| format!(" {word} record {seq}"));
    if let Some((to, seq)) = &branch.moving {
        remarks.push(format!("moving to {to}{}: may have shown either", by("since", seq)));
    }
    match &branch.diverged {
        Some((Some(found), seq)) => {
            remarks.push(format!("found at {found}{}: somebody else moved it", by("by", seq)));
        }
        Some((None, seq)) => remarks.push(format!("found gone{}: somebody else deleted it", by("by", seq))),
        None => {}
    }
    remarks.join("; ")
}

fn as_json(heads: &Heads, point: Option<PointInTime>) -> Value {
    let branches = heads.mirrors.iter().flat_map(|(id, mirror)| {
        mirror.branches.iter().map(move |(name, branch)| {
            let shown = branch.shown.as_ref();
            json!({
                "mirror": mirror.name,
                "incarnation": id.to_string(),
                "source_repository": mirror.source_repository,
                "branch": name,
                "commit": shown.map(|shown| shown.commit.to_string()),
                "seq": shown.and_then(|shown| shown.seq),
                "since_ms": shown.map(|shown| shown.since_ms),
                "adopted": shown.map_or(Some(false), |shown| shown.adopted),
                "moving": branch.moving.map(|(to, seq)| json!({ "to": to.to_string(), "seq": seq })),
                "diverged": branch.diverged.map(|(found, seq)| {
                    json!({ "found": found.map(|id| id.to_string()), "seq": seq })
                }),
            })
        })
    });
    json!({
        "at_ms": match point { Some(PointInTime::At(ms)) => Some(ms), Some(PointInTime::Seq(_)) | None => None },
        "seq": heads.at.seq,
        "committed_ms": heads.at.wall_ms,
        "journal_goes_on": heads.more,
        "begins_at": heads.begins_at,
        "gaps": heads.gaps.iter().map(gap).collect::<Vec<_>>(),
        "branches": branches.collect::<Vec<_>>(),
    })
}
