//! What S3's failures mean: by the raw status first, then by the error's code.
//!
//! Owns the one table from `SdkError` to outcomes and faults. A HEAD has no body: its 404 is absence (or a delete
//! marker, where the header says so), its 403 is permission. Elsewhere 404 counts as absence only with the code
//! `NoSuchKey`. Source: the errors of <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.

use std::error::Error;
use std::fmt::Write as _;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use lakemirror_core::causes::bounded;
use lakemirror_ports::{Fault, FaultKind, Fetched};

use super::super::Found;

/// The longest message made of an error and its causes, in bytes.
pub(super) const MESSAGE_MAX: usize = 600;

/// A failed GET.
pub(super) fn get<E>(call: String, error: &SdkError<E, HttpResponse>) -> Result<Fetched, Fault>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if status(error) == Some(404) {
        if is_marker(error) {
            return Ok(Fetched::Deleted);
        }
        if error.code() == Some("NoSuchKey") {
            return Ok(Fetched::Absent);
        }
    }
    Err(to_fault(call, error))
}

/// A failed HEAD.
pub(super) fn head<E>(call: impl Fn() -> String, error: &SdkError<E, HttpResponse>) -> Result<Found, Fault>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match status(error) {
        Some(404) if is_marker(error) => Ok(Found::Deleted),
        Some(404) => Ok(Found::Absent),
        Some(403) => Ok(Found::Forbidden),
        _ => Err(to_fault(call(), error)),
    }
}

/// A failed LIST.
pub(super) fn list<E>(call: String, error: &SdkError<E, HttpResponse>) -> Fault
where
    E: ProvideErrorMetadata + Error + 'static,
{
    to_fault(call, error)
}

fn response<E>(error: &SdkError<E, HttpResponse>) -> Option<&HttpResponse> {
    match error {
        SdkError::ServiceError(service) => Some(service.raw()),
        SdkError::ResponseError(response) => Some(response.raw()),
        _ => None,
    }
}

fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    response(error).map(|response| response.status().as_u16())
}

fn header<'a, E>(error: &'a SdkError<E, HttpResponse>, name: &str) -> Option<&'a str> {
    response(error)?.headers().get(name)
}

fn is_marker<E>(error: &SdkError<E, HttpResponse>) -> bool {
    header(error, "x-amz-delete-marker").is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn to_fault<E>(call: String, error: &SdkError<E, HttpResponse>) -> Fault
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let status = status(error);
    let code = error.code().unwrap_or_default();
    let (kind, advice) = match status {
        Some(status) => classify(status, code),
        None => unanswered(error),
    };
    let mut message = match error.message() {
        Some(message) => format!("{code}: {message}"),
        None if !code.is_empty() => code.to_owned(),
        None => bounded(error, MESSAGE_MAX),
    };
    if !advice.is_empty() {
        let _ = write!(message, " ({advice})");
    }
    if let Some(region) = header(error, "x-amz-bucket-region").filter(|_| kind == FaultKind::Refused) {
        let _ = write!(message, "; the bucket is in region {region}");
    }
    Fault { kind, call, status, message }
}

/// The kind of an answered failure, and what to do about it.
fn classify(status: u16, code: &str) -> (FaultKind, &'static str) {
    match (status, code) {
        (_, "NoSuchBucket") => (FaultKind::Refused, "there is no such bucket at this endpoint"),
        (_, "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException")
        | (301 | 307 | 308, _) => (FaultKind::Refused, "the bucket is in another region: correct blockstore.s3.region"),
        (_, "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken" | "InvalidToken") => {
            (FaultKind::Denied, "wrong or expired credentials")
        }
        (403, "InvalidObjectState") => (FaultKind::Denied, "it is in an archive class: restore it"),
        (_, "RequestTimeTooSkewed") => (FaultKind::Denied, "correct this machine's clock"),
        (_, "RequestTimeout" | "SlowDown") => (FaultKind::Retry, ""),
        (401 | 403, _) => (FaultKind::Denied, "a permission is missing, or the credentials are not known here"),
        (501, _) => (FaultKind::Refused, "the store does not support this request"),
        (408 | 429 | 500..=599, _) => (FaultKind::Retry, ""),
        (404, _) => (FaultKind::Contradiction, "a 404 that is not S3's: is this an S3 endpoint?"),
        (200..=299, _) => (FaultKind::Retry, "the answer could not be read"),
        _ => (FaultKind::Refused, ""),
    }
}

/// The kind of a failure before any answer.
fn unanswered<E>(error: &SdkError<E, HttpResponse>) -> (FaultKind, &'static str)
where
    E: Error + 'static,
{
    if is_about_credentials(error) {
        return (FaultKind::Denied, "no credentials: set blockstore.s3.credentials or the AWS environment");
    }
    match error {
        SdkError::ConstructionFailure(_) => (FaultKind::Refused, "the request could not be made"),
        _ => (FaultKind::Retry, ""),
    }
}

fn is_about_credentials(error: &(dyn Error + 'static)) -> bool {
    use aws_credential_types::provider::error::CredentialsError;
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(credentials) = error.downcast_ref::<CredentialsError>() {
            // A provider that could not be reached in time may be reached later.
            return !matches!(credentials, CredentialsError::ProviderTimedOut(_));
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests;
