//! What others do to mirrors and sources behind lakemirror's back, and what it must leave alone then.

use std::collections::{BTreeMap, BTreeSet};

use super::{Copy, Id, Judge, Who, short};
use crate::agenda::{Micros, SECOND};

/// How long it may be believed that a repository is still one's own, its calls' own time included.
const OWNERSHIP_AGE_MAX: Micros = 18 * SECOND;

/// By when a process that is not held up has removed what is gone at the source.
const REMOVED_AFTER: Micros = 60 * SECOND;

/// What was last answered by the mirror's lakeFS.
#[derive(Debug, Default)]
pub(super) struct Shown {
    heads: BTreeMap<(Who, String, String), Option<Id>>,
    marks: BTreeMap<(Who, String), Micros>,
}

impl Judge {
    /// The head of a mirror's branch was answered; none for its absence.
    pub(crate) fn mirror_head_told(&mut self, who: &Who, name: &str, branch: &str, head: Option<Id>) {
        self.shown.heads.insert((who.clone(), name.to_owned(), branch.to_owned()), head);
    }

    /// Whether a repository is now the mirror's of this mark.
    pub(crate) fn is_marked(&self, name: &str, mark: Option<&str>) -> bool {
        mark.is_some() && mark == self.copies.get(name).and_then(|copy| copy.incarnation.as_deref())
    }

    /// A mirror repository's mark was answered, and when it was looked at it was right.
    pub(crate) fn mark_told(&mut self, who: &Who, name: &str, right: bool) {
        if right {
            self.shown.marks.insert((who.clone(), name.to_owned()), self.now);
        }
    }

    /// Somebody else moves or deletes a branch of a mirror.
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

    /// Others put a branch back to where it belongs.
    pub(crate) fn others_put_back(&mut self, name: &str, branch: &str, to: Id) {
        let Some(copy) = self.copies.get_mut(name) else { return };
        copy.moved.remove(branch);
        if let Some(known) = copy.branches.get_mut(branch) {
            known.head = to;
        }
    }

    /// What others deleted and the source has not any more need not come back.
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

    /// A branch comes again at the source. Where others had deleted the mirror's, and its driver may not have had the time
    /// to see that it was gone at the source too, it is one that others deleted still.
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

    /// Where the branches of a mirror were that others moved.
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

    /// Branches that others ever moved.
    pub(crate) fn touched_by_others(&self) -> Vec<(String, String)> {
        let of = |(name, copy): (&String, &Copy)| {
            copy.touched.iter().map(|branch| (name.clone(), branch.clone())).collect::<Vec<_>>()
        };
        self.copies.iter().flat_map(of).collect()
    }

    /// Branches of source branches' names that others made.
    pub(crate) fn made_by_others(&self) -> Vec<(String, String)> {
        let of = |(name, copy): (&String, &Copy)| {
            let made = copy.foreign.keys().map(|branch| (name.clone(), branch.clone()));
            made.collect::<Vec<_>>()
        };
        self.copies.iter().flat_map(of).collect()
    }

    /// Others take away what they made.
    pub(crate) fn others_unmake(&mut self, name: &str, branch: &str) {
        if let Some(copy) = self.copies.get_mut(name) {
            copy.foreign.remove(branch);
        }
    }

    /// Repositories that others put in the place of mirrors' ones.
    pub(crate) fn replaced(&self) -> Vec<String> {
        self.copies.iter().filter(|(_, copy)| copy.replaced).map(|(name, _)| name.clone()).collect()
    }

    /// Somebody else deletes a mirror's repository, or puts another one in its place.
    pub(crate) fn others_take(&mut self, name: &str, replaced: bool) {
        self.robbed.extend(self.copies.remove(name).and_then(|copy| copy.incarnation));
        if replaced {
            self.copies.insert(name.to_owned(), Copy { replaced: true, ..Copy::default() });
        }
    }

    /// A source's repository is deleted: its mirrors keep what they have.
    pub(crate) fn source_vanishes(&mut self, repository: &str) {
        self.vanished.insert(repository.to_owned());
    }

    /// Another repository comes under the name of one that vanished: the mirrors there are know only the first.
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
                // Its driver may have met the one or the other.
                self.doubtful.insert(incarnation.clone());
            }
        }
    }

    /// I6: what others moved is not moved or deleted by one who was shown so, unless it is to be put back.
    pub(super) fn not_over_others(&mut self, who: &Who, name: &str, branch: &str, what: &str) {
        let Some(copy) = self.copies.get(name).filter(|_| !self.restores) else { return };
        let theirs = copy.moved.get(branch).copied().flatten().or(copy.foreign.get(branch).copied());
        let Some(to) = theirs else { return };
        // A commit of the source may be what an earlier journal has left there.
        let shown = self.shown.heads.get(&(who.clone(), name.to_owned(), branch.to_owned()));
        if !self.commits.contains_key(&to) && shown == Some(&Some(to)) {
            self.broken("I6", format!("{} {what} {branch} of {name}, which others moved to {}", who.name, short(&to)));
        }
    }

    /// I6: a repository that others put in the place of a mirror's is not written to.
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
