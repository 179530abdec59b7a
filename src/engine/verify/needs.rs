//! Which metadata files and ranges are needed now: a pure look at the durable state.
//!
//! Needed are the trees of heads that were seen and not promoted, whole, and those of their ancestors that are not on
//! the mirror, complete or expired. Old generations come first, so that what is new in a child is checked alone.

use std::collections::{BTreeMap, BTreeSet};

use lakemirror_journal::bits::Bits;
use lakemirror_journal::ids::{CommitId, MetarangeId, RangeId};
use lakemirror_journal::state::State;
use lakemirror_journal::state::mirror::Mirror;
use lakemirror_journal::state::policy::{ImportsRule, Policy, SizeRule};
use lakemirror_journal::state::tree::{Grade, Range};

/// Ranges of one tree that are worked on in one look, so that a huge tree leaves room for the others.
const RANGES_PER_TREE: usize = 256;

/// Trees that are worked on in one look.
const TREES_MAX: usize = 512;

/// A file or range that is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The metarange file is to be read.
    Metarange(MetarangeId),
    /// The range file is to be read, or entries of it are missing.
    Range(RangeId),
}

/// What is needed, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// What.
    pub subject: Subject,
    /// The tree it belongs to.
    pub tree: MetarangeId,
    /// A commit that has the tree.
    pub commit: CommitId,
    /// The trees of that commit's parents.
    pub parents: Vec<MetarangeId>,
    /// Whether the commit is an ancestor of a newer head.
    pub ancestor: bool,
    /// Whether everything must be there (a head), or what is gone at the source may be missing (an ancestor).
    pub whole: bool,
    /// Entries of the range; 0 for a metarange.
    pub entries: u32,
    /// Entries that are missing; all of them before the range was read.
    pub missing: u32,
}

#[derive(Clone, Copy, Default)]
struct Role {
    head: bool,
    ancestor: bool,
}

/// Everything that is needed, in the order of work.
#[must_use]
pub fn needs(mirror: &Mirror) -> Vec<Need> {
    let mut trees: Vec<(i64, CommitId, Role)> = Vec::new();
    for (id, role) in roles(mirror) {
        let Some(commit) = mirror.graph.get(&id) else { continue };
        let Some(tree) = commit.metarange.and_then(|tree| mirror.trees.metaranges.get(&tree)) else { continue };
        if tree.grade() < required(role) {
            trees.push((commit.generation, id, role));
        }
    }
    trees.sort_by_key(|(generation, id, _)| (*generation, *id));
    trees.truncate(TREES_MAX);
    let mut seen = BTreeMap::new();
    let mut found: Vec<Need> = Vec::new();
    for (_, id, role) in trees {
        of_commit(mirror, id, role, &mut seen, &mut found);
    }
    found
}

fn required(role: Role) -> Grade {
    if role.head { Grade::Whole } else { Grade::Expired }
}

fn roles(mirror: &Mirror) -> BTreeMap<CommitId, Role> {
    let mut roles: BTreeMap<CommitId, Role> = BTreeMap::new();
    let mut walked = BTreeSet::new();
    for branch in mirror.branches.values().filter(|branch| branch.tombstone_ms.is_none()) {
        for head in branch.pending.iter().rev() {
            roles.entry(head.commit).or_default().head = true;
            let mut stack = vec![head.commit];
            while let Some(id) = stack.pop() {
                let Some(commit) = mirror.graph.get(&id).filter(|commit| !commit.recorded && walked.insert(id)) else {
                    continue;
                };
                for parent in &commit.parents {
                    if mirror.graph.get(parent).is_some_and(|parent| !parent.recorded) {
                        roles.entry(*parent).or_default().ancestor = true;
                        stack.push(*parent);
                    }
                }
            }
        }
    }
    roles
}

fn of_commit(mirror: &Mirror, id: CommitId, role: Role, seen: &mut BTreeMap<Subject, usize>, found: &mut Vec<Need>) {
    let Some(commit) = mirror.graph.get(&id) else { return };
    let Some((tree_id, tree)) = commit.metarange.and_then(|id| mirror.trees.metaranges.get(&id).map(|tree| (id, tree)))
    else {
        return;
    };
    let parents = commit
        .parents
        .iter()
        .filter_map(|parent| mirror.graph.get(parent))
        .filter_map(|parent| parent.metarange)
        .collect::<Vec<_>>();
    let mut push = |subject, entries, missing| match seen.get(&subject).and_then(|place: &usize| found.get_mut(*place))
    {
        Some(known) => {
            known.ancestor |= role.ancestor;
            known.whole |= role.head;
        }
        None => {
            seen.insert(subject, found.len());
            found.push(Need {
                subject,
                tree: tree_id,
                commit: id,
                parents: parents.clone(),
                ancestor: role.ancestor,
                whole: role.head,
                entries,
                missing,
            });
        }
    };
    if !tree.is_read() || tree.let_go {
        push(Subject::Metarange(tree_id), 0, 1);
        return;
    }
    for range in mirror.trees.ranges_of(tree).filter(|range| range.grade < required(role)).take(RANGES_PER_TREE) {
        push(Subject::Range(range.id), range.entries, range.missing_count());
    }
}

/// The ordinals of a range that are to be asked for; `None` before its file was read.
#[must_use]
pub fn asks(range: &Range, policy: &Policy, whole: bool) -> Option<Bits> {
    if !range.read {
        return None;
    }
    let Some(detail) = range.detail.as_deref() else { return Some(Bits::none(range.entries)) };
    let mut asks = detail.missing.clone();
    if policy.size == SizeRule::Strict {
        asks.union(&Bits::from_ordinals(range.entries, detail.wrong_size.keys().copied()));
    }
    if whole {
        asks.union(&Bits::from_ordinals(range.entries, detail.expired.iter().copied()));
    }
    if policy.imports == ImportsRule::Block {
        asks.subtract(&detail.imports);
    }
    Some(asks)
}

/// What of a range may be inherited: the entries that were seen there and count, and the oldest check behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Entries that are proven present.
    pub proven: Bits,
    /// The oldest check behind them, milliseconds since 1970.
    pub oldest_ms: u64,
}

/// The base that a range of the state is, if it was read.
#[must_use]
pub fn base(state: &State, mirror: &Mirror, id: &RangeId) -> Option<Base> {
    let range = mirror.trees.range(id).filter(|range| range.read && range.oldest_ms != u64::MAX)?;
    let mut proven = Bits::all(range.entries);
    if let Some(detail) = range.detail.as_deref() {
        proven.subtract(&detail.missing);
        proven.subtract(&Bits::from_ordinals(range.entries, detail.wrong_size.keys().chain(&detail.expired).copied()));
        if state.policy.imports == ImportsRule::Ignore {
            proven.subtract(&detail.imports);
        }
    }
    (!proven.is_none()).then_some(Base { proven, oldest_ms: range.oldest_ms })
}
