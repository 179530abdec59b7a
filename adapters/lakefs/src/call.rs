//! One request to lakeFS as a value: method, path, query, body, limits, and its words for messages.
//!
//! Owns percent-encoding and the limits per class of call. Sends nothing.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use lakemirror_ports::backoff::{Backoff, Budget};
use lakemirror_ports::{Fault, FaultKind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use reqwest::Method;
use reqwest::header::HeaderValue;

use super::answer::clipped;

/// Everything but RFC 3986's unreserved characters, both in path segments and in query values.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The longest description of a call in a message, in characters: names from outside are in it.
const WHAT_CHARS: usize = 500;

const BACKOFF: Backoff = Backoff { base: Duration::from_millis(200), cap: Duration::from_secs(2) };

/// Limits of one class of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// One try, from opening a connection to the last byte.
    pub(super) timeout: Duration,
    /// What is done when no answer begins for a while.
    pub(super) silence: OnSilence,
    /// The longest body of an answer, in bytes.
    pub(super) body: usize,
    /// The tries.
    pub(super) budget: Budget,
}

/// What is done when no answer begins for a while, as over a connection that something on the way has forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnSilence {
    /// After so long, which is longer for a server that is slow, the call is made again over a new connection.
    AskAnew(Duration),
    /// After so long the call fails: the caller has something to look at before it may be made again.
    Fail(Duration),
    /// The whole time limit is waited for.
    Wait,
}

/// How long the beginning of a cheap answer is waited for at first.
const SILENCE: Duration = Duration::from_secs(3);

const CALM: Budget = Budget { tries: 3, within: Duration::from_secs(5), backoff: BACKOFF };

/// Single records: one key-value read or write at the server.
pub(super) const RECORD: Limits =
    Limits { timeout: Duration::from_secs(10), silence: OnSilence::AskAnew(SILENCE), body: 1 << 20, budget: CALM };
/// A page of at most 1000 short items (branches, repositories, policies).
pub(super) const PAGE: Limits =
    Limits { timeout: Duration::from_secs(30), silence: OnSilence::AskAnew(SILENCE), body: 16 << 20, budget: CALM };
/// A page of at most 1000 commits, whose messages and metadata have no limit of their own.
pub(super) const LOG: Limits = Limits {
    timeout: Duration::from_secs(60),
    silence: OnSilence::AskAnew(Duration::from_secs(10)),
    body: 32 << 20,
    budget: CALM,
};
/// What moves or removes a branch. The caller has just checked its lease and the head; a try much later than that
/// check would act on a right that may have ended, so later ones are left to the caller.
pub(super) const MOVE: Limits = Limits {
    timeout: Duration::from_secs(10),
    silence: OnSilence::Fail(SILENCE),
    body: 64 << 10,
    budget: Budget { tries: 3, within: Duration::from_millis(1500), backoff: BACKOFF },
};
/// Deletion of a repository: the server deletes every key of it before it answers.
pub(super) const DELETION: Limits = Limits {
    timeout: Duration::from_secs(120),
    silence: OnSilence::Wait,
    body: 64 << 10,
    budget: Budget { tries: 1, within: Duration::ZERO, backoff: BACKOFF },
};

/// A request, complete but for the endpoint and the service's own credentials.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    /// Path and query under the API's base, encoded.
    pub(super) target: String,
    pub(super) body: Option<Bytes>,
    /// A `Range` header.
    pub(super) range: Option<&'static str>,
    /// Another's credentials in place of the service's own.
    pub(super) authorization: Option<HeaderValue>,
    pub(super) limits: Limits,
    /// What it does to what, for messages.
    pub(super) what: String,
    query_begun: bool,
    /// A name that no path can carry, found while building.
    unsendable: Option<&'static str>,
}

impl Call {
    /// A call described by `what`.
    pub(super) fn new(method: Method, limits: Limits, what: String) -> Self {
        let (target, query_begun) = (String::with_capacity(160), false);
        Self {
            method,
            target,
            body: None,
            range: None,
            authorization: None,
            limits,
            what,
            query_begun,
            unsendable: None,
        }
    }

