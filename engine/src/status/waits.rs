//! What keeps a head from being promoted, in words: what the verifier waits for, its own tree first.

use lakemirror_api::types::WaitKind;
use lakemirror_core::ids::CommitId;
use lakemirror_journal::state::mirror::{Definition, Mirror};

use super::problems::scheme;
use super::{RuntimeStatus, Waiting, WaitingObject};
use crate::verify::status::{Counts, Sample, SourceAnswer, TreeWait, WaitsFor};

/// Commits that one branch's status looks into, at most.
const COMMITS_MAX: usize = 2000;

/// Things one branch says that it waits for, at most.
const WAITING_MAX: usize = 10;

/// What a head waits for.
pub(super) fn content(mirror: &Mirror, head: &CommitId, since_ms: u64, runtime: &RuntimeStatus) -> Vec<Waiting> {
    if lakemirror_core::mutant::is_on("waits_for_nothing") {
        return Vec::new();
    }
    let Some(commit) = mirror.graph.get(head) else {
        let what = format!("the record of commit {head} at the source");
        return vec![Waiting::new(WaitKind::Commit, what, since_ms)];
    };
    let mut found = Vec::new();
    if !commit.rooted && !commit.recorded {
        let known = mirror.graph.frontier.len();
        let what = format!("the records of its ancestors at the source, {known} of which were not read yet");
        found.push(Waiting::new(WaitKind::History, what, since_ms));
    }
    let mut waits = runtime.verify.waits_of(mirror, head, COMMITS_MAX);
    // What a tree waits for at another tree is told there.
    let told_elsewhere = |wait: &&TreeWait| {
        wait.waits_for == WaitsFor::Objects && wait.counts == Counts::default() && !wait.counted_at.is_empty()
    };
    if waits.iter().any(|wait| !told_elsewhere(wait)) {
        waits.retain(|wait| !told_elsewhere(wait));
    }
    waits.sort_by_key(|wait| (wait.commit != *head, wait.since_ms, wait.metarange));
    let more = waits.len().saturating_sub(WAITING_MAX);
    let nothing_yet = nothing_found(mirror, &waits);
    found.extend(waits.into_iter().take(WAITING_MAX).map(|wait| tree(&mirror.definition, wait)));
    if let (Some(first), Some(text)) = (found.first_mut(), nothing_yet) {
        first.what.push_str(&text);
    }
    if let Some(last) = found.last_mut() {
        last.and_more = more as u64;
    }
    found
}

/// That nothing of the mirror was ever found where it is looked for: then replication more likely goes elsewhere than that
/// it is slow.
fn nothing_found(mirror: &Mirror, waits: &[&TreeWait]) -> Option<String> {
    let looked = waits.iter().any(|wait| wait.checked_ms > 0);
    let found = mirror.trees.metaranges.values().any(|tree| tree.is_read());
    let definition = &mirror.definition;
    (looked && !found).then(|| {
        format!(
            "; nothing was ever found in {} (region {}): see whether replication writes to this bucket and prefix",
            definition.storage_namespace, definition.region
        )
    })
}

fn tree(of: &Definition, wait: &TreeWait) -> Waiting {
    let commit: String = wait.commit.to_string().chars().take(12).collect();
    let file = wait.file.as_deref().unwrap_or("that was not found");
    let (kind, mut what) = match wait.waits_for {
        WaitsFor::MetarangeFile => (WaitKind::Metarange, format!("the metarange file {file} of commit {commit}")),
        WaitsFor::RangeFiles => {
            (WaitKind::Range, format!("{} range files of commit {commit}, such as {file}", wait.counts.range_files))
        }
        WaitsFor::Objects if is_of_sizes_alone(&wait.counts) => (WaitKind::WrongSize, objects(&wait.counts, &commit)),
        WaitsFor::Objects if is_archived_alone(&wait.counts) => (WaitKind::Archived, objects(&wait.counts, &commit)),
        WaitsFor::Objects => (WaitKind::Objects, objects(&wait.counts, &commit)),
    };
    let samples: Vec<String> = wait.samples.iter().map(|one| sample(of, one)).collect();
    if !samples.is_empty() {
        what.push_str(&format!(": {}", samples.join(", ")));
    }
    what.push_str(&format!(" (region {})", of.region));
    what.push_str(&said_by_source(wait));
    if let Some(fault) = &wait.fault {
        what.push_str(&format!(" ({fault})"));
    }
    let checked_ms = (wait.checked_ms > 0).then_some(wait.checked_ms);
    let objects_missing = (wait.waits_for == WaitsFor::Objects).then_some(wait.counts.missing);
    let objects = wait.samples.iter().map(|one| WaitingObject { path: one.path.clone(), uri: place(of, one) });
    let objects = objects.collect();
    Waiting { objects_missing, objects, checked_ms, ..Waiting::new(kind, what, wait.since_ms) }
}

