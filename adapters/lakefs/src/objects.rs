//! Whether the bytes behind a path are still there, asked of the lakeFS that serves them.
//!
//! Owns the reading of an answer that can make an ancestor's object count as gone for good, so each verdict needs
//! more than a status. Checked on a server of 1.84 with each of the cases made by hand:
//!
//! | the object | ranged read | read | stat |
//! |---|---|---|---|
//! | there | 206 | | |
//! | gone | 410 `No data` | | 200 |
//! | empty, there | 416 | 200 | |
//! | empty, gone | 416: computed from the entry, not from the store | 410 `No data` | 200 |
//! | not readable because the commit's own metadata files are missing | 410 `No data` | | 410 |
//! | the commit has no such path | 404 `not found` | | |
//! | the repository has no such commit | 404 `not found` | | |
//!
//! `Content-Range` gives the size that the *entry* records, not the stored object's.

use lakemirror_ports::{CommitId, Fault, FaultKind, SourceObject};
use reqwest::Method;

use super::answer::message;
use super::call::{Call, RECORD};
use super::client::Client;
use super::transport::Reply;

fn object(does: &str, repository: &str, commit: &CommitId, path: &[u8], call: &str) -> Call {
    Call::new(
        Method::GET,
        RECORD,
        format!("{does} \"{}\" of commit {commit} of repository {repository}", path.escape_ascii()),
    )
    .path("/repositories")
    .segment(repository)
    .path("/refs")
    .segment(&commit.to_string())
    .path(call)
    .query_bytes("path", path)
}

/// The total of a `Content-Range`: `bytes 0-0/123` or `bytes */123`; `None` where it is `*` or not there.
fn total(reply: &Reply) -> Option<u64> {
    reply.content_range.as_deref()?.rsplit_once('/')?.1.parse().ok()
}

impl Client {
    pub(super) async fn probe(&self, repository: &str, commit: &CommitId, path: &[u8]) -> Result<SourceObject, Fault> {
        let call = object("look for", repository, commit, path, "/objects").first_byte();
        let reply = self.transport.ask(&call).await?;
        match reply.status {
            206 => Ok(SourceObject::There { size: total(&reply) }),
            416 if total(&reply).is_none_or(|size| size == 0) => self.probe_empty(repository, commit, path).await,
            410 if reply.says(410, message::NO_DATA) => self.gone(&call, repository, commit, path).await,
            404 if reply.says(404, message::NOT_FOUND) => self.no_such_path(repository, commit).await,
            200 => {
                Err(self.transport.contradiction(&call, "the whole object was sent although one byte was asked for"))
            }
            416 => {
                Err(self.transport.contradiction(&call, "an object that is not empty is said to have no first byte"))
            }
            _ => Err(self.transport.rejected(&call, &reply, None)),
        }
    }

    /// An entry of no bytes: only reading all of it asks the store.
    async fn probe_empty(&self, repository: &str, commit: &CommitId, path: &[u8]) -> Result<SourceObject, Fault> {
        let call = object("read the empty", repository, commit, path, "/objects");
        let reply = self.transport.ask(&call).await?;
        match reply.status {
            200 if reply.body.is_empty() => Ok(SourceObject::There { size: Some(0) }),
            200 => Err(self.transport.contradiction(&call, "an empty object has content")),
            410 if reply.says(410, message::NO_DATA) => self.gone(&call, repository, commit, path).await,
            _ => Err(self.transport.rejected(&call, &reply, None)),
        }
    }

    /// `No data` is said of a missing object and of a missing metadata file alike; stat needs only the latter.
    async fn gone(
        &self,
        asked: &Call,
        repository: &str,
        commit: &CommitId,
        path: &[u8],
    ) -> Result<SourceObject, Fault> {
        let call = object("stat", repository, commit, path, "/objects/stat");
        let reply = self.transport.ask(&call).await?;
        if reply.status == 200 {
            // It must be stat's own answer, not a page of something in between.
            let _stat: Stat = self.transport.parse(&call, &reply, None)?;
            return Ok(SourceObject::Gone);
        }
        if reply.says(410, message::NO_DATA) {
            let reason = "No data: files that list the commit's entries are missing, so nothing is known of the object";
            return Err(self.transport.fault(asked, FaultKind::Retry, Some(410), reason));
        }
        Err(self.transport.rejected(&call, &reply, None))
    }

    /// `not found` is said of a missing path and of a missing commit alike.
    async fn no_such_path(&self, repository: &str, commit: &CommitId) -> Result<SourceObject, Fault> {
        match self.get_commit(repository, commit).await {
            Ok(_) => Ok(SourceObject::NoSuchPath),
            // The commit is not what was asked for here: its absence is not the path's.
            Err(fault) if fault.kind == FaultKind::Absent => Err(Fault { kind: FaultKind::Refused, ..fault }),
            Err(fault) => Err(fault),
        }
    }
}

/// What tells stat's answer from anything else.
#[derive(serde::Deserialize)]
struct Stat {
    #[serde(rename = "physical_address")]
    _physical_address: String,
}
