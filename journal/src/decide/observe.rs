//! Decisions about what was seen of the source: branches that come, move and go (I2, I6), and commits.

use std::collections::{BTreeMap, BTreeSet};

use super::hold::{self, Doubt};
use super::repository::{is_recreated, resolve};
use super::{Case, Refused};
use crate::commit::CommitRecord;
use crate::event::{
    BranchMissedV1, BranchRemovalStartedV1, BranchRemovedV1, BranchSeenV1, BranchTombstonedV1,
    BranchVisibilityChangedV1, CommitObservedV1, Event,
};
use crate::ids::CommitId;
use crate::limits::{COMMIT_BYTES_MAX, NAME_BYTES_MAX, text_bytes};
use crate::mutant;
use crate::state::branch::{Branch, Presence};
use crate::state::condition::MirrorCondition;

/// How often in succession a branch must be missed before it counts as gone.
const MISSES: u32 = 2;

fn misses() -> u32 {
    if mutant::is_on("one_miss_buries") { 1 } else { MISSES }
}

pub(super) fn branches(
    case: &Case<'_>,
    listed: Vec<(String, CommitId)>,
    hidden: &BTreeSet<String>,
    proven_gone: Vec<String>,
) -> Result<Vec<Event>, Refused> {
    if is_recreated(case.mirror) {
        return Err(Refused::Rule("the source is another repository than the one that was mirrored".to_owned()));
    }
    let listed: BTreeMap<String, CommitId> = listed.into_iter().collect();
    let gone: Vec<String> = proven_gone.into_iter().filter(|name| !listed.contains_key(name)).collect();
    let doubt = hold::doubt(case, &listed);
    let mut events: Vec<Event> = listed.into_iter().filter_map(|(name, head)| seen(case, name, head, hidden)).collect();
    events.extend(missed(case, &gone, doubt.as_ref()));
    Ok(events)
}

/// A name that no fact can hold is left out: the others are followed. Who observed it has said so.
fn seen(case: &Case<'_>, branch: String, head: CommitId, hidden: &BTreeSet<String>) -> Option<Event> {
    if branch.len() > NAME_BYTES_MAX {
        return None;
    }
    let known = case.mirror.branches.get(&branch);
    // That it is there ends what is held of it.
    let held = case.mirror.holds.contains_key(&branch);
    if !held
        && known.is_some_and(|known| known.head == head && known.presence == Presence::There && !known.is_unplaced())
    {
        return None;
    }
    let hidden = known.map_or_else(|| hidden.contains(&branch), |known| known.hidden);
    Some(Event::BranchSeen(BranchSeenV1 { mirror: case.id, branch, head, hidden, at_ms: case.at_ms }))
}

/// Branches that were deleted at the source and made again with another visibility.
pub(super) fn visibility(case: &Case<'_>, changed: BTreeMap<String, bool>) -> Vec<Event> {
    if is_recreated(case.mirror) {
        return Vec::new();
    }
    let news = |(name, hidden): &(String, bool)| {
        let known = case.mirror.branches.get(name);
        known.is_some_and(|known| known.hidden != *hidden && known.presence == Presence::There)
    };
    let fact = |(branch, hidden)| BranchVisibilityChangedV1 { mirror: case.id, branch, hidden, at_ms: case.at_ms };
    changed.into_iter().filter(news).map(fact).map(Event::BranchVisibilityChanged).collect()
}

/// What was proven gone, but for what an operator has to approve first.
fn missed(case: &Case<'_>, gone: &[String], doubt: Option<&Doubt>) -> Vec<Event> {
    let mut events = hold::hold_or_release(case, doubt, gone);
    // An earlier version held deletions by this.
    events.extend(resolve(case, MirrorCondition::MassDeletion));
    for (name, branch) in gone.iter().filter_map(|name| case.mirror.branches.get(name).map(|branch| (name, branch))) {
        if hold::may_go(case, doubt, name, branch) {
            events.extend(missed_one(case, name, branch));
        }
    }
    events
}

/// One more miss in this run; the second one buries the branch. A tombstone of an earlier run needs two misses of this
/// run as well before it is removed, so the first turn after a start removes nothing.
fn missed_one(case: &Case<'_>, name: &str, branch: &Branch) -> Vec<Event> {
    let times = misses_of_this_run(case, branch);
    if times >= MISSES {
        return Vec::new();
    }
    let mut events = vec![Event::BranchMissed(BranchMissedV1 {
        mirror: case.id,
        branch: name.to_owned(),
        writer_epoch: case.state.writer_epoch,
        at_ms: case.at_ms,
    })];
    if times + 1 >= misses() && branch.tombstone_ms.is_none() {
        events.push(Event::BranchTombstoned(BranchTombstonedV1 {
            mirror: case.id,
            branch: name.to_owned(),
            at_ms: case.at_ms,
        }));
    }
    events
}

fn misses_of_this_run(case: &Case<'_>, branch: &Branch) -> u32 {
    match branch.presence {
        Presence::Missed { times, writer_epoch }
            if writer_epoch == case.state.writer_epoch || mutant::is_on("misses_of_an_earlier_run") =>
        {
            times
        }
        Presence::Missed { .. } | Presence::There => 0,
    }
}

/// Removals that are due. A source that is another repository now, under the same name, proves nothing about the
/// branches of the one that was mirrored. A branch that others moved is left alone; one that they deleted is only to be
/// forgotten, else it would count as theirs when the source has its name again.
pub(super) fn removals(case: &Case<'_>, proven_gone: &BTreeMap<String, u64>) -> Vec<Event> {
    if is_recreated(case.mirror) {
        return Vec::new();
    }
    let due = case.mirror.branches.iter().filter(|(name, branch)| {
        // The wall clock may have been set meanwhile: only what was waited counts.
        let waited = proven_gone.get(*name).copied().or_else(|| mutant::is_on("removal_unproven").then_some(u64::MAX));
        let over = branch.tombstone_ms.is_some()
            && waited.is_some_and(|waited_ms| waited_ms >= case.state.policy.deletion_grace_ms);
        let sure = misses_of_this_run(case, branch) >= misses();
        over && sure
            && !branch.removing
            && !case.mirror.is_held(name)
            && branch.moving.is_none()
            && branch.diverged().is_none_or(|divergence| divergence.found.is_none())
    });
    due.map(|(name, _)| {
        Event::BranchRemovalStarted(BranchRemovalStartedV1 { mirror: case.id, branch: name.clone(), at_ms: case.at_ms })
    })
    .collect()
}

pub(super) fn finish_removal(case: &Case<'_>, branch: String) -> Result<Vec<Event>, Refused> {
    match case.mirror.branches.get(&branch) {
        None => Err(Refused::UnknownBranch(branch)),
        Some(known) if !known.removing => Err(Refused::Rule(format!("branch {branch} is not being removed"))),
        Some(_) => Ok(vec![Event::BranchRemoved(BranchRemovedV1 { mirror: case.id, branch, at_ms: case.at_ms })]),
    }
}

/// A record that no fact can hold is left out, as a branch is.
pub(super) fn commits(case: &Case<'_>, records: &[CommitRecord]) -> Vec<Event> {
    let mut new = BTreeSet::new();
    records
        .iter()
        .filter(|record| text_bytes(record) <= COMMIT_BYTES_MAX)
        .filter(|record| case.mirror.graph.get(&record.id).is_none() && new.insert(record.id))
        .map(|record| Event::CommitObserved(CommitObservedV1::new(case.id, record, case.at_ms)))
        .collect()
}
