//! Counters and flags, found from scratch and compared with those that the state keeps.

use std::collections::BTreeMap;

use lakemirror_journal::ids::CommitId;
use lakemirror_journal::state::State;
use lakemirror_journal::state::mirror::Mirror;
use lakemirror_journal::state::policy::{ArchivedRule, ImportsRule, Policy, SizeRule};
use lakemirror_journal::state::tree::{Grade, Range};

fn grade(range: &Range, policy: &Policy) -> Grade {
    let Some(detail) = range.detail.as_deref() else { return if range.read { Grade::Whole } else { Grade::Open } };
    let sizes = policy.size == SizeRule::Strict && !detail.wrong_size.is_empty();
    let blocked = policy.imports == ImportsRule::Block && detail.imports.count() > 0;
    let archived = policy.archived == ArchivedRule::Block && detail.archived.values().any(|one| !one.shown);
    match range.read && !sizes && !archived && !blocked && detail.missing.count() == 0 {
        false => Grade::Open,
        true if detail.expired.is_empty() => Grade::Whole,
        true => Grade::Expired,
    }
}

/// Panics where something that is kept is not what it should be.
pub fn recount(state: &State) {
    for mirror in state.mirrors.values() {
        recount_trees(mirror, &state.policy);
        recount_flags(mirror);
    }
    assert_eq!(state.strays, 0, "sensible commands make no strays");
}

fn recount_trees(mirror: &Mirror, policy: &Policy) {
    let mut users: BTreeMap<u32, Vec<_>> = BTreeMap::new();
    // A list that was let go has nothing to count; what was counted before means nothing.
    for (id, tree) in mirror.trees.metaranges.iter().filter(|(_, tree)| !tree.let_go) {
        let grades: Vec<Grade> = tree.ranges.iter().map(|index| mirror.trees.ranges[*index as usize].grade).collect();
        let count = |wanted| grades.iter().filter(|grade| **grade == wanted).count() as u32;
        assert_eq!((tree.open, tree.expired), (count(Grade::Open), count(Grade::Expired)), "{id:?} {tree:?}");
        for index in &tree.ranges {
            users.entry(*index).or_default().push(*id);
        }
    }
    for (range, index) in mirror.trees.ranges.iter().zip(0u32..) {
        assert_eq!(range.grade, grade(range, policy), "{range:?}");
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
        let tree = commit.metarange.map(|tree| mirror.trees.metaranges[&tree].grade());
        let closed = rooted && tree != Some(Grade::Open) && parents.iter().all(|(_, closed)| *closed);
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
