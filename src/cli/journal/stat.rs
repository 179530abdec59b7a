//! `lakemirror journal stat DIR`: how much of what, by whom, how fast, and how far along the lifecycle.

use std::io::{self, Write};

use clap::Args;
use lakemirror_core::escape;
use lakemirror_evidence::point::show;
use lakemirror_evidence::stat::{self, StageName, StageSum, Stat};
use lakemirror_journal::log::Stage;
use lakemirror_journal::state::lifecycle::{Loss, Snapshot};
use serde_json::{Value, json};

use super::table::{Align, Table, bytes};
use super::verify::{gap, loss, print_gaps};
use super::{Exit, Failure, Place, Printing, unwritten};
use crate::cli::output;

/// Of which journal.
#[derive(Debug, Args)]
#[command(after_help = "\
The lifecycle: a segment is open, sealed, compressed, archived (and still on the volume), dropped (from the volume; in an \
archive) or given up (dropped without a copy). Strays are facts that made no sense where they stood; replay leaves them \
out, and counts them.

  lakemirror journal stat ./journal
  lakemirror journal stat ./journal -o json | jq .kinds

Exit codes: 0 done; 70 not a journal, a damaged one, or a later version's; 74 reading or writing failed.")]
pub(in crate::cli) struct StatArguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    printing: Printing,
}

/// Prints the counts.
pub(super) fn stat(arguments: &StatArguments) -> Result<Exit, Failure> {
    let stat = arguments.place.ask(stat::stat)?;
    let mut out = output::stdout();
    match arguments.printing.is_json() {
        true => writeln!(out, "{}", as_json(&stat)),
        false => print(&stat, &mut out),
    }
    .map_err(unwritten)?;
    Ok(Exit::Ok)
}

fn print(stat: &Stat, out: &mut dyn Write) -> io::Result<()> {
    let scan = &stat.scan;
    writeln!(out, "journal    {}, made {}", hex::encode(scan.uuid), show(scan.created_ms))?;
    writeln!(out, "written    up to record {}", scan.end.last_seq)?;
    writeln!(out, "durable    up to record {}", scan.durable_seq)?;
    let (from, size) = (scan.proven_from.max(1), bytes(stat.bytes));
    writeln!(out, "at hand    {} records from {from} on, {} frames, {size}", stat.records, scan.frames)?;
    if let Some((bytes, _)) = scan.tail {
        writeln!(out, "tail       {bytes} bytes of a writer at work, or of a cut off write")?;
    }
    if let Some((first, last)) = stat.span_ms {
        let rate = |count| stat.rate(count).map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"));
        let (records, checks) = (rate(stat.records), rate(stat.checks));
        writeln!(out, "times      {} to {}, {records} records/s, {checks} checks/s", show(first), show(last))?;
    }
    if stat.clock_back > 0 {
        writeln!(out, "clock      went back {} times", stat.clock_back)?;
    }
    match stat.bytes_per_check() {
        Some(each) => writeln!(out, "checks     {}, {each:.2} bytes each", stat.checks)?,
        None => writeln!(out, "checks     {}", stat.checks)?,
    }
    match stat.ignored_events {
        Some(ignored_events) => {
            writeln!(out, "ignored    {ignored_events} events that made no sense where they stood")?
        }
        None => writeln!(out, "ignored    not known: neither the first records nor a snapshot are at hand")?,
    }
    print_ladder(stat, out)?;
    print_segments(stat, out)?;
    print_kinds(stat, out)?;
    print_writers(stat, out)
}

/// Up to where each step has come, and the segments on each stage.
fn print_ladder(stat: &Stat, out: &mut dyn Write) -> io::Result<()> {
    let upto = |word: &str, stages: &[StageName], out: &mut dyn Write| {
        let last = stat.stages.iter().filter(|stage| stages.contains(&stage.name)).filter_map(|stage| stage.last).max();
        last.map_or(Ok(()), |last| writeln!(out, "{word:<10} up to record {last}"))
    };
    if let Some(snapshot) = stat.lifecycle.as_ref().and_then(|lifecycle| lifecycle.snapshot) {
        let Snapshot { seq, bytes: size, at_ms, .. } = snapshot;
        writeln!(out, "snapshot   after record {seq}, {}, taken {}", bytes(size), show(at_ms))?;
    }
    match stat.checkpoints {
        (0, _) => writeln!(out, "checkpoint none is at hand")?,
        (count, last) => writeln!(out, "checkpoint the last one is record {last}, {count} are at hand")?,
    }
    use StageName::{Archived, Compressed, Dropped, GivenUp, Sealed};
    upto("sealed", &[Sealed, Compressed, Archived, Dropped, GivenUp], out)?;
    upto("archived", &[Archived, Dropped], out)?;
    upto("dropped", &[Dropped, GivenUp], out)?;
    for Loss { from, to, reason, who, at_ms } in stat.lifecycle.iter().flat_map(|lifecycle| &lifecycle.losses) {
        writeln!(
            out,
            "lost       records {from} to {to}, accepted by {} at {}: {}",
            escape::line(who),
            show(*at_ms),
            escape::line(reason)
        )?;
    }
    print_gaps(stat.lifecycle.as_ref().map(|lifecycle| lifecycle.gaps.as_slice()).unwrap_or_default(), out)?;
    let columns = ["ladder", "segments", "records", "bytes", "where"];
    let right = ["segments", "bytes"];
    let align = |name| if right.contains(&name) { Align::Right } else { Align::Left };
    let mut table = Table::new(&columns.map(|name| (name, align(name))));
    for stage in &stat.stages {
        let StageSum { name, segments, first, last, bytes: size, places } = stage;
        let last = last.map_or_else(|| "...".to_owned(), |last| last.to_string());
        let places = places.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let places = if places.is_empty() { "nowhere: hashes only".to_owned() } else { places };
        table.row(vec![
            name.name().to_owned(),
            segments.to_string(),
            format!("{first} to {last}"),
            bytes(*size),
            places,
        ]);
    }
    if table.is_empty() { Ok(()) } else { table.print(out) }
}

