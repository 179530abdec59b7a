//! The answer for people: a line a statement, with the record that it rests on and its time.

use std::io::{self, Write};

use lakemirror_core::archived::class_name;
use lakemirror_core::escape;
use lakemirror_core::ids::CommitId;
use lakemirror_evidence::explain::files::Named;
use lakemirror_evidence::explain::graph::{At, Move};
use lakemirror_evidence::explain::proof::Proof;
use lakemirror_evidence::explain::range::{Decision, How, RangeProof};
use lakemirror_evidence::explain::subject::{Subject, Verdict};
use lakemirror_evidence::explain::{Found, Sum};
use lakemirror_evidence::point::show;
use lakemirror_journal::state::policy::Policy;
use lakemirror_journal::state::tree::Completeness;

use crate::cli::journal::table::short;

/// Commit records that are named.
const WRITTEN_NAMED_MAX: usize = 8;
/// Batches of one range that are named.
const BATCHES_NAMED_MAX: usize = 4;

fn line(out: &mut dyn Write, word: &str, at: Option<At>, text: &str) -> io::Result<()> {
    let at = at.map_or_else(String::new, |at| match at.seq {
        0 => format!("snapshot       {:<24}  ", time(at.at_ms)),
        seq => format!("record {seq:>6}  {:<24}  ", time(at.at_ms)),
    });
    writeln!(out, "{word:<10} {at}{}", escape::line(text))
}

fn time(ms: u64) -> String {
    if ms == 0 { "-".to_owned() } else { show(ms) }
}

pub(super) fn subject(found: &Found, subject: &Subject, out: &mut dyn Write) -> io::Result<()> {
    line(out, "mirror", None, &format!("{} ({})", found.graph.name, found.mirror))?;
    if let Some(branch) = &subject.branch {
        let also = if subject.also.is_empty() { String::new() } else { format!(" (and {})", subject.also.join(", ")) };
        line(out, "branch", None, &format!("{branch}{also}"))?;
    }
    line(out, "commit", None, &subject.commit.to_string())?;
    if let Some(commit) = found.commit(subject).filter(|commit| !commit.committer.is_empty()) {
        line(out, "", None, &format!("by {}: {}", commit.committer, commit.message))?;
    }
    line(out, "verdict", None, &verdict(found, subject))?;
    if let Some(seen) = subject.seen {
        let text = format!("the source's branch was seen there, head {} of those seen", seen.nth);
        line(out, "seen", Some(seen.at), &text)?;
    }
    match found.commit(subject) {
        Some(commit) => {
            line(out, "observed", Some(commit.at), "its record was read from the source and its id recomputed")?
        }
        None => line(out, "observed", None, "its record was not read from the source")?,
    }
    tree(found, subject, out)?;
    moved(found, subject, out)
}

fn tree(found: &Found, subject: &Subject, out: &mut dyn Write) -> io::Result<()> {
    let metarange = found.commit(subject).map(|commit| commit.metarange);
    match (found.tree(subject), metarange) {
        (Some((id, tree, at)), _) => {
            let text = format!("metarange {id} was read at the destination: {} range(s)", tree.ranges.len());
            line(out, "tree", Some(at), &text)
        }
        (None, Some(None)) => line(out, "tree", None, "the empty one"),
        (None, Some(Some(id))) => line(out, "tree", None, &format!("metarange {id} was not read at the destination")),
        (None, None) => Ok(()),
    }
}

fn moved(found: &Found, subject: &Subject, out: &mut dyn Write) -> io::Result<()> {
    let Some(moved) = &subject.moved else { return Ok(()) };
    if let Some((at, stated)) = &moved.started {
        let oldest =
            if stated.oldest_evidence_ms == u64::MAX { "none".to_owned() } else { show(stated.oldest_evidence_ms) };
        let ends = format!("{} -> {}", short(moved.from.as_ref()), short(Some(&moved.to)));
        let text = format!(
            "the move {ends} begins: the evidence is complete, {} object(s) in {} range(s), oldest check {oldest}",
            stated.entries, stated.ranges
        );
        line(out, "started", Some(*at), &text)?;
    }
    if moved.to == subject.commit {
        written(found, subject, moved, out)?;
    }
    if let Some(at) = moved.finished {
        let text = match (moved.adopted, &moved.started) {
            (true, _) => "the mirror's branch was found there, a past head of the source, and taken over",
            (false, Some(_)) => "the branch was read after the move, and points there",
            (false, None) if found.begins_at > 1 => {
                "the branch was read, and points there; how it came there is not at hand"
            }
            (false, None) => "the branch was there already",
        };
        line(out, if moved.adopted { "adopted" } else { "finished" }, Some(at), text)?;
    }
    match moved.diverged {
        Some(at) => line(out, "diverged", Some(at), "somebody else moved the mirror's branch"),
        None => Ok(()),
    }
}

