//! One mirror: its definition, its source, its branches, commits and trees.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::MirrorDefinedV1;
use crate::ids::{CommitId, MetarangeId};
use crate::state::branch::Branch;
use crate::state::condition::Raised;
use crate::state::graph::Graph;
use crate::state::hold::Holds;
use crate::state::tree::{Completeness, Metarange, Touched, Trees};

/// How far the mirror repository is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Phase {
    /// It was asked for.
    Defined,
    /// A repository of its name may be ours, if it is marked so or was never used.
    Intended,
    /// The repository is there and ours.
    Ready,
    /// It is being deleted.
    Deleting,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Definition {
    /// The mirror's name, which is the mirror repository's.
    pub name: String,
    /// The repository that it mirrors.
    pub source_repository: String,
    /// The source's region.
    pub source_region: String,
    /// The mirror's region.
    pub region: String,
    /// The mirror repository's storage namespace.
    pub storage_namespace: String,
    /// When it was created, milliseconds since 1970.
    pub created_ms: u64,
}

impl Definition {
    pub(crate) fn of(fact: &MirrorDefinedV1) -> Self {
        Self {
            name: fact.name.clone(),
            source_repository: fact.source_repository.clone(),
            source_region: fact.source_region.clone(),
            region: fact.region.clone(),
            storage_namespace: fact.storage_namespace.clone(),
            created_ms: fact.at_ms,
        }
    }
}

/// Who the source repository is: it changes when the repository is deleted and made again under its name.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Source {
    /// Its storage namespace.
    pub storage_namespace: String,
    /// Its default branch.
    pub default_branch: String,
    /// Its creation date, seconds since 1970.
    pub creation_date: i64,
}

/// One mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// What was asked for.
    pub definition: Definition,
    /// How far its repository is.
    pub phase: Phase,
    /// Whether the repository was there before this journal knew it: the history begins then.
    pub adopted_ms: Option<u64>,
    /// Its source, once it answered.
    pub source: Option<Source>,
    /// What an earlier version noted: see [`Mirror::conditions`].
    pub(crate) trouble: Option<Raised>,
    /// The conditions that hold, by their numbers: see [`Mirror::conditions`].
    pub(crate) raised: BTreeMap<u8, Raised>,
    /// Its branches, by name.
    pub branches: BTreeMap<String, Branch>,
    /// Deletions of branches that wait for an operator.
    pub holds: Holds,
    /// Its commits.
    pub graph: Graph,
    /// Their trees.
    pub trees: Trees,
    /// Recorded commits whose trees are still listed.
    pub resident: BTreeSet<CommitId>,
    /// Arrival checks so far.
    pub checks: u64,
    /// Moves so far.
    pub moves: u64,
    /// The number of the last published summary.
    pub published: u64,
}

impl Mirror {
    pub(crate) fn new(definition: Definition) -> Self {
        Self {
            definition,
            phase: Phase::Defined,
            adopted_ms: None,
            source: None,
            trouble: None,
            raised: BTreeMap::new(),
            branches: BTreeMap::new(),
            holds: Holds::new(),
            graph: Graph::default(),
            trees: Trees::default(),
            resident: BTreeSet::new(),
            checks: 0,
            moves: 0,
            published: 0,
        }
    }

    pub(crate) fn see_branch(&mut self, name: &str, head: CommitId, hidden: bool, at_ms: u64) {
        let branch = self.branches.entry(name.to_owned()).or_insert_with(|| Branch::new(head, hidden));
        branch.see(head, at_ms);
        self.end_hold(name);
        self.graph.want(head);
        if let Some(tree) = self.graph.get(&head).and_then(|commit| commit.metarange) {
            let touched = self.trees.invalidate(&tree);
            self.touch(&touched);
        }
    }

    /// Whether a taking of the mirror says that its branches may be elsewhere by now: another process drove it, and it was
    /// there to be driven.
    pub(crate) fn forgets_branches(&self, resumed: bool) -> bool {
        !resumed && self.phase == Phase::Ready
    }

    /// Another process drove the mirror meanwhile: where its branches are is to be found out again, and what the source
    /// shows is to be seen and promoted as if for the first time. What was seen of commits and objects stays true.
    pub(crate) fn begin_anew(&mut self, at_ms: u64) {
        self.adopted_ms = Some(at_ms);
        self.holds.clear();
        // The trees of the heads stay: most of them are needed again at once, the next move lets the others go.
        self.branches.values_mut().for_each(Branch::begin_anew);
    }

    /// The branch is gone from the mirror; it is forgotten, unless it has come back at the source meanwhile.
    pub(crate) fn remove_branch(&mut self, name: &str) -> bool {
        let Some(branch) = self.branches.get_mut(name) else { return false };
        if branch.tombstone_ms.is_some() {
            self.branches.remove(name);
            self.settle_holds();
        } else {
            (branch.mirror, branch.removing, branch.divergence) = (None, false, None);
        }
        true
    }

    pub(crate) fn write_records(&mut self, commits: &[CommitId]) {
        for id in commits {
            self.graph.record(id, &self.trees);
            self.resident.insert(*id);
        }
    }

    pub(crate) fn touch(&mut self, touched: &Touched) {
        self.graph.follow(touched, &self.trees);
    }

    /// Lets go of the trees of recorded commits that no branch points to or is to point to.
    pub(crate) fn evict_trees(&mut self) {
        let heads: BTreeSet<CommitId> = self.live_heads().collect();
        let live: BTreeSet<MetarangeId> =
            heads.iter().filter_map(|id| self.graph.get(id)).filter_map(|commit| commit.metarange).collect();
        let past: Vec<CommitId> = self.resident.iter().filter(|id| !heads.contains(id)).copied().collect();
        for id in past {
            let Some(tree) = self.graph.get(&id).map(|commit| commit.metarange) else { continue };
            if let Some(tree) = tree
                && !live.contains(&tree)
            {
                let open = |tree: &Metarange| {
                    tree.completeness() == Completeness::Incomplete || !self.all_recorded(&tree.commits)
                };
                if self.trees.metaranges.get(&tree).is_some_and(open) {
                    continue;
                }
                self.trees.evict(&tree);
            }
            self.resident.remove(&id);
        }
    }

    fn all_recorded(&self, commits: &[CommitId]) -> bool {
        commits.iter().all(|id| self.graph.is_recorded(id))
    }

    /// Every commit that a branch of the mirror points to, or that is to be pointed to.
    pub fn live_heads(&self) -> impl Iterator<Item = CommitId> + '_ {
        self.branches.values().flat_map(|branch| {
            let pending = branch.pending.iter().map(|head| head.commit);
            pending.chain(branch.mirror).chain(branch.moving.map(|under_way| under_way.to))
        })
    }
}
