//! The mirror's lakeFS behind its lease: nothing is changed there by a process that does not hold the mirror.
//!
//! Whether the lease is live is looked at last before a call that changes something, again whenever the call goes on
//! (its repeats included), and a call that is still under way when the lease ends is given up. What was sent already
//! cannot be called back: lakeFS has no compare-and-set, so heads are read before and after each move.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use lakemirror_core::mutant;
use lakemirror_ports::clock::Clock;

use super::Lease;
use crate::ports::{
    BranchHead, CommitId, CommitRecord, CreateOutcome, Fault, FaultKind, Lakefs, Repository, SourceObject,
};

/// The longest time between two looks at a lease that does not end.
const NAP_MAX: Duration = Duration::from_secs(3600);

/// A lakeFS that is changed only under a lease.
pub struct Fenced {
    lakefs: Arc<dyn Lakefs>,
    lease: Arc<Lease>,
    clock: Arc<dyn Clock>,
}

impl Fenced {
    /// `lakefs`, changed only under `lease`.
    #[must_use]
    pub fn new(lakefs: Arc<dyn Lakefs>, lease: Arc<Lease>, clock: Arc<dyn Clock>) -> Self {
        Self { lakefs, lease, clock }
    }

    async fn held<T>(&self, what: &str, call: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let mut flight = Flight { of: self, landed: false };
        let answer = while_live(&self.lease, &*self.clock, call).await;
        flight.landed = answer.is_some();
        answer.unwrap_or_else(|| Err(self.refusal(what)))
    }

    fn refusal(&self, what: &str) -> Fault {
        Fault {
            kind: FaultKind::Retry,
            call: format!("{what} at {}", self.lakefs.endpoint()),
            status: None,
            message: "not done: this process does not hold the mirror's lease at the moment".to_owned(),
        }
    }
}

/// A call under way. Given up without an answer, it may still be carried out.
struct Flight<'a> {
    of: &'a Fenced,
    landed: bool,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if !self.landed {
            self.of.lease.lease_clock.gave_up(self.of.clock.monotonic());
        }
    }
}

/// Makes a call for as long as the lease is live; none when it was not, or ended before there was an answer.
async fn while_live<T>(lease: &Lease, clock: &dyn Clock, call: impl Future<Output = T>) -> Option<T> {
    if mutant::is_on("fence_open") {
        return Some(call.await);
    }
    let mut call = pin!(call);
    loop {
        let until = lease.until(clock.monotonic())?;
        // Woken at the latest when the lease ends, unless it is renewed meanwhile.
        let mut alarm = pin!(clock.sleep(until.saturating_sub(clock.monotonic()).min(NAP_MAX)));
        let step = poll_fn(|cx| {
            if !lease.is_live(clock.monotonic()) {
                return Poll::Ready(None);
            }
            if let Poll::Ready(answer) = call.as_mut().poll(cx) {
                return Poll::Ready(Some(answer));
            }
            alarm.as_mut().poll(cx).map(|()| None)
        });
        if let Some(answer) = step.await {
            return Some(answer);
        }
    }
}

#[async_trait]
impl Lakefs for Fenced {
    fn endpoint(&self) -> &str {
        self.lakefs.endpoint()
    }

    async fn repository(&self, repository: &str) -> Result<Repository, Fault> {
        self.lakefs.repository(repository).await
    }

    async fn branches(&self, repository: &str, hidden: bool) -> Result<Vec<BranchHead>, Fault> {
        self.lakefs.branches(repository, hidden).await
    }

    async fn branch(&self, repository: &str, branch: &str) -> Result<CommitId, Fault> {
        self.lakefs.branch(repository, branch).await
    }

    async fn commit(&self, repository: &str, commit: &CommitId) -> Result<CommitRecord, Fault> {
        self.lakefs.commit(repository, commit).await
    }

    async fn log(&self, repository: &str, from: &CommitId, amount: usize) -> Result<Vec<CommitRecord>, Fault> {
        self.lakefs.log(repository, from, amount).await
    }

    async fn create_mirror_repository(
        &self,
        repository: &str,
        storage_namespace: &str,
        default_branch: &str,
    ) -> Result<CreateOutcome, Fault> {
        let call = self.lakefs.create_mirror_repository(repository, storage_namespace, default_branch);
        self.held("create the mirror repository", call).await
    }

    async fn delete_repository(&self, repository: &str) -> Result<(), Fault> {
        self.held("delete the mirror repository", self.lakefs.delete_repository(repository)).await
    }

    async fn metadata(&self, repository: &str) -> Result<BTreeMap<String, String>, Fault> {
        self.lakefs.metadata(repository).await
    }

    async fn set_metadata(&self, repository: &str, entries: &BTreeMap<String, String>) -> Result<(), Fault> {
        self.held("mark the mirror repository", self.lakefs.set_metadata(repository, entries)).await
    }

    async fn put_commit(&self, repository: &str, commit: &CommitRecord) -> Result<CreateOutcome, Fault> {
        self.held("write a commit record", self.lakefs.put_commit(repository, commit)).await
    }

    async fn create_branch(
        &self,
        repository: &str,
        branch: &str,
        commit: &CommitId,
        hidden: bool,
    ) -> Result<CreateOutcome, Fault> {
        let call = self.lakefs.create_branch(repository, branch, commit, hidden);
        self.held("create a branch", call).await
    }

    async fn reset_branch(&self, repository: &str, branch: &str, commit: &CommitId) -> Result<(), Fault> {
        self.held("move a branch", self.lakefs.reset_branch(repository, branch, commit)).await
    }

    async fn delete_branch(&self, repository: &str, branch: &str) -> Result<(), Fault> {
        self.held("delete a branch", self.lakefs.delete_branch(repository, branch)).await
    }

    async fn probe_object(&self, repository: &str, commit: &CommitId, path: &[u8]) -> Result<SourceObject, Fault> {
        self.lakefs.probe_object(repository, commit, path).await
    }
}

#[cfg(test)]
mod tests;
