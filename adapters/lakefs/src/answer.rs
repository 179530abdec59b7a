//! What an answer means: status and message to a fault, body to a value.
//!
//! Owns the one table from lakeFS's statuses and messages to `FaultKind`. lakeFS says by its message what a 404, 409
//! or 410 is about, so these count only with its own JSON message; a proxy's error page proves nothing and is `Retry`.

use std::borrow::Cow;

use lakemirror_ports::{Fault, FaultKind};
use serde::Deserialize;

use super::call::Call;
use super::transport::{Reply, Transport};

/// The longest message that is passed on, in characters.
const MESSAGE_CHARS: usize = 500;

/// lakeFS's exact messages that decide something (lakeFS 1.84, `pkg/graveler`, `pkg/api`, `pkg/auth`).
pub(super) mod message {
    pub(crate) const REPOSITORY_NOT_FOUND: &str = "repository not found";
    pub(crate) const BRANCH_NOT_FOUND: &str = "branch not found";
    pub(crate) const COMMIT_NOT_FOUND: &str = "commit not found";
    /// A log from a commit that is not there.
    pub(crate) const REF_NOT_FOUND: &str = "ref: not found";
    /// A path, or the commit it was to be in.
    pub(crate) const NOT_FOUND: &str = "not found";
    pub(crate) const NO_DATA: &str = "No data";
    pub(crate) const BRANCH_EXISTS: &str = "branch already exists: not unique";
    pub(crate) const COMMIT_EXISTS: &str = "commit already exists: not unique";
    pub(crate) const REPOSITORY_EXISTS: &str = "error creating repository: not unique";
    pub(crate) const READ_ONLY: &str = "read-only repository";
    pub(crate) const DEFAULT_BRANCH: &str = "cannot delete repository default branch";
    /// A user asked for by name (`pkg/auth`: the bare words of a missing key).
    pub(crate) const USER_NOT_FOUND: &str = NOT_FOUND;
    pub(crate) const NOT_IMPLEMENTED: &str = "Not Implemented";
}

/// Every error body of lakeFS.
#[derive(Deserialize)]
struct ErrorBody<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
}

impl Reply {
    /// lakeFS's own message, if this is an answer of lakeFS.
    pub(super) fn message(&self) -> Option<Cow<'_, str>> {
        serde_json::from_slice::<ErrorBody<'_>>(&self.body).ok().map(|body| body.message)
    }

    /// Whether this is exactly lakeFS's answer with this status and message.
    pub(super) fn says(&self, status: u16, message: &str) -> bool {
        self.status == status && self.message().is_some_and(|said| said == message)
    }
}

impl Transport {
    /// The fault that an answer is. `absent` is the message that says that the very thing asked for is not there.
    pub(super) fn rejected(&self, call: &Call, reply: &Reply, absent: Option<&str>) -> Fault {
        let said = reply.message();
        let kind = kind_of(reply.status, said.as_deref(), absent);
        let mut shown = said.map_or_else(|| not_lakefs(reply), |text| readable(&text));
        if kind == FaultKind::Denied && call.authorization.is_none() {
            shown.push_str(&self.whose_key());
        }
        self.fault(call, kind, Some(reply.status), &shown)
    }

    /// Which setting has the key that was refused.
    fn whose_key(&self) -> String {
        let common = "lakefs_access_key_id and lakefs_secret_access_key";
        match &self.region {
            Some(region) => {
                format!(
                    "; correct the key of region {region}: dst_credentials.{region}, or {common}, and what it may do"
                )
            }
            None => format!("; correct {common}, and what the key may do"),
        }
    }

    /// Reads a JSON body of the expected status; any other status is [`Self::rejected`].
    pub(super) fn parse<'r, T: Deserialize<'r>>(
        &self,
        call: &Call,
        reply: &'r Reply,
        absent: Option<&str>,
    ) -> Result<T, Fault> {
        if reply.status != 200 {
            return Err(self.rejected(call, reply, absent));
        }
        serde_json::from_slice(&reply.body).map_err(|error| {
            // A text that ends too early was cut by something on the way; any other is not what it claims to be.
            let kind = if error.is_eof() { FaultKind::Retry } else { FaultKind::Contradiction };
            self.fault(call, kind, Some(reply.status), &format!("the answer is not what lakeFS documents: {error}"))
        })
    }

    /// A fault for an answer that contradicts itself or the question.
    pub(super) fn contradiction(&self, call: &Call, message: &str) -> Fault {
        self.fault(call, FaultKind::Contradiction, None, message)
    }

    /// `Ok` for the expected status, the fault for any other.
    pub(super) fn expect(&self, call: &Call, reply: &Reply, status: u16, absent: Option<&str>) -> Result<(), Fault> {
        if reply.status == status { Ok(()) } else { Err(self.rejected(call, reply, absent)) }
    }
}

/// The table: what status and message mean. `said` is `None` where the answer is not lakeFS's.
fn kind_of(status: u16, said: Option<&str>, absent: Option<&str>) -> FaultKind {
    match (status, said) {
        (404, Some(text)) if absent == Some(text) => FaultKind::Absent,
        (404 | 409, Some(_)) => FaultKind::Refused,
        // In deletion, or files that have not arrived: both pass.
        (410, Some(_)) => FaultKind::Retry,
        (404 | 409 | 410, None) => FaultKind::Retry,
        // No operator can allow these: the default branch stays, and force was sent.
        (403, Some(message::DEFAULT_BRANCH | message::READ_ONLY)) => FaultKind::Refused,
        (401 | 403 | 407, _) => FaultKind::Denied,
        (408 | 425 | 429, _) => FaultKind::Retry,
        (501 | 505, _) => FaultKind::Refused,
        (500..=599, _) => FaultKind::Retry,
        // Success of another kind than documented.
        (100..=299, _) => FaultKind::Contradiction,
        _ => FaultKind::Refused,
    }
}

/// The part of lakeFS's message that is for people: the schemas and values that follow some are not.
fn readable(text: &str) -> String {
    let text = text.split("\nSchema:").next().unwrap_or(text);
    if text.is_empty() { "(an empty message)".to_owned() } else { clipped(text, MESSAGE_CHARS) }
}

/// Words for an answer that lakeFS did not write.
fn not_lakefs(reply: &Reply) -> String {
    let hint = match reply.status {
        300..=399 => "a redirect, which is not followed: set the endpoint to where it leads",
        _ => "not an answer of lakeFS's API: is there a proxy in between, or another endpoint?",
    };
    let text = String::from_utf8_lossy(reply.body.get(..200).unwrap_or(&reply.body));
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() { hint.to_owned() } else { format!("{hint} It says: {}", clipped(&text, 120)) }
}

/// At most so many characters of a text.
pub(super) fn clipped(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
