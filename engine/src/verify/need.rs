//! Which trees are needed, for what, and what is open about them: a look at the durable state, taken on the journal's
//! thread. Owns no I/O and changes nothing; the verifier compares it with what it has under way.

use std::collections::{BTreeMap, BTreeSet};

use lakemirror_core::ids::{CommitId, MetarangeId, RangeId};
use lakemirror_core::mutant;
use lakemirror_journal::bits::Bits;
use lakemirror_journal::state::State;
use lakemirror_journal::state::mirror::Mirror;
use lakemirror_journal::state::policy::{ArchivedRule, HistoryRule, ImportsRule, Policy, SizeRule};
use lakemirror_journal::state::tree::{Completeness, Metarange, Range, RangeDetail};

/// What a tree is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A commit that is a head of the mirror, or to become one: everything must be there.
    Head,
    /// An ancestor that is not on the mirror: what is gone at the source may be missing.
    Ancestor,
}

/// A tree that is needed and not proven.
#[derive(Debug, Clone)]
pub struct TreeNeed {
    /// Which.
    pub id: MetarangeId,
    /// What for; the stricter of several.
    pub role: Role,
    /// Whether an ancestor commit has it (also).
    pub of_ancestor: bool,
    /// Whether only heads that the mirror shows need it: it keeps nothing from being promoted, and comes last.
    pub shown_only: bool,
    /// Ranges that a head which the mirror shows lacks, those named at earlier trees included; none if no such head has it.
    pub lacks: Option<Vec<RangeId>>,
    /// A commit that has it, for questions to the source.
    pub commit: CommitId,
    /// The generation of the oldest commit that needs it.
    pub generation: i64,
    /// Since when a head is waiting for it, milliseconds since 1970; 0 for what the mirror shows: not known.
    pub since_ms: u64,
    /// Ranges of the tree; none while its file is unread.
    pub total: Option<u32>,
    /// Ranges that are open.
    pub open: u32,
    /// The ranges that are open (or expired, for a head), but for those that an earlier tree of the plan names.
    pub ranges: Vec<RangeNeed>,
    /// Open ranges that are too many to be named at a time.
    pub unlisted: Unlisted,
    /// Earlier trees of the plan that name the other open ranges of this one.
    pub borrowed_from: Vec<MetarangeId>,
    /// Trees of the parents.
    pub parents: Vec<MetarangeId>,
}

/// Open ranges of one tree that are named at a time: so many of which the file was not read, and so many others. The
/// first ones: a tree needs all of them, and what is done for one that was proven makes room for the next.
const LISTED_MAX: usize = 4096;

/// What is open about ranges that are not named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unlisted {
    /// Range files that were not read.
    pub files: u32,
    /// Entries that are missing, and all those of unread ranges.
    pub missing: u64,
}

/// Up to this many entries to ask for are known one by one.
pub const FEW_MAX: u32 = 16;

/// A range that is needed and not proven.
#[derive(Debug, Clone)]
pub struct RangeNeed {
    /// Which.
    pub id: RangeId,
    /// Its entries.
    pub entries: u32,
    /// Whether its file was read.
    pub read: bool,
    /// Entries to ask for.
    pub wanted: u32,
    /// Which ones, where they are at most [`FEW_MAX`]; else none.
    pub few: Vec<u32>,
    /// Those of them that were not found, and that the source was not said to have lost.
    pub missing: u32,
    /// Entries found with another size.
    pub wrong_size: u32,
    /// Entries found in an archive class, where that keeps them from counting as there.
    pub archived: u32,
    /// Entries that the store would not speak of.
    pub forbidden: u32,
    /// Entries that are gone at the source as well.
    pub expired: u32,
    /// Missing entries with a full address.
    pub imports: u32,
    /// Whether a head needs it.
    pub for_head: bool,
    /// Whether an ancestor needs it.
    pub for_ancestor: bool,
    /// Whether a head that the mirror shows needs it.
    pub shown: bool,
    /// When it was asked about last, milliseconds since 1970; 0 for never.
    pub checked_ms: u64,
}

/// Everything that is needed now.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// In the order of work: heads before ancestors under `history: head`, else by generation; what the mirror shows
    /// already comes last.
    pub trees: Vec<TreeNeed>,
    /// Small ranges of the trees that branches show or are to show, which may have objects in common.
    pub counted: Vec<RangeId>,
}

