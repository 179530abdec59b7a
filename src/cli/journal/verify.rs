//! `lakemirror journal verify DIR`: what is proven, how far back, and what is wrong.

use std::io::{self, Write};

use clap::Args;
use lakemirror_core::escape;
use lakemirror_evidence::point::show;
use lakemirror_evidence::verify::{self, Anchor, Deep, Dropped, Proven, Report, Request, SnapshotSeen};
use lakemirror_journal::state::lifecycle::{Gap, Loss};
use serde_json::{Value, json};

use super::table::bytes;
use super::{Exit, Failure, Place, Printing, unwritten};
use crate::cli::output;

/// What to check.
#[derive(Debug, Args)]
#[command(after_help = "\
Without options: the chain of hashes, every frame's checksum, HEAD, the footers of sealed segments and their hashes as the \
journal recorded them, the snapshot files and their place on the chain. Segments that the journal says that it dropped \
may be gone: of them only the hashes are proven, and what is there has to follow on them. Bytes after the last \
acknowledged record belong to a writer at work, or to a write that a crash cut off, and are no fault. With --deep also: \
every record is decoded and replayed, its checks are counted one by one against the frames' totals, and the state is held \
against every checkpoint and snapshot.

  lakemirror journal verify ./journal
  lakemirror journal verify ./journal --deep --archive /mnt/archive
  lakemirror journal verify ./journal --deep --anchor 8123:9f86d0…

Exit codes: 0 all of it holds; 1 something does not; 70 not a journal, or a later version's; 74 unreadable.")]
pub(in crate::cli) struct VerifyArguments {
    #[command(flatten)]
    place: Place,
    /// Decode and replay every record, count every check, and hold the state against checkpoints and snapshots
    #[arg(long)]
    deep: bool,
    /// A head that was published outside (record number, colon, hash): finds a journal written anew or cut short. May be
    /// repeated
    #[arg(long = "anchor", value_name = "SEQ:HASH")]
    anchors: Vec<Anchor>,
    #[command(flatten)]
    printing: Printing,
}

/// Prints the report; [`Exit::CheckFailed`] where something does not hold.
pub(super) fn verify(arguments: &VerifyArguments) -> Result<Exit, Failure> {
    let request = Request { deep: arguments.deep, anchors: arguments.anchors.clone() };
    let report = arguments.place.ask(|source| verify::verify(source, &request))?;
    let mut out = output::stdout();
    let printed = match arguments.printing.is_json() {
        true => writeln!(out, "{}", as_json(&report)),
        false => print(&report, request.anchors.len(), &mut out),
    };
    printed.map_err(unwritten)?;
    Ok(if report.holds() { Exit::Ok } else { Exit::CheckFailed })
}

fn print(report: &Report, anchors: usize, out: &mut dyn Write) -> io::Result<()> {
    if let Some(scan) = &report.scan {
        writeln!(out, "journal   {}, made {}", hex::encode(scan.uuid), show(scan.created_ms))?;
    }
    print_proven(report, out)?;
    print_segments(report, out)?;
    print_dropped(report, out)?;
    print_snapshots(report, out)?;
    print_losses(report, out)?;
    print_gaps(&report.gaps, out)?;
    print_head(report, out)?;
    if let Some(deep) = &report.deep {
        let Deep { from, records, checks, ignored_events, checkpoints } = deep;
        writeln!(
            out,
            "deep      {records} records decoded and replayed, {checks} checks counted one by one, {ignored_events} ignored events"
        )?;
        let on = if *from > 1 { format!(", on the snapshot after record {}", from - 1) } else { String::new() };
        writeln!(out, "states    {checkpoints} checkpoints have the digest of the state that was replayed{on}")?;
    }
    if anchors > 0 {
        writeln!(out, "anchors   {} of {anchors} are on the chain", report.anchors_found)?;
    }
    if report.holds() {
        return writeln!(out, "all of it holds");
    }
    for problem in &report.problems {
        writeln!(out, "FAULT     {}", escape::line(&problem.to_string()))?;
    }
    match report.problems_more {
        0 => Ok(()),
        more => writeln!(out, "FAULT     and {more} more"),
    }
}

