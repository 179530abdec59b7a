//! `/_sandbox/…`: fault injection over HTTP, for a sandbox that runs as a process. Basic credentials as for the API.
//!
//! | call | what |
//! |---|---|
//! | `GET /_sandbox/faults` | the remaining rules, and the number of calls |
//! | `POST /_sandbox/faults` | adds a rule ([`Rule`] as JSON) |
//! | `DELETE /_sandbox/faults` | clears everything |
//! | `POST /_sandbox/latency` | `{"ms": 200}`: delays every call |
//! | `POST /_sandbox/unreachable` | `{"unreachable": true}`: closes the connection of every other call |

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::any;
use serde::Deserialize;
use serde_json::json;

use super::answer::{self, Answer};
use super::{BODY_BYTES_MAX, Failure, Kind, Outcome, Router, Sandbox, authenticate};
use crate::sandbox::faults::Rule;

/// The base path of these calls.
pub(super) const BASE: &str = "/_sandbox";

#[derive(Deserialize)]
struct Latency {
    ms: u64,
}

#[derive(Deserialize)]
struct Unreachable {
    unreachable: bool,
}

/// The routes; none if they are disabled.
pub(super) fn routes(wanted: bool) -> Router<Sandbox> {
    match wanted {
        true => Router::new().route(&format!("{BASE}/{{knob}}"), any(handle)),
        false => Router::new(),
    }
}

async fn handle(State(sandbox): State<Sandbox>, request: Request) -> Response {
    answer::respond(turn(&sandbox, request).await)
}

async fn turn(sandbox: &Sandbox, request: Request) -> Outcome<Answer> {
    let (parts, body) = request.into_parts();
    authenticate(sandbox, &parts.headers)?;
    let faults = &sandbox.faults;
    match (&parts.method, parts.uri.path().trim_start_matches(BASE)) {
        (&Method::GET, "/faults") => {
            return Answer::ok(&json!({"rules": faults.rules(), "calls": faults.calls()}));
        }
        (&Method::DELETE, "/faults") => faults.clear(),
        (&Method::POST, "/faults") => {
            let rule: Rule = parse(body).await?;
            if !faults.add(rule) {
                return Err(Failure::new(Kind::Invalid, "there are too many rules: clear them first"));
            }
        }
        (&Method::POST, "/latency") => {
            let Latency { ms } = parse(body).await?;
            faults.set_latency(Duration::from_millis(ms));
        }
        (&Method::POST, "/unreachable") => {
            let Unreachable { unreachable } = parse(body).await?;
            faults.set_unreachable(unreachable);
        }
        _ => return Err(Failure::new(Kind::NotFound, "no such setting")),
    }
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

async fn parse<T: for<'de> Deserialize<'de>>(body: Body) -> Outcome<T> {
    let bytes = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(Failure::internal)?;
    serde_json::from_slice(&bytes).map_err(|error| Failure::new(Kind::Invalid, error.to_string()))
}