/// The entries of a range to ask for: what is missing, what has a wrong size or is archived where that counts, and, for a head, what
/// is gone at the source as well: it may come back.
#[must_use]
pub fn wanted(range: &Range, policy: &Policy, for_head: bool) -> Bits {
    let Some(detail) = range.detail.as_deref() else { return Bits::none(range.entries) };
    let mut wanted = detail.missing.clone();
    if policy.size == SizeRule::Strict {
        insert_all(&mut wanted, detail.wrong_size.keys());
    }
    insert_all(&mut wanted, blocked(detail, policy));
    if for_head {
        insert_all(&mut wanted, detail.expired.iter());
    }
    if policy.imports == ImportsRule::Block {
        wanted.subtract(&detail.imports);
    }
    wanted
}

/// The entries of a range that the source may be asked about: what is missing, and for an ancestor what has a wrong size or
/// is archived where that counts. That is as far from being there, and expires alike.
#[must_use]
pub fn doubtful(range: &RangeDetail, policy: &Policy, for_ancestor: bool) -> Bits {
    let mut doubtful = range.missing.clone();
    if for_ancestor && policy.size == SizeRule::Strict && !mutant::is_on("wrong_sizes_unasked") {
        insert_all(&mut doubtful, range.wrong_size.keys());
    }
    if for_ancestor {
        insert_all(&mut doubtful, blocked(range, policy));
    }
    doubtful
}

/// The entries in an archive class that do not count as there.
fn blocked<'a>(range: &'a RangeDetail, policy: &Policy) -> impl Iterator<Item = &'a u32> + use<'a> {
    let blocks = policy.archived == ArchivedRule::Block;
    range.archived.iter().filter(move |(_, archived)| blocks && !archived.shown).map(|(ordinal, _)| ordinal)
}

fn insert_all<'a>(bits: &mut Bits, ordinals: impl Iterator<Item = &'a u32>) {
    for ordinal in ordinals {
        bits.insert(*ordinal);
    }
}

/// What the mirror needs. Linear in the commits that are not closed, the heads shown, and the ranges of their trees.
#[must_use]
pub fn plan(state: &State, mirror: &Mirror) -> Plan {
    let mut found = Found { shown: shown(mirror), ..Found::default() };
    found.walk(mirror);
    found.scrub(mirror);
    if state.policy.history == HistoryRule::Head {
        found.background(mirror);
    }
    let heads_first = state.policy.history == HistoryRule::Head;
    let mut trees: Vec<TreeNeed> = found.trees.into_values().collect();
    trees.sort_by_key(|tree| {
        let late = (tree.shown_only, heads_first && tree.role == Role::Ancestor);
        (late, tree.generation, tree.open, tree.since_ms, tree.id)
    });
    let mut seen: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    for place in 0..trees.len() {
        expand(state, mirror, &mut trees, place, &mut seen);
    }
    Plan { trees, counted: counted(mirror) }
}

/// Entries of a range whose objects are told apart from those of others.
const COUNTED_ENTRIES_MAX: u32 = 20_000;
/// Ranges that are looked at for that: of more, none is.
const COUNTED_RANGES_MAX: usize = 10_000;

fn counted(mirror: &Mirror) -> Vec<RangeId> {
    let trees: BTreeSet<MetarangeId> =
        mirror.live_heads().filter_map(|head| mirror.graph.get(&head)?.metarange).collect();
    let lists: Vec<&Metarange> = trees.iter().filter_map(|tree| mirror.trees.metaranges.get(tree)).collect();
    if lists.len() < 2 || lists.iter().map(|tree| tree.ranges.len()).sum::<usize>() > COUNTED_RANGES_MAX {
        return Vec::new();
    }
    let mut trees_of: BTreeMap<u32, usize> = BTreeMap::new();
    for index in lists.iter().flat_map(|tree| &tree.ranges) {
        *trees_of.entry(*index).or_default() += 1;
    }
    // What all of them have, has nothing in common with any other.
    let some = trees_of.into_iter().filter(|(_, trees)| *trees < lists.len());
    let ranges = some.filter_map(|(index, _)| mirror.trees.ranges.get(index as usize));
    ranges.filter(|range| range.read && range.entries <= COUNTED_ENTRIES_MAX).map(|range| range.id).collect()
}

