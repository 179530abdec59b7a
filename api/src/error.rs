//! The errors of the API: a status and `{"message": "…", "code": "…"}`. lakeFS puts the message in the same field.
//!
//! This module owns the codes and their meaning for a client. The message is for people; no program should parse it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The kind of an error: its `code`. Programs decide by the code, never by the message.
///
/// | code | status | a retry can help |
/// |---|---|---|
/// | `invalid` | 400 | no |
/// | `unauthenticated`, `not_permitted` | 401 | no |
/// | `not_found` | 404 | no |
/// | `method_not_allowed` | 405 | no |
/// | `timed_out` | 408 | yes: the request came too slowly |
/// | `conflict` | 409 | no |
/// | `too_large` | 413 | no |
/// | `internal` | 500 | yes |
/// | `unavailable`, `starting` | 503 | yes |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request must be changed; the message says how.
    Invalid,
    /// No credentials, or wrong ones.
    Unauthenticated,
    /// The user is not permitted to do this. Like lakeFS, this answers 401.
    NotPermitted,
    /// The repository, mirror or path does not exist.
    NotFound,
    /// The path exists, but not with this method.
    MethodNotAllowed,
    /// The body of the request did not come in time.
    TimedOut,
    /// The name is taken.
    Conflict,
    /// The body is too large.
    TooLarge,
    /// A fault in lakemirror itself.
    Internal,
    /// A service that the call needs does not answer.
    Unavailable,
    /// lakemirror is not ready yet.
    Starting,
}

impl ErrorCode {
    /// All codes.
    pub const ALL: [Self; 11] = [
        Self::Invalid,
        Self::Unauthenticated,
        Self::NotPermitted,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::TimedOut,
        Self::Conflict,
        Self::TooLarge,
        Self::Internal,
        Self::Unavailable,
        Self::Starting,
    ];

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthenticated | Self::NotPermitted => 401,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::TimedOut => 408,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Internal => 500,
            Self::Unavailable | Self::Starting => 503,
        }
    }

    /// Whether the same call may succeed later without any change by the caller or an operator.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::TimedOut | Self::Internal | Self::Unavailable | Self::Starting => true,
            Self::Invalid
            | Self::Unauthenticated
            | Self::NotPermitted
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::Conflict
            | Self::TooLarge => false,
        }
    }

    /// Whether the call certainly changed nothing. After `Unavailable` a change may have been made: check before
    /// retrying.
    #[must_use]
    pub const fn changed_nothing(self) -> bool {
        match self {
            Self::Internal | Self::Unavailable => false,
            Self::Invalid
            | Self::Unauthenticated
            | Self::NotPermitted
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::TimedOut
            | Self::Conflict
            | Self::TooLarge
            | Self::Starting => true,
        }
    }
}

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// Its kind.
    pub code: ErrorCode,
    /// What happened, to what, and what to do.
    pub message: String,
}

impl ApiError {
    /// Creates an error of a kind with a message.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// The body of every error response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What happened, to what, and what to do.
    pub message: String,
    /// Its kind.
    pub code: ErrorCode,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_errors_are_final_and_server_errors_are_not() {
        for code in ErrorCode::ALL {
            assert_eq!(code.is_retryable(), code.status() >= 500 || code.status() == 408, "{code:?}");
            assert!(code.changed_nothing() || code.status() >= 500, "{code:?}");
        }
    }
}
