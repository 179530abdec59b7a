//! Repositories: created, listed, deleted; their metadata and their protection rules.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::super::blocks::{Blocks, SCHEME};
use super::super::failure::{Failure, Kind, Outcome};
use super::super::model::{Addressing, Commit, Repository};
use super::super::mutation::Mutation;
use super::{Lake, Page, argument, check_repository_name, check_writable};
use crate::sandbox::content::commit_id;

/// What lakeFS writes to the namespace of a new repository.
const DUMMY: &[u8] = b"this is dummy data - created by lakeFS to check accessibility";

/// A repository to create.
#[derive(Debug, Clone, Default)]
pub struct CreateRepository {
    /// Its name.
    pub name: String,
    /// `local://bucket[/prefix]`.
    pub storage_namespace: String,
    /// `main` if empty.
    pub default_branch: String,
    /// Whether writes need force.
    pub read_only: bool,
    /// Whether to omit the first commit and the default branch.
    pub bare: bool,
}

impl Lake {
    /// Creates a repository.
    ///
    /// # Errors
    /// `NotUnique`; `InDeletion`; `Invalid` for a name or namespace that is invalid or in use.
    pub fn create_repository(&self, wanted: CreateRepository) -> Outcome<Repository> {
        if self.repository(&wanted.name).is_ok() {
            return Err(exists().within("error creating repository"));
        }
        if !wanted.storage_namespace.starts_with(SCHEME) {
            let message = format!("failed to match required regex ^{SCHEME}: invalid namespace");
            return Err(Failure::new(Kind::Invalid, message));
        }
        let bare = wanted.bare;
        if !bare && !wanted.read_only {
            self.take_namespace(&wanted.storage_namespace)?;
        }
        match self.write_repository(wanted) {
            Err(failure) if !bare => Err(failure.within("error creating repository")),
            outcome => outcome,
        }
    }

    fn write_repository(&self, wanted: CreateRepository) -> Outcome<Repository> {
        argument("name", check_repository_name(&wanted.name))?;
        let (seconds, nanos) = self.now();
        let default_branch = match wanted.default_branch {
            empty if empty.is_empty() => "main".to_owned(),
            given => given,
        };
        let repository = Repository {
            name: wanted.name,
            uid: self.names.id(u64::try_from(seconds).unwrap_or_default()),
            storage_namespace: wanted.storage_namespace,
            default_branch,
            creation_date: seconds,
            read_only: wanted.read_only,
            in_deletion: false,
        };
        let mut mutations = vec![Mutation::PutRepository(repository.clone())];
        if !wanted.bare {
            mutations.extend(first_commit(&repository, seconds, nanos));
        }
        self.decide(|state| match state.repositories.contains_key(&repository.name) {
            true => Err(exists()),
            false => Ok((mutations, ())),
        })?;
        Ok(repository)
    }

    /// Writes lakeFS's marker to a namespace that no other repository uses.
    fn take_namespace(&self, namespace: &str) -> Outcome<()> {
        let failed = |message: &str| Failure::new(Kind::Invalid, format!("failed to create repository: {message}"));
        for (key, described) in [("dummy", "root (:{}"), ("_lakefs/dummy", "(:{}")] {
            let path = self.blocks.path(namespace, key, Addressing::Relative).map_err(|_| failed("invalid address"))?;
            if self.blocks.open_file(&path).is_ok() {
                let at = described.replace("{}", namespace);
                let key = if key == "dummy" { String::new() } else { format!(" key({key})") };
                return Err(failed(&format!(
                    "found lakeFS objects in the storage {at}){key}: storage namespace already in use"
                )));
            }
        }
        let mark = Blocks::metadata_address("dummy");
        let path = self.blocks.path(namespace, &mark, Addressing::Relative)?;
        let name = self.temporary_name();
        self.blocks.write(&path, &name, DUMMY).map_err(|_| failed("failed to access storage"))
    }

    /// A name for a temporary file.
    pub(in crate::sandbox) fn temporary_name(&self) -> String {
        self.names.id(u64::try_from(self.seconds()).unwrap_or_default())
    }