/// The trees of the heads that the mirror shows, each with the commit shown.
fn shown(mirror: &Mirror) -> BTreeMap<MetarangeId, CommitId> {
    let heads = mirror.branches.values().filter(|branch| !branch.removing).filter_map(|branch| branch.mirror);
    heads.filter_map(|head| Some((mirror.graph.get(&head)?.metarange?, head))).collect()
}

#[derive(Default)]
struct Found {
    shown: BTreeMap<MetarangeId, CommitId>,
    trees: BTreeMap<MetarangeId, TreeNeed>,
    visited: BTreeSet<CommitId>,
}

impl Found {
    /// From every pending head through its ancestors that are neither on the mirror nor proven with all of theirs.
    fn walk(&mut self, mirror: &Mirror) {
        let mut heads: Vec<(u64, CommitId)> = mirror
            .branches
            .values()
            .filter(|branch| branch.tombstone_ms.is_none())
            .flat_map(|branch| branch.pending.iter().map(|head| (head.at_ms, head.commit)))
            .collect();
        heads.sort_unstable();
        for (since_ms, head) in &heads {
            self.add(mirror, head, Role::Head, *since_ms);
        }
        for (since_ms, head) in heads {
            let mut stack = parents_of(mirror, &head);
            while let Some(id) = stack.pop() {
                let Some(commit) = mirror.graph.get(&id).filter(|commit| !commit.recorded && !commit.closed) else {
                    continue;
                };
                if self.visited.insert(id) {
                    self.add(mirror, &id, Role::Ancestor, since_ms);
                    stack.extend_from_slice(&commit.parents);
                }
            }
        }
    }

    /// Trees that the mirror shows and that are not whole: opened again because their proof was old, or never proven here.
    fn scrub(&mut self, mirror: &Mirror) {
        let needed: BTreeSet<MetarangeId> = self.trees.keys().copied().collect();
        for (tree, head) in self.shown.clone() {
            if needed.contains(&tree) {
                self.add(mirror, &head, Role::Head, u64::MAX);
            } else {
                self.add(mirror, &head, Role::Head, 0);
            }
            if let Some(need) = self.trees.get_mut(&tree) {
                (need.shown_only, need.lacks) = (!needed.contains(&tree), Some(Vec::new()));
            }
        }
    }

    /// Trees of ancestors that got their records before they were verified. What a head shown has is more than that: the
    /// source's word that an object is gone does not make up for it.
    fn background(&mut self, mirror: &Mirror) {
        let open = |(id, tree): &(&MetarangeId, &Metarange)| {
            tree.completeness() == Completeness::Incomplete && !self.shown.contains_key(*id)
        };
        let open: Vec<&Metarange> = mirror.trees.metaranges.iter().filter(open).map(|(_, tree)| tree).collect();
        for tree in open {
            if let Some(id) = tree.commits.iter().find(|id| mirror.graph.is_recorded(id)) {
                self.add(mirror, id, Role::Ancestor, tree.read_ms);
            }
        }
    }

    fn add(&mut self, mirror: &Mirror, id: &CommitId, role: Role, since_ms: u64) {
        let Some(commit) = mirror.graph.get(id) else { return };
        let Some((metarange, tree)) =
            commit.metarange.and_then(|id| mirror.trees.metaranges.get(&id).map(|tree| (id, tree)))
        else {
            return;
        };
        let enough = if role == Role::Head { Completeness::Complete } else { Completeness::CompleteExceptExpired };
        if tree.completeness() >= enough {
            return;
        }
        let need = self.trees.entry(metarange).or_insert_with(|| TreeNeed {
            id: metarange,
            role,
            of_ancestor: false,
            shown_only: false,
            lacks: None,
            commit: *id,
            generation: commit.generation,
            since_ms,
            total: tree.total.filter(|_| tree.is_read() && !tree.evicted),
            open: tree.open,
            ranges: Vec::new(),
            unlisted: Unlisted::default(),
            borrowed_from: Vec::new(),
            parents: Vec::new(),
        });
        need.role = need.role.min(role);
        need.of_ancestor |= role == Role::Ancestor;
        need.generation = need.generation.min(commit.generation);
        need.since_ms = need.since_ms.min(since_ms);
        let parents = commit.parents.iter().filter_map(|id| mirror.graph.get(id)?.metarange);
        for parent in parents.filter(|parent| *parent != metarange) {
            if !need.parents.contains(&parent) {
                need.parents.push(parent);
            }
        }
    }
}

