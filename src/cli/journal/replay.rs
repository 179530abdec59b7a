//! `lakemirror journal replay DIR`: the state at any point, in short or as JSON.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use clap::Args;
use lakemirror_evidence::json;
use lakemirror_evidence::point::{Asked, show};
use lakemirror_evidence::replay::{self, Replayed};

use super::table::{Align, Table, short};
use super::{Exit, Failure, Place, remark_on_beginning, remark_on_point, unwritten};
use crate::cli::output;

/// Up to where, and where to.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --state, a line a branch. With it the whole state as JSON, the same bytes each time; fields may be added in later \
versions. A point before the first record has the empty state; a time after the last one, the state at the end.

  lakemirror journal replay ./journal --until 2026-11-24T12:34:56Z --state state.json
  lakemirror journal replay ./journal --until 8123 --state - | jq .mirrors

Exit codes: 0 done; 1 the journal has no such record yet; 70 not a journal, a damaged one, or a later version's; 74 \
reading or writing failed.")]
pub(in crate::cli) struct ReplayArguments {
    #[command(flatten)]
    place: Place,
    /// Stop after this record, or at this time
    #[arg(long, value_name = "SEQ|TIME")]
    until: Option<Asked>,
    /// Write the state as JSON to this file, `-` for standard output
    #[arg(long, value_name = "FILE")]
    state: Option<String>,
}

/// Replays and prints.
pub(super) fn replay(arguments: &ReplayArguments) -> Result<Exit, Failure> {
    let ReplayArguments { place, until, state } = arguments;
    let file = state.as_deref().filter(|file| *file != "-").map(Path::new);
    if let Some(file) = file {
        refuse_inside(file, &place.dir)?;
    }
    let until = until.map(|until| place.ask(|source| until.resolve(source))).transpose()?;
    let replayed = place.ask(|source| replay::replay(source, until))?;
    remark_on_beginning(replayed.begins_at);
    if let Some(until) = until {
        remark_on_point(&replayed.at, replayed.more, until);
    }
    match (file, state) {
        (Some(file), _) => write_file(&replayed, file)?,
        (None, Some(_)) => {
            let mut out = BufWriter::new(output::stdout());
            json::write(&replayed, &mut out).and_then(|()| out.flush()).map_err(unwritten)?;
        }
        (None, None) => print(&replayed, &mut output::stdout()).map_err(unwritten)?,
    }
    Ok(Exit::Ok)
}

/// Nothing is ever written into a journal's directory, by mistake either.
fn refuse_inside(file: &Path, dir: &Path) -> Result<(), Failure> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (Ok(parent), Ok(dir)) = (parent.canonicalize(), dir.canonicalize()) else { return Ok(()) };
    match parent.starts_with(&dir) {
        true => Err(Failure::new(
            Exit::Usage,
            format!("{} is inside of the journal, which is never written to: choose another place", file.display()),
        )),
        false => Ok(()),
    }
}

fn write_file(replayed: &Replayed, file: &Path) -> Result<(), Failure> {
    let written = File::create(file).and_then(|created| {
        let mut out = BufWriter::new(created);
        json::write(replayed, &mut out)?;
        out.into_inner()?.sync_all()
    });
    written.map_err(|error| Failure::because(Exit::Io, format!("cannot write {}", file.display()), error))
}

fn print(replayed: &Replayed, out: &mut dyn Write) -> io::Result<()> {
    let Replayed { uuid, state, at, .. } = replayed;
    writeln!(out, "journal   {uuid}")?;
    match at.seq {
        0 => writeln!(out, "state     before the first record")?,
        seq => writeln!(out, "state     after record {seq}, of {}", show(at.wall_ms))?,
    }
    if let Some(hash) = at.frame_hash {
        writeln!(out, "head      {}:{}", at.seq, hex::encode(hash))?;
    }
    writeln!(out, "checks    {}, ignored_events {}", state.checks, state.ignored_events)?;
    let columns = ["mirror", "incarnation", "branch", "source", "mirror shows", "waiting"];
    let mut table = Table::new(&columns.map(|name| (name, if name == "waiting" { Align::Right } else { Align::Left })));
    for (id, mirror) in &state.mirrors {
        for (name, branch) in &mirror.branches {
            table.row(vec![
                mirror.definition.name.clone(),
                short(Some(id)),
                name.clone(),
                short(Some(&branch.head)),
                short(branch.mirror.as_ref()),
                branch.pending.len().to_string(),
            ]);
        }
    }
    if table.is_empty() { writeln!(out, "no branches") } else { table.print(out) }
}