fn written(found: &Found, subject: &Subject, moved: &Move, out: &mut dyn Write) -> io::Result<()> {
    let (written, more) = found.written_with(subject);
    let Some(first) = written.iter().map(|(_, at)| *at).min().filter(|_| moved.started.is_some()) else {
        return Ok(());
    };
    let named: Vec<String> =
        written.iter().take(WRITTEN_NAMED_MAX).map(|(id, _)| short::<CommitId>(Some(id))).collect();
    let rest = if more || written.len() > named.len() { ", …" } else { "" };
    let text =
        format!("{} commit record(s) are on the mirror, parents first: {}{rest}", written.len(), named.join(", "));
    line(out, "written", Some(first), &text)
}

fn verdict(found: &Found, subject: &Subject) -> String {
    let moved = subject.moved.as_ref();
    let since = moved.and_then(|moved| moved.finished).map_or_else(String::new, |at| match at.at_ms {
        0 => "a time before what is at hand".to_owned(),
        ms => show(ms),
    });
    match subject.verdict {
        Verdict::Shown => format!("promoted: the mirror's branch shows it since {since}"),
        Verdict::WasShown => format!("promoted at {since}; the mirror's branch shows it no longer"),
        Verdict::Adopted => format!("found at {since} and taken over: nothing was proven for that"),
        Verdict::Moving => "being promoted: the evidence is complete, the move is not yet seen to be done".to_owned(),
        Verdict::PassedOver => {
            let to = short(moved.map(|moved| &moved.to));
            format!("never shown: the newer head {to} was complete first")
        }
        Verdict::Waiting => format!("waiting, as of record {} of {}", found.end.seq, show(found.end.at_ms)),
        Verdict::Recorded => "never a head that was seen; its record came to the mirror as an ancestor's".to_owned(),
        Verdict::NotRecorded => "never a head that was seen; its record is not on the mirror".to_owned(),
    }
}

pub(super) fn heading(proof: &Proof, out: &mut dyn Write) -> io::Result<()> {
    if proof.ranges.is_empty() { Ok(()) } else { writeln!(out, "evidence   by range, in key order") }
}

pub(super) fn range(
    place: usize,
    range: &RangeProof,
    policy: &Policy,
    names: &[(u32, Named)],
    out: &mut dyn Write,
) -> io::Result<()> {
    let state = match range.completeness(policy) {
        Completeness::Complete => "whole",
        Completeness::CompleteExceptExpired => "whole but for what is gone at the source",
        Completeness::Incomplete => "OPEN",
    };
    writeln!(out, "{place:>6}  {}  {} object(s), {state}", range.id, range.entries)?;
    let Some(read) = range.read else {
        return writeln!(out, "        not read at the destination");
    };
    let mut text = match range.by_snapshot {
        Some(there) => format!("{there} there as of {} (snapshot; the records are not at hand)", show(read.at_ms)),
        None => format!("read by record {} at {}", read.seq, show(read.at_ms)),
    };
    if range.imports > 0 {
        text.push_str(&format!(", {} imported", range.imports));
    }
    writeln!(out, "        {text}")?;
    if range.inherited > 0 {
        writeln!(out, "        {} inherited from {}", range.inherited, inherited(range))?;
    }
    if let Some((at, times)) = range.reopened {
        writeln!(out, "        checked anew since record {} at {} (time {times})", at.seq, show(at.at_ms))?;
    }
    checks(range, out)?;
    open(range, names, out)
}

fn inherited(range: &RangeProof) -> String {
    let from = range.inherited_from.iter().map(|(id, seq)| match seq {
        Some(seq) => format!("{} (read by record {seq})", short(Some(id))),
        None => short(Some(id)),
    });
    from.collect::<Vec<_>>().join(", ")
}

fn checks(range: &RangeProof, out: &mut dyn Write) -> io::Result<()> {
    if range.checks == 0 {
        return Ok(());
    }
    writeln!(out, "        {} check(s) in {} record(s)", range.checks, range.check_records)?;
    for batch in range.batches.iter().take(BATCHES_NAMED_MAX) {
        writeln!(out, "        {} there by record {} at {}", batch.proven, batch.at.seq, show(batch.at.at_ms))?;
    }
    let more = range.batches_more + range.batches.len().saturating_sub(BATCHES_NAMED_MAX) as u64;
    match range.last_batch.filter(|_| more > 0) {
        Some(last) => {
            writeln!(out, "        … {more} more, the last by record {} at {}", last.at.seq, show(last.at.at_ms))
        }
        None => Ok(()),
    }
}

