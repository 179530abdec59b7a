//! Decisions about moves: which head a branch may go to now, and on what evidence (I1, I2).

use super::evidence::{IDS_PER_RECORD, Old, counts_until, is_from_the_future, is_ready, is_unfit, old, tree_ranges};
use super::{Case, Refused};
use crate::event::{
    BranchAdoptedV1, BranchDivergedV1, BranchRemakeStartedV1, Event, MoveFinishedV1, MoveGivenUpV1, MoveStartedV1,
    RecordsWrittenV1,
};
use crate::ids::CommitId;
use crate::mutant;
use crate::state::branch::{Branch, Move, Presence, SeenHead};
use crate::state::mirror::Phase;
use crate::state::policy::DivergenceRule;
use crate::state::tree::{Completeness, Range};

/// Ranges that one scrub opens again.
const RANGES_PER_SCRUB: usize = 256;

/// Every branch that may move now, each to the newest of its seen heads that is complete. Where the evidence for one
/// is too old, its ranges are opened again instead; where its age is not known, its trees are read again first.
pub(super) fn plan(case: &Case<'_>) -> Vec<Event> {
    if case.mirror.phase != Phase::Ready {
        return Vec::new();
    }
    let mut events = Vec::new();
    let mut stale = Old::default();
    for (name, branch) in &case.mirror.branches {
        if branch.moving.is_some() && !mutant::is_on("two_moves_at_once") || branch.removing {
            continue;
        }
        if let Some(divergence) = branch.diverged().filter(|_| !mutant::is_on("divergence_ignored")) {
            if case.state.policy.on_divergence == DivergenceRule::Restore {
                events.extend(restore(case, name, branch, divergence.found, &mut stale));
            }
            continue;
        }
        if let Some(head) = newest(case, branch, &mut stale) {
            events.push(start(case, name, branch, &head, branch.mirror));
        }
    }
    events.extend(stale.events(case));
    events
}

/// The newest complete head seen, if its evidence is young enough; else what is to be looked at again goes to `stale`.
/// Never one before a head whose record is on the mirror: a move to that may have shown it, and its end not be written down.
fn newest(case: &Case<'_>, branch: &Branch, stale: &mut Old) -> Option<SeenHead> {
    let recorded = |head: &SeenHead| case.mirror.graph.is_recorded(&head.commit);
    let passed = branch.pending.iter().rposition(recorded).filter(|_| !mutant::is_on("passed_heads_shown"));
    let later = branch.pending.iter().skip(passed.unwrap_or(0));
    let head = later.rev().find(|head| is_ready(case.state, case.mirror, &head.commit))?;
    let old = old(case, &head.commit);
    let young = old.is_empty();
    stale.extend(old);
    young.then_some(*head)
}

