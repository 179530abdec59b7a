//! Counters and flags, found from scratch and compared with those that the state keeps.

use std::collections::BTreeMap;

use lakemirror_journal::ids::CommitId;
use lakemirror_journal::state::State;
use lakemirror_journal::state::mirror::Mirror;
use lakemirror_journal::state::policy::{ArchivedRule, ImportsRule, Policy, SizeRule};
use lakemirror_journal::state::tree::{Completeness, Range};

fn completeness(range: &Range, policy: &Policy) -> Completeness {
    let Some(detail) = range.detail.as_deref() else {
        return if range.read { Completeness::Complete } else { Completeness::Incomplete };
    };
    let sizes = policy.size == SizeRule::Strict && !detail.wrong_size.is_empty();
    let blocked = policy.imports == ImportsRule::Block && detail.imports.count() > 0;
    let archived = policy.archived == ArchivedRule::Block && detail.archived.values().any(|one| !one.shown);
    match range.read && !sizes && !archived && !blocked && detail.missing.count() == 0 {
        false => Completeness::Incomplete,
        true if detail.expired.is_empty() => Completeness::Complete,
        true => Completeness::CompleteExceptExpired,
    }
}

/// Panics where something that is kept is not what it should be.
pub fn recount(state: &State) {
    for mirror in state.mirrors.values() {
        recount_trees(mirror, &state.policy);
        recount_flags(mirror);
    }
    assert_eq!(state.ignored_events, 0, "sensible commands make no strays");
}

fn recount_trees(mirror: &Mirror, policy: &Policy) {
    let mut users: BTreeMap<u32, Vec<_>> = BTreeMap::new();
    // A list that was let go has nothing to count; what was counted before means nothing.
    for (id, tree) in mirror.trees.metaranges.iter().filter(|(_, tree)| !tree.evicted) {
        let completenesses: Vec<Completeness> =
            tree.ranges.iter().map(|index| mirror.trees.ranges[*index as usize].completeness).collect();
        let count = |wanted| completenesses.iter().filter(|completeness| **completeness == wanted).count() as u32;
        assert_eq!(
            (tree.open, tree.expired),
            (count(Completeness::Incomplete), count(Completeness::CompleteExceptExpired)),
            "{id:?} {tree:?}"
        );
        for index in &tree.ranges {
            users.entry(*index).or_default().push(*id);
        }
    }
    for (range, index) in mirror.trees.ranges.iter().zip(0u32..) {
        assert_eq!(range.completeness, completeness(range, policy), "{range:?}");
        let mut kept = range.users.clone();
        kept.sort_unstable();
        let mut wanted = users.remove(&index).unwrap_or_default();
        wanted.sort_unstable();
        assert_eq!(kept, wanted, "users of {range:?}");
        assert_eq!(mirror.trees.range_index.get(&range.id), Some(&index));
    }
}

/// `rooted` and `closed` of commits that are not on the mirror, by the definition and parents first.
fn recount_flags(mirror: &Mirror) {
    let mut flags: BTreeMap<CommitId, (bool, bool)> = BTreeMap::new();
    // Parents have smaller numbers in the test's universe, and so smaller ids.
    for (id, commit) in &mirror.graph.commits {
        let parents: Vec<(bool, bool)> = commit
            .parents
            .iter()
            .map(|parent| match mirror.graph.get(parent) {
                None => (false, false),
                Some(parent) if parent.recorded => (true, true),
                Some(_) => flags[parent],
            })
            .collect();
        let rooted = parents.iter().all(|(rooted, _)| *rooted);
        let tree = commit.metarange.map(|tree| mirror.trees.metaranges[&tree].completeness());
        let closed = rooted && tree != Some(Completeness::Incomplete) && parents.iter().all(|(_, closed)| *closed);
        flags.insert(*id, (rooted, closed));
        if !commit.recorded {
            assert_eq!((commit.rooted, commit.closed), (rooted, closed), "{id:?} {commit:?}");
        }
    }
    for (id, commit) in &mirror.graph.commits {
        assert!(!mirror.graph.frontier.contains(id));
        for parent in &commit.parents {
            assert!(mirror.graph.get(parent).is_some() || mirror.graph.frontier.contains(parent));
        }
    }
}