fn print_proven(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let Proven { first_seq, last_seq, hash, frames, bytes: size, checks, first_ms, last_ms, clock_back } =
        report.proven;
    if frames == 0 {
        return writeln!(out, "records   none");
    }
    let size = bytes(size);
    writeln!(out, "records   {first_seq} to {last_seq}, in {frames} frames of {size}, chain unbroken")?;
    writeln!(out, "times     {} to {}", show(first_ms), show(last_ms))?;
    if clock_back > 0 {
        writeln!(out, "clock     the writer's clock went back {clock_back} times")?;
    }
    writeln!(out, "checks    {checks}")?;
    writeln!(out, "head      {last_seq}:{}", hex::encode(hash))
}

/// Sealed segments that were proven, and what of the journal is not at hand.
fn print_segments(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let Some(scan) = &report.scan else { return Ok(()) };
    if scan.proven_from > 1 {
        let from = scan.proven_from;
        writeln!(out, "before    {}", before(report, from))?;
        let apart = scan.segments.iter().filter(|segment| segment.last.is_some_and(|last| last < from)).count();
        if apart > 0 {
            writeln!(out, "apart     {apart} segments are there, but what connects them is not; they were not read")?;
        }
    }
    match scan.footers.len() {
        0 => Ok(()),
        sealed => writeln!(out, "segments  {sealed} sealed ones, footers linked one to the next"),
    }
}

fn before(report: &Report, from: u64) -> String {
    let snapshot = report.snapshots.iter().find(|seen| seen.fault.is_none() && seen.seq.saturating_add(1) >= from);
    let state = snapshot.map_or_else(String::new, |seen| format!(", the state from record {} on (snapshot)", seen.seq));
    let last = from - 1;
    let archived = report.dropped.iter().any(|dropped| !dropped.at_hand && dropped.archive.is_some());
    let advice = if archived { "; --archive adds what was archived" } else { "" };
    format!("proven from record {from}{state}; records 1 to {last}: their hashes only{advice}")
}

fn print_dropped(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for dropped in &report.dropped {
        let Dropped { first, last, hash, at_ms, archive, at_hand, .. } = dropped;
        let place = match archive {
            Some(archive) => format!("archived at {}", archive.place),
            None => "not archived: given up".to_owned(),
        };
        let read = if *at_hand { ", and read" } else { "" };
        let at = show(*at_ms);
        writeln!(out, "dropped   {first} to {last}, at {at}, hash {}, {place}{read}", hex::encode(hash))?;
    }
    Ok(())
}

fn print_snapshots(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for seen in report.snapshots.iter().filter(|seen| seen.fault.is_none()) {
        let chain = if seen.on_chain { "on the chain" } else { "its frame is not at hand" };
        let start = report.deep.is_some_and(|deep| deep.from == seen.seq.saturating_add(1));
        let replayed = match () {
            () if seen.replayed => ", the same state as replayed",
            () if start => ", the start of the replay",
            () => "",
        };
        writeln!(out, "snapshot  after record {}, {}, {chain}{replayed}", seen.seq, bytes(seen.bytes))?;
    }
    Ok(())
}

fn print_losses(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for Loss { from, to, reason, who, at_ms } in &report.losses {
        writeln!(
            out,
            "lost      records {from} to {to}, accepted by {} at {}: {}",
            escape::line(who),
            show(*at_ms),
            escape::line(reason)
        )?;
    }
    if report.loss_noted {
        writeln!(out, "lost      a loss was accepted just now: the next start of the service records it")?;
    }
    Ok(())
}

/// `stat` and `heads` have them, too.
pub(super) fn print_gaps(gaps: &[Gap], out: &mut dyn Write) -> io::Result<()> {
    for Gap { after, published, mirror, at_ms, .. } in gaps {
        writeln!(
            out,
            "gap       the journal was restored from an older copy: what it had after record {after}, up to record {published} at least, is not in it (noticed at {}, by mirror {})",
            show(*at_ms),
            escape::line(mirror)
        )?;
    }
    Ok(())
}