    /// Adds literal path text, such as `/repositories`.
    pub(super) fn path(mut self, literal: &str) -> Self {
        self.target.push_str(literal);
        self
    }

    /// Adds a slash and a name as one path segment.
    pub(super) fn segment(mut self, name: &str) -> Self {
        if name.is_empty() {
            self.unsendable = Some("an empty name cannot be asked for");
        } else if name.split(['/', '\\']).any(|part| part == "." || part == "..") {
            // Parsers of URLs and servers behind a proxy resolve these even when they are percent-encoded, which would
            // change what is asked for.
            self.unsendable = Some("`.` and `..` cannot be asked for as a part of a name");
        }
        self.target.push('/');
        self.push_encoded(name.as_bytes());
        self
    }

    /// Adds a query parameter.
    pub(super) fn query(self, name: &str, value: &str) -> Self {
        self.query_bytes(name, value.as_bytes())
    }

    /// Adds a query parameter whose value need not be UTF-8: lakeFS takes the bytes that its percents stand for.
    pub(super) fn query_bytes(mut self, name: &str, value: &[u8]) -> Self {
        self.target.push(if self.query_begun { '&' } else { '?' });
        self.query_begun = true;
        self.target.push_str(name);
        self.target.push('=');
        self.push_encoded(value);
        self
    }

    /// Sets the JSON body.
    pub(super) fn json(mut self, body: &impl serde::Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(bytes) => self.body = Some(bytes.into()),
            Err(_) => self.unsendable = Some("the request cannot be written as JSON"),
        }
        self
    }

    /// Asks for the first byte only.
    pub(super) fn first_byte(mut self) -> Self {
        self.range = Some("bytes=0-0");
        self
    }

    /// Sends these credentials in place of the service's own.
    pub(super) fn authorized_by(mut self, authorization: HeaderValue) -> Self {
        self.authorization = Some(authorization);
        self
    }

    /// The call's description once it is known to be sendable.
    pub(super) fn check(&self, endpoint: &str) -> Result<(), Fault> {
        match self.unsendable {
            Some(reason) => Err(self.fault(endpoint, FaultKind::Refused, None, reason)),
            None => Ok(()),
        }
    }

    /// A fault of this call.
    pub(super) fn fault(
        &self,
        endpoint: &str,
        kind: FaultKind,
        status: Option<u16>,
        message: impl Into<String>,
    ) -> Fault {
        let what = clipped(&self.what, WHAT_CHARS);
        Fault { kind, call: format!("{what} at {endpoint}"), status, message: message.into() }
    }

    fn push_encoded(&mut self, text: &[u8]) {
        // Writing into a String cannot fail.
        let _infallible = write!(self.target, "{}", percent_encode(text, ESCAPED));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get() -> Call {
        Call::new(Method::GET, RECORD, "get".into())
    }

    #[test]
    fn odd_names_are_one_segment_and_odd_values_one_value() {
        let call =
            get().path("/repositories").segment("a/b?c#d%20 ü").query("path", "x&y=z+ /\u{1F986}").query("n", "");
        assert_eq!(call.target, "/repositories/a%2Fb%3Fc%23d%2520%20%C3%BC?path=x%26y%3Dz%2B%20%2F%F0%9F%A6%86&n=");
        call.check("e").unwrap();
        assert_eq!(get().query_bytes("path", b"caf\xe9.csv").target, "?path=caf%E9.csv");
    }

    #[test]
    fn plain_names_stay_readable() {
        assert_eq!(get().segment("my-Branch_1.0~x").target, "/my-Branch_1.0~x");
    }

    #[test]
    fn names_that_would_change_the_path_are_refused() {
        for name in ["", ".", "..", "a/../../adm", "..\\x", "a/."] {
            let fault = get().segment(name).check("http://e").unwrap_err();
            assert_eq!(fault.kind, FaultKind::Refused, "{name:?}");
        }
        get().segment("...").segment("a/b").segment("adm/policies?x=").check("e").unwrap();
    }
}
