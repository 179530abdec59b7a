//! Staging: entries that are written to and deleted from a branch before they are committed.

use std::sync::Arc;

use super::super::content::decoded;
use super::super::failure::{Failure, Kind, Outcome};
use super::super::model::{Entry, Repository};
use super::super::mutation::Mutation;
use super::{Condition, Lake, argument, check_branch_name, check_path, check_ref, check_writable};

/// Maximum number of paths that one request may delete.
pub const DELETES_MAX: usize = 1000;

const WRITE_PROTECTED: &str = "cannot write to protected branch";

impl Lake {
    /// The entry at a path of a ref, including the uncommitted changes of a branch.
    ///
    /// # Errors
    /// `not found` for the ref or the path; `No data` if the tree's files do not exist.
    pub fn entry(&self, repository: &str, reference: &str, path: &str) -> Outcome<Arc<Entry>> {
        argument("ref", check_ref(reference))?;
        argument("path", check_path(path))?;
        let repository = self.repository(repository)?;
        let found = self.resolve(&repository, reference)?;
        if let Some(branch) = &found.branch
            && let Some(staged) = self.staged(&repository, branch, path)
        {
            return staged.ok_or_else(Failure::not_found);
        }
        self.committed_entry(&repository, &found.commit, path)?.map(Arc::new).ok_or_else(Failure::not_found)
    }

    pub(super) fn committed_entry(&self, repository: &Repository, commit: &str, path: &str) -> Outcome<Option<Entry>> {
        let metarange = self.commit(repository, commit)?.metarange.clone();
        let record = self.tree(repository, &metarange)?.get(path.as_bytes())?;
        record.map(|record| decoded(&record.value)).transpose()
    }

    /// What is staged at a path: nothing, a deletion or an entry.
    fn staged(&self, repository: &Repository, branch: &str, path: &str) -> Option<Option<Arc<Entry>>> {
        self.look(repository, |partition| {
            let branch = partition.branches.get(branch)?;
            branch.staged.get(path).or_else(|| branch.sealed.get(path)).cloned()
        })
    }

    /// Stages an entry.
    ///
    /// # Errors
    /// `branch not found`; `Precondition`; forbidden on a protected branch, and on a read-only repository without
    /// force.
    pub fn stage(
        &self,
        repository: &str,
        branch: &str,
        path: &str,
        entry: Entry,
        force: bool,
        condition: Condition,
    ) -> Outcome<()> {
        argument("branch", check_branch_name(branch))?;
        argument("path", check_path(path))?;
        let repository = self.repository(repository)?;
        self.check_unprotected(&repository, branch, WRITE_PROTECTED)?;
        check_writable(&repository, force)?;
        let committed = match condition {
            Condition::None => false,
            Condition::Absent => {
                let head = self.branch_head(&repository, branch)?;
                self.committed_entry(&repository, &head, path)?.is_some()
            }
        };
        self.decide(|state| {
            let partition = state.partitions.get(&repository.uid);
            let found = partition.and_then(|partition| partition.branches.get(branch));
            let found = found.ok_or_else(Failure::branch_not_found)?;
            let staged = found.staged.get(path).or_else(|| found.sealed.get(path));
            let there = staged.map_or(committed, Option::is_some);
            if condition == Condition::Absent && there {
                return Err(Failure::new(Kind::Precondition, "Precondition failed"));
            }
            let (uid, branch, path) = (repository.uid.clone(), branch.to_owned(), path.to_owned());
            Ok((vec![Mutation::Stage { uid, branch, path, entry: Some(entry) }], ()))
        })
    }

    /// Stages the deletion of one path; it is not an error if the path does not exist.
    ///
    /// # Errors
    /// As [`Self::stage`].
    pub fn delete_object(&self, repository: &str, branch: &str, path: &str, force: bool) -> Outcome<()> {
        argument("branch", check_branch_name(branch))?;
        argument("path", check_path(path))?;
        self.delete_objects(repository, branch, &[path.to_owned()], force)
    }

    /// Stages the deletion of paths; it is not an error if one does not exist.
    ///
    /// # Errors
    /// As [`Self::stage`].
    pub fn delete_objects(&self, repository: &str, branch: &str, paths: &[String], force: bool) -> Outcome<()> {
        argument("branch", check_branch_name(branch))?;
        let repository = self.repository(repository)?;
        self.check_unprotected(&repository, branch, WRITE_PROTECTED)?;
        check_writable(&repository, force)?;
        let found = self.branch(&repository, branch)?;
        let metarange = self.commit(&repository, &found.head)?.metarange.clone();
        let tree = self.tree(&repository, &metarange)?;
        let mut mutations = Vec::new();
        for path in paths {
            let staged = found.staged.get(path).or_else(|| found.sealed.get(path));
            let wanted = match staged {
                Some(None) => continue,
                Some(Some(_)) => true,
                None => {
                    tree.get(path.as_bytes()).map_err(|failure| failure.within("reading from committed"))?.is_some()
                }
            };
            if wanted {
                let (uid, branch, path) = (repository.uid.clone(), branch.to_owned(), path.clone());
                mutations.push(Mutation::Stage { uid, branch, path, entry: None });
            }
        }
        self.change(mutations)
    }

    /// Checks that a branch exists.
    ///
    /// # Errors
    /// As [`Self::repository`]; `branch '…' not found`.
    pub fn check_branch_exists(&self, repository: &str, branch: &str) -> Outcome<Repository> {
        argument("name", check_branch_name(branch))?;
        let repository = self.repository(repository)?;
        match self.branch_head(&repository, branch) {
            Ok(_) => Ok(repository),
            Err(_) => Err(Failure::new(Kind::NotFound, format!("branch '{branch}' not found"))),
        }
    }
}
