//! Commits: created from staged changes, recorded verbatim, read.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::build::Builder;
use super::super::content::commit_id;
use super::super::failure::{Failure, Kind, Outcome};
use super::super::model::{Changes, Commit, Repository};
use super::super::mutation::{Forget, Mutation};
use super::super::tree::Tree;
use super::super::{apply, merge};
use super::{Lake, USER, argument, check_branch_name, check_writable};

/// A commit to create from the staged changes of a branch.
#[derive(Debug, Clone, Default)]
pub struct NewCommit {
    /// Its message.
    pub message: String,
    /// User metadata.
    pub metadata: BTreeMap<String, String>,
    /// Its date in seconds since 1970; now, if absent.
    pub date: Option<i64>,
    /// Whether it may be empty.
    pub allow_empty: bool,
    /// Needed on a read-only repository.
    pub force: bool,
    /// A tree to use instead of the staged changes.
    pub source_metarange: Option<String>,
}

/// A commit to record verbatim. Only its id is checked.
#[derive(Debug, Clone)]
pub struct CommitRecordCreation {
    /// The record; its id must be the hash of its content.
    pub commit: Commit,
    /// Needed on a read-only repository.
    pub force: bool,
}

impl Lake {
    /// Opens a tree of a repository.
    pub(super) fn tree<'a>(&'a self, repository: &'a Repository, metarange: &str) -> Outcome<Tree<'a>> {
        self.trees.open(&self.blocks, &repository.storage_namespace, metarange)
    }

    /// Writes a tree of a repository.
    pub(super) fn builder<'a>(&'a self, repository: &'a Repository) -> Builder<'a> {
        Builder::new(&self.blocks, &repository.storage_namespace, Box::new(|| self.temporary_name()))
    }

    /// The commit of a ref, as `getCommit` returns it.
    ///
    /// # Errors
    /// `commit not found` for whatever is not found; `repository not found`.
    pub fn get_commit(&self, repository: &str, text: &str) -> Outcome<Arc<Commit>> {
        let repository = self.repository(repository)?;
        let id = self.resolve_commit_id(&repository, text)?;
        self.commit(&repository, &id)
    }

    /// Commits the staged changes of a branch.
    ///
    /// # Errors
    /// `no changes`; `branch not found`; forbidden on a protected branch, and on a read-only repository without force.
    /// After a failure, the staged changes remain, sealed.
    pub fn commit_branch(&self, repository: &str, branch: &str, wanted: NewCommit) -> Outcome<Arc<Commit>> {
        argument("branch", check_branch_name(branch))?;
        let repository = self.repository(repository)?;
        self.check_unprotected(&repository, branch, "cannot commit to protected branch")?;
        check_writable(&repository, wanted.force)?;
        if !repository.read_only {
            self.check_actions(&repository, branch)?;
        }
        self.exclusively(&repository, branch, || {
            let found = self.branch(&repository, branch)?;
            if wanted.source_metarange.is_some()
                && !self.changes_over(&repository, &found.head, &found.uncommitted())?.is_empty()
            {
                let message = "cannot use source MetaRange on a branch with uncommitted changes";
                return Err(Failure::new(Kind::Invalid, message));
            }
            self.change(vec![Mutation::Seal { uid: repository.uid.clone(), branch: branch.to_owned() }])?;
            let found = self.branch(&repository, branch)?;
            let parent = self.commit(&repository, &found.head).map_err(|failure| failure.within("get commit"))?;
            let metarange = match &wanted.source_metarange {
                Some(given) => given.clone(),
                None => self.commit_tree(&repository, &parent.metarange, &found.sealed, wanted.allow_empty)?,
            };
            let commit = Commit {
                message: wanted.message,
                metadata: wanted.metadata,
                ..self.child(&parent, metarange, wanted.date)
            };
            self.advance(&repository, branch, commit)
        })
    }

