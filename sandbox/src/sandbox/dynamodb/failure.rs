//! Errors in DynamoDB's form: a status, the error's name with its namespace, and a message.

use std::error::Error;

use axum::http::StatusCode;
use serde_json::json;

const DYNAMODB: &str = "com.amazonaws.dynamodb.v20120810";
const SERVICE: &str = "com.amazon.coral.service";
const VALIDATE: &str = "com.amazon.coral.validate";

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    status: StatusCode,
    namespace: &'static str,
    pub(super) name: &'static str,
    pub(super) message: String,
}

impl Failure {
    fn new(namespace: &'static str, name: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, namespace, name, message: message.into() }
    }

    /// The request is not valid.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(VALIDATE, "ValidationException", message)
    }

    /// The body is not JSON.
    pub(super) fn no_json() -> Self {
        Self::new(SERVICE, "SerializationException", "the body is not JSON")
    }

    /// The condition does not hold.
    pub(super) fn condition() -> Self {
        Self::new(DYNAMODB, "ConditionalCheckFailedException", "The conditional request failed")
    }

    /// The table does not exist.
    pub(super) fn no_table(table: &str) -> Self {
        let message = format!("Requested resource not found: Table: {table} not found");
        Self::new(DYNAMODB, "ResourceNotFoundException", message)
    }

    /// The table exists already.
    pub(super) fn table_exists(table: &str) -> Self {
        Self::new(DYNAMODB, "ResourceInUseException", format!("Table already exists: {table}"))
    }

    /// The request is not signed.
    pub(super) fn unsigned() -> Self {
        Self::new(SERVICE, "MissingAuthenticationTokenException", "Request is missing Authentication Token")
    }

    /// A part of the signature is missing.
    pub(super) fn half_signed(part: &str) -> Self {
        let message = format!("Authorization header requires '{part}' parameter.");
        Self::new(SERVICE, "IncompleteSignatureException", message)
    }

    /// The header names no operation of DynamoDB.
    pub(super) fn unknown_operation() -> Self {
        Self::new(SERVICE, "UnknownOperationException", "X-Amz-Target names no operation of DynamoDB_20120810")
    }

    /// The body is too large.
    pub(super) fn too_large(bytes: usize) -> Self {
        let message = format!("the body is longer than {bytes} bytes, or ended early");
        let failure = Self::new(SERVICE, "RequestEntityTooLargeException", message);
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, ..failure }
    }

    /// An internal error of the sandbox.
    pub(super) fn internal(error: &dyn Error) -> Self {
        let failure = Self::new(DYNAMODB, "InternalServerError", error.to_string());
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, ..failure }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn body(&self) -> serde_json::Value {
        json!({"__type": format!("{}#{}", self.namespace, self.name), "message": self.message})
    }
}