fn open(range: &RangeProof, names: &[(u32, Named)], out: &mut dyn Write) -> io::Result<()> {
    let asked = range.asked.map_or_else(
        || "never asked for".to_owned(),
        |(first, last)| {
            format!("asked for since {}, last by record {} at {}", show(first.at_ms), last.seq, show(last.at_ms))
        },
    );
    if range.missing_count() > 0 {
        let some: Vec<String> = range.missing.iter().take(super::MISSING_NAMED_MAX).map(|at| at.to_string()).collect();
        let rest = if range.missing_count() as usize > some.len() { ", …" } else { "" };
        writeln!(out, "        {} missing ({asked}): ordinals {}{rest}", range.missing_count(), some.join(", "))?;
        for (ordinal, named) in names {
            writeln!(out, "          {ordinal}  {}  ({})", escape::line(&named.key), escape::line(&named.address))?;
        }
    }
    if range.forbidden > 0 {
        writeln!(out, "        {} that the store refused to speak of", range.forbidden)?;
    }
    for (ordinal, found) in range.wrong_size.iter().take(super::MISSING_NAMED_MAX) {
        writeln!(out, "        ordinal {ordinal} has another size than its entry: {found} bytes")?;
    }
    for (ordinal, archived) in range.archived.iter().take(super::MISSING_NAMED_MAX) {
        let shown = if archived.shown { ", and the mirror shows it" } else { "" };
        writeln!(out, "        ordinal {ordinal} is in {}{shown}", class_name(archived.class))?;
    }
    if !range.expired.is_none() {
        writeln!(out, "        {} gone at the source as well, by its own answers:", range.expired.count())?;
    }
    for (at, gone, there) in range.probes.iter().take(BATCHES_NAMED_MAX) {
        writeln!(out, "        source, record {} at {}: {gone} gone, {there} there", at.seq, show(at.at_ms))?;
    }
    Ok(())
}

pub(super) fn objects(
    place: usize,
    (first, last): (u32, u32),
    named: Option<&Named>,
    decision: Option<Decision>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let ordinals = if first == last { first.to_string() } else { format!("{first}-{last}") };
    let by = decision.map_or_else(
        || "nothing decided yet".to_owned(),
        |decision| match decision.at.seq {
            0 => format!("{} at {}", how(decision.how), time(decision.at.at_ms)),
            seq => format!("{} by record {seq} at {}", how(decision.how), time(decision.at.at_ms)),
        },
    );
    let named =
        named.map_or_else(String::new, |named| format!("  {}  ({}, {} B)", named.key, named.address, named.size));
    writeln!(out, "  object {place}:{ordinals}  {by}{}", escape::line(&named))
}

fn how(how: How) -> &'static str {
    match how {
        How::Present => "seen there",
        How::WrongSize => "seen there with another size",
        How::Archived => "seen there in an archive class",
        How::Inherited => "inherited",
        How::ImportIgnored => "an import, not looked for",
        How::Expired => "gone at the source as well",
        How::Snapshot => "there in the snapshot",
    }
}

pub(super) fn conclusion(
    proof: &Proof,
    sum: &Sum,
    reasons: &[String],
    named: Option<&Named>,
    out: &mut dyn Write,
) -> io::Result<()> {
    if let Some((place, arrival)) = sum.last {
        let named = named.map_or_else(String::new, |named| format!(", {} ({})", named.key, named.address));
        let with = if arrival.count > 1 { format!(" with {} others", arrival.count - 1) } else { String::new() };
        let text = format!("range {place}, ordinal {}{named}: first seen there by this record{with}", arrival.ordinal);
        line(out, "last", Some(arrival.at), &text)?;
    } else if !proof.ranges.is_empty() && sum.completeness != Completeness::Incomplete {
        let text = match proof.ranges.iter().any(|range| range.by_snapshot.is_some()) {
            true => "no object arrived by a record that is at hand",
            false => "no object had to arrive: each was seen in ranges before",
        };
        line(out, "last", None, text)?;
    }
    for reason in reasons {
        line(out, "waits for", None, reason)?;
    }
    for differs in &sum.differs {
        line(out, "DIFFERS", None, differs)?;
    }
    if reasons.is_empty() && sum.differs.is_empty() {
        let oldest = if sum.oldest_ms == u64::MAX { "none".to_owned() } else { show(sum.oldest_ms) };
        let state = match sum.completeness {
            Completeness::Complete => "every object of it was there",
            Completeness::CompleteExceptExpired => "all of it was there but for what is gone at the source",
            Completeness::Incomplete => "not all of it was proven then",
        };
        let text = format!("{} object(s) in {} range(s), oldest check {oldest}: {state}", sum.entries, sum.ranges);
        line(out, "adds up", None, &text)?;
    }
    Ok(())
}
