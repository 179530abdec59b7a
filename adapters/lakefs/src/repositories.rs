//! Calls about repositories: reading, listing, creating a mirror's, deleting, metadata, and where metadata files are.

use std::collections::BTreeMap;
use std::time::Duration;

use lakemirror_ports::{CreateOutcome, Fault, FaultKind, NAME_BYTES_MAX, Repository};
use reqwest::Method;

use super::answer::message;
use super::call::{Call, DELETION, PAGE, RECORD};
use super::client::Client;
use super::types;
use super::walk::Order;

/// An id that names no file, for asking where metadata files are.
const NO_FILE: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// The most deletion calls of one `delete_repository`; each resumes what the one before left.
const DELETIONS_MAX: u32 = 5;
/// How long a deleted repository may still be answered from the server's cache (7 s by default), with room.
const GONE_WITHIN: Duration = Duration::from_secs(20);
/// How long to wait before looking again whether it is gone.
const GONE_LOOK: Duration = Duration::from_millis(500);

impl From<types::Repository> for Repository {
    fn from(wire: types::Repository) -> Self {
        Self {
            id: wire.id,
            creation_date: wire.creation_date,
            default_branch: wire.default_branch,
            storage_namespace: wire.storage_namespace,
            read_only: wire.read_only,
        }
    }
}

fn get(repository: &str) -> Call {
    Call::new(Method::GET, RECORD, format!("get repository {repository}")).path("/repositories").segment(repository)
}

fn deletion(repository: &str) -> Call {
    Call::new(Method::DELETE, DELETION, format!("delete repository {repository}"))
        .path("/repositories")
        .segment(repository)
        .query("force", "true")
}

impl Client {
    /// Every repository whose name begins with `prefix`, that the replication user may see, sorted by name. Contains
    /// repositories that are being deleted.
    ///
    /// # Errors
    /// A fault if not every page was read.
    pub async fn repositories(&self, prefix: &str) -> Result<Vec<Repository>, Fault> {
        let call = || {
            let call = Call::new(Method::GET, PAGE, format!("list repositories {prefix}*")).path("/repositories");
            if prefix.is_empty() { call } else { call.query("prefix", prefix) }
        };
        let all = self.every(Order::Filtered, call, |wire: &types::Repository| &wire.id, None).await?;
        Ok(all.into_iter().map(Repository::from).collect())
    }

    /// Where the repository's lakeFS keeps metadata files, relative to the storage namespace and without a slash at
    /// the end, such as `_lakefs` (`committed.block_storage_prefix`; no configuration call tells it).
    ///
    /// # Errors
    /// `Absent` for `repository not found`.
    pub async fn metadata_prefix(&self, repository: &str) -> Result<String, Fault> {
        let call = Call::new(Method::GET, RECORD, format!("get the metadata location of repository {repository}"))
            .path("/repositories")
            .segment(repository)
            .path("/metadata/meta_range")
            .segment(NO_FILE);
        let reply = self.transport.ask(&call).await?;
        let answer: types::Location = self.transport.parse(&call, &reply, Some(message::REPOSITORY_NOT_FOUND))?;
        match answer.location.strip_suffix(NO_FILE) {
            Some(prefix) => Ok(prefix.trim_end_matches('/').to_owned()),
            None => Err(self.transport.contradiction(&call, "the location does not end with the id asked for")),
        }
    }

    pub(super) async fn get_repository(&self, repository: &str) -> Result<Repository, Fault> {
        let call = get(repository);
        let reply = self.transport.ask(&call).await?;
        let wire: types::Repository = self.transport.parse(&call, &reply, Some(message::REPOSITORY_NOT_FOUND))?;
        if wire.id != repository {
            let reason = format!("the answer is about repository {:?}", wire.id);
            return Err(self.transport.contradiction(&call, &reason));
        }
        let longest = wire.default_branch.len().max(wire.storage_namespace.len());
        if longest > NAME_BYTES_MAX {
            let reason = format!(
                "its default branch or storage namespace has {longest} bytes, more than the {NAME_BYTES_MAX} that can \
                 be mirrored"
            );
            return Err(self.transport.fault(&call, FaultKind::Refused, None, &reason));
        }
        Ok(wire.into())
    }

