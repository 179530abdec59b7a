//! A request's body, read whole before anything is done with it: bounded in bytes and in time.
//!
//! A peer that sends half a body, or one without end, costs a connection for [`BODY_TIME_MAX`] and nothing else.

use std::time::Duration;

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::BODY_BYTES_MAX;
use crate::error::{ApiError, ErrorCode};

/// How long a body may take to come, from the end of the request's head.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(30);

pub(super) async fn read_whole(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return next.run(Request::from_parts(parts, body)).await;
    }
    match tokio::time::timeout(BODY_TIME_MAX, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(bytes)) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Ok(Err(error)) => refused(ApiError::new(ErrorCode::TooLarge, unreadable(&error))),
        Err(_) => {
            let seconds = BODY_TIME_MAX.as_secs();
            let message = format!("the request body did not come within {seconds} seconds; send it again");
            refused(ApiError::new(ErrorCode::TimedOut, message))
        }
    }
}

/// What went wrong with a body: nearly always its size. A peer that broke off reads no answer.
fn unreadable(error: &axum::Error) -> String {
    format!("the request body may have {BODY_BYTES_MAX} bytes, and has to be complete ({error})")
}

/// What is left of the body is not waited for: the connection ends with the answer.
fn refused(error: ApiError) -> Response {
    let mut response = error.into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