fn start(case: &Case<'_>, name: &str, branch: &Branch, head: &SeenHead, from: Option<CommitId>) -> Event {
    if branch.mirror == Some(head.commit) && branch.divergence.is_none() {
        return finished(case, name.to_owned(), from, head);
    }
    let (mut ranges, mut entries, mut oldest) = (0u32, 0u64, u64::MAX);
    for range in tree_ranges(case.mirror, &head.commit) {
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
fn restore(case: &Case<'_>, name: &str, branch: &Branch, found: Option<CommitId>, stale: &mut Old) -> Option<Event> {
    let recorded = |commit: &CommitId| case.mirror.graph.is_recorded(commit);
    // A move whose end was not written down may have shown a later head already: nothing before that is shown again (I2).
    let passed = branch.pending.iter().any(|head| recorded(&head.commit));
    let back = branch.mirror.filter(|commit| recorded(commit) && !passed).map(|commit| SeenHead {
        seen: 0,
        commit,
        at_ms: case.at_ms,
    });
    let head = newest(case, branch, stale).or(back)?;
    Some(start(case, name, branch, &head, found))
}

/// The ranges of the heads that the mirror shows whose proof is older than evidence may be, some at a time: they are
/// looked for again, and nothing is taken back meanwhile. After them every range whose proof is stamped after now: once
/// its time has come, it would pass for young.
pub(super) fn scrub(case: &Case<'_>) -> Vec<Event> {
    let age_ms_max = case.state.policy.evidence_age_ms_max;
    let heads =
        case.mirror.branches.values().filter(|branch| branch.moving.is_none()).filter_map(|branch| branch.mirror);
    let mut stale = Old::default();
    for head in heads {
        let unfit =
            |range: &&Range| range.completeness == Completeness::Complete && is_unfit(range, case.at_ms, age_ms_max);
        let old = tree_ranges(case.mirror, &head).filter(unfit);
        stale.ranges.extend(old.map(|range| range.id).take(RANGES_PER_SCRUB));
        if stale.ranges.len() >= RANGES_PER_SCRUB {
            break;
        }
    }
    let room = RANGES_PER_SCRUB.saturating_sub(stale.ranges.len());
    let future = case.mirror.trees.ranges.iter().filter(|range| is_from_the_future(range, case.at_ms));
    stale.ranges.extend(future.map(|range| range.id).take(room));
    stale.events(case)
}

/// Deletes and creates again a branch that the mirror shows with another visibility than the source's: where it shows
/// what the source shows, is ours, and its head is proven now, so that it is away only for as long as that takes. lakeFS
/// deletes no default branch.
pub(super) fn remake(case: &Case<'_>, branch: String, hidden: bool) -> Result<Vec<Event>, Refused> {
    let known = case.mirror.branches.get(&branch).ok_or_else(|| Refused::UnknownBranch(branch.clone()))?;
    let is_default = case.mirror.source.as_ref().is_some_and(|source| source.default_branch == branch);
    let rests = known.is_in_sync() && !known.removing && known.divergence.is_none() && known.tombstone_ms.is_none();
    let ready = case.mirror.phase == Phase::Ready && is_ready(case.state, case.mirror, &known.head);
    if known.hidden == hidden || is_default || !rests || !ready || known.presence != Presence::There {
        return Ok(Vec::new());
    }
    let stale = old(case, &known.head);
    if !stale.is_empty() {
        return Ok(stale.events(case));
    }
    let hidden = known.hidden;
    Ok(vec![Event::BranchRemakeStarted(BranchRemakeStartedV1 { mirror: case.id, branch, hidden, at_ms: case.at_ms })])
}

pub(super) fn records(case: &Case<'_>, commits: Vec<CommitId>) -> Result<Vec<Event>, Refused> {
    let new: Vec<CommitId> = commits.into_iter().filter(|id| !case.mirror.graph.is_recorded(id)).collect();
    if let Some(unknown) = new.iter().find(|id| case.mirror.graph.get(id).is_none()) {
        return Err(Refused::Rule(format!("commit {unknown} was never observed")));
    }
    let written = |part: &[CommitId]| {
        Event::RecordsWritten(RecordsWrittenV1 { mirror: case.id, commits: part.to_vec(), at_ms: case.at_ms })
    };
    Ok(new.chunks(IDS_PER_RECORD).map(written).collect())
}

/// Gives a move up that was not carried out while its evidence counted, or while its branch was there; none where it may still be. The plan that follows
/// looks again at what is old, if the head is still the one to go to.
pub(super) fn reconsider(case: &Case<'_>, branch: String) -> Result<Vec<Event>, Refused> {
    let known = case.mirror.branches.get(&branch).ok_or_else(|| Refused::UnknownBranch(branch.clone()))?;
    let gone = known.tombstone_ms.is_some();
    let late = |under_way: &Move| gone || case.at_ms > counts_until(case.state, case.mirror, under_way, case.at_ms);
    let given_up = known.moving.filter(late).map(|under_way| {
        let (to, seen) = (under_way.to, under_way.seen);
        Event::MoveGivenUp(MoveGivenUpV1 { mirror: case.id, branch, to, seen, at_ms: case.at_ms })
    });
    Ok(given_up.into_iter().collect())
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
    // Where the move under way goes, who drives it finishes it.
    if branch.moving.is_some_and(|under_way| under_way.to == *found) {
        return None;
    }
    let head = branch.pending.iter().rev().find(|head| head.commit == *found)?;
    (case.mirror.graph.is_recorded(found) && is_ready(case.state, case.mirror, found)).then_some(*head)
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
