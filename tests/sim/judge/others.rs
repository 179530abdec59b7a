//! What other writers do to mirrors and sources, and what lakemirror must then leave alone.

use std::collections::{BTreeMap, BTreeSet};

use super::{Copy, Id, Judge, Who, short};
use crate::agenda::{Micros, SECOND};

/// How long a process may rely on a repository being its own, including the duration of its calls.
const OWNERSHIP_AGE_MAX: Micros = 18 * SECOND;

/// Time after which a process that is not delayed has removed what was deleted at the source.
const REMOVED_AFTER: Micros = 60 * SECOND;

/// The last answers of the mirror's lakeFS.
#[derive(Debug, Default)]
pub(super) struct Shown {
    heads: BTreeMap<(Who, String, String), Option<Id>>,
    marks: BTreeMap<(Who, String), Micros>,
}

impl Judge {
    /// The head of a mirror's branch was returned; `None` if it does not exist.
    pub(crate) fn mirror_head_told(&mut self, who: &Who, name: &str, branch: &str, head: Option<Id>) {
        self.shown.heads.insert((who.clone(), name.to_owned(), branch.to_owned()), head);
    }

    /// Whether a repository now belongs to the mirror with this mark.
    pub(crate) fn is_marked(&self, name: &str, mark: Option<&str>) -> bool {
        mark.is_some() && mark == self.copies.get(name).and_then(|copy| copy.incarnation.as_deref())
    }

    /// A mirror repository's mark was returned, and whether it was right at that time.
    pub(crate) fn mark_told(&mut self, who: &Who, name: &str, right: bool) {
        if right {
            self.shown.marks.insert((who.clone(), name.to_owned()), self.now);
        }
    }

    /// Another writer moves or deletes a branch of a mirror.
    pub(crate) fn others_move(&mut self, name: &str, branch: &str, to: Option<Id>) {
        let Some(copy) = self.copies.get_mut(name) else { return };
        copy.touched.insert(branch.to_owned());
        if !copy.branches.contains_key(branch) {
            match to {
                Some(to) => drop(copy.foreign.insert(branch.to_owned(), to)),
                None => drop(copy.foreign.remove(branch)),
            }
        } else if copy.branches.get(branch).map(|known| known.head) == to {
            copy.moved.remove(branch);
        } else {
            copy.moved.insert(branch.to_owned(), to);
        }
    }

    /// Other writers restore a branch.
    pub(crate) fn others_put_back(&mut self, name: &str, branch: &str, to: Id) {
        let Some(copy) = self.copies.get_mut(name) else { return };
        copy.moved.remove(branch);
        if let Some(known) = copy.branches.get_mut(branch) {
            known.head = to;
        }
    }

    /// Branches that other writers deleted and that no longer exist at the source need not come back.
    pub(crate) fn others_forget_what_is_gone(&mut self) {
        let alive: BTreeSet<(String, String)> = self
            .mirrors
            .values()
            .filter_map(|mirror| Some((&mirror.name, self.sources.get(&mirror.source)?)))
            .flat_map(|(name, source)| source.branches.keys().map(move |branch| (name.clone(), branch.clone())))
            .collect();
        for (name, copy) in &mut self.copies {
            let gone = copy.moved.iter().filter(|(_, to)| to.is_none()).map(|(branch, _)| branch.clone());
            let gone: Vec<String> = gone.filter(|branch| !alive.contains(&(name.clone(), branch.clone()))).collect();
            for branch in gone {
                copy.moved.remove(&branch);
                if let Some(known) = copy.branches.remove(&branch) {
                    copy.forgotten.insert(branch, known);
                }
            }
        }
    }

    /// A branch is created again at the source. If another writer had deleted the mirror's branch, and the driver may
    /// not have had the time to see that it was deleted at the source too, it still counts as deleted by another
    /// writer.
    pub(super) fn source_has_again(&mut self, repository: &str, branch: &str) {
        let deleted = self.sources.get(repository).and_then(|source| source.deleted.get(branch)).copied();
        let seen = self.removal_late_max.is_some() && deleted.is_some_and(|at| self.now - at > REMOVED_AFTER);
        let mirrors = self.mirrors.values().filter(|mirror| mirror.source == repository);
        let names: Vec<String> = mirrors.map(|mirror| mirror.name.clone()).collect();
        for name in names {
            let Some(copy) = self.copies.get_mut(&name) else { continue };
            if let Some(known) = copy.forgotten.remove(branch).filter(|_| !seen && !copy.branches.contains_key(branch))
            {
                copy.branches.insert(branch.to_owned(), known);
                copy.moved.insert(branch.to_owned(), None);
            }
        }
    }

