//! What a move rests on, and how long that counts: the trees of its head and of the ancestors that get their records
//! with it, and the oldest checks of their ranges.
//!
//! The same reading serves the plan, which begins no move on old evidence, and the driver, which carries none out on
//! evidence that has become old since (`verification.evidence_max_age`).

use std::collections::BTreeSet;

use crate::event::{Event, RangesReopenedV1, TreesTakenBackV1};
use crate::ids::{CommitId, MetarangeId, RangeId};
use crate::mutant;
use crate::state::State;
use crate::state::branch::Move;
use crate::state::mirror::Mirror;
use crate::state::policy::HistoryRule;
use crate::state::tree::{Completeness, Metarange, Range};

use super::Case;

/// Ids of ranges or trees in one record: 32 bytes each, well under the record limit.
pub(super) const IDS_PER_RECORD: usize = 4000;

/// What has to be looked at again before something may rest on it.
#[derive(Debug, Default)]
pub(super) struct Old {
    /// Ranges whose oldest check is too old, or of an age that is not known.
    pub(super) ranges: BTreeSet<RangeId>,
    /// Trees whose lists were let go: how old their evidence is, is not known.
    trees: BTreeSet<MetarangeId>,
}

impl Old {
    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty() && self.trees.is_empty()
    }

    pub(super) fn extend(&mut self, more: Self) {
        self.ranges.extend(more.ranges);
        self.trees.extend(more.trees);
    }

    /// The facts by which it is looked at again.
    pub(super) fn events(&self, case: &Case<'_>) -> Vec<Event> {
        let (mirror, at_ms) = (case.id, case.at_ms);
        let ranges: Vec<RangeId> = self.ranges.iter().copied().collect();
        let trees: Vec<MetarangeId> = self.trees.iter().copied().collect();
        let reopened = ranges
            .chunks(IDS_PER_RECORD)
            .map(|ranges| Event::RangesReopened(RangesReopenedV1 { mirror, ranges: ranges.to_vec(), at_ms }));
        let taken_back = trees
            .chunks(IDS_PER_RECORD)
            .map(|trees| Event::TreesTakenBack(TreesTakenBackV1 { mirror, metaranges: trees.to_vec(), at_ms }));
        reopened.chain(taken_back).collect()
    }
}

/// Whether the commit may become a head: its own tree is whole, and its history is what the policy asks for.
pub(super) fn is_ready(state: &State, mirror: &Mirror, id: &CommitId) -> bool {
    let Some(commit) = mirror.graph.get(id) else { return false };
    let enough = |completeness| {
        completeness == Completeness::Complete
            || completeness == Completeness::CompleteExceptExpired && mutant::is_on("expired_head")
    };
    let whole = mutant::is_on("head_not_whole")
        || commit
            .metarange
            .is_none_or(|tree| mirror.trees.metaranges.get(&tree).is_some_and(|tree| enough(tree.completeness())));
    let history = match state.policy.history {
        HistoryRule::Complete if mutant::is_on("ancestors_unchecked") => commit.rooted,
        HistoryRule::Complete => commit.closed,
        HistoryRule::Head => commit.rooted,
    };
    whole && (commit.recorded || history)
}

/// The ranges of a commit's own tree.
pub(super) fn tree_ranges<'a>(mirror: &'a Mirror, id: &CommitId) -> impl Iterator<Item = &'a Range> + use<'a> {
    let tree = mirror.graph.get(id).and_then(|commit| commit.metarange);
    let tree = tree.and_then(|tree| mirror.trees.metaranges.get(&tree));
    tree.into_iter().flat_map(|tree| mirror.trees.ranges_of(tree))
}

/// The trees behind a move to `head`: its own, and those of the ancestors that get their records with it.
fn trees_behind<'a>(state: &State, mirror: &'a Mirror, head: &CommitId) -> Vec<(MetarangeId, &'a Metarange)> {
    let ancestors = match state.policy.history {
        HistoryRule::Complete => mirror.graph.unrecorded(head, usize::MAX),
        HistoryRule::Head => Vec::new(),
    };
    let commits = ancestors.iter().chain([head]).filter_map(|id| mirror.graph.get(id));
    let trees: BTreeSet<MetarangeId> = commits.filter_map(|commit| commit.metarange).collect();
    trees.into_iter().filter_map(|id| mirror.trees.metaranges.get(&id).map(|tree| (id, tree))).collect()
}

fn is_of_unknown_age(tree: &Metarange) -> bool {
    tree.evicted && !mutant::is_on("let_go_counts_as_young")
}

/// Whether what proves the range is stamped after now: the clock has been put back since, and how old it is, is not
/// known. A range that nothing proves has no stamp.
pub(super) fn is_from_the_future(range: &Range, now_ms: u64) -> bool {
    range.oldest_ms != u64::MAX && range.oldest_ms > now_ms
}

/// Whether the range has to be looked at again before something rests on it at `now_ms`: bounded on both sides, since
/// the clock that stamped the checks may have been wrong either way.
pub(super) fn is_unfit(range: &Range, now_ms: u64, age_ms_max: u64) -> bool {
    range.oldest_ms < now_ms.saturating_sub(age_ms_max) || is_from_the_future(range, now_ms)
}

/// What of the evidence for a move to `head` is older than it may be, or of an age that is not known.
pub(super) fn old(case: &Case<'_>, head: &CommitId) -> Old {
    let mut old = Old::default();
    if mutant::is_on("evidence_never_old") {
        return old;
    }
    let age_ms_max = case.state.policy.evidence_age_ms_max;
    for (id, tree) in trees_behind(case.state, case.mirror, head) {
        if is_of_unknown_age(tree) {
            old.trees.insert(id);
        }
        let ranges = case.mirror.trees.ranges_of(tree).filter(|range| is_unfit(range, case.at_ms, age_ms_max));
        old.ranges.extend(ranges.map(|range| range.id));
    }
    old
}

/// Until when a move under way may be carried out, by a clock that says `now_ms`, milliseconds since 1970: 0 where it may
/// not any more. A branch that is only put back to where it was rests on what was proven then.
pub(super) fn counts_until(state: &State, mirror: &Mirror, under_way: &Move, now_ms: u64) -> u64 {
    let put_back = under_way.seen == 0 && mirror.graph.is_recorded(&under_way.to);
    if put_back || mutant::is_on("open_move_never_too_old") || mutant::is_on("evidence_never_old") {
        return u64::MAX;
    }
    // What was too old for another move is open by now, and has no oldest check.
    if !is_ready(state, mirror, &under_way.to) {
        return 0;
    }
    let trees = trees_behind(state, mirror, &under_way.to);
    if trees.iter().any(|(_, tree)| is_of_unknown_age(tree)) {
        return 0;
    }
    let ranges = || trees.iter().flat_map(|(_, tree)| mirror.trees.ranges_of(tree));
    if ranges().any(|range| is_from_the_future(range, now_ms)) {
        return 0;
    }
    let oldest_ms = ranges().map(|range| range.oldest_ms).min().unwrap_or(u64::MAX);
    oldest_ms.saturating_add(state.policy.evidence_age_ms_max)
}
