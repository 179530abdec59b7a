//! Calls about branches: listing them all, reading one, creating, moving, deleting.

use lakemirror_ports::{BranchHead, CommitId, CreateOutcome, Fault, FaultKind, Listing};
use reqwest::Method;

use super::answer::message;
use super::call::{Call, Limits, MOVE, PAGE, RECORD};
use super::client::Client;
use super::listing::{Gathering, Then};
use super::types::{NewBranch, Page, Ref};

fn one(method: Method, limits: Limits, does: &str, repository: &str, branch: &str) -> Call {
    Call::new(method, limits, format!("{does} branch {branch} of repository {repository}"))
        .path("/repositories")
        .segment(repository)
        .path("/branches")
        .segment(branch)
}

fn head(wire: &Ref<'_>) -> Result<CommitId, String> {
    CommitId::parse(&wire.commit_id)
        .map_err(|error| format!("branch {:?} is said to be at {:?}: {error}", wire.id, wire.commit_id))
}

impl Client {
    /// What can be believed of a listing, and what is wrong with it.
    pub(super) async fn gather_branches(&self, repository: &str, hidden: bool) -> Result<Listing, Fault> {
        let mut gathering = Gathering::default();
        loop {
            let mut call = Call::new(Method::GET, PAGE, format!("list the branches of repository {repository}"))
                .path("/repositories")
                .segment(repository)
                .path("/branches");
            if hidden {
                call = call.query("show_hidden", "true");
            }
            let call = self.paged(call, gathering.after());
            let reply = self.transport.ask(&call).await?;
            let page: Page<Ref<'_>> = self.transport.parse(&call, &reply, None)?;
            let then = gathering.page(&page.pagination, page.results, reply.body.len());
            if then.map_err(|reason| self.too_long(&call, &reason))? == Then::End {
                let (heads, flaw) = gathering.finish();
                return Ok(Listing { heads, flaw: flaw.map(|flaw| self.transport.contradiction(&call, &flaw)) });
            }
        }
    }

    /// Every branch, of a listing with which nothing is wrong.
    pub(super) async fn list_branches(&self, repository: &str, hidden: bool) -> Result<Vec<BranchHead>, Fault> {
        let listing = self.gather_branches(repository, hidden).await?;
        listing.flaw.map_or(Ok(listing.heads), Err)
    }

    pub(super) async fn get_branch(&self, repository: &str, branch: &str) -> Result<CommitId, Fault> {
        let call = one(Method::GET, RECORD, "get", repository, branch);
        let reply = self.transport.ask(&call).await?;
        let wire: Ref<'_> = self.transport.parse(&call, &reply, Some(message::BRANCH_NOT_FOUND))?;
        if wire.id != branch {
            return Err(self.transport.contradiction(&call, &format!("the answer is about branch {:?}", wire.id)));
        }
        head(&wire).map_err(|reason| self.transport.contradiction(&call, &reason))
    }

    pub(super) async fn post_branch(
        &self,
        repository: &str,
        branch: &str,
        commit: &CommitId,
        hidden: bool,
    ) -> Result<CreateOutcome, Fault> {
        let what = format!("create branch {branch} of repository {repository} at {commit}");
        let body = NewBranch { name: branch, source: commit.to_string(), force: true, hidden };
        let call =
            Call::new(Method::POST, MOVE, what).path("/repositories").segment(repository).path("/branches").json(&body);
        let reply = self.transport.ask(&call).await?;
        if reply.says(409, message::BRANCH_EXISTS) {
            return Ok(CreateOutcome::Existed);
        }
        self.transport.expect(&call, &reply, 201, None)?;
        // The body is the bare id. A branch or tag that is named like the commit would have been taken for it.
        if reply.body.trim_ascii() != body.source.as_bytes() {
            return Err(self.transport.contradiction(&call, "the branch was created at another commit"));
        }
        Ok(CreateOutcome::Created)
    }

    pub(super) async fn hard_reset(&self, repository: &str, branch: &str, commit: &CommitId) -> Result<(), Fault> {
        let call = one(Method::PUT, MOVE, &format!("move to {commit} the"), repository, branch)
            .path("/hard_reset")
            .query("ref", &commit.to_string())
            .query("force", "true");
        let reply = self.transport.ask(&call).await?;
        self.transport.expect(&call, &reply, 204, Some(message::BRANCH_NOT_FOUND))
    }

    pub(super) async fn remove_branch(&self, repository: &str, branch: &str) -> Result<(), Fault> {
        let call = one(Method::DELETE, MOVE, "delete", repository, branch).query("force", "true");
        let reply = self.transport.ask(&call).await?;
        match self.transport.expect(&call, &reply, 204, Some(message::BRANCH_NOT_FOUND)) {
            // An earlier try has deleted it; only its answer was lost.
            Err(fault) if fault.kind == FaultKind::Absent && reply.repeated => Ok(()),
            end => end,
        }
    }
}
