//! Decisions about deletions that wait for an operator (I6): which are held and why, and which an operator let go on.

use std::collections::{BTreeMap, BTreeSet};

use super::Case;
use crate::event::{DeletionsApprovedV1, DeletionsHeldV1, DeletionsReleasedV1, Event};
use crate::ids::CommitId;
use crate::mutant;
use crate::state::branch::Branch;
use crate::state::hold::HoldReason;

/// Up to this many branches may vanish at once, whatever the fraction.
const VANISH_FREELY: usize = 3;

/// Bytes of names in one record, well under the record limit.
const NAMES_BYTES_MAX: usize = 64 * 1024;

/// Why what a listing lacks is not believed to be deleted, and the numbers behind that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doubt {
    pub(super) reason: HoldReason,
    vanished: usize,
    live: usize,
}

/// Whether a listing is doubted. lakeFS never deletes a default branch: a listing that lacks it is of a repository that is
/// coming or going, or of one that never had it. What vanished counts whether it was proven gone or not: only some of it is
/// asked about singly in one turn.
pub(super) fn doubt(case: &Case<'_>, listed: &BTreeMap<String, CommitId>) -> Option<Doubt> {
    let holds = &case.mirror.holds;
    // What was approved counts as long as something else waits: else an approval of some would let the others go.
    let counted = if holds.values().any(|hold| !hold.approved) { holds.len() } else { 0 };
    let free = |(name, branch): &(&String, &Branch)| branch.tombstone_ms.is_none() && !holds.contains_key(*name);
    let live = case.mirror.branches.iter().filter(free).count() + counted;
    let missing = case.mirror.branches.iter().filter(free).filter(|(name, _)| !listed.contains_key(*name)).count();
    let vanished = missing + counted;
    let lacks_default = case.mirror.source.as_ref().is_some_and(|source| !listed.contains_key(&source.default_branch));
    let allowed = (live * usize::from(case.state.policy.deletion_permille_max) / 1000).max(VANISH_FREELY);
    let reason = match () {
        () if lacks_default && !mutant::is_on("listing_without_default_believed") => HoldReason::NoDefaultBranch,
        () if vanished > allowed => HoldReason::TooMany,
        () => return None,
    };
    Some(Doubt { reason, vanished, live })
}

/// Whether the deletion of a branch that was proven gone may go on.
pub(super) fn may_go(case: &Case<'_>, doubt: Option<&Doubt>, name: &str, branch: &Branch) -> bool {
    let Some(doubt) = doubt else { return true };
    match case.mirror.holds.get(name) {
        Some(hold) => hold.approved,
        // Its time of grace began when the listing was believed.
        None => doubt.reason == HoldReason::TooMany && branch.tombstone_ms.is_some(),
    }
}

/// The deletions that are held from here on, or are not any more.
pub(super) fn hold_or_release(case: &Case<'_>, doubt: Option<&Doubt>, gone: &[String]) -> Vec<Event> {
    let Some(doubt) = doubt else { return release(case) };
    let default = case.mirror.source.as_ref().map(|source| &source.default_branch);
    let held = gone.iter().filter(|name| {
        let known = case.mirror.branches.get(*name);
        // lakeFS would not let it go on the mirror either: it is the reason for the others.
        Some(*name) != default
            && !case.mirror.holds.contains_key(*name)
            && known.is_some_and(|branch| !may_go(case, Some(doubt), name, branch))
    });
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let (reason, vanished, live) = (doubt.reason.number(), count(doubt.vanished), count(doubt.live));
    let (mirror, at_ms) = (case.id, case.at_ms);
    let fact = |branches| DeletionsHeldV1 { mirror, branches, reason, vanished, live, at_ms };
    batches(held.cloned()).map(fact).map(Event::DeletionsHeld).collect()
}

fn release(case: &Case<'_>) -> Vec<Event> {
    let held = case.mirror.holds.iter().filter(|(_, hold)| !hold.approved).map(|(name, _)| name.clone());
    let (mirror, at_ms) = (case.id, case.at_ms);
    let fact = |branches| DeletionsReleasedV1 { mirror, branches, at_ms };
    batches(held).map(fact).map(Event::DeletionsReleased).collect()
}

/// What an operator approved, of what is held: where the branch of the mirror is where it was then, so that an approval
/// never reaches a branch that has come back and shows something else by now.
pub(super) fn approve(case: &Case<'_>, approved: &[(String, Option<CommitId>)], by: &str) -> Vec<Event> {
    let meant = |(name, head): &&(String, Option<CommitId>)| {
        let known = case.mirror.branches.get(name);
        case.mirror.is_held(name) && known.is_some_and(|branch| branch.mirror.is_none() || branch.mirror == *head)
    };
    let names: BTreeSet<String> = approved.iter().filter(meant).map(|(name, _)| name.clone()).collect();
    let (mirror, at_ms) = (case.id, case.at_ms);
    let fact = |branches| DeletionsApprovedV1 { mirror, branches, by: by.to_owned(), at_ms };
    batches(names.into_iter()).map(fact).map(Event::DeletionsApproved).collect()
}

/// The names in lists that fit into a record each.
fn batches(names: impl Iterator<Item = String>) -> impl Iterator<Item = Vec<String>> {
    let mut batches: Vec<Vec<String>> = Vec::new();
    let mut room = 0usize;
    for name in names {
        let bytes = name.len() + 16;
        match batches.last_mut().filter(|_| bytes <= room) {
            Some(batch) => {
                room -= bytes;
                batch.push(name);
            }
            None => {
                room = NAMES_BYTES_MAX.saturating_sub(bytes);
                batches.push(vec![name]);
            }
        }
    }
    batches.into_iter()
}
