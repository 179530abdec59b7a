//! Failures as lakeFS reports them: a kind that determines the status, and the message for clients.
//!
//! lakeFS builds its messages by wrapping (`ref: not found`); [`Failure::within`] does the same. The kinds and their
//! statuses are those of lakeFS's own table of errors. The messages are part of its interface, because only the message
//! distinguishes one 404 from another.

use std::fmt;

use axum::http::StatusCode;

/// What went wrong, as far as the status and internal callers need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The repository does not exist.
    RepositoryNotFound,
    /// Something else does not exist.
    NotFound,
    /// A write to a read-only repository without force, a protected or default branch.
    Forbidden,
    /// The request is not valid.
    Invalid,
    /// Something of that name exists already.
    NotUnique,
    /// Two names or two changes collide.
    Conflict,
    /// The repository is being deleted.
    InDeletion,
    /// A file is not in the blockstore.
    NoData,
    /// A condition of the request does not hold.
    Precondition,
    /// lakeFS's open-source edition does not do this, or the sandbox does not.
    NotImplemented,
    /// No or wrong credentials.
    Unauthorized,
    /// A range outside the object.
    RangeNotSatisfiable,
    /// Everything else.
    Internal,
    /// No response: the connection is closed.
    Hangup,
}

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Determines the status.
    pub kind: Kind,
    /// The message for the client.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// A failure of a kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The same failure with the operation before the message: `what: message`. A missing file stays `No data`.
    #[must_use]
    pub fn within(self, what: impl fmt::Display) -> Self {
        if self.kind == Kind::NoData {
            return self;
        }
        Self { message: format!("{what}: {}", self.message), ..self }
    }

    /// Whether something, of whatever kind, does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self.kind, Kind::NotFound | Kind::RepositoryNotFound)
    }

    /// `branch not found`.
    pub fn branch_not_found() -> Self {
        Self::new(Kind::NotFound, "branch not found")
    }

    /// `commit not found`.
    pub fn commit_not_found() -> Self {
        Self::new(Kind::NotFound, "commit not found")
    }

    /// `not found`: an unresolvable ref or a missing path.
    pub fn not_found() -> Self {
        Self::new(Kind::NotFound, "not found")
    }

    /// `read-only repository`.
    pub fn read_only() -> Self {
        Self::new(Kind::Forbidden, "read-only repository")
    }

    /// `No data`: a file is not in the blockstore.
    pub fn no_data() -> Self {
        Self::new(Kind::NoData, "No data")
    }

    /// An argument that is not a valid value, as lakeFS words it.
    pub fn invalid_value(what: &str) -> Self {
        Self::new(Kind::Invalid, format!("{what}: invalid value: validation error"))
    }

    /// A required argument that is empty. lakeFS answers 500 here.
    pub fn required_value() -> Self {
        Self::new(Kind::Internal, "required value: validation error")
    }

    /// An internal failure.
    pub fn internal(error: impl fmt::Display) -> Self {
        Self::new(Kind::Internal, error.to_string())
    }

    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        match self.kind {
            Kind::RepositoryNotFound | Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::Invalid => StatusCode::BAD_REQUEST,
            Kind::NotUnique | Kind::Conflict => StatusCode::CONFLICT,
            Kind::InDeletion | Kind::NoData => StatusCode::GONE,
            Kind::Precondition => StatusCode::PRECONDITION_FAILED,
            Kind::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            Kind::Unauthorized => StatusCode::UNAUTHORIZED,
            Kind::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
            Kind::Internal | Kind::Hangup => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<super::log::LogError> for Failure {
    fn from(error: super::log::LogError) -> Self {
        Self::internal(error)
    }
}

/// The result of a call.
pub type Outcome<T> = Result<T, Failure>;
