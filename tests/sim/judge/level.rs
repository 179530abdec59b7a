//! What must be true at the end, after all faults.

use std::collections::BTreeSet;

use super::{Copy, Id, Judge, Mirror, short};

impl Judge {
    /// The repository of a mirror, if it is the mirror's own.
    fn copy_of(&self, incarnation: &String, mirror: &Mirror) -> Option<&Copy> {
        self.copies.get(&mirror.name).filter(|copy| copy.incarnation.as_ref() == Some(incarnation))
    }

    /// Whether nothing more is expected of a mirror: its source was replaced, or other writers took its repository.
    fn is_given_up(&self, incarnation: &String, mirror: &Mirror) -> bool {
        self.vanished.contains(&mirror.source)
            || self.robbed.contains(incarnation)
            || self.doubtful.contains(incarnation)
    }

    /// What is not as it should be; branches with `hopeless` heads need not be in sync.
    pub(crate) fn unlevel(&self, hopeless: &dyn Fn(&Id) -> bool) -> Option<String> {
        for (incarnation, mirror) in &self.mirrors {
            let ours = self.copy_of(incarnation, mirror);
            if mirror.deleted {
                if ours.is_some() {
                    return Some(format!("the repository of the deleted mirror {} is still there", mirror.name));
                }
                continue;
            }
            if self.is_given_up(incarnation, mirror) {
                continue;
            }
            let Some(copy) = ours else { return Some(format!("mirror {} has no repository", mirror.name)) };
            if let Some(what) =
                self.unlevel_branch(copy, mirror, &|_, head| hopeless(head)).or_else(|| self.left_branch(copy, mirror))
            {
                return Some(what);
            }
        }
        None
    }

    fn unlevel_branch(&self, copy: &Copy, mirror: &Mirror, hopeless: &dyn Fn(&String, &Id) -> bool) -> Option<String> {
        let source = self.sources.get(&mirror.source)?;
        source.branches.iter().find_map(|(branch, head)| {
            let others = copy.foreign.contains_key(branch) || copy.moved.contains_key(branch);
            let shown = copy.branches.get(branch).map(|known| known.head);
            if shown == Some(*head) && !others || others && !self.restores || hopeless(branch, head) {
                return None;
            }
            let shown = shown.map_or("nothing".to_owned(), |id| short(&id));
            Some(format!("{branch} of {} shows {shown}, its source {}", mirror.name, short(head)))
        })
    }

    /// A branch left by an earlier journal is reported and left alone: the current one cannot know whose it is.
    fn left_branch(&self, copy: &Copy, mirror: &Mirror) -> Option<String> {
        let source = self.sources.get(&mirror.source)?;
        let gone = copy.branches.iter().filter(|(branch, _)| !source.branches.contains_key(*branch));
        let mut left = gone.filter(|(branch, known)| known.term == copy.term && !copy.moved.contains_key(*branch));
        let (branch, _) = left.next()?;
        Some(format!("{branch} of {} still exists, at the source it was deleted", mirror.name))
    }

    /// I10: whether the drivers of all mirrors have observed everything that their sources have.
    pub(crate) fn all_observed(&self) -> bool {
        self.mirrors.iter().filter(|(id, mirror)| !mirror.deleted && !self.is_given_up(id, mirror)).all(
            |(incarnation, mirror)| {
                let holder = self.holders.get(incarnation).and_then(|(holder, _)| holder.as_ref());
                let node = holder.and_then(|holder| self.nodes.get(holder)).copied();
                let (Some(copy), Some(node)) = (self.copy_of(incarnation, mirror), node) else { return false };
                let Some(source) = self.sources.get(&mirror.source) else { return false };
                // In this run: an earlier run may not have recorded what it was told.
                let run = |branch: &String| {
                    let told = (holder.cloned().unwrap_or_default(), mirror.source.clone(), branch.clone());
                    self.heads_told.get(&told)
                };
                source.branches.iter().all(|(branch, head)| {
                    let known = |id: &Id| copy.records.contains(id) || self.told.contains_key(&(node, *id));
                    run(branch) == Some(head) && self.history(head).iter().all(known)
                })
            },
        )
    }

    /// I10: a branch that does not show what was observed, although the source is not needed for it.
    pub(crate) fn unshown(&self) -> Option<String> {
        self.mirrors.iter().find_map(|(incarnation, mirror)| {
            if mirror.deleted || self.is_given_up(incarnation, mirror) {
                return None;
            }
            let copy = self.copy_of(incarnation, mirror)?;
            // Only the source can report that an object is expired, to every journal anew.
            let needs_source = |head: &Id| {
                let proven = |id: &Id| copy.records.contains(id) && !copy.inherited.contains(id);
                let open = self.history(head).into_iter().filter(|id| !proven(id));
                open.filter_map(|id| self.commits.get(&id))
                    .any(|commit| commit.needs.iter().any(|need| self.gone.contains(need)))
            };
            // Only the source can tell whether a commit left by an earlier journal or another writer is its own.
            let strange = copy.branches.iter().filter(|(_, known)| known.term != copy.term).map(|(branch, _)| branch);
            let strange: BTreeSet<&String> = strange.chain(copy.foreign.keys()).chain(copy.moved.keys()).collect();
            self.unlevel_branch(copy, mirror, &|branch, head| strange.contains(branch) || needs_source(head))
        })
    }

    /// A commit and all of its ancestors.
    fn history(&self, head: &Id) -> BTreeSet<Id> {
        let mut found = BTreeSet::new();
        let mut stack = vec![*head];
        while let Some(id) = stack.pop() {
            if found.insert(id)
                && let Some(commit) = self.commits.get(&id)
            {
                stack.extend(&commit.parents);
            }
        }
        found
    }

    /// Branches that are in sync: incarnation, branch and head.
    pub(crate) fn level_branches(&self) -> Vec<(String, String, Id)> {
        let active = self.mirrors.iter().filter(|(id, mirror)| !mirror.deleted && !self.is_given_up(id, mirror));
        active
            .filter_map(|(id, mirror)| Some((id, self.copy_of(id, mirror)?, self.sources.get(&mirror.source)?)))
            .flat_map(|(id, copy, source)| {
                let free = |branch: &String| !copy.foreign.contains_key(branch) && !copy.moved.contains_key(branch);
                let branches = source.branches.iter().filter(move |(branch, _)| free(branch));
                branches.map(move |(branch, head)| (id.clone(), branch.clone(), *head))
            })
            .collect()
    }

    /// Mirrors of a source of which something is expected, without those with a branch of this name by another writer.
    pub(crate) fn mirrors_of(&self, source: &str, branch: &str) -> Vec<String> {
        let of = |(id, mirror): &(&String, &Mirror)| {
            let copy = self.copy_of(id, mirror);
            let free = |copy: &Copy| !copy.foreign.contains_key(branch) && !copy.moved.contains_key(branch);
            !mirror.deleted && mirror.source == source && !self.is_given_up(id, mirror) && copy.is_some_and(free)
        };
        self.mirrors.iter().filter(of).map(|(id, _)| id.clone()).collect()
    }
}
