//! The trace of a request: an id in the answer, and one call to the observer that logs and counts.
//!
//! The header is lakeFS's `X-Request-ID`. Query and headers are not passed on, because they may hold secrets.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use crate::{BASE_PATH, HEALTH_PATH, LIVE_PATH, OPENAPI_PATH, READY_PATH};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Logs and counts requests. Both methods must return at once.
pub trait Observer: Send + Sync {
    /// Called when a request begins. Returns its id, of visible ASCII characters.
    fn begun(&self) -> String;
    /// Called when a request was answered. `route` is the path without the base path and with the names of parameters
    /// in place of their values; `-` if unknown.
    fn answered(&self, id: &str, method: &str, route: &str, path: &str, status: u16);
}

pub(super) async fn observe(State(observer): State<Arc<dyn Observer>>, request: Request, next: Next) -> Response {
    let id = observer.begun();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    observer.answered(&id, method.as_str(), route(&path), &path, response.status().as_u16());
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// The path with names in place of values, so that the number of routes stays bounded.
fn route(path: &str) -> &'static str {
    match path {
        HEALTH_PATH => return HEALTH_PATH,
        LIVE_PATH => return LIVE_PATH,
        READY_PATH => return READY_PATH,
        OPENAPI_PATH => return "/openapi.json",
        _ => {}
    }
    let below = path.strip_prefix(BASE_PATH).unwrap_or_default();
    let mut parts = below.split('/').skip(1);
    match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("repositories"), Some(_), Some("mirrors"), None, None) => "/repositories/{repository}/mirrors",
        (Some("repositories"), Some(_), Some("mirrors"), Some(_), None) => {
            "/repositories/{repository}/mirrors/{mirror}"
        }
        _ => "-",
    }
}
