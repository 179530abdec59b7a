//! Calls about commits: reading one, reading a log, writing a record. Nothing leaves here whose id was not recomputed.

use std::cmp::Ordering;

use lakemirror_graveler::commit::commit_id;
use lakemirror_ports::{CommitId, CommitRecord, CreateOutcome, Fault, FaultKind, MetarangeId};
use reqwest::Method;

use super::answer::message;
use super::call::{Call, LOG, RECORD};
use super::client::{Client, PAGE_ITEMS_MAX};
use super::types::{self, NewCommit, Page};

/// Why a commit that lakeFS answered is not believed.
enum Unbelievable {
    /// It contradicts itself.
    Contradiction(String),
    /// A field is missing that would have to be guessed when the record is written elsewhere.
    TooOld(&'static str),
}

/// Takes a commit over, its id recomputed from its content.
fn record(wire: types::Commit) -> Result<CommitRecord, Unbelievable> {
    let wrong = |reason: String| Unbelievable::Contradiction(reason);
    let id = |text: &str| CommitId::parse(text).map_err(|error| wrong(format!("commit id {text:?}: {error}")));
    let metarange = match wire.meta_range_id.as_str() {
        "" => None,
        text => Some(MetarangeId::parse(text).map_err(|error| wrong(format!("metarange id {text:?}: {error}")))?),
    };
    let record = CommitRecord {
        id: id(&wire.id)?,
        parents: wire.parents.unwrap_or_default().iter().map(|parent| id(parent)).collect::<Result<_, _>>()?,
        committer: wire.committer,
        message: wire.message,
        creation_date: wire.creation_date,
        metarange,
        metadata: wire.metadata.unwrap_or_default(),
        generation: wire.generation.ok_or(Unbelievable::TooOld("generation"))?,
        version: wire.version.ok_or(Unbelievable::TooOld("version"))?,
    };
    let computed = commit_id(&record);
    if computed != record.id {
        return Err(wrong(format!("commit {} has the content of commit {computed}", record.id)));
    }
    Ok(record)
}

impl Client {
    pub(super) async fn get_commit(&self, repository: &str, commit: &CommitId) -> Result<CommitRecord, Fault> {
        let call = Call::new(Method::GET, RECORD, format!("get commit {commit} of repository {repository}"))
            .path("/repositories")
            .segment(repository)
            .path("/commits")
            .segment(&commit.to_string());
        let reply = self.transport.ask(&call).await?;
        let wire = self.transport.parse(&call, &reply, Some(message::COMMIT_NOT_FOUND))?;
        let record = self.believe(&call, wire)?;
        if record.id != *commit {
            return Err(self.transport.contradiction(&call, &format!("the answer is commit {}", record.id)));
        }
        Ok(record)
    }

    pub(super) async fn get_log(
        &self,
        repository: &str,
        from: &CommitId,
        amount: usize,
    ) -> Result<Vec<CommitRecord>, Fault> {
        let call = Call::new(Method::GET, LOG, format!("read the log of repository {repository} from {from}"))
            .path("/repositories")
            .segment(repository)
            .path("/refs")
            .segment(&from.to_string())
            .path("/commits")
            .query("amount", &amount.to_string())
            // The server then stops walking at `amount` instead of looking whether there is more.
            .query("limit", "true");
        if !(1..=PAGE_ITEMS_MAX).contains(&amount) {
            let reason = format!("{amount} commits cannot be asked for, only 1 to {PAGE_ITEMS_MAX}");
            return Err(self.transport.fault(&call, FaultKind::Refused, None, &reason));
        }
        let reply = self.transport.ask(&call).await?;
        if reply.says(404, message::COMMIT_NOT_FOUND) {
            let reason = "commit not found: the record of an ancestor is missing in this repository";
            return Err(self.transport.fault(&call, FaultKind::Refused, Some(404), reason));
        }
        let page: Page<types::Commit> = self.transport.parse(&call, &reply, Some(message::REF_NOT_FOUND))?;
        let wrong = |reason: &str| Err(self.transport.contradiction(&call, reason));
        if page.results.len() != page.pagination.results || page.results.len() > amount {
            return wrong("the log has another number of commits than it says, or than was asked for");
        }
        let log = page.results.into_iter().map(|wire| self.believe(&call, wire)).collect::<Result<Vec<_>, Fault>>()?;
        if log.first().map(|first| first.id.cmp(from)) != Some(Ordering::Equal) {
            return wrong("the log does not begin with the commit asked for");
        }
        Ok(log)
    }

    pub(super) async fn post_commit(&self, repository: &str, commit: &CommitRecord) -> Result<CreateOutcome, Fault> {
        let body = NewCommit {
            commit_id: commit.id.to_string(),
            version: commit.version,
            committer: &commit.committer,
            message: &commit.message,
            metarange_id: commit.metarange.map(|id| id.to_string()).unwrap_or_default(),
            creation_date: commit.creation_date,
            parents: commit.parents.iter().map(CommitId::to_string).collect(),
            generation: commit.generation,
            metadata: &commit.metadata,
            force: true,
        };
        let call = Call::new(Method::POST, RECORD, format!("write commit {} to repository {repository}", commit.id))
            .path("/repositories")
            .segment(repository)
            .path("/commits")
            .json(&body);
        let reply = self.transport.ask(&call).await?;
        if reply.says(409, message::COMMIT_EXISTS) {
            return Ok(CreateOutcome::Existed);
        }
        self.transport.expect(&call, &reply, 204, None).map(|()| CreateOutcome::Created)
    }

    fn believe(&self, call: &Call, wire: types::Commit) -> Result<CommitRecord, Fault> {
        record(wire).map_err(|reason| match reason {
            Unbelievable::Contradiction(reason) => self.transport.contradiction(call, &reason),
            Unbelievable::TooOld(field) => {
                let reason =
                    format!("the commit has no {field}: this lakeFS is older than 1.9.0 and cannot be mirrored from");
                self.transport.fault(call, FaultKind::Refused, Some(200), &reason)
            }
        })
    }
}