    pub(super) async fn create_bare(
        &self,
        name: &str,
        storage_namespace: &str,
        branch: &str,
    ) -> Result<CreateOutcome, Fault> {
        let what = format!("create repository {name} over {storage_namespace}");
        let body = types::NewRepository { name, storage_namespace, default_branch: branch, read_only: true };
        let call = Call::new(Method::POST, RECORD, what).path("/repositories").query("bare", "true").json(&body);
        let reply = self.transport.ask(&call).await?;
        if reply.says(409, message::REPOSITORY_EXISTS) {
            return Ok(CreateOutcome::Existed);
        }
        self.transport.expect(&call, &reply, 201, None).map(|()| CreateOutcome::Created)
    }

    /// Deletes until the repository itself answers that it is not there.
    pub(super) async fn delete(&self, repository: &str) -> Result<(), Fault> {
        let gone = Some(message::REPOSITORY_NOT_FOUND);
        let call = deletion(repository);
        for tried in 0..DELETIONS_MAX {
            let end = self.transport.ask(&call).await;
            let fault = match end {
                Ok(reply) if reply.status == 204 => None,
                Ok(reply) => Some(self.transport.rejected(&call, &reply, gone)),
                Err(fault) => Some(fault),
            };
            match fault {
                // After a try whose answer was lost, "not found" is what its success looks like.
                Some(fault) if fault.kind == FaultKind::Absent && tried == 0 => return Err(fault),
                Some(fault) if !matches!(fault.kind, FaultKind::Absent | FaultKind::Retry) => return Err(fault),
                Some(fault) if fault.kind == FaultKind::Retry => {
                    if tried + 1 == DELETIONS_MAX {
                        return Err(fault);
                    }
                    self.pause(tried + 1).await;
                    continue;
                }
                _ => {}
            }
            if self.wait_until_gone(&call, repository).await? {
                return Ok(());
            }
        }
        Err(self.transport.fault(&call, FaultKind::Retry, None, "it is still in deletion; repeat the deletion"))
    }

    /// Looks until the repository is not found (`true`) or answers that its deletion stopped halfway (`false`).
    ///
    /// A repository that is answered as if nothing had happened is the server's cache, or a new one of the same name:
    /// deleting again could delete that one, so it is only looked at again, and finally left to the caller.
    async fn wait_until_gone(&self, deletion: &Call, repository: &str) -> Result<bool, Fault> {
        let begun = self.transport.clock.monotonic();
        let call = get(repository);
        loop {
            let reply = self.transport.ask(&call).await?;
            if reply.says(404, message::REPOSITORY_NOT_FOUND) {
                return Ok(true);
            }
            match reply.status {
                200 => {}
                410 if reply.message().is_some() => return Ok(false),
                _ => return Err(self.transport.rejected(&call, &reply, None)),
            }
            if self.transport.clock.monotonic().saturating_sub(begun) >= GONE_WITHIN {
                let reason = "it was deleted and is still answered: by a cache of the server, or as a new repository \
                              of the same name; look at it before deleting again";
                return Err(self.transport.fault(deletion, FaultKind::Retry, None, reason));
            }
            self.transport.clock.sleep(GONE_LOOK).await;
        }
    }

    async fn pause(&self, failures: u32) {
        let delay = DELETION.budget.backoff.delay(failures, &*self.transport.entropy);
        self.transport.clock.sleep(delay).await;
    }

    pub(super) async fn get_metadata(&self, repository: &str) -> Result<BTreeMap<String, String>, Fault> {
        let call = Call::new(Method::GET, RECORD, format!("get the metadata of repository {repository}"))
            .path("/repositories")
            .segment(repository)
            .path("/metadata");
        let reply = self.transport.ask(&call).await?;
        self.transport.parse(&call, &reply, Some(message::REPOSITORY_NOT_FOUND))
    }

    pub(super) async fn merge_metadata(
        &self,
        repository: &str,
        entries: &BTreeMap<String, String>,
    ) -> Result<(), Fault> {
        let call = Call::new(Method::POST, RECORD, format!("set metadata of repository {repository}"))
            .path("/repositories")
            .segment(repository)
            .path("/metadata")
            .json(&types::NewMetadata { metadata: entries });
        let reply = self.transport.ask(&call).await?;
        self.transport.expect(&call, &reply, 204, None)
    }
}
