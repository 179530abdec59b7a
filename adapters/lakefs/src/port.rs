//! The engine's port `Lakefs`, each of its calls handed to where it is written.

use std::collections::BTreeMap;

use async_trait::async_trait;
use lakemirror_ports::{
    BranchHead, CommitId, CommitRecord, CreateOutcome, Fault, Lakefs, Listing, Repository, SourceObject,
};

use super::client::Client;

#[async_trait]
impl Lakefs for Client {
    fn endpoint(&self) -> &str {
        &self.transport.endpoint.shown
    }

    async fn repository(&self, repository: &str) -> Result<Repository, Fault> {
        self.get_repository(repository).await
    }

    async fn branches(&self, repository: &str, hidden: bool) -> Result<Vec<BranchHead>, Fault> {
        self.list_branches(repository, hidden).await
    }

    async fn listing(&self, repository: &str, hidden: bool) -> Result<Listing, Fault> {
        self.gather_branches(repository, hidden).await
    }

    async fn branch(&self, repository: &str, branch: &str) -> Result<CommitId, Fault> {
        self.get_branch(repository, branch).await
    }

    async fn commit(&self, repository: &str, commit: &CommitId) -> Result<CommitRecord, Fault> {
        self.get_commit(repository, commit).await
    }

    async fn log(&self, repository: &str, from: &CommitId, amount: usize) -> Result<Vec<CommitRecord>, Fault> {
        self.get_log(repository, from, amount).await
    }

    async fn create_mirror_repository(
        &self,
        repository: &str,
        storage_namespace: &str,
        default_branch: &str,
    ) -> Result<CreateOutcome, Fault> {
        self.create_bare(repository, storage_namespace, default_branch).await
    }

    async fn delete_repository(&self, repository: &str) -> Result<(), Fault> {
        self.delete(repository).await
    }

    async fn metadata(&self, repository: &str) -> Result<BTreeMap<String, String>, Fault> {
        self.get_metadata(repository).await
    }

    async fn set_metadata(&self, repository: &str, entries: &BTreeMap<String, String>) -> Result<(), Fault> {
        self.merge_metadata(repository, entries).await
    }

    async fn put_commit(&self, repository: &str, commit: &CommitRecord) -> Result<CreateOutcome, Fault> {
        self.post_commit(repository, commit).await
    }

    async fn create_branch(
        &self,
        repository: &str,
        branch: &str,
        commit: &CommitId,
        hidden: bool,
    ) -> Result<CreateOutcome, Fault> {
        self.post_branch(repository, branch, commit, hidden).await
    }

    async fn reset_branch(&self, repository: &str, branch: &str, commit: &CommitId) -> Result<(), Fault> {
        self.hard_reset(repository, branch, commit).await
    }

    async fn delete_branch(&self, repository: &str, branch: &str) -> Result<(), Fault> {
        self.remove_branch(repository, branch).await
    }

    async fn probe_object(&self, repository: &str, commit: &CommitId, path: &[u8]) -> Result<SourceObject, Fault> {
        self.probe(repository, commit, path).await
    }
}
