//! Responses in lakeFS's form: JSON as Go writes it, `{"message": …}` for failures, and no response at all.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::sandbox::failure::{Failure, Kind, Outcome};
use crate::sandbox::model::Commit;
use crate::sandbox::serve::Hangup;

/// Marks a response that must not reach the client.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoAnswer;

/// The media type of JSON.
pub(super) const JSON: &str = "application/json";

/// A successful answer.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
}

impl Answer {
    /// JSON.
    pub(super) fn json(status: StatusCode, value: &Value) -> Self {
        let answer = Self::bytes(status, JSON, json_bytes(value));
        answer.header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
    }

    /// A failure.
    pub(super) fn failure(failure: &Failure) -> Self {
        Self::json(failure.status(), &json!({ "message": failure.message }))
    }

    /// 200 with JSON.
    pub(super) fn ok(value: &Value) -> Outcome<Self> {
        Ok(Self::json(StatusCode::OK, value))
    }

    /// 201 with JSON.
    pub(super) fn created(value: &Value) -> Outcome<Self> {
        Ok(Self::json(StatusCode::CREATED, value))
    }

    /// A status without a body.
    pub(super) fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Body::empty() }
    }

    /// 204.
    pub(super) fn done() -> Outcome<Self> {
        Ok(Self::empty(StatusCode::NO_CONTENT))
    }

    /// Bytes of a media type.
    pub(super) fn bytes(status: StatusCode, media: &str, bytes: impl Into<Bytes>) -> Self {
        Self::body(status, Body::from(bytes.into())).header(header::CONTENT_TYPE, media)
    }

    /// With any body.
    pub(super) fn body(status: StatusCode, body: Body) -> Self {
        Self { status, headers: HeaderMap::new(), body }
    }

    /// Adds a header; an invalid one is left out.
    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

/// JSON as Go's encoder writes it: `<`, `>` and `&` are escaped, and a line feed follows.
fn json_bytes(value: &Value) -> Vec<u8> {
    let text = value.to_string();
    let mut out = Vec::with_capacity(text.len() + 1);
    for c in text.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.extend(format!("\\u{:04x}", u32::from(c)).bytes()),
            c => out.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    out.push(b'\n');
    out
}

/// The response for a result.
pub(super) fn respond(outcome: Outcome<Answer>) -> Response {
    match outcome {
        Ok(answer) => (answer.status, answer.headers, answer.body).into_response(),
        Err(failure) if failure.kind == Kind::Hangup => {
            let mut response = Response::new(Body::empty());
            response.extensions_mut().insert(NoAnswer);
            response
        }
        Err(failure) => message(failure.status(), &failure.message),
    }
}

/// The response for a failure.
pub(super) fn message(status: StatusCode, message: &str) -> Response {
    respond(Ok(Answer::json(status, &json!({ "message": message }))))
}

/// A response as a test specified it; an invalid status or header is left out.
pub(super) fn verbatim(code: u16, headers: &BTreeMap<String, String>, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            fields.insert(name, value);
        }
    }
    response
}

/// Closes the connection without a response. If the connection cannot be reached, the response announces bytes that
/// never follow.
pub(super) fn nothing(hangup: Option<Hangup>) -> Response {
    match hangup {
        Some(hangup) => {
            hangup.raise();
            Response::new(Body::empty())
        }
        None => {
            let broken = futures_util::stream::once(async { Err::<Bytes, _>(std::io::Error::other("answer lost")) });
            let mut response = Response::new(Body::from_stream(broken));
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("1"));
            response
        }
    }
}

/// `No answer at all` as a result.
pub(super) fn hang_up() -> Failure {
    Failure::new(Kind::Hangup, "")
}

/// The `pagination` of a list.
pub(super) fn pagination(results: usize, more: bool, last: Option<&str>) -> Value {
    let next = if more { last.unwrap_or_default() } else { "" };
    json!({"has_more": more, "max_per_page": 1000, "next_offset": next, "results": results})
}

/// A list of items with their ids.
pub(super) fn list(items: Vec<(String, Value)>, more: bool) -> Value {
    let pagination = pagination(items.len(), more, items.last().map(|(id, _)| id.as_str()));
    let results: Vec<Value> = items.into_iter().map(|(_, value)| value).collect();
    json!({ "pagination": pagination, "results": results })
}

/// A branch or tag.
pub(super) fn reference(id: &str, commit: &str) -> Value {
    json!({"commit_id": commit, "id": id})
}

/// A commit.
pub(super) fn commit(commit: &Commit) -> Value {
    json!({
        "committer": commit.committer,
        "creation_date": commit.seconds,
        "generation": commit.generation,
        "id": commit.id,
        "message": commit.message,
        "meta_range_id": commit.metarange,
        "metadata": commit.metadata,
        "parents": commit.parents,
        "version": commit.version,
    })
}
