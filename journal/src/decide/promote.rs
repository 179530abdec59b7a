//! Decisions about moves: which head a branch may go to now, and on what evidence (I1, I2).

use std::collections::BTreeSet;

use super::{Case, Refused};
use crate::event::{
    BranchAdoptedV1, BranchDivergedV1, Event, MoveFinishedV1, MoveStartedV1, RangesReopenedV1, RecordsWrittenV1,
};
use crate::ids::{CommitId, RangeId};
use crate::mutant;
use crate::state::branch::{Branch, SeenHead};
use crate::state::mirror::Phase;
use crate::state::policy::{DivergenceRule, HistoryRule};
use crate::state::tree::{Grade, Range};

/// Range ids in one record: 32 bytes each, well under the record limit.
const RANGES_PER_RECORD: usize = 4000;

/// Ranges that one scrub opens again.
const RANGES_PER_SCRUB: usize = 256;

/// Every branch that may move now, each to the newest of its seen heads that is complete. Where the evidence for one
/// is too old, its ranges are opened again instead.
pub(super) fn plan(case: &Case<'_>) -> Vec<Event> {
    if case.mirror.phase != Phase::Ready {
        return Vec::new();
    }
    let mut events = Vec::new();
    let mut stale = BTreeSet::new();
    for (name, branch) in &case.mirror.branches {
        if branch.moving.is_some() && !mutant::is_on("two_moves_at_once") || branch.removing {
            continue;
        }
        if let Some(divergence) = branch.strayed().filter(|_| !mutant::is_on("divergence_ignored")) {
            if case.state.policy.on_divergence == DivergenceRule::Restore {
                events.extend(restore(case, name, branch, divergence.found, &mut stale));
            }
            continue;
        }
        if let Some(head) = newest(case, branch, &mut stale) {
            events.push(start(case, name, branch, &head, branch.mirror));
        }
    }
    events.extend(reopen(case, &stale));
    events
}

/// The newest complete head seen, if its evidence is young enough; else the ranges to look at again go to `stale`.
fn newest(case: &Case<'_>, branch: &Branch, stale: &mut BTreeSet<RangeId>) -> Option<SeenHead> {
    let head = branch.pending.iter().rev().find(|head| is_ready(case, &head.commit))?;
    let old = stale_ranges(case, &head.commit);
    let young = old.is_empty();
    stale.extend(old);
    young.then_some(*head)
}

/// Whether the commit may become a head: its own tree is whole, and its history is what the policy asks for.
fn is_ready(case: &Case<'_>, id: &CommitId) -> bool {
    let Some(commit) = case.mirror.graph.get(id) else { return false };
    let enough = |grade| grade == Grade::Whole || grade == Grade::Expired && mutant::is_on("expired_head");
    let whole = mutant::is_on("head_not_whole")
        || commit
            .metarange
            .is_none_or(|tree| case.mirror.trees.metaranges.get(&tree).is_some_and(|tree| enough(tree.grade())));
    let history = match case.state.policy.history {
        HistoryRule::Complete if mutant::is_on("ancestors_unchecked") => commit.rooted,
        HistoryRule::Complete => commit.closed,
        HistoryRule::Head => commit.rooted,
    };
    whole && (commit.recorded || history)
}

fn start(case: &Case<'_>, name: &str, branch: &Branch, head: &SeenHead, from: Option<CommitId>) -> Event {
    if branch.mirror == Some(head.commit) && branch.divergence.is_none() {
        return finished(case, name.to_owned(), from, head);
    }
    let (mut ranges, mut entries, mut oldest) = (0u32, 0u64, u64::MAX);
    for range in tree_ranges(case, &head.commit) {
        ranges += 1;
        entries += u64::from(range.entries);
        oldest = oldest.min(range.oldest_ms);
    }
    Event::MoveStarted(MoveStartedV1 {
        mirror: case.id,
        branch: name.to_owned(),
        from,
        to: head.commit,
        seen: head.seen,
        ranges,
        entries,
        oldest_evidence_ms: oldest,
        at_ms: case.at_ms,
    })
}

/// Puts a diverged branch where it should be: to the newest complete head seen, else back to where this journal moved
/// it. Where it was only found (adopted) and never proven, it is left until something is.
fn restore(
    case: &Case<'_>,
    name: &str,
    branch: &Branch,
    found: Option<CommitId>,
    stale: &mut BTreeSet<RangeId>,
) -> Option<Event> {
    let proven = |commit: &CommitId| case.mirror.graph.is_recorded(commit);
    let back = branch.mirror.filter(proven).map(|commit| SeenHead { seen: 0, commit, at_ms: case.at_ms });
    let head = newest(case, branch, stale).or(back)?;
    Some(start(case, name, branch, &head, found))
}

fn tree_ranges<'a>(case: &Case<'a>, id: &CommitId) -> impl Iterator<Item = &'a Range> + 'a {
    let trees = &case.mirror.trees;
    let tree =
        case.mirror.graph.get(id).and_then(|commit| commit.metarange).and_then(|tree| trees.metaranges.get(&tree));
    tree.into_iter().flat_map(|tree| trees.ranges_of(tree))
}

