//! What a failed request means. Codes:
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>.

use std::error::Error;
use std::fmt::Write as _;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use lakemirror_core::causes::bounded;
use lakemirror_ports::FaultKind;

use super::super::attempts::{Effect, Failure};

/// The longest message made of an error and its causes, in bytes.
const MESSAGE_MAX: usize = 600;

/// Whether a conditional write was made; `false` where something else was there than expected.
pub(super) fn unless_changed<T, E>(answer: Result<T, SdkError<E, HttpResponse>>) -> Result<bool, Failure>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match answer {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(false),
        Err(error) => Err(of(&error)),
    }
}

/// A failed request.
pub(super) fn of<E>(error: &SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let status = match error {
        SdkError::ServiceError(service) => Some(service.raw().status().as_u16()),
        SdkError::ResponseError(response) => Some(response.raw().status().as_u16()),
        _ => None,
    };
    let code = error.code().unwrap_or_default();
    let (kind, effect, advice) = match status {
        Some(status) => classify(status, code),
        None => unanswered(error),
    };
    let mut message = match error.message() {
        Some(message) => format!("{code}: {message}"),
        None if !code.is_empty() => code.to_owned(),
        None => bounded(error, MESSAGE_MAX),
    };
    message.truncate(message.floor_char_boundary(MESSAGE_MAX));
    if !advice.is_empty() {
        let _ = write!(message, " ({advice})");
    }
    Failure { kind, effect, status, message }
}

fn classify(status: u16, code: &str) -> (FaultKind, Effect, &'static str) {
    match (status, code) {
        (
            _,
            "ProvisionedThroughputExceededException"
            | "ThrottlingException"
            | "Throttling"
            | "RequestLimitExceeded"
            | "ReplicatedWriteConflictException"
            | "TransactionConflictException"
            | "LimitExceededException",
        )
        | (429, _) => (FaultKind::Retry, Effect::NoneTryAgain, ""),
        (_, "ResourceInUseException") => (FaultKind::Retry, Effect::None, ""),
        (_, "ResourceNotFoundException") => {
            (FaultKind::Retry, Effect::None, "the table was deleted; restart this process, which makes it again")
        }
        (_, "AccessDeniedException") => (
            FaultKind::Denied,
            Effect::None,
            "needed on the table are dynamodb:DescribeTable, GetItem, Query, PutItem and DeleteItem, and CreateTable to make it",
        ),
        (
            _,
            "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "IncompleteSignatureException"
            | "IncompleteSignature"
            | "MissingAuthenticationTokenException"
            | "MissingAuthenticationToken"
            | "InvalidClientTokenId"
            | "ExpiredTokenException"
            | "OptInRequired"
            | "NotAuthorizedException",
        )
        | (401, _) => {
            (FaultKind::Denied, Effect::None, "wrong or expired credentials, or this machine's clock is wrong")
        }
        (403, _) => (FaultKind::Denied, Effect::None, "a permission is missing"),
        (500..=599, _) | (408, _) => (FaultKind::Retry, Effect::Unknown, ""),
        (200..=299, _) => (FaultKind::Retry, Effect::Unknown, "the answer could not be read"),
        (_, "") => (FaultKind::Refused, Effect::None, "is this a DynamoDB endpoint?"),
        _ => (FaultKind::Refused, Effect::None, ""),
    }
}

/// A failure before any answer.
fn unanswered<E>(error: &SdkError<E, HttpResponse>) -> (FaultKind, Effect, &'static str)
where
    E: Error + 'static,
{
    if is_about_credentials(error) {
        let advice =
            "no credentials: set mirrors_database.dynamodb.aws_access_key_id, aws_profile or the AWS environment";
        return (FaultKind::Denied, Effect::None, advice);
    }
    match error {
        SdkError::ConstructionFailure(_) => (FaultKind::Refused, Effect::None, "the request could not be made"),
        _ => (FaultKind::Retry, Effect::Unknown, ""),
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
mod tests {
    use super::*;

    #[test]
    fn only_what_was_certainly_not_done_is_made_again() {
        for (status, code, kind, effect) in [
            (400, "ThrottlingException", FaultKind::Retry, Effect::NoneTryAgain),
            (400, "ProvisionedThroughputExceededException", FaultKind::Retry, Effect::NoneTryAgain),
            (400, "ReplicatedWriteConflictException", FaultKind::Retry, Effect::NoneTryAgain),
            (429, "", FaultKind::Retry, Effect::NoneTryAgain),
            (400, "AccessDeniedException", FaultKind::Denied, Effect::None),
            (400, "UnrecognizedClientException", FaultKind::Denied, Effect::None),
            (400, "ValidationException", FaultKind::Refused, Effect::None),
            (400, "ResourceNotFoundException", FaultKind::Retry, Effect::None),
            (500, "InternalServerError", FaultKind::Retry, Effect::Unknown),
            (503, "ServiceUnavailable", FaultKind::Retry, Effect::Unknown),
            (200, "", FaultKind::Retry, Effect::Unknown),
            (404, "", FaultKind::Refused, Effect::None),
        ] {
            let (found, done, _) = classify(status, code);
            assert_eq!((found, done), (kind, effect), "{status} {code}");
        }
    }
}
