//! The answer for scripts: one object a line, told apart by `what`.

use lakemirror_core::archived::class_name;
use lakemirror_core::ids::RangeId;
use lakemirror_journal::state::policy::Policy;
use lakemirror_journal::state::tree::Completeness;
use serde_json::{Value, json};

use lakemirror_evidence::explain::files::Named;
use lakemirror_evidence::explain::graph::At;
use lakemirror_evidence::explain::proof::Proof;
use lakemirror_evidence::explain::range::{Batch, Decision, How, RangeProof};
use lakemirror_evidence::explain::subject::Subject;
use lakemirror_evidence::explain::{Found, Sum};

/// Missing ordinals that one line lists.
const MISSING_MAX: usize = 1000;

/// A record that is not at hand has no number.
fn at(at: At) -> Value {
    json!({ "seq": Some(at.seq).filter(|seq| *seq > 0), "at_ms": at.at_ms })
}

fn ms(ms: u64) -> Option<u64> {
    Some(ms).filter(|ms| *ms != u64::MAX)
}

pub(super) fn subject(found: &Found, subject: &Subject) -> Value {
    let commit = found.commit(subject).map(|commit| {
        json!({
            "record": at(commit.at),
            "parents": commit.parents.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "metarange": commit.metarange.map(|id| id.to_string()),
            "committer": commit.committer,
            "message": commit.message,
            "creation_date": commit.creation_date,
            "written": commit.written.map(at),
        })
    });
    let tree = found.tree(subject).map(
        |(id, tree, read)| json!({ "metarange": id.to_string(), "record": at(read), "ranges": tree.ranges.len() }),
    );
    let (written, more) = found.written_with(subject);
    let written: Vec<Value> =
        written.iter().map(|(id, by)| json!({ "commit": id.to_string(), "record": at(*by) })).collect();
    json!({
        "what": "subject",
        "journal_uuid": hex::encode(found.uuid),
        "end": at(found.end),
        "begins_at": found.begins_at,
        "mirror": found.graph.name,
        "incarnation": found.mirror.to_string(),
        "branch": subject.branch,
        "also": subject.also,
        "commit": subject.commit.to_string(),
        "verdict": subject.verdict.name(),
        "until": subject.until,
        "seen": subject.seen.map(|seen| json!({ "record": at(seen.at), "nth": seen.nth })),
        "observed": commit,
        "tree": tree,
        "move": moved(subject),
        "written": written,
        "written_more": more,
    })
}

fn moved(subject: &Subject) -> Option<Value> {
    let moved = subject.moved.as_ref()?;
    let started = moved.started.as_ref().map(|(by, stated)| {
        json!({
            "record": at(*by),
            "ranges": stated.ranges,
            "entries": stated.entries,
            "oldest_evidence_ms": ms(stated.oldest_evidence_ms),
        })
    });
    Some(json!({
        "from": moved.from.map(|id| id.to_string()),
        "to": moved.to.to_string(),
        "nth": moved.nth,
        "started": started,
        "finished": moved.finished.map(at),
        "adopted": moved.adopted,
        "diverged": moved.diverged.map(at),
    }))
}

fn completeness(completeness: Completeness) -> &'static str {
    match completeness {
        Completeness::Incomplete => "open",
        Completeness::CompleteExceptExpired => "expired",
        Completeness::Complete => "whole",
    }
}

pub(super) fn range(place: usize, range: &RangeProof, policy: &Policy, names: &[(u32, Named)]) -> Value {
    let batch = |batch: &Batch| json!({ "record": at(batch.at), "proven": batch.proven });
    let from = range.inherited_from.iter().map(|(id, seq)| json!({ "range": id.to_string(), "read_by": seq }));
    json!({
        "what": "range",
        "place": place,
        "range": range.id.to_string(),
        "entries": range.entries,
        "grade": completeness(range.completeness(policy)),
        "read": range.read.map(at),
        "by_snapshot": range.by_snapshot,
        "imports": range.imports,
        "inherited": range.inherited,
        "inherited_from": from.collect::<Vec<_>>(),
        "oldest_ms": ms(range.oldest_ms),
        "checks": range.checks,
        "check_records": range.check_records,
        "first_asked": range.asked.map(|(first, _)| at(first)),
        "last_asked": range.asked.map(|(_, last)| at(last)),
        "batches": range.batches.iter().map(batch).collect::<Vec<_>>(),
        "batches_more": range.batches_more,
        "last_batch": range.last_batch.as_ref().map(batch),
        "reopened": range.reopened.map(|(by, times)| json!({ "record": at(by), "times": times })),
        "missing": range.missing_count(),
        "missing_first": range.missing.iter().take(MISSING_MAX).collect::<Vec<_>>(),
        "missing_named": names.iter().map(|(ordinal, named)| json!({ "ordinal": ordinal, "object": object(named) })).collect::<Vec<_>>(),
        "forbidden": range.forbidden,
        "wrong_size": range.wrong_size,
        "archived": range.archived.iter().map(|(ordinal, one)| json!({ "ordinal": ordinal, "class": class_name(one.class), "shown": one.shown })).collect::<Vec<_>>(),
        "expired": range.expired.iter().take(MISSING_MAX).collect::<Vec<_>>(),
        "expired_count": range.expired.count(),
        "probes": range.probes.iter().map(|(by, gone, there)| json!({ "record": at(*by), "gone": gone, "there": there })).collect::<Vec<_>>(),
    })
}

fn object(named: &Named) -> Value {
    json!({ "key": named.key, "address": named.address, "size": named.size })
}

pub(super) fn objects(
    place: usize,
    range: &RangeId,
    (first, last): (u32, u32),
    named: Option<&Named>,
    decision: Option<Decision>,
) -> Value {
    let how = decision.map(|decision| match decision.how {
        How::Present => "present",
        How::WrongSize => "wrong_size",
        How::Archived => "archived",
        How::Inherited => "inherited",
        How::ImportIgnored => "import_ignored",
        How::Expired => "expired",
        How::Snapshot => "snapshot",
    });
    json!({
        "what": "objects",
        "place": place,
        "range": range.to_string(),
        "first": first,
        "last": last,
        "how": how,
        "record": decision.map(|decision| at(decision.at)),
        "object": named.map(object),
    })
}

pub(super) fn conclusion(proof: &Proof, sum: &Sum, reasons: &[String], named: Option<&Named>) -> Value {
    let last = sum.last.map(|(place, arrival)| {
        json!({
            "place": place,
            "range": proof.ranges.get(place).map(|range| range.id.to_string()),
            "ordinal": arrival.ordinal,
            "count": arrival.count,
            "record": at(arrival.at),
            "object": named.map(object),
        })
    });
    json!({
        "what": "conclusion",
        "ranges": sum.ranges,
        "entries": sum.entries,
        "oldest_ms": ms(sum.oldest_ms),
        "grade": completeness(sum.completeness),
        "last_arrival": last,
        "waits_for": reasons,
        "differs": sum.differs,
    })
}
