//! Sums over a mirror: over the trees that its branches show or are to show, each object once as far as that is known.
//! What is missing is counted over the ancestors that are waited for as well.

use std::collections::BTreeSet;

use lakemirror_core::ids::{CommitId, MetarangeId};
use lakemirror_journal::state::mirror::Mirror;
use lakemirror_journal::state::policy::HistoryRule;
use lakemirror_journal::state::tree::{Metarange, Range};

use super::Sums;
use crate::verify::status::VerifyStatus;

/// The sums of a mirror under a rule for histories. A range counts once, whatever trees have it; of objects that stand in
/// several ranges the verifier knows by how much entries outnumber them.
pub(super) fn of(mirror: &Mirror, history: HistoryRule, verify: &VerifyStatus) -> Sums {
    let needed = Needed::of(mirror, history);
    let mut sums =
        Sums { branches: mirror.branches.len() as u64, checks: mirror.checks, moves: mirror.moves, ..Sums::default() };
    sums.commits_recorded = mirror.graph.commits.values().filter(|commit| commit.recorded).count() as u64;
    sums.commits_waiting = needed.commits.len() as u64;
    for range in &mirror.trees.ranges {
        let detail = range.detail.as_deref();
        let absent = u64::from(range.missing_count()) + detail.map_or(0, |detail| detail.wrong_size.len()) as u64;
        let expired = detail.map_or(0, |detail| detail.expired.len()) as u64;
        sums.objects_missing += if absent > 0 && needed.has(mirror, range) { absent } else { 0 };
        if range.users.iter().any(|tree| needed.heads.contains(tree)) {
            sums.objects_expired += expired;
            sums.objects_outside += detail.map_or(0, |detail| u64::from(detail.imports.count()));
            sums.objects_present += u64::from(range.entries).saturating_sub(absent + expired);
        }
    }
    let both_missing = verify.repeated.min(verify.shared);
    sums.objects_missing = sums.objects_missing.saturating_sub(verify.repeated);
    sums.objects_present = sums.objects_present.saturating_sub(verify.shared - both_missing);
    sums
}

/// What a branch shows or is to show, and what that stands on.
struct Needed {
    history: HistoryRule,
    /// Commits that a branch leads to and that are not on the mirror.
    commits: BTreeSet<CommitId>,
    /// Trees of heads.
    heads: BTreeSet<MetarangeId>,
}

impl Needed {
    fn of(mirror: &Mirror, history: HistoryRule) -> Self {
        let heads = mirror.live_heads().filter_map(|head| mirror.graph.get(&head)?.metarange).collect();
        let (mut commits, mut stack) = (BTreeSet::new(), mirror.live_heads().collect::<Vec<_>>());
        while let Some(id) = stack.pop() {
            let Some(commit) = mirror.graph.get(&id).filter(|commit| !commit.recorded) else { continue };
            if commits.insert(id) {
                stack.extend_from_slice(&commit.parents);
            }
        }
        Self { history, commits, heads }
    }

    fn has(&self, mirror: &Mirror, range: &Range) -> bool {
        let trees = range.users.iter().filter_map(|id| Some((id, mirror.trees.metaranges.get(id)?)));
        trees.into_iter().any(|(id, tree)| self.heads.contains(id) || self.needs(mirror, tree))
    }

    fn needs(&self, mirror: &Mirror, tree: &Metarange) -> bool {
        // Under `history: head` ancestors are on the mirror before they are proven.
        let unproven = |id: &CommitId| self.history == HistoryRule::Head && mirror.graph.is_recorded(id);
        tree.commits.iter().any(|id| self.commits.contains(id) || unproven(id))
    }
}
