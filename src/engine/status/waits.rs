//! What keeps a head from being promoted, in words: its own tree first, then its ancestors'.

use lakemirror_journal::ids::CommitId;
use lakemirror_journal::state::mirror::Mirror;
use lakemirror_journal::state::tree::{Grade, Range};

use super::{Goings, Waiting};
use crate::engine::verify::Subject as Wanted;

/// Commits that one branch's status looks into, at most.
const COMMITS_MAX: usize = 2000;

/// Things one branch says that it waits for, at most.
const WAITING_MAX: usize = 10;

/// What a head waits for.
pub(super) fn content(mirror: &Mirror, head: &CommitId, since_ms: u64, goings: &Goings) -> Vec<Waiting> {
    let mut found = Vec::new();
    let Some(commit) = mirror.graph.get(head) else {
        let what = format!("the record of commit {head} at the source");
        return vec![Waiting { kind: "commit", what, and_more: 0, since_ms, checked_ms: None }];
    };
    if !commit.rooted && !commit.recorded {
        let what =
            format!("the records of ancestors at the source ({} are known to be missing)", mirror.graph.frontier.len());
        found.push(Waiting { kind: "history", what, and_more: 0, since_ms, checked_ms: None });
    }
    let mut commits = mirror.graph.unrecorded(head, COMMITS_MAX);
    commits.retain(|id| id != head);
    commits.insert(0, *head);
    for id in commits {
        tree(mirror, &id, id == *head, since_ms, goings, &mut found);
        if found.len() >= WAITING_MAX {
            break;
        }
    }
    found
}

fn tree(mirror: &Mirror, commit: &CommitId, is_head: bool, since_ms: u64, goings: &Goings, found: &mut Vec<Waiting>) {
    let Some(id) = mirror.graph.get(commit).and_then(|commit| commit.metarange) else { return };
    let Some(tree) = mirror.trees.metaranges.get(&id) else { return };
    let enough = if is_head { Grade::Whole } else { Grade::Expired };
    if tree.grade() >= enough {
        return;
    }
    let short: String = commit.to_string().chars().take(12).collect();
    if !tree.is_read() || tree.let_go {
        let waiting = Waiting {
            kind: "metarange",
            what: format!("metarange {id} of commit {short}"),
            and_more: 0,
            since_ms,
            checked_ms: None,
        };
        found.push(with_detail(waiting, Wanted::Metarange(id), goings));
        return;
    }
    let open = mirror.trees.ranges_of(tree).filter(|range| range.grade < enough);
    for (place, range) in open.enumerate() {
        if found.len() >= WAITING_MAX {
            if let Some(last) = found.last_mut() {
                last.and_more = u64::from(tree.open).saturating_sub(place as u64);
            }
            return;
        }
        found.push(with_detail(range_wait(range, &short, since_ms), Wanted::Range(range.id), goings));
    }
}

/// Adds what the last look found, such as the paths that are missing.
fn with_detail(mut waiting: Waiting, wanted: Wanted, goings: &Goings) -> Waiting {
    if let Some(detail) = goings.details.get(&wanted) {
        waiting.checked_ms = waiting.checked_ms.max(Some(detail.checked_ms));
        if !detail.text.is_empty() {
            waiting.what.push_str(&format!(" ({})", detail.text));
        }
    }
    waiting
}

fn range_wait(range: &Range, commit: &str, since_ms: u64) -> Waiting {
    let checked_ms = (range.checked_ms > 0).then_some(range.checked_ms);
    let say = |kind, what| Waiting { kind, what, and_more: 0, since_ms, checked_ms };
    if !range.read {
        return say("range", format!("range {} of commit {commit}", range.id));
    }
    let Some(detail) = range.detail.as_deref() else {
        return say("objects", format!("range {} of commit {commit}, to be checked", range.id));
    };
    let (missing, wrong, expired) = (detail.missing.count(), detail.wrong_size.len(), detail.expired.len());
    match () {
        () if missing > 0 => {
            say("objects", format!("{missing} of {} objects of commit {commit}, range {}", range.entries, range.id))
        }
        () if wrong > 0 => {
            say("wrong_size", format!("{wrong} objects of commit {commit} that have another size than their entries"))
        }
        () => say("expired", format!("{expired} objects of commit {commit} that are gone at the source as well")),
    }
}
