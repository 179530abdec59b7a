//! Sends a [`Call`] and reads its answer within the call's limits, trying again where that is safe.
//!
//! Owns tries, timeouts, the bound on bodies, and the service's credentials. What a status means to the caller is
//! `answer`'s; here it is only told whether the same request may work in a moment. Every call of this client can be
//! repeated: reads change nothing, records and branches are named by the caller, deletions end in the same state.
//! An answer that throttles is never followed by another try here: the [`Throttle`] holds back whoever asks next.

use std::error::Error as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use lakemirror_core::causes::chain;
use lakemirror_core::secret::Secret;
use lakemirror_ports::backoff::{Again, Tries};
use lakemirror_ports::clock::{Clock, Entropy};
use lakemirror_ports::{Fault, FaultKind};
use reqwest::header::{
    AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RANGE, RETRY_AFTER,
};
use reqwest::{RequestBuilder, Response};

use super::answer::clipped;
use super::call::{Call, OnSilence};
use super::connect::Endpoint;
use super::connections::{Connections, Pool};
use super::throttle::{Throttle, retry_after};

/// The longest message of a fault, in characters: whatever it repeats of an answer.
const MESSAGE_CHARS: usize = 1000;

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

impl Reply {
    /// Whether it asks for fewer calls: too many requests, or a server that says when it can be asked again.
    fn throttles(&self) -> bool {
        self.status == 429 || self.status == 503 && self.retry_after.is_some()
    }
}

/// How one try went.
enum Exchanged {
    /// With an answer or a fault.
    Ended(Result<Reply, Fault>),
    /// No answer began in the brief wait: to be asked again at once, over a new connection.
    Silent,
}

/// An endpoint, the connections to it, and the credentials used there.
pub(super) struct Transport {
    pub(super) connections: Connections,
    pub(super) throttle: Throttle,
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
    /// `Refused` for a call that cannot be sent or whose answer is too long; `Retry` where no answer came, or where this
    /// lakeFS has asked for quiet and the call was not sent.
    pub(super) async fn ask(&self, call: &Call) -> Result<Reply, Fault> {
        call.check(&self.endpoint.shown)?;
        let mut tries = Tries::start(call.limits.budget, self.clock.monotonic());
        let mut silence = call.limits.silence;
        let mut silent = false;
        loop {
            let mut end = match self.admitted(call, silence).await? {
                Exchanged::Ended(end) => end,
                Exchanged::Silent => {
                    (silence, silent) = (OnSilence::Wait, true);
                    continue;
                }
            };
            if let Ok(reply) = &mut end {
                reply.repeated = silent || tries.failures() > 0;
            }
            match tries.next_delay(again(&end), self.clock.monotonic(), &*self.entropy) {
                Some(delay) => self.clock.sleep(delay).await,
                None => return end,
            }
        }
    }

    /// One try, unless this lakeFS asked for quiet. What others ask with their own credentials is no loop of ours: it
    /// neither waits for that nor brings it about.
    async fn admitted(&self, call: &Call, silence: OnSilence) -> Result<Exchanged, Fault> {
        if call.authorization.is_some() {
            return Ok(self.timed(call, silence).await);
        }
        let pass = self.throttle.admit(self.clock.monotonic()).map_err(|status| {
            let message = "not asked: it throttles us, and the time that it asked for is not over";
            self.fault(call, FaultKind::Retry, Some(status), message)
        })?;
        let exchanged = self.timed(call, silence).await;
        match &exchanged {
            Exchanged::Ended(Ok(reply)) if reply.throttles() => {
                pass.throttled(reply.status, reply.retry_after, self.clock.monotonic(), &*self.entropy);
            }
            Exchanged::Ended(Ok(_)) => pass.answered(),
            Exchanged::Ended(Err(_)) | Exchanged::Silent => drop(pass),
        }
        Ok(exchanged)
    }