fn parents_of(mirror: &Mirror, id: &CommitId) -> Vec<CommitId> {
    mirror.graph.get(id).map(|commit| commit.parents.clone()).unwrap_or_default()
}

/// Lists the ranges that are open. A range that several trees have belongs to the first, with the roles of all.
fn expand(
    state: &State,
    mirror: &Mirror,
    trees: &mut [TreeNeed],
    place: usize,
    seen: &mut BTreeMap<u32, (usize, usize)>,
) {
    let Some((role, of_ancestor, id)) = trees.get(place).map(|tree| (tree.role, tree.of_ancestor, tree.id)) else {
        return;
    };
    let Some(tree) = mirror.trees.metaranges.get(&id).filter(|tree| tree.is_read() && !tree.evicted) else { return };
    let for_head = role == Role::Head;
    let (mut unread, mut others) = (0, 0);
    let enough = if for_head { Completeness::Complete } else { Completeness::CompleteExceptExpired };
    for index in &tree.ranges {
        let Some(range) = mirror.trees.ranges.get(*index as usize).filter(|range| range.completeness < enough) else {
            continue;
        };
        let lacks = trees.get_mut(place).and_then(|need| need.lacks.as_mut());
        let shown = lacks.map(|lacks| lacks.push(range.id)).is_some();
        if let Some((tree, slot)) = seen.get(index) {
            share(trees, (*tree, *slot), place, |known| {
                if for_head && !known.for_head {
                    (known.wanted, known.few) = count_few(&wanted(range, &state.policy, true));
                }
                known.for_head |= for_head;
                known.for_ancestor |= of_ancestor;
                known.shown |= shown;
            });
            continue;
        }
        let Some(need) = trees.get_mut(place) else { return };
        let listed = if range.read { &mut others } else { &mut unread };
        if *listed >= LISTED_MAX {
            need.unlisted.files += u32::from(!range.read);
            need.unlisted.missing += u64::from(range.missing_count());
            continue;
        }
        *listed += 1;
        seen.insert(*index, (place, need.ranges.len()));
        need.ranges.push(RangeNeed { shown, ..range_need(range, &state.policy, for_head, of_ancestor) });
    }
}

/// Notes that the tree at `place` needs a range as well that an earlier one names.
fn share(trees: &mut [TreeNeed], at: (usize, usize), place: usize, change: impl FnOnce(&mut RangeNeed)) {
    let Some(owner) = trees.get_mut(at.0) else { return };
    if let Some(known) = owner.ranges.get_mut(at.1) {
        change(known);
    }
    let owner = owner.id;
    if let Some(need) = trees.get_mut(place).filter(|need| need.id != owner && !need.borrowed_from.contains(&owner)) {
        need.borrowed_from.push(owner);
    }
}

/// How many there are, and if they are few, which.
fn count_few(bits: &Bits) -> (u32, Vec<u32>) {
    let count = bits.count();
    (count, if count <= FEW_MAX { bits.iter().collect() } else { Vec::new() })
}

fn range_need(range: &Range, policy: &Policy, for_head: bool, for_ancestor: bool) -> RangeNeed {
    let count = |of: fn(&RangeDetail) -> usize| range.detail.as_deref().map_or(0, |detail| of(detail) as u32);
    let imports = range.detail.as_deref().map_or(0, |detail| {
        let mut rest = detail.missing.clone();
        rest.subtract(&detail.imports);
        detail.missing.count() - rest.count()
    });
    let unasked = if policy.imports == ImportsRule::Block { imports } else { 0 };
    let (wanted, few) = count_few(&wanted(range, policy, for_head));
    RangeNeed {
        id: range.id,
        entries: range.entries,
        read: range.read,
        wanted,
        few,
        missing: count(|detail| detail.missing.count() as usize).saturating_sub(unasked),
        wrong_size: count(|detail| detail.wrong_size.len()),
        archived: range.detail.as_deref().map_or(0, |detail| blocked(detail, policy).count() as u32),
        forbidden: count(|detail| detail.forbidden as usize),
        expired: count(|detail| detail.expired.len()),
        imports,
        for_head,
        for_ancestor,
        shown: false,
        checked_ms: range.checked_ms,
    }
}