/// What the source said of what is missing; nothing where it was not asked.
fn said_by_source(wait: &TreeWait) -> String {
    match (wait.source_has, wait.source_lost) {
        (0, 0) => String::new(),
        (has, 0) => {
            format!("; of those that the source was asked about it has {has}: replication has not delivered them")
        }
        (0, lost) => format!("; of those that the source was asked about {lost} are gone at the source"),
        (has, lost) => format!(
            "; of those that the source was asked about it has {has}, which replication has not delivered, and {lost} are \
             gone at the source"
        ),
    }
}

fn is_of_sizes_alone(counts: &Counts) -> bool {
    counts.missing + counts.unasked == 0 && counts.wrong_size > 0
}

fn is_archived_alone(counts: &Counts) -> bool {
    counts.missing + counts.unasked + counts.wrong_size == 0 && counts.archived > 0
}

fn objects(counts: &Counts, commit: &str) -> String {
    let parts = [
        (counts.missing, "missing"),
        (counts.unasked, "not looked for yet"),
        (counts.wrong_size, "of another size than their entries"),
        (counts.archived, "in an archive class: restore them, or set verification.archived: report"),
        (counts.deleted, "deleted"),
        (counts.expired, "gone at the source as well"),
        (counts.forbidden, "that the store refuses to speak of: give the service the right to list the bucket"),
        (counts.unknown, "without an answer"),
        (counts.unresolvable, "whose address names no object"),
    ];
    let said: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    format!(
        "objects of commit {commit}: {}",
        if said.is_empty() { "to be checked".to_owned() } else { said.join(", ") }
    )
}

/// One object: its path, and where it should be as a URI.
pub(super) fn sample(of: &Definition, sample: &Sample) -> String {
    let place = place(of, sample);
    let found = match (sample.found, sample.archived) {
        (_, Some(class)) => format!(": in storage class {class}"),
        (Some(found), None) => format!(": {found} bytes, its entry says {}", sample.size),
        (None, None) => String::new(),
    };
    let source = match sample.source {
        Some(SourceAnswer::HasIt) => "; the source has it: replication has not delivered it",
        Some(SourceAnswer::Gone) => "; gone at the source",
        None => "",
    };
    format!("{} ({place}{found}{source})", sample.path)
}

/// Where an object should be, as a URI; why its address names no place, where it names none.
fn place(of: &Definition, sample: &Sample) -> String {
    match &sample.object {
        Ok((bucket, key)) => format!("{}://{bucket}/{key}", scheme(of)),
        Err(why) => why.clone(),
    }
}

#[cfg(test)]
mod tests {
    use lakemirror_core::ids::MetarangeId;

    use super::*;
    use crate::verify::need::Role;

    fn definition() -> Definition {
        Definition {
            name: "m".into(),
            source_repository: "s".into(),
            source_region: "east".into(),
            region: "west".into(),
            storage_namespace: "s3://west/s".into(),
            created_ms: 1,
        }
    }

    fn said(counts: Counts) -> (WaitKind, String) {
        let commit = CommitId([0xab; 32]);
        let waiting = tree(
            &definition(),
            &TreeWait {
                metarange: MetarangeId([1; 32]),
                commit,
                role: Role::Head,
                waits_for: WaitsFor::Objects,
                ranges: Some(1),
                ranges_open: 1,
                counts,
                counted_at: Vec::new(),
                samples: Vec::new(),
                file: None,
                source_has: 0,
                source_lost: 0,
                since_ms: 1,
                checked_ms: 0,
                next_check_ms: None,
                fault: None,
            },
        );
        (waiting.kind, waiting.what)
    }

    #[test]
    fn only_what_was_looked_for_and_not_found_is_said_to_be_missing() {
        let (none, one) = (Counts::default(), Counts { wrong_size: 1, ..Counts::default() });
        for (counts, kind, what) in [
            (one, WaitKind::WrongSize, "1 of another size than their entries"),
            (Counts { missing: 2, ..one }, WaitKind::Objects, "2 missing, 1 of another size than their entries"),
            (
                Counts { archived: 2, ..none },
                WaitKind::Archived,
                "2 in an archive class: restore them, or set verification.archived: report",
            ),
            (Counts { unasked: 5, ..none }, WaitKind::Objects, "5 not looked for yet"),
            (
                Counts { unasked: 5, ..one },
                WaitKind::Objects,
                "5 not looked for yet, 1 of another size than their entries",
            ),
            (none, WaitKind::Objects, "to be checked"),
        ] {
            assert_eq!(said(counts), (kind, format!("objects of commit abababababab: {what} (region west)")));
        }
    }
}