    /// A fault of a call at this endpoint, its message rid of secrets.
    pub(super) fn fault(&self, call: &Call, kind: FaultKind, status: Option<u16>, message: &str) -> Fault {
        let mut message = clipped(message, MESSAGE_CHARS);
        for secret in self.unspeakable.iter().filter(|secret| !secret.is_empty()) {
            if message.contains(secret.expose()) {
                message = message.replace(secret.expose(), "***");
            }
        }
        call.fault(&self.endpoint.shown, kind, status, message)
    }

    /// One try within its time.
    async fn timed(&self, call: &Call, silence: OnSilence) -> Exchanged {
        let pool = self.connections.pool();
        let exchange = pin!(self.exchange(call, &pool, silence));
        let limit = pin!(self.clock.sleep(call.limits.timeout));
        match select(exchange, limit).await {
            Either::Left((end, _)) => end,
            Either::Right(_) => {
                // Nobody can tell a slow answer from one that will never come: the next call uses another connection.
                self.connections.went_silent(&pool);
                let message = format!("no complete answer within {:?}", call.limits.timeout);
                Exchanged::Ended(Err(self.fault(call, FaultKind::Retry, None, &message)))
            }
        }
    }

    async fn exchange(&self, call: &Call, pool: &Pool, silence: OnSilence) -> Exchanged {
        let began = self.clock.monotonic();
        let sent = pin!(self.request(call, pool).send());
        let response = match silence {
            OnSilence::Wait => sent.await,
            OnSilence::AskAnew(least) | OnSilence::Fail(least) => {
                let patience = pin!(self.clock.sleep(pool.brief_wait(least)));
                match select(sent, patience).await {
                    Either::Left((response, _)) => response,
                    Either::Right(_) => return self.silent(call, pool, silence),
                }
            }
        };
        let response = match response {
            Ok(response) => response,
            Err(error) => return Exchanged::Ended(Err(self.lost(call, None, error))),
        };
        self.connections.answered(pool, self.clock.monotonic().saturating_sub(began));
        Exchanged::Ended(self.read(call, response).await)
    }

    fn silent(&self, call: &Call, pool: &Pool, silence: OnSilence) -> Exchanged {
        self.connections.went_silent(pool);
        match silence {
            OnSilence::AskAnew(_) => Exchanged::Silent,
            OnSilence::Fail(_) | OnSilence::Wait => {
                let message = "no answer began in time; the next call opens a new connection";
                Exchanged::Ended(Err(self.fault(call, FaultKind::Retry, None, message)))
            }
        }
    }

    fn request(&self, call: &Call, pool: &Pool) -> RequestBuilder {
        let url = format!("{}{}", self.endpoint.base, call.target);
        let authorization = call.authorization.as_ref().unwrap_or(&self.authorization);
        let mut request = pool.http.request(call.method.clone(), url).header(AUTHORIZATION, authorization);
        if let Some(range) = call.range {
            request = request.header(RANGE, HeaderValue::from_static(range));
        }
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body.clone());
        }
        request
    }

    async fn read(&self, call: &Call, mut response: Response) -> Result<Reply, Fault> {
        let status = response.status().as_u16();
        let headers = response.headers();
        let mut reply = Reply {
            status,
            body: Bytes::new(),
            content_range: text(headers, &CONTENT_RANGE).map(str::to_owned),
            repeated: false,
            retry_after: text(headers, &RETRY_AFTER)
                .and_then(|value| retry_after(value, text(headers, &DATE), self.clock.wall_ms())),
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
        if let Some(cause) = error.source() {
            message.push_str(": ");
            message.push_str(&chain(cause));
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
        Ok(reply) if passing(reply.status) && !reply.throttles() => Again::Yes,
        _ => Again::No,
    }
}

/// Statuses that speak of the moment, not of the request: failures of the server or a proxy. 410 of a repository in
/// deletion is not among them: that takes longer than a few tries.
fn passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 500 | 502..=504 | 506..=599)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