/// The ranges behind a move (the head's, and those of the ancestors that get their records with it) whose oldest check
/// is older than evidence may be.
fn stale_ranges(case: &Case<'_>, head: &CommitId) -> BTreeSet<RangeId> {
    if mutant::is_on("evidence_never_old") {
        return BTreeSet::new();
    }
    let before = case.at_ms.saturating_sub(case.state.policy.evidence_age_ms_max);
    let ancestors = match case.state.policy.history {
        HistoryRule::Complete => case.mirror.graph.unrecorded(head, usize::MAX),
        HistoryRule::Head => Vec::new(),
    };
    let mut trees = BTreeSet::new();
    let mut stale = BTreeSet::new();
    for id in ancestors.iter().chain([head]) {
        let Some(tree) = case.mirror.graph.get(id).and_then(|commit| commit.metarange) else { continue };
        if trees.insert(tree) {
            stale.extend(tree_ranges(case, id).filter(|range| range.oldest_ms < before).map(|range| range.id));
        }
    }
    stale
}

/// The ranges of the heads that the mirror shows whose proof is older than evidence may be, some at a time: they are
/// looked for again, and nothing is taken back meanwhile.
pub(super) fn scrub(case: &Case<'_>) -> Vec<Event> {
    let before = case.at_ms.saturating_sub(case.state.policy.evidence_age_ms_max);
    let heads =
        case.mirror.branches.values().filter(|branch| branch.moving.is_none()).filter_map(|branch| branch.mirror);
    let mut stale = BTreeSet::new();
    for head in heads {
        let old = tree_ranges(case, &head).filter(|range| range.grade == Grade::Whole && range.oldest_ms < before);
        stale.extend(old.map(|range| range.id).take(RANGES_PER_SCRUB));
        if stale.len() >= RANGES_PER_SCRUB {
            break;
        }
    }
    reopen(case, &stale)
}

fn reopen(case: &Case<'_>, stale: &BTreeSet<RangeId>) -> Vec<Event> {
    let stale: Vec<RangeId> = stale.iter().copied().collect();
    stale
        .chunks(RANGES_PER_RECORD)
        .map(|ranges| {
            Event::RangesReopened(RangesReopenedV1 { mirror: case.id, ranges: ranges.to_vec(), at_ms: case.at_ms })
        })
        .collect()
}

pub(super) fn records(case: &Case<'_>, commits: Vec<CommitId>) -> Result<Vec<Event>, Refused> {
    let new: Vec<CommitId> = commits.into_iter().filter(|id| !case.mirror.graph.is_recorded(id)).collect();
    if let Some(unknown) = new.iter().find(|id| case.mirror.graph.get(id).is_none()) {
        return Err(Refused::Rule(format!("commit {unknown} was never observed")));
    }
    if new.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![Event::RecordsWritten(RecordsWrittenV1 { mirror: case.id, commits: new, at_ms: case.at_ms })])
}

pub(super) fn finish(case: &Case<'_>, branch: String) -> Result<Vec<Event>, Refused> {
    let known = case.mirror.branches.get(&branch).ok_or_else(|| Refused::UnknownBranch(branch.clone()))?;
    let under_way = known.moving.ok_or_else(|| Refused::Rule(format!("branch {branch} is not moving")))?;
    let head = SeenHead { seen: under_way.seen, commit: under_way.to, at_ms: case.at_ms };
    Ok(vec![finished(case, branch, under_way.from, &head)])
}

fn finished(case: &Case<'_>, branch: String, from: Option<CommitId>, head: &SeenHead) -> Event {
    let (to, seen) = (head.commit, head.seen);
    Event::MoveFinished(MoveFinishedV1 { mirror: case.id, branch, from, to, seen, at_ms: case.at_ms })
}

/// A branch may stand where a move of this journal put it whose end was never written down: at a head that was seen
/// and not promoted yet, that is complete, and whose record this journal has put there.
fn arrived(case: &Case<'_>, branch: &Branch, found: &CommitId) -> Option<SeenHead> {
    let head = branch.pending.iter().rev().find(|head| head.commit == *found)?;
    (case.mirror.graph.is_recorded(found) && is_ready(case, found)).then_some(*head)
}

pub(super) fn diverged(case: &Case<'_>, branch: String, found: Option<CommitId>) -> Result<Vec<Event>, Refused> {
    let known = case.mirror.branches.get(&branch).ok_or_else(|| Refused::UnknownBranch(branch.clone()))?;
    if let Some(head) = found.and_then(|found| arrived(case, known, &found)) {
        return Ok(vec![finished(case, branch, known.mirror, &head)]);
    }
    let same = known.divergence.is_some_and(|divergence| divergence.found == found)
        && known.moving.is_none()
        && !known.removing;
    if same {
        return Ok(Vec::new());
    }
    Ok(vec![Event::BranchDiverged(BranchDivergedV1 {
        mirror: case.id,
        branch,
        expected: known.mirror,
        found,
        at_ms: case.at_ms,
    })])
}

/// A branch that this journal did not make is driven from here on only where it stands at a commit of the source that
/// was observed, or where this journal left it.
pub(super) fn adopt(case: &Case<'_>, branch: String, found: CommitId) -> Result<Vec<Event>, Refused> {
    let known = case.mirror.branches.get(&branch).ok_or_else(|| Refused::UnknownBranch(branch.clone()))?;
    let ours = mutant::is_on("anything_adopted")
        || known.mirror == Some(found)
        || known.mirror.is_none() && case.mirror.graph.get(&found).is_some();
    if !ours {
        return Err(Refused::Rule(format!(
            "branch {branch} of the mirror points to {found}, which was never seen at the source"
        )));
    }
    if known.mirror == Some(found) && known.divergence.is_none() {
        return Ok(Vec::new());
    }
    Ok(vec![Event::BranchAdopted(BranchAdoptedV1 { mirror: case.id, branch, found, at_ms: case.at_ms })])
}