fn print_kinds(stat: &Stat, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(&[("kind", Align::Left), ("records", Align::Right), ("bytes", Align::Right)]);
    for ((kind, version), count) in &stat.kinds {
        let name =
            count.name.map_or_else(|| format!("{kind} version {version}, of a later version"), ToOwned::to_owned);
        table.row(vec![name, count.records.to_string(), bytes(count.bytes)]);
    }
    if table.is_empty() { Ok(()) } else { table.print(out) }
}

fn print_segments(stat: &Stat, out: &mut dyn Write) -> io::Result<()> {
    let columns = [("segment", Align::Left), ("stage", Align::Left), ("bytes", Align::Right), ("where", Align::Left)];
    let mut table = Table::new(&columns);
    for segment in &stat.scan.segments {
        let last = segment.last.map_or_else(|| "...".to_owned(), |last| last.to_string());
        let place = if segment.archived { "archive" } else { "journal" };
        let name = format!("{} to {last}", segment.first);
        table.row(vec![name, stage(segment.stage).to_owned(), bytes(segment.bytes), place.to_owned()]);
    }
    if table.is_empty() { Ok(()) } else { table.print(out) }
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Open => "open",
        Stage::Sealed => "sealed",
        Stage::Compressed => "compressed",
    }
}

fn print_writers(stat: &Stat, out: &mut dyn Write) -> io::Result<()> {
    let columns = ["writer", "records", "from", "to", "software"];
    let mut table = Table::new(&columns.map(|name| (name, if name == "writer" { Align::Right } else { Align::Left })));
    for (epoch, writer) in &stat.writers {
        table.row(vec![
            epoch.to_string(),
            format!("{} to {}", writer.first_seq, writer.last_seq),
            show(writer.first_ms),
            show(writer.last_ms),
            writer.software.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    if table.is_empty() { Ok(()) } else { table.print(out) }
}

fn as_json(stat: &Stat) -> Value {
    let kinds = stat.kinds.iter().map(|((kind, version), count)| {
        json!({
            "kind": kind, "version": version, "name": count.name, "records": count.records, "bytes": count.bytes,
        })
    });
    let writers = stat.writers.iter().map(|(epoch, writer)| {
        json!({
            "writer_epoch": epoch,
            "first_seq": writer.first_seq,
            "last_seq": writer.last_seq,
            "first_ms": writer.first_ms,
            "last_ms": writer.last_ms,
            "software": writer.software,
        })
    });
    let scan = &stat.scan;
    let segments = scan.segments.iter().map(|segment| {
        json!({
            "first": segment.first,
            "last": segment.last,
            "bytes": segment.bytes,
            "stage": stage(segment.stage),
            "archived": segment.archived,
            "path": segment.path,
        })
    });
    json!({
        "journal_uuid": hex::encode(scan.uuid),
        "created_ms": scan.created_ms,
        "last_seq": scan.end.last_seq,
        "durable_seq": scan.durable_seq,
        "proven_from": scan.proven_from,
        "records": stat.records,
        "frames": scan.frames,
        "bytes": stat.bytes,
        "tail_bytes": scan.tail.as_ref().map_or(0, |(bytes, _)| *bytes),
        "checks": stat.checks,
        "check_bytes": stat.check_bytes,
        "bytes_per_check": stat.bytes_per_check(),
        "first_ms": stat.span_ms.map(|(first, _)| first),
        "last_ms": stat.span_ms.map(|(_, last)| last),
        "records_per_s": stat.rate(stat.records),
        "checks_per_s": stat.rate(stat.checks),
        "clock_back": stat.clock_back,
        "strays": stat.ignored_events,
        "begins_at": scan.proven_from.max(1),
        "checkpoints": stat.checkpoints.0,
        "last_checkpoint_seq": Some(stat.checkpoints.1).filter(|seq| *seq > 0),
        "ladder": stat.stages.iter().map(stage_sum).collect::<Vec<_>>(),
        "snapshot": stat.lifecycle.as_ref().and_then(|lifecycle| lifecycle.snapshot).map(|snapshot| json!({
            "seq": snapshot.seq,
            "bytes": snapshot.bytes,
            "digest": hex::encode(snapshot.digest),
            "at_ms": snapshot.at_ms,
        })),
        "losses": stat.lifecycle.iter().flat_map(|lifecycle| &lifecycle.losses).map(loss).collect::<Vec<_>>(),
        "gaps": stat.lifecycle.iter().flat_map(|lifecycle| &lifecycle.gaps).map(gap).collect::<Vec<_>>(),
        "segments": segments.collect::<Vec<_>>(),
        "kinds": kinds.collect::<Vec<_>>(),
        "writers": writers.collect::<Vec<_>>(),
    })
}

fn stage_sum(stage: &StageSum) -> Value {
    json!({
        "stage": stage.name.name(),
        "segments": stage.segments,
        "first": stage.first,
        "last": stage.last,
        "bytes": stage.bytes,
        "places": stage.places,
    })
}
