//! Moves a branch by a merge: merges, reverts, cherry-picks, and the common ancestor from which they start.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::failure::{Failure, Kind, Outcome};
use super::super::merge::Strategy;
use super::super::model::{Commit, Repository};
use super::super::mutation::Mutation;
use super::branches::dirty;
use super::{ArcCommit, Lake, argument, check_branch_name, check_ref, check_writable};

/// A merge.
#[derive(Debug, Clone, Default)]
pub struct Merge {
    /// The ref to merge.
    pub source: String,
    /// The branch to merge into.
    pub destination: String,
    /// The commit's message; generated if empty.
    pub message: String,
    /// User metadata.
    pub metadata: BTreeMap<String, String>,
    /// `dest-wins`, `source-wins` or empty.
    pub strategy: String,
    /// Needed on a read-only repository; also allows a merge without changes.
    pub force: bool,
    /// Allows a merge without changes.
    pub allow_empty: bool,
    /// Makes a commit with one parent.
    pub squash: bool,
}

/// Values that replace those of a commit.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The message; if empty, the commit's own.
    pub message: String,
    /// The metadata.
    pub metadata: Option<BTreeMap<String, String>>,
}

/// A revert.
#[derive(Debug, Clone, Default)]
pub struct Revert {
    /// The commit whose changes are to be reverted, as a ref.
    pub reference: String,
    /// For a merge: the parent to go back to, from 1.
    pub parent: i64,
    /// Needed on a read-only repository.
    pub force: bool,
    /// Allows a revert without changes.
    pub allow_empty: bool,
    /// See [`Overrides`].
    pub overrides: Overrides,
}

/// A cherry-pick.
#[derive(Debug, Clone, Default)]
pub struct CherryPick {
    /// The commit whose changes are to be applied, as a ref.
    pub reference: String,
    /// For a merge: the parent to which the changes are relative, from 1.
    pub parent: Option<i64>,
    /// Needed on a read-only repository.
    pub force: bool,
    /// See [`Overrides`].
    pub overrides: Overrides,
}

/// The commits of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeBase {
    /// The source's commit.
    pub source: String,
    /// The destination's commit.
    pub destination: String,
    /// Their best common ancestor.
    pub base: String,
}

impl Overrides {
    fn apply(&self, commit: &mut Commit) {
        if !self.message.is_empty() {
            commit.message.clone_from(&self.message);
        }
        if let Some(metadata) = &self.metadata {
            commit.metadata.clone_from(metadata);
        }
    }
}

impl Lake {
    /// Merges a ref into a branch and returns the new head.
    ///
    /// # Errors
    /// `Conflict`; `no changes`; `Invalid` for a branch with uncommitted changes or an unknown strategy; forbidden on
    /// a read-only repository without force.
    pub fn merge(&self, repository: &str, wanted: Merge) -> Outcome<Arc<Commit>> {
        let Merge { source, destination, mut message, metadata, strategy, force, allow_empty, squash } = wanted;
        argument("destination", check_branch_name(&destination))?;
        argument("source", check_ref(&source))?;
        if message.is_empty() {
            message = format!("Merge '{source}' into '{destination}'");
        }
        let (strategy, name) = match strategy.as_str() {
            "" => (Strategy::Fail, "default"),
            "dest-wins" => (Strategy::Destination, "dest-wins"),
            "source-wins" => (Strategy::Source, "source-wins"),
            _ => {
                return argument("strategy", Err(Failure::new(Kind::Invalid, "invalid value: validation error")));
            }
        };
        let repository = self.repository(repository)?;
        check_writable(&repository, force)?;
        self.moving(&repository, &destination, &format!("update branch {destination}"), || {
            let (from, to, base) = self.three(&repository, &source, &destination)?;
            let trees = [&*to.metarange, &*from.metarange, &*base.metarange];
            let metarange = self.merge_trees(&repository, trees, strategy, allow_empty || force)?;
            let mut commit = Commit { message, metadata, ..self.child(&to, metarange, None) };
            commit.generation = from.generation.max(to.generation).saturating_add(1);
            if !squash {
                commit.parents.push(from.id.clone());
            }
            commit.metadata.insert(".lakefs.merge.strategy".to_owned(), name.to_owned());
            Ok(commit)
        })
    }

