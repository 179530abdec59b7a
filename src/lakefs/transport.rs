//! Sends a [`Call`] and reads its answer within the call's limits, trying again where that is safe.
//!
//! Owns tries, timeouts, the bound on bodies, and the service's credentials. What a status means to the caller is
//! `answer`'s; here it is only told whether the same request may work in a moment. Every call of this client can be
//! repeated: reads change nothing, records and branches are named by the caller, deletions end in the same state.

use std::error::Error as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use reqwest::Response;
use reqwest::header::{
    AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RANGE, RETRY_AFTER,
};

use super::call::Call;
use super::connect::Endpoint;
use crate::backoff::{Again, Tries};
use crate::clock::{Clock, Entropy};
use crate::engine::ports::{Fault, FaultKind};
use crate::secret::Secret;

/// The longest body of an answer that is not a success; more of it is not read.
const ERROR_BODY: usize = 64 << 10;

/// An answer, whatever its status.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// The body. Empty for a successful answer to a ranged read, whose byte nobody needs.
    pub(super) body: Bytes,
    /// `Content-Range`, where there is one.
    pub(super) content_range: Option<String>,
    /// Earlier tries of the same call failed in a way that may have hidden their success.
    pub(super) repeated: bool,
    retry_after: Option<Duration>,
}

/// An endpoint, the connections to it, and the credentials used there.
pub(super) struct Transport {
    pub(super) http: reqwest::Client,
    pub(super) endpoint: Endpoint,
    /// Its region, where the settings name one.
    pub(super) region: Option<String>,
    /// The service's own `Authorization`, marked sensitive.
    pub(super) authorization: HeaderValue,
    /// What must not appear in a message even if the other side repeats it.
    pub(super) unspeakable: Vec<Secret>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
}

impl Transport {
    /// Sends a call, again where an answer says that the next one may be another.
    ///
    /// # Errors
    /// `Refused` for a call that cannot be sent or whose answer is too long; `Retry` where no answer came.
    pub(super) async fn ask(&self, call: &Call) -> Result<Reply, Fault> {
        call.check(&self.endpoint.shown)?;
        let mut tries = Tries::start(call.limits.budget, self.clock.monotonic());
        loop {
            let mut end = self.timed(call).await;
            if let Ok(reply) = &mut end {
                reply.repeated = tries.failures() > 0;
            }
            match tries.next_delay(again(&end), self.clock.monotonic(), &*self.entropy) {
                Some(delay) => self.clock.sleep(delay).await,
                None => return end,
            }
        }
    }

    /// A fault of a call at this endpoint, its message rid of secrets.
    pub(super) fn fault(&self, call: &Call, kind: FaultKind, status: Option<u16>, message: &str) -> Fault {
        let mut message = message.to_owned();
        for secret in self.unspeakable.iter().filter(|secret| !secret.is_empty()) {
            if message.contains(secret.expose()) {
                message = message.replace(secret.expose(), "***");
            }
        }
        call.fault(&self.endpoint.shown, kind, status, message)
    }

    /// One try within its time.
    async fn timed(&self, call: &Call) -> Result<Reply, Fault> {
        let exchange = pin!(self.exchange(call));
        let limit = pin!(self.clock.sleep(call.limits.timeout));
        match select(exchange, limit).await {
            Either::Left((end, _)) => end,
            Either::Right(_) => {
                let message = format!("no complete answer within {:?}", call.limits.timeout);
                Err(self.fault(call, FaultKind::Retry, None, &message))
            }
        }
    }

    async fn exchange(&self, call: &Call) -> Result<Reply, Fault> {
        let url = format!("{}{}", self.endpoint.base, call.target);
        let authorization = call.authorization.as_ref().unwrap_or(&self.authorization);
        let mut request = self.http.request(call.method.clone(), url).header(AUTHORIZATION, authorization);
        if let Some(range) = call.range {
            request = request.header(RANGE, HeaderValue::from_static(range));
        }
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body.clone());
        }
        let response = request.send().await.map_err(|error| self.lost(call, None, error))?;
        self.read(call, response).await
    }

    async fn read(&self, call: &Call, mut response: Response) -> Result<Reply, Fault> {
        let status = response.status().as_u16();
        let headers = response.headers();
        let mut reply = Reply {
            status,
            body: Bytes::new(),
            content_range: text(headers, &CONTENT_RANGE).map(str::to_owned),
            repeated: false,
            retry_after: text(headers, &RETRY_AFTER).and_then(|value| value.parse().ok()).map(Duration::from_secs),
        };
        match (call.range, status) {
            // The status says it all. The byte is taken only so that the connection can be used again; that it fails
            // to come says nothing about presence.
            (Some(_), 206) => drop(response.chunk().await),
            // A whole object came although one byte was asked for: it is not read.
            (Some(_), 200) => {}
            _ => reply.body = self.body(call, response).await?,
        }
        Ok(reply)
    }

    /// The body, bounded: a successful one that is too long is a fault, any other is cut.
    async fn body(&self, call: &Call, mut response: Response) -> Result<Bytes, Fault> {
        let status = response.status();
        let limit = if status.is_success() { call.limits.body } else { call.limits.body.min(ERROR_BODY) };
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) => return Err(self.lost(call, Some(status.as_u16()), error)),
            };
            if first.len() + rest.len() + chunk.len() > limit {
                if !status.is_success() {
                    break;
                }
                let message = format!("the answer is longer than {limit} bytes");
                return Err(self.fault(call, FaultKind::Refused, Some(status.as_u16()), &message));
            }
            // Most answers are one chunk, which is then not copied.
            if first.is_empty() {
                first = chunk;
            } else {
                rest.extend_from_slice(&chunk);
            }
        }
        if rest.is_empty() {
            return Ok(first);
        }
        let mut whole = BytesMut::from(first);
        whole.unsplit(rest);
        Ok(whole.freeze())
    }

    /// A transport error as a fault: what failed and why, down to the first cause, without the URL (the call has it).
    fn lost(&self, call: &Call, status: Option<u16>, error: reqwest::Error) -> Fault {
        let error = error.without_url();
        let mut message = if status.is_some() { "the answer was cut short".to_owned() } else { error.to_string() };
        let mut cause = error.source();
        while let Some(deeper) = cause {
            message.push_str(": ");
            message.push_str(&deeper.to_string());
            cause = deeper.source();
        }
        // An error while building is the request's own fault and will be there again.
        let kind = if error.is_builder() { FaultKind::Refused } else { FaultKind::Retry };
        self.fault(call, kind, status, &message)
    }
}

/// Whether the same request may work in a moment.
fn again(end: &Result<Reply, Fault>) -> Again {
    match end {
        Err(fault) if fault.kind == FaultKind::Retry => Again::Yes,
        Ok(reply) if passing(reply.status) => reply.retry_after.map_or(Again::Yes, Again::NotBefore),
        _ => Again::No,
    }
}

/// Statuses that speak of the moment, not of the request: throttling and failures of the server or a proxy.
/// 410 of a repository in deletion is not among them: that takes longer than a few tries.
fn passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502..=504 | 506..=599)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
