//! The HTTP side: routes, common processing of every call, and responses in lakeFS's form.
//!
//! Every route is an [`Operation`]: the schema of its query and body, and a function from a [`Call`] to an [`Answer`].
//! A call is validated against its schema, then authenticated, then executed on a blocking thread. Uploads are the
//! exception: their bodies are streamed ([`uploads`]).

mod answer;
mod branches;
mod call;
mod commits;
mod control;
mod metadata;
mod multipart;
mod objects;
mod reads;
mod refs;
mod repositories;
mod settings;
mod system;
mod tags;
mod uploads;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, request::Parts};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::failure::{Failure, Kind, Outcome};
use super::faults::Fault;
use super::serve::Hangup;
use super::validate::{self, Param, Sort};
use super::{Sandbox, auth};
use answer::Answer;
use call::Call;

/// The base path of lakeFS's API.
const BASE: &str = "/api/v1";
/// The largest body of a call that is not an upload.
const BODY_BYTES_MAX: usize = 32 << 20;

/// One route.
struct Operation {
    method: Method,
    path: &'static str,
    query: Arc<[Param]>,
    body: Option<&'static str>,
    guard: Guard,
    run: fn(&Call) -> Outcome<Answer>,
}

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// Everyone; credentials are ignored.
    Open,
    /// Everyone except callers with wrong credentials.
    Optional,
    /// The user.
    User,
}

const fn text(name: &'static str) -> Param {
    Param { name, required: false, sort: Sort::Text }
}

const fn required(name: &'static str) -> Param {
    Param { name, required: true, sort: Sort::Text }
}

const fn flag(name: &'static str) -> Param {
    Param { name, required: false, sort: Sort::Flag }
}

const AMOUNT: Param = Param { name: "amount", required: false, sort: Sort::Amount };

impl Operation {
    fn new(method: Method, path: &'static str, run: fn(&Call) -> Outcome<Answer>) -> Self {
        Self { method, path, query: Arc::default(), body: None, guard: Guard::User, run }
    }

    fn query<const N: usize>(self, query: [Param; N]) -> Self {
        Self { query: query.into(), ..self }
    }

    fn body(self, schema: &'static str) -> Self {
        Self { body: Some(schema), ..self }
    }

    fn guard(self, guard: Guard) -> Self {
        Self { guard, ..self }
    }

    fn into_route(self) -> (String, MethodRouter<Sandbox>) {
        let filter = MethodFilter::try_from(self.method.clone()).unwrap_or(MethodFilter::GET);
        let path = format!("{BASE}{}", self.path);
        let Self { query, body, guard, run, .. } = self;
        let handle = move |State(sandbox): State<Sandbox>, params: RawPathParams, request: Request| async move {
            let params = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            let (parts, bytes) = request.into_parts();
            let outcome = perform(sandbox, parts, bytes, params, (query, body, guard, run)).await;
            answer::respond(outcome)
        };
        (path, on(filter, handle))
    }
}

type Shape = (Arc<[Param]>, Option<&'static str>, Guard, fn(&Call) -> Outcome<Answer>);

async fn perform(
    sandbox: Sandbox,
    parts: Parts,
    body: Body,
    params: Vec<(String, String)>,
    (query, schema, guard, run): Shape,
) -> Outcome<Answer> {
    let found = call::parse_query(parts.uri.query());
    validate::query(&query, &found)?;
    let value = match schema {
        None => serde_json::Value::Null,
        Some(schema) => {
            call::check_content_type(&parts.headers)?;
            let bytes = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(Failure::internal)?;
            validate::body(schema, &bytes)?
        }
    };
    let known = match guard {
        Guard::Open => false,
        Guard::Optional => sandbox.access.check(&parts.headers, sandbox.lake.seconds())?,
        Guard::User => authenticate(&sandbox, &parts.headers)?,
    };
    let call = Call { sandbox, params, query: found, body: value, headers: parts.headers, known };
    tokio::task::spawn_blocking(move || run(&call)).await.map_err(Failure::internal)?
}

/// Accepts the user only.
fn authenticate(sandbox: &Sandbox, headers: &HeaderMap) -> Outcome<bool> {
    let known = sandbox.access.check(headers, sandbox.lake.seconds())?;
    known.then_some(true).ok_or_else(auth::unauthenticated)
}

/// All routes of a sandbox.
pub(super) fn router(sandbox: Sandbox) -> Router {
    let all = [
        system::operations(),
        repositories::operations(),
        branches::operations(),
        commits::operations(),
        refs::operations(),
        tags::operations(),
        objects::operations(),
        reads::operations(),
        metadata::operations(),
        settings::operations(),
    ];
    let mut router = Router::new();
    for operation in all.into_iter().flatten() {
        let (path, route) = operation.into_route();
        router = router.route(&path, route);
    }
    let router = router
        .route(&format!("{BASE}{}", uploads::PATH), on(MethodFilter::POST, uploads::upload))
        .route("/_health", on(MethodFilter::GET, system::health))
        .merge(control::routes(sandbox.control))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown);
    router.layer(middleware::from_fn_with_state(sandbox.clone(), surround)).with_state(sandbox)
}

async fn unknown() -> Response {
    answer::respond(Err(Failure::new(Kind::NotFound, "invalid API endpoint")))
}

/// A path with `*` in place of every name, for counting calls.
fn route_of(path: &str) -> String {
    const BEFORE_NAMES: [&str; 9] =
        ["repositories", "branches", "refs", "commits", "tags", "range", "meta_range", "merge", "diff"];
    let mut route = Vec::new();
    let mut before = "";
    for part in path.split('/') {
        let is_name = BEFORE_NAMES.contains(&before);
        route.push(if is_name { "*" } else { part });
        before = if is_name { "*" } else { part };
    }
    route.join("/")
}

/// Counts a call, and applies the faults before it.
async fn surround(State(sandbox): State<Sandbox>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    if path.starts_with(control::BASE) {
        return next.run(request).await;
    }
    sandbox.faults.count(&method, &route_of(&path));
    let hangup = request.extensions().get::<axum::extract::ConnectInfo<Hangup>>().map(|info| info.0.clone());
    let verdict = sandbox.faults.judge(&method, &path);
    if !verdict.delay.is_zero() {
        sandbox.clock.sleep(verdict.delay).await;
    }
    match verdict.fault {
        None | Some(Fault::Delay { .. }) => {}
        Some(Fault::Drop) => return answer::nothing(hangup),
        Some(Fault::Status { code, message }) => {
            let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return answer::message(status, &message);
        }
        Some(Fault::Answer { code, headers, body }) => return answer::verbatim(code, &headers, body),
        Some(Fault::LoseAnswer) => {
            next.run(request).await;
            return answer::nothing(hangup);
        }
    }
    let response = next.run(request).await;
    if response.extensions().get::<answer::NoAnswer>().is_some() {
        return answer::nothing(hangup);
    }
    response
}
