//! Branches: created, listed, moved, deleted, reset.

use std::ops::Bound;

use super::super::failure::{Failure, Kind, Outcome};
use super::super::model::{Branch, Changes, Repository};
use super::super::mutation::{Forget, Mutation};
use super::{Lake, Page, argument, check_branch_name, check_ref, check_writable};

/// A branch to create.
#[derive(Debug, Clone, Default)]
pub struct CreateBranch {
    /// Its name.
    pub name: String,
    /// A ref whose commit is the first head.
    pub source: String,
    /// Needed on a read-only repository.
    pub force: bool,
    /// Whether listings omit it.
    pub hidden: bool,
}

/// Which uncommitted changes to discard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResetWhat {
    /// All.
    Everything,
    /// Those of one path.
    Object(String),
    /// Those of all paths with this prefix.
    Prefix(String),
}

const WRITE_PROTECTED: &str = "cannot write to protected branch";

impl Lake {
    /// Lists branches by name: name and head.
    ///
    /// # Errors
    /// As [`Self::repository`].
    pub fn branches(&self, repository: &str, page: &Page, hidden: bool) -> Outcome<(Vec<(String, String)>, bool)> {
        let repository = self.repository(repository)?;
        let from = (&*page.after).max(&*page.prefix).to_owned();
        Ok(self.look(&repository, |partition| {
            let found = partition
                .branches
                .range((Bound::Included(from), Bound::Unbounded))
                .take_while(|(name, _)| name.starts_with(&page.prefix))
                .filter(|(name, branch)| **name != page.after && (hidden || !branch.hidden))
                .map(|(name, branch)| (name.clone(), branch.head.clone()));
            page.cut(found)
        }))
    }

    /// The commit at a branch's head.
    ///
    /// # Errors
    /// As [`Self::repository`]; `branch not found`.
    pub fn get_branch(&self, repository: &str, branch: &str) -> Outcome<String> {
        argument("branch", check_branch_name(branch))?;
        self.branch_head(&self.repository(repository)?, branch)
    }

    /// Creates a branch and returns its head.
    ///
    /// # Errors
    /// `NotUnique`; `Conflict` with a tag or a commit of that name; `not found` for the source; forbidden on a
    /// read-only repository without force.
    pub fn create_branch(&self, repository: &str, wanted: CreateBranch) -> Outcome<String> {
        let CreateBranch { name, source, force, hidden } = wanted;
        let rule = "branch id must consist of letters, digits, underscores and dashes, and cannot start with a dash";
        argument("branch", check_branch_name(&name)).map_err(|failure| match failure.kind {
            Kind::Invalid => Failure { message: format!("{failure}: {rule}"), ..failure },
            _ => failure,
        })?;
        argument("ref", check_ref(&source))?;
        let repository = self.repository(repository)?;
        self.check_no_commit(&repository, &name)?;
        if self.tag(&repository, &name).is_ok() {
            return Err(Failure::new(Kind::Conflict, format!("tag ID {name}: conflict found")));
        }
        check_writable(&repository, force)?;
        let in_source = |failure: Failure| failure.within(format!("source reference '{source}'"));
        let found = self.resolve(&repository, &source).map_err(in_source)?;
        if found.staging {
            return Err(in_source(Failure::internal("can't create a branch without commit")));
        }
        let (uid, head) = (repository.uid.clone(), found.commit.clone());
        self.decide(|state| {
            let partition = state.partitions.get(&repository.uid);
            match partition.is_some_and(|partition| partition.branches.contains_key(&name)) {
                true => Err(Failure::new(Kind::NotUnique, "branch already exists: not unique")),
                false => Ok((vec![Mutation::PutBranch { uid, name, head, hidden }], ())),
            }
        })?;
        self.commit(&repository, &found.commit)?;
        Ok(found.commit)
    }

    /// Branches, tags and commits share one name space.
    pub(super) fn check_no_commit(&self, repository: &Repository, name: &str) -> Outcome<()> {
        match self.commit(repository, name) {
            Ok(_) => Err(Failure::new(Kind::Conflict, format!("commit ID {name}: conflict found"))),
            Err(_) => Ok(()),
        }
    }