    /// Lists repositories by name.
    pub fn repositories(&self, page: &Page, search: &str) -> (Vec<Repository>, bool) {
        self.read(|state| {
            let from = (&*page.after).max(&*page.prefix).to_owned();
            let found = state
                .repositories
                .range((Bound::Included(from), Bound::Unbounded))
                .take_while(|(name, _)| name.starts_with(&page.prefix))
                .filter(|(name, _)| **name != page.after && name.contains(search))
                .map(|(_, repository)| repository.clone());
            page.cut(found)
        })
    }

    /// Deletes a repository and everything that the key-value store has for it; its objects remain.
    ///
    /// # Errors
    /// `repository not found`, `read-only repository`.
    pub fn delete_repository(&self, name: &str, force: bool) -> Outcome<()> {
        argument("repository", check_repository_name(name))?;
        let repository = self.stored_repository(name)?;
        check_writable(&repository, force)?;
        self.change(vec![Mutation::DropRepository { name: repository.name, uid: repository.uid }])
    }

    /// Marks a repository as being deleted, as a server does that crashes during the deletion. Not part of the API.
    ///
    /// # Errors
    /// `repository not found`.
    pub fn begin_deletion(&self, name: &str) -> Outcome<()> {
        let repository = self.stored_repository(name)?;
        self.change(vec![Mutation::PutRepository(Repository { in_deletion: true, ..repository })])
    }

    /// A repository's metadata, never from a cache; available during deletion, too.
    ///
    /// # Errors
    /// `repository not found`.
    pub fn metadata(&self, name: &str) -> Outcome<BTreeMap<String, String>> {
        let repository = self.stored_repository(name)?;
        Ok(self.look(&repository, |partition| partition.metadata.clone()))
    }

    /// Changes a repository's metadata.
    ///
    /// # Errors
    /// As [`Self::repository`].
    pub fn update_metadata(&self, name: &str, update: impl FnOnce(&mut BTreeMap<String, String>)) -> Outcome<()> {
        let repository = self.repository(name)?;
        self.decide(|state| {
            let partition = state.partitions.get(&repository.uid);
            let mut metadata = partition.map(|partition| partition.metadata.clone()).unwrap_or_default();
            update(&mut metadata);
            Ok((vec![Mutation::PutMetadata { uid: repository.uid.clone(), metadata }], ()))
        })
    }

    /// The patterns of protected branches.
    ///
    /// # Errors
    /// As [`Self::repository`].
    pub fn protection(&self, name: &str) -> Outcome<Vec<String>> {
        let repository = self.repository(name)?;
        Ok(self.look(&repository, |partition| partition.protected.clone()))
    }

    /// Sets the patterns of protected branches.
    ///
    /// # Errors
    /// Forbidden on a read-only repository, with or without force.
    pub fn set_protection(&self, name: &str, patterns: Vec<String>) -> Outcome<()> {
        let repository = self.repository(name)?;
        check_writable(&repository, false)?;
        self.change(vec![Mutation::PutProtection { uid: repository.uid, patterns }])
    }

    /// Refuses a change to a protected branch. Rules are cached for a few seconds.
    pub(super) fn check_unprotected(&self, repository: &Repository, branch: &str, message: &str) -> Outcome<()> {
        let patterns = self.caches.protection(&repository.name, || {
            Ok::<_, Failure>(Arc::new(self.look(repository, |partition| partition.protected.clone())))
        })?;
        match patterns.iter().any(|pattern| crate::sandbox::pattern::matches(pattern, branch)) {
            true => Err(Failure::new(Kind::Forbidden, message)),
            false => Ok(()),
        }
    }
}

fn exists() -> Failure {
    Failure::new(Kind::NotUnique, "not unique")
}

/// The first commit of every repository, and the branch on it.
fn first_commit(repository: &Repository, seconds: i64, nanos: u32) -> [Mutation; 2] {
    let mut commit = Commit {
        id: String::new(),
        committer: String::new(),
        message: "Repository created".to_owned(),
        seconds,
        nanos,
        metarange: String::new(),
        metadata: BTreeMap::new(),
        parents: Vec::new(),
        version: 1,
        generation: 1,
    };
    commit.id = commit_id(&commit);
    let (uid, head) = (repository.uid.clone(), commit.id.clone());
    let name = repository.default_branch.clone();
    [Mutation::PutCommit { uid: uid.clone(), commit }, Mutation::PutBranch { uid, name, head, hidden: false }]
}