    /// lakeFS reads actions from the branch first, and fails there if the branch does not exist.
    fn check_actions(&self, repository: &Repository, branch: &str) -> Outcome<()> {
        let run = self.temporary_name();
        let looking = format!("prepare-commit hook aborted, run id '{run}': list actions from commit: listing actions");
        self.branch_head(repository, branch).map(drop).map_err(|_| Failure::not_found().within(looking))
    }

    fn commit_tree(&self, repository: &Repository, base: &str, changes: &Changes, empty: bool) -> Outcome<String> {
        let no_changes = || Failure::new(Kind::Invalid, "commit: no changes");
        let base = self.tree(repository, base)?;
        let mut out = self.builder(repository);
        let changed = apply::apply(&base, changes, &mut out)?;
        if !changed && !empty {
            return Err(no_changes());
        }
        out.finish()
    }

    /// A commit on top of another one by the user, with the current time or the given one in seconds.
    pub(super) fn child(&self, parent: &Commit, metarange: String, date: Option<i64>) -> Commit {
        let (seconds, nanos) = date.map_or_else(|| self.now(), |date| (date, 0));
        Commit {
            id: String::new(),
            committer: USER.to_owned(),
            message: String::new(),
            seconds,
            nanos,
            metarange,
            metadata: BTreeMap::new(),
            parents: vec![parent.id.clone()],
            version: 1,
            generation: parent.generation.saturating_add(1),
        }
    }

    /// Records a finished commit and points its branch to it; the changes that were sealed for it are discarded.
    pub(super) fn advance(&self, repository: &Repository, branch: &str, mut commit: Commit) -> Outcome<Arc<Commit>> {
        commit.id = commit_id(&commit);
        let (uid, name, head) = (repository.uid.clone(), branch.to_owned(), commit.id.clone());
        self.decide(|state| {
            let partition = state.partitions.get(&uid);
            // The branch may have been deleted since the operation began.
            let there = partition.is_some_and(|partition| partition.branches.contains_key(branch));
            let known = partition.is_some_and(|partition| partition.commits.contains_key(&commit.id));
            let mut mutations = Vec::new();
            if !known {
                mutations.push(Mutation::PutCommit { uid: uid.clone(), commit: commit.clone() });
            }
            mutations.push(Mutation::MoveBranch { uid: uid.clone(), name, head, forget: Forget::Sealed });
            there.then_some((mutations, ())).ok_or_else(Failure::branch_not_found)
        })?;
        self.commit(repository, &commit.id)
    }

    /// Records a commit.
    ///
    /// # Errors
    /// `Invalid` if the id is not the hash of the content; `NotUnique`; forbidden on a read-only repository without
    /// force, which is checked first.
    pub fn create_commit_record(&self, repository: &str, wanted: CommitRecordCreation) -> Outcome<()> {
        let repository = self.repository(repository)?;
        check_writable(&repository, wanted.force)?;
        let commit = wanted.commit;
        if commit_id(&commit) != commit.id {
            return Err(Failure::invalid_value("commit id"));
        }
        self.decide(|state| {
            let partition = state.partitions.get(&repository.uid);
            match partition.is_some_and(|partition| partition.commits.contains_key(&commit.id)) {
                true => Err(Failure::new(Kind::NotUnique, "commit already exists: not unique")),
                false => Ok((vec![Mutation::PutCommit { uid: repository.uid.clone(), commit }], ())),
            }
        })
    }

    /// The tree of a merge, with lakeFS's rules for when there is nothing to do.
    pub(super) fn merge_trees(
        &self,
        repository: &Repository,
        [destination, source, base]: [&str; 3],
        strategy: merge::Strategy,
        even_unchanged: bool,
    ) -> Outcome<String> {
        if source == base && !even_unchanged {
            return Err(Failure::new(Kind::Invalid, "no changes"));
        }
        if destination == base {
            return Ok(source.to_owned());
        }
        let open = |id: &str| self.tree(repository, id);
        let (destination, source, base) = (open(destination)?, open(source)?, open(base)?);
        let mut out = self.builder(repository);
        merge::merge(&destination, &source, &base, strategy, &mut out)?;
        out.finish()
    }
}