    /// Deletes a branch; its commits stay.
    ///
    /// # Errors
    /// `branch not found`, forbidden for the default branch and on a read-only repository without force.
    pub fn delete_branch(&self, repository: &str, branch: &str, force: bool) -> Outcome<()> {
        argument("name", check_branch_name(branch))?;
        let repository = self.repository(repository)?;
        check_writable(&repository, force)?;
        if repository.default_branch == branch {
            return Err(Failure::new(Kind::Forbidden, "cannot delete repository default branch"));
        }
        self.decide(|state| {
            let partition = state.partitions.get(&repository.uid);
            match partition.is_some_and(|partition| partition.branches.contains_key(branch)) {
                false => Err(Failure::branch_not_found()),
                true => Ok((vec![Mutation::DropBranch { uid: repository.uid.clone(), name: branch.to_owned() }], ())),
            }
        })
    }

    /// Points a branch to any commit. Staged changes remain staged.
    ///
    /// # Errors
    /// Forbidden on a protected branch, and on a read-only repository without force; `Invalid` if an attempt to commit
    /// left changes behind; `not found` for the ref.
    pub fn hard_reset(&self, repository: &str, branch: &str, to: &str, force: bool) -> Outcome<()> {
        argument("branch", check_branch_name(branch))?;
        argument("ref", check_ref(to))?;
        let repository = self.repository(repository)?;
        self.check_unprotected(&repository, branch, "protected branch")?;
        check_writable(&repository, force)?;
        self.exclusively(&repository, branch, || {
            self.check_nothing_sealed(&repository, branch).map_err(|failure| match failure.kind {
                Kind::Invalid => failure.within(branch),
                _ => failure,
            })?;
            let commit = self
                .resolve_commit(&repository, to)
                .map_err(|failure| failure.within(format!("hard-reset {branch} to {to}")))?;
            let (uid, name, head) = (repository.uid.clone(), branch.to_owned(), commit.id.clone());
            self.change(vec![Mutation::MoveBranch { uid, name, head, forget: Forget::Nothing }])
        })
    }

    fn check_nothing_sealed(&self, repository: &Repository, branch: &str) -> Outcome<()> {
        let branch = self.branch(repository, branch)?;
        match self.differs(repository, &branch.head, &branch.sealed)? {
            true => Err(dirty()),
            false => Ok(()),
        }
    }

    /// Whether changes modify the tree of a commit.
    pub(super) fn differs(&self, repository: &Repository, commit: &str, changes: &Changes) -> Outcome<bool> {
        Ok(!changes.is_empty() && !self.changes_over(repository, commit, changes)?.is_empty())
    }

    /// Discards uncommitted changes.
    ///
    /// # Errors
    /// `branch not found`; forbidden on a protected branch, and on a read-only repository without force.
    pub fn reset(&self, repository: &str, branch: &str, what: &ResetWhat, force: bool) -> Outcome<()> {
        argument("branch", check_branch_name(branch))?;
        if let ResetWhat::Object(path) = what {
            argument("path", super::check_path(path))?;
        }
        let repository = self.repository(repository)?;
        self.check_unprotected(&repository, branch, WRITE_PROTECTED)?;
        check_writable(&repository, force)?;
        let found = self.branch(&repository, branch).map_err(|failure| match what {
            ResetWhat::Object(_) => failure.within("getting branch"),
            _ => failure,
        })?;
        let (uid, name) = (repository.uid.clone(), branch.to_owned());
        let mutations = match what {
            ResetWhat::Everything => vec![Mutation::Forget { uid, branch: name, forget: Forget::All }],
            ResetWhat::Object(path) => self.restaged(&repository, branch, &found, |changed| changed == path)?,
            // This also seals what is staged, which hard resets detect.
            ResetWhat::Prefix(prefix) => {
                let mut mutations = vec![Mutation::Seal { uid, branch: name }];
                mutations.extend(self.restaged(&repository, branch, &found, |path| path.starts_with(prefix.as_str()))?);
                mutations
            }
        };
        self.change(mutations)
    }

    /// Stages the committed entries over the uncommitted ones for the selected paths: this is how lakeFS discards
    /// single changes.
    fn restaged(
        &self,
        repository: &Repository,
        branch: &str,
        found: &Branch,
        wanted: impl Fn(&str) -> bool,
    ) -> Outcome<Vec<Mutation>> {
        let mut mutations = Vec::new();
        for change in self.changes_over(repository, &found.head, &found.uncommitted())? {
            if wanted(&change.path) {
                let entry = self.committed_entry(repository, &found.head, &change.path)?;
                let (uid, branch) = (repository.uid.clone(), branch.to_owned());
                mutations.push(Mutation::Stage { uid, branch, path: change.path, entry });
            }
        }
        Ok(mutations)
    }
}

/// `uncommitted changes (dirty branch)`.
pub(super) fn dirty() -> Failure {
    Failure::new(Kind::Invalid, "uncommitted changes (dirty branch)")
}