    /// The branches of mirrors that other writers moved, and where they were.
    pub(crate) fn moved_by_others(&self) -> Vec<(String, String, Id)> {
        let of = |(name, copy): (&String, &Copy)| {
            let moved = copy.moved.keys().filter_map(|branch| Some((branch.clone(), copy.branches.get(branch)?.head)));
            moved.map(|(branch, head)| (name.clone(), branch, head)).collect::<Vec<_>>()
        };
        self.copies.iter().flat_map(of).collect()
    }

    /// Whether the source of a mirror has a branch.
    pub(crate) fn is_at_source(&self, name: &str, branch: &str) -> bool {
        let mirrors = self.mirrors.values().filter(|mirror| mirror.name == name && !mirror.deleted);
        let mut sources = mirrors.filter_map(|mirror| self.sources.get(&mirror.source));
        sources.any(|source| source.branches.contains_key(branch))
    }

    /// Branches that other writers ever moved.
    pub(crate) fn touched_by_others(&self) -> Vec<(String, String)> {
        let of = |(name, copy): (&String, &Copy)| {
            copy.touched.iter().map(|branch| (name.clone(), branch.clone())).collect::<Vec<_>>()
        };
        self.copies.iter().flat_map(of).collect()
    }

    /// Branches that other writers created under names of source branches.
    pub(crate) fn made_by_others(&self) -> Vec<(String, String)> {
        let of = |(name, copy): (&String, &Copy)| {
            let made = copy.foreign.keys().map(|branch| (name.clone(), branch.clone()));
            made.collect::<Vec<_>>()
        };
        self.copies.iter().flat_map(of).collect()
    }

    /// Other writers remove what they created.
    pub(crate) fn others_unmake(&mut self, name: &str, branch: &str) {
        if let Some(copy) = self.copies.get_mut(name) {
            copy.foreign.remove(branch);
        }
    }

    /// Repositories with which other writers replaced those of mirrors.
    pub(crate) fn replaced(&self) -> Vec<String> {
        self.copies.iter().filter(|(_, copy)| copy.replaced).map(|(name, _)| name.clone()).collect()
    }

    /// Another writer deletes a mirror's repository, or replaces it.
    pub(crate) fn others_take(&mut self, name: &str, replaced: bool) {
        self.robbed.extend(self.copies.remove(name).and_then(|copy| copy.incarnation));
        if replaced {
            self.copies.insert(name.to_owned(), Copy { replaced: true, ..Copy::default() });
        }
    }

    /// A source repository is deleted: its mirrors keep their content.
    pub(crate) fn source_vanishes(&mut self, repository: &str) {
        self.vanished.insert(repository.to_owned());
    }

    /// Another repository is created under the name of a deleted one: the existing mirrors know only the first.
    pub(crate) fn source_comes_anew(&mut self, repository: &str) {
        let before = format!("{repository} before {}", self.now);
        self.vanished.remove(repository);
        self.vanished.insert(before.clone());
        if let Some(source) = self.sources.remove(repository) {
            self.sources.insert(before.clone(), source);
        }
        for (incarnation, mirror) in self.mirrors.iter_mut().filter(|(_, mirror)| mirror.source == repository) {
            let copy = self.copies.get(&mirror.name);
            if copy.is_some_and(|copy| copy.incarnation.as_ref() == Some(incarnation)) {
                mirror.source.clone_from(&before);
            } else {
                // Its driver may have observed either of them.
                self.doubtful.insert(incarnation.clone());
            }
        }
    }

    /// I6: a process that was shown a branch moved by another writer must not move or delete it, unless branches are
    /// restored.
    pub(super) fn not_over_others(&mut self, who: &Who, name: &str, branch: &str, what: &str) {
        let Some(copy) = self.copies.get(name).filter(|_| !self.restores) else { return };
        let theirs = copy.moved.get(branch).copied().flatten().or(copy.foreign.get(branch).copied());
        let Some(to) = theirs else { return };
        // A commit of the source may have been left by an earlier journal.
        let shown = self.shown.heads.get(&(who.clone(), name.to_owned(), branch.to_owned()));
        if !self.commits.contains_key(&to) && shown == Some(&Some(to)) {
            self.broken(
                "I6",
                format!("{} {what} {branch} of {name}, which another writer moved to {}", who.name, short(&to)),
            );
        }
    }

    /// I6: a repository with which another writer replaced a mirror's is not written to.
    pub(super) fn still_ours(&mut self, who: &Who, name: &str, what: &str) {
        if !self.copies.get(name).is_some_and(|copy| copy.replaced) {
            return;
        }
        let seen = self.shown.marks.get(&(who.clone(), name.to_owned())).copied();
        if seen.is_none_or(|at| self.now.saturating_sub(at) > OWNERSHIP_AGE_MAX) {
            self.broken("I6", format!("{} {what} ({name}), and it is not its repository any more", who.name));
        }
    }
}
