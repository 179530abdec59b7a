//! Reads a request's body as a whole before it is processed, with limits on bytes and time.
//!
//! A peer that sends half a body or an endless one costs only a connection for [`BODY_TIME_MAX`].

use std::time::Duration;

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::BODY_BYTES_MAX;
use crate::error::{ApiError, ErrorCode};

/// The time limit for a body, from the end of the request's head.
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

/// The message for an unreadable body, which is nearly always too large. A peer that disconnected reads no answer.
fn unreadable(error: &axum::Error) -> String {
    format!("the request body may have {BODY_BYTES_MAX} bytes, and has to be complete ({error})")
}

/// Answers without waiting for the rest of the body; the connection ends with the answer.
fn refused(error: ApiError) -> Response {
    let mut response = error.into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
