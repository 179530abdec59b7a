//! `lakemirror journal diff A B`: where two journals part.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use lakemirror_evidence::Source;
use lakemirror_evidence::diff::{self, BranchDiff, Diff, Stands};
use serde_json::{Value, json};

use super::table::{Align, Table, short};
use super::{Exit, Failure, Printing, failure, progress, unwritten};
use crate::cli::output;

/// Which two.
#[derive(Debug, Args)]
#[command(after_help = "\
Frames from the first that both have, then records, then where branches stand at both ends.

  lakemirror journal diff ./journal ./copy-of-yesterday

Exit codes: 0 they are the same; 1 they differ, also where one only goes further; 70 one is not a journal, is damaged, or \
is a later version's; 74 reading or writing failed.")]
pub(in crate::cli) struct DiffArguments {
    /// One journal's directory
    #[arg(value_name = "A")]
    a: PathBuf,
    /// The other one's
    #[arg(value_name = "B")]
    b: PathBuf,
    /// A directory with archived segments of A. May be repeated
    #[arg(long, value_name = "DIR")]
    archive_a: Vec<PathBuf>,
    /// A directory with archived segments of B. May be repeated
    #[arg(long, value_name = "DIR")]
    archive_b: Vec<PathBuf>,
    #[command(flatten)]
    printing: Printing,
}

/// Prints where they part; [`Exit::CheckFailed`] where they do.
pub(super) fn diff(arguments: &DiffArguments) -> Result<Exit, Failure> {
    let DiffArguments { a, b, archive_a, archive_b, printing } = arguments;
    let bar = progress::bar(&[a.clone(), b.clone()]);
    let diff = diff::diff(
        &bar.watch(Source::new(a).with_archives(archive_a.clone())),
        &bar.watch(Source::new(b).with_archives(archive_b.clone())),
    );
    bar.clear();
    let diff = diff.map_err(failure)?;
    let mut out = output::stdout();
    match printing.is_json() {
        true => writeln!(out, "{}", as_json(&diff)),
        false => print(&diff, &mut out),
    }
    .map_err(unwritten)?;
    Ok(if diff.is_same() { Exit::Ok } else { Exit::CheckFailed })
}

fn print(diff: &Diff, out: &mut dyn Write) -> io::Result<()> {
    for (name, end) in ["A", "B"].iter().zip(&diff.ends) {
        let (uuid, hash) = (hex::encode(end.uuid), hex::encode(end.end.hash));
        writeln!(out, "{name}         journal {uuid}, {} frames, head {}:{hash}", end.frames, end.end.last_seq)?;
        if end.proven_from > 1 {
            let from = end.proven_from;
            writeln!(
                out,
                "          begins with record {from}: --archive-{} adds what was archived",
                name.to_lowercase()
            )?;
        }
    }
    writeln!(
        out,
        "same      {} frames from the first that both have, up to record {}",
        diff.frames_same, diff.frames_same_to
    )?;
    writeln!(out, "verdict   {}", verdict(diff))?;
    let branches = match diff.branches.as_deref() {
        None => {
            return writeln!(
                out,
                "branches  not compared: neither the first records of one nor a snapshot are at hand"
            );
        }
        Some([]) => return writeln!(out, "branches  stand the same at both ends"),
        Some(branches) => branches,
    };
    let columns = ["mirror", "branch", "A: source", "A: mirror", "B: source", "B: mirror"];
    let mut table = Table::new(&columns.map(|name| (name, Align::Left)));
    for BranchDiff { name, branch, stands: [a, b], .. } in branches {
        let source = |stands: &Option<Stands>| short(stands.as_ref().map(|stands| &stands.source));
        let mirror = |stands: &Option<Stands>| short(stands.as_ref().and_then(|stands| stands.mirror.as_ref()));
        table.row(vec![name.clone(), branch.clone(), source(a), mirror(a), source(b), mirror(b)]);
    }
    table.print(out)
}

fn verdict(diff: &Diff) -> String {
    let [a, b] = &diff.ends;
    let (last_a, last_b) = (a.end.last_seq, b.end.last_seq);
    let further = match last_a.cmp(&last_b) {
        std::cmp::Ordering::Less => format!("B goes {} records further", last_b - last_a),
        std::cmp::Ordering::Equal => "both end with the same number".to_owned(),
        std::cmp::Ordering::Greater => format!("A goes {} records further", last_a - last_b),
    };
    let records = match diff.record_differs {
        Some(seq) => format!("records differ from {seq} on"),
        None => "the records are the same as far as both go".to_owned(),
    };
    match () {
        () if diff.is_same() => "the same".to_owned(),
        () if a.uuid != b.uuid => format!("two journals (their ids differ); {records}; {further}"),
        () if diff.is_prefix() => format!("one is the beginning of the other; {further}"),
        () => format!("they part after record {}; {records}; {further}", diff.frames_same_to),
    }
}

fn as_json(diff: &Diff) -> Value {
    let ends = diff.ends.each_ref().map(|end| {
        json!({
            "journal_uuid": hex::encode(end.uuid),
            "frames": end.frames,
            "begins_at": end.proven_from.max(1),
            "last_seq": end.end.last_seq,
            "head_hash": hex::encode(end.end.hash),
            "checks": end.end.checks_total,
        })
    });
    let stands = |stands: Option<Stands>| {
        stands.map(
            |stands| json!({ "source": stands.source.to_string(), "mirror": stands.mirror.map(|id| id.to_string()) }),
        )
    };
    let branches = diff.branches.as_ref().map(|found| {
        found.iter().map(|found| {
        let BranchDiff { mirror, name, branch, stands: [a, b] } = found;
        json!({
            "mirror": name, "incarnation": mirror.to_string(), "branch": branch, "a": stands(*a), "b": stands(*b),
        })
    }).collect::<Vec<_>>()
    });
    let [a, b] = ends;
    json!({
        "same": diff.is_same(),
        "prefix": diff.is_prefix(),
        "a": a,
        "b": b,
        "frames_same": diff.frames_same,
        "frames_same_to": diff.frames_same_to,
        "record_differs": diff.record_differs,
        "branches": branches,
    })
}
