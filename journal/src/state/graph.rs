//! The commits of a mirror: which are known, which are on the mirror, and which could be.
//!
//! Two flags climb from parents to children: *rooted* (all ancestors are known) and *closed* (the commit and all of
//! its ancestors that are not on the mirror are proven). They are kept as facts come in, so that asking whether a head
//! can be promoted costs nothing, whatever the length of the history.

use std::collections::{BTreeMap, BTreeSet};

use crate::commit::CommitRecord;
use crate::ids::{CommitId, MetarangeId};
use crate::state::tree::{Completeness, Trees};

/// What is kept of a commit.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Commit {
    /// Its parents, in stored order.
    pub parents: Vec<CommitId>,
    /// Its tree; none for the empty one.
    pub metarange: Option<MetarangeId>,
    /// Its generation, for the order of work.
    pub generation: i64,
    /// The whole record, until it is on the mirror.
    pub record: Option<Box<CommitRecord>>,
    /// Whether its record is on the mirror.
    pub recorded: bool,
    /// Whether all of its ancestors are known.
    pub rooted: bool,
    /// Whether it and its ancestors are all proven or on the mirror.
    pub closed: bool,
}

/// The commits of one mirror.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Graph {
    /// By id.
    pub commits: BTreeMap<CommitId, Commit>,
    /// Ids that a branch or a known commit names, and whose records were not read yet.
    pub frontier: BTreeSet<CommitId>,
    /// Children of commits that are not yet on the mirror or not yet known.
    pub(in crate::state) children: BTreeMap<CommitId, Vec<CommitId>>,
}

impl Graph {
    /// The commit of this id, if its record was read.
    #[must_use]
    pub fn get(&self, id: &CommitId) -> Option<&Commit> {
        self.commits.get(id)
    }

    /// Whether the commit's record is on the mirror.
    #[must_use]
    pub fn is_recorded(&self, id: &CommitId) -> bool {
        self.commits.get(id).is_some_and(|commit| commit.recorded)
    }

    /// Whether a known commit waits for this one, its parent, to be known or on the mirror.
    #[must_use]
    pub fn is_awaited(&self, id: &CommitId) -> bool {
        self.children.contains_key(id)
    }

    /// Notes that a commit is needed.
    pub(crate) fn want(&mut self, id: CommitId) {
        if !self.commits.contains_key(&id) {
            self.frontier.insert(id);
        }
    }

    pub(crate) fn observe(&mut self, record: CommitRecord, trees: &mut Trees) {
        let id = record.id;
        if self.commits.contains_key(&id) {
            return;
        }
        self.frontier.remove(&id);
        for parent in &record.parents {
            self.want(*parent);
            if !self.is_recorded(parent) {
                self.children.entry(*parent).or_default().push(id);
            }
        }
        if let Some(metarange) = record.metarange {
            trees.add_commit(metarange, id);
        }
        let commit = Commit {
            parents: record.parents.clone(),
            metarange: record.metarange,
            generation: record.generation,
            record: Some(Box::new(record)),
            recorded: false,
            rooted: false,
            closed: false,
        };
        self.commits.insert(id, commit);
        self.climb(id, trees);
    }

    pub(crate) fn record(&mut self, id: &CommitId, trees: &Trees) {
        let Some(commit) = self.commits.get_mut(id) else { return };
        (commit.recorded, commit.record) = (true, None);
        for child in self.children.remove(id).unwrap_or_default() {
            self.climb(child, trees);
        }
    }

    /// Trees were touched: lets the flags of their commits, and of what stands on them, follow.
    pub(crate) fn follow(&mut self, touched: &BTreeSet<MetarangeId>, trees: &Trees) {
        let mut fallen = false;
        let mut risen = Vec::new();
        for tree in touched.iter().filter_map(|id| trees.metaranges.get(id)) {
            for id in &tree.commits {
                match (tree.completeness(), self.commits.get(id)) {
                    (Completeness::Incomplete, Some(commit)) if commit.closed && !commit.recorded => fallen = true,
                    (Completeness::CompleteExceptExpired | Completeness::Complete, Some(commit)) if !commit.closed => {
                        risen.push(*id)
                    }
                    _ => {}
                }
            }
        }
        if fallen {
            self.settle_again(trees);
        }
        for id in risen {
            self.climb(id, trees);
        }
    }

    /// Something that was proven is not any more: finds every flag anew. Rare, and linear in the history.
    fn settle_again(&mut self, trees: &Trees) {
        let open: Vec<CommitId> = self
            .commits
            .iter_mut()
            .filter(|(_, commit)| !commit.recorded)
            .map(|(id, commit)| {
                commit.closed = false;
                *id
            })
            .collect();
        for id in open {
            self.climb(id, trees);
        }
    }

    /// Raises the flags of a commit if its parents and its tree allow it, and then those of its children.
    fn climb(&mut self, from: CommitId, trees: &Trees) {
        let mut work = vec![from];
        while let Some(id) = work.pop() {
            let Some(commit) = self.commits.get(&id) else { continue };
            let parent = |wanted: fn(&Commit) -> bool| {
                commit.parents.iter().all(|p| self.commits.get(p).is_some_and(|c| c.recorded || wanted(c)))
            };
            let rooted = parent(|c| c.rooted);
            let proven = commit.metarange.is_none_or(|id| {
                trees.metaranges.get(&id).is_some_and(|tree| tree.completeness() != Completeness::Incomplete)
            });
            let closed = rooted && proven && parent(|c| c.closed);
            if (commit.rooted, commit.closed) == (rooted, closed) {
                continue;
            }
            if let Some(commit) = self.commits.get_mut(&id) {
                (commit.rooted, commit.closed) = (rooted, closed);
            }
            work.extend(self.children.get(&id).into_iter().flatten().copied());
        }
    }

    /// The ancestors of `head` (and `head`) that are not on the mirror, parents before children, at most `limit`.
    /// Commits whose records are unknown are left out.
    #[must_use]
    pub fn unrecorded(&self, head: &CommitId, limit: usize) -> Vec<CommitId> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        let mut stack = vec![(*head, false)];
        while let Some((id, expanded)) = stack.pop() {
            if order.len() >= limit {
                break;
            }
            let Some(commit) = self.commits.get(&id).filter(|commit| !commit.recorded) else { continue };
            if expanded {
                order.push(id);
            } else if seen.insert(id) {
                stack.push((id, true));
                stack.extend(commit.parents.iter().map(|parent| (*parent, false)));
            }
        }
        order
    }
}