    /// Reverts the changes of a commit on a branch.
    ///
    /// # Errors
    /// As [`Self::merge`].
    pub fn revert(&self, repository: &str, branch: &str, wanted: &Revert) -> Outcome<Arc<Commit>> {
        argument("branch", check_branch_name(branch))?;
        argument("ref", check_ref(&wanted.reference))?;
        let parent = usize::try_from(wanted.parent)
            .map_err(|_| Failure::new(Kind::Invalid, "argument parentNumber: invalid value: validation error"))?;
        let repository = self.repository(repository)?;
        check_writable(&repository, wanted.force)?;
        let reverted = self.named_commit(&repository, &wanted.reference)?;
        if reverted.parents.len() > 1 && parent == 0 {
            let message = "must specify 1-based parent number for reverting merge commit";
            return Err(Failure::new(Kind::Conflict, message));
        }
        if parent > reverted.parents.len() {
            let message = format!("given commit does not have the given parent number: parent {parent}");
            return Err(Failure::new(Kind::Invalid, message));
        }
        self.moving(&repository, branch, "update branch", || {
            let back_to = match reverted.parents.get(parent.saturating_sub(1)) {
                Some(parent) => self.named_commit(&repository, parent)?.metarange.clone(),
                None => String::new(),
            };
            let head = self.head(&repository, branch)?;
            let trees = [&*head.metarange, &*back_to, &*reverted.metarange];
            let metarange = self.merge_trees(&repository, trees, Strategy::Fail, wanted.allow_empty)?;
            if metarange == head.metarange && !wanted.allow_empty {
                return Err(Failure::new(Kind::Invalid, "no changes"));
            }
            let mut commit = self.child(&head, metarange, None);
            commit.message = format!("Revert {}", wanted.reference);
            wanted.overrides.apply(&mut commit);
            Ok(commit)
        })
    }

    /// Applies the changes of a commit to a branch.
    ///
    /// # Errors
    /// As [`Self::merge`].
    pub fn cherry_pick(&self, repository: &str, branch: &str, wanted: &CherryPick) -> Outcome<Arc<Commit>> {
        argument("branch", check_branch_name(branch))?;
        argument("ref", check_ref(&wanted.reference))?;
        let repository = self.repository(repository)?;
        if wanted.parent.is_some_and(|parent| parent <= 0) {
            let message = "argument parentNumber: value should be greater than 0: invalid value: validation error";
            return Err(Failure::new(Kind::Invalid, message));
        }
        check_writable(&repository, wanted.force)?;
        let picked = self.named_commit(&repository, &wanted.reference)?;
        if wanted.parent.is_none() && picked.parents.len() > 1 {
            let message = "must specify 1-based parent number for cherry-picking merge commit";
            return Err(Failure::new(Kind::Invalid, message));
        }
        let number = wanted.parent.unwrap_or(1);
        let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
        let Some(parent) = picked.parents.get(at) else {
            let message = format!("parent {number}: given commit does not have the given parent number");
            return Err(Failure::new(Kind::Invalid, message));
        };
        self.moving(&repository, branch, "update branch", || {
            let parent = self.named_commit(&repository, parent)?;
            let head = self.head(&repository, branch)?;
            let trees = [&*head.metarange, &*picked.metarange, &*parent.metarange];
            let metarange = self.merge_trees(&repository, trees, Strategy::Fail, false)?;
            let mut commit = self.child(&head, metarange, None);
            commit.message.clone_from(&picked.message);
            commit.metadata.clone_from(&picked.metadata);
            wanted.overrides.apply(&mut commit);
            commit.metadata.insert("cherry-pick-origin".to_owned(), picked.id.clone());
            commit.metadata.insert("cherry-pick-committer".to_owned(), picked.committer.clone());
            Ok(commit)
        })
    }

    /// The best common ancestor of two refs.
    ///
    /// # Errors
    /// `not found` for a ref; `no merge base`.
    pub fn find_merge_base(&self, repository: &str, source: &str, destination: &str) -> Outcome<MergeBase> {
        argument("destination", check_ref(destination))?;
        argument("source", check_ref(source))?;
        let repository = self.repository(repository)?;
        let (from, to, base) = self.three(&repository, destination, source)?;
        Ok(MergeBase { source: from.id.clone(), destination: to.id.clone(), base: base.id.clone() })
    }

    /// Moves a clean branch to a commit that `make` creates.
    fn moving(
        &self,
        repository: &Repository,
        branch: &str,
        doing: &str,
        make: impl FnOnce() -> Outcome<Commit>,
    ) -> Outcome<Arc<Commit>> {
        self.exclusively(repository, branch, || {
            let found = self.branch(repository, branch)?;
            if !self.changes_over(repository, &found.head, &found.uncommitted())?.is_empty() {
                return Err(dirty());
            }
            // Staged entries that change nothing are discarded, as lakeFS does.
            if !found.staged.is_empty() {
                self.change(vec![Mutation::Seal { uid: repository.uid.clone(), branch: branch.to_owned() }])?;
            }
            make().and_then(|commit| self.advance(repository, branch, commit)).map_err(|failure| failure.within(doing))
        })
    }

    fn head(&self, repository: &Repository, branch: &str) -> Outcome<ArcCommit> {
        let head = self.branch_head(repository, branch)?;
        self.commit(repository, &head)
    }

    fn named_commit(&self, repository: &Repository, text: &str) -> Outcome<ArcCommit> {
        self.resolve_commit(repository, text).map_err(|failure| failure.within(format!("get commit from ref {text}")))
    }
}