/// A gap as an object.
pub(super) fn gap(gap: &Gap) -> Value {
    let Gap { after, published, hash, mirror, writer_epoch, at_ms } = gap;
    json!({
        "after": after, "published": published, "hash": hex::encode(hash), "mirror": mirror,
        "writer_epoch": writer_epoch, "at_ms": at_ms,
    })
}

fn print_head(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let Some(scan) = &report.scan else { return Ok(()) };
    write!(out, "HEAD      agrees: record {} was acknowledged last", scan.durable_seq)?;
    match scan.end.last_seq.saturating_sub(scan.durable_seq) {
        0 => {}
        more => write!(out, "; {more} whole records after it are not acknowledged yet")?,
    }
    match &scan.tail {
        Some((bytes, _)) => {
            writeln!(out, "; {bytes} bytes after that belong to a writer at work, or to a cut off write")
        }
        None => writeln!(out),
    }
}

fn as_json(report: &Report) -> Value {
    let Proven { first_seq, last_seq, hash, frames, bytes, checks, first_ms, last_ms, clock_back } = report.proven;
    let scan = report.scan.as_ref();
    json!({
        "ok": report.holds(),
        "journal_uuid": scan.map(|scan| hex::encode(scan.uuid)),
        "created_ms": scan.map(|scan| scan.created_ms),
        "first_seq": first_seq,
        "last_seq": last_seq,
        "head_hash": (frames > 0).then(|| hex::encode(hash)),
        "frames": frames,
        "bytes": bytes,
        "checks": checks,
        "first_ms": first_ms,
        "last_ms": last_ms,
        "clock_back": clock_back,
        "sealed_segments": scan.map(|scan| scan.footers.len()),
        "durable_seq": scan.map(|scan| scan.durable_seq),
        "tail_bytes": scan.map(|scan| scan.tail.as_ref().map_or(0, |(bytes, _)| *bytes)),
        "begins_at": scan.map(|scan| scan.proven_from.max(1)),
        "deep": report.deep.map(|deep| json!({
            "records": deep.records, "checks": deep.checks, "strays": deep.ignored_events, "checkpoints": deep.checkpoints,
            "begins_at": deep.from,
        })),
        "dropped": report.dropped.iter().map(dropped).collect::<Vec<_>>(),
        "snapshots": report.snapshots.iter().map(snapshot).collect::<Vec<_>>(),
        "losses": report.losses.iter().map(loss).collect::<Vec<_>>(),
        "gaps": report.gaps.iter().map(gap).collect::<Vec<_>>(),
        "loss_noted": report.loss_noted,
        "anchors_found": report.anchors_found,
        "problems": report.problems,
        "problems_more": report.problems_more,
    })
}

fn dropped(dropped: &Dropped) -> Value {
    json!({
        "first": dropped.first,
        "last": dropped.last,
        "bytes": dropped.bytes,
        "hash": hex::encode(dropped.hash),
        "at_ms": dropped.at_ms,
        "archive": dropped.archive.as_ref().map(|archive| json!({ "place": archive.place, "bytes": archive.bytes })),
        "at_hand": dropped.at_hand,
    })
}

fn snapshot(seen: &SnapshotSeen) -> Value {
    json!({
        "seq": seen.seq,
        "bytes": seen.bytes,
        "digest": seen.header.map(|header| hex::encode(header.state_digest)),
        "on_chain": seen.on_chain,
        "replayed": seen.replayed,
        "fault": seen.fault,
    })
}

/// A loss as an object; `stat` has it, too.
pub(super) fn loss(loss: &Loss) -> Value {
    let Loss { from, to, reason, who, at_ms } = loss;
    json!({ "from": from, "to": to, "reason": reason, "who": who, "at_ms": at_ms })
}
