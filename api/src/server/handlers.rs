//! One handler for each path: it parses the request, calls the service and answers.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::{BODY_BYTES_MAX, Caller, Startup};
use crate::error::{ApiError, ErrorBody, ErrorCode};
use crate::types::{
    ApprovedDeletions, Deletion, DeletionsApproval, Health, HealthState, ListPage, Mirror, MirrorCreation, MirrorList,
};

type Door = State<Arc<Startup>>;
type Answer<T> = Result<T, ApiError>;

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(ErrorBody { message: self.message, code: self.code })).into_response()
    }
}

pub(super) async fn health(State(startup): Door) -> Json<Health> {
    Json(startup.health())
}

pub(super) async fn readiness(State(startup): Door) -> (StatusCode, Json<Health>) {
    let health = startup.readiness().await;
    let status = if health.state == HealthState::Ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health))
}

pub(super) async fn openapi() -> Answer<Response> {
    let document = crate::openapi::document().map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], document).into_response())
}

pub(super) async fn create(
    State(startup): Door,
    path: Result<Path<String>, PathRejection>,
    caller: Result<Caller, ApiError>,
    body: Result<Bytes, BytesRejection>,
) -> Answer<(StatusCode, Json<Mirror>)> {
    let service = startup.service()?;
    let Path(repository) = path.map_err(bad_path)?;
    named(&repository)?;
    let caller = caller?;
    let creation = creation(&body.map_err(bad_body)?)?;
    let mirror = service.create_mirror(&caller, &repository, creation).await?;
    Ok((StatusCode::CREATED, Json(mirror)))
}

#[derive(Deserialize)]
pub(super) struct ListQuery {
    prefix: Option<String>,
    after: Option<String>,
    amount: Option<String>,
}

pub(super) async fn list(
    State(startup): Door,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<ListQuery>, QueryRejection>,
    caller: Result<Caller, ApiError>,
) -> Answer<Json<MirrorList>> {
    let service = startup.service()?;
    let Path(repository) = path.map_err(bad_path)?;
    named(&repository)?;
    let caller = caller?;
    let Query(query) = query.map_err(|error| invalid(format!("the query cannot be read: {}", error.body_text())))?;
    let amount = query.amount.as_deref().unwrap_or("-1");
    let page = ListPage {
        prefix: query.prefix.unwrap_or_default(),
        after: query.after.unwrap_or_default(),
        amount: ListPage::amount(amount).map_err(invalid)?,
    };
    Ok(Json(service.list_mirrors(&caller, &repository, &page).await?))
}

pub(super) async fn get_one(
    State(startup): Door,
    path: Result<Path<(String, String)>, PathRejection>,
    caller: Result<Caller, ApiError>,
) -> Answer<Json<Mirror>> {
    let service = startup.service()?;
    let Path((repository, mirror)) = path.map_err(bad_path)?;
    named(&repository)?;
    let caller = caller?;
    Ok(Json(service.get_mirror(&caller, &repository, &mirror).await?))
}

#[derive(Deserialize)]
pub(super) struct DeleteQuery {
    force: Option<String>,
}

pub(super) async fn delete(
    State(startup): Door,
    path: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<DeleteQuery>, QueryRejection>,
    caller: Result<Caller, ApiError>,
) -> Answer<StatusCode> {
    let service = startup.service()?;
    let Path((repository, mirror)) = path.map_err(bad_path)?;
    named(&repository)?;
    let caller = caller?;
    let Query(query) = query.map_err(|error| invalid(format!("the query cannot be read: {}", error.body_text())))?;
    let deletion = match query.force.as_deref() {
        None | Some("false") => Deletion::Regular,
        Some("true") => Deletion::Forced,
        Some(other) => return Err(invalid(format!("force must be true or false, not {other:?}"))),
    };
    service.delete_mirror(&caller, &repository, &mirror, deletion).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn approve_deletions(
    State(startup): Door,
    path: Result<Path<(String, String)>, PathRejection>,
    caller: Result<Caller, ApiError>,
    body: Result<Bytes, BytesRejection>,
) -> Answer<(StatusCode, Json<ApprovedDeletions>)> {
    let service = startup.service()?;
    let Path((repository, mirror)) = path.map_err(bad_path)?;
    named(&repository)?;
    let caller = caller?;
    let approval = approval(&body.map_err(bad_body)?)?;
    let approved = service.approve_deletions(&caller, &repository, &mirror, approval).await?;
    Ok((StatusCode::ACCEPTED, Json(approved)))
}

/// Parses the body as an object only; serde would accept a list in the order of the fields.
fn approval(body: &[u8]) -> Answer<DeletionsApproval> {
    const EXAMPLE: &str = r#"{"branches": ["feature-1"]}, or {} for all deletions that are held"#;
    if body.is_empty() {
        return Ok(DeletionsApproval::default());
    }
    let refused =
        |error: serde_json::Error| invalid(format!("the request body is not as it should be: {error}; send {EXAMPLE}"));
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body).map_err(refused)?;
    serde_json::from_value(serde_json::Value::Object(object)).map_err(refused)
}

pub(super) async fn not_found(uri: Uri) -> ApiError {
    let message = format!("invalid API endpoint {}; see {}", uri.path(), crate::OPENAPI_PATH);
    ApiError::new(ErrorCode::NotFound, message)
}

pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let message = format!("{method} is not possible on {}; see {}", uri.path(), crate::OPENAPI_PATH);
    ApiError::new(ErrorCode::MethodNotAllowed, message)
}

fn creation(body: &[u8]) -> Answer<MirrorCreation> {
    const EXAMPLE: &str =
        r#"{"name": "sample-mirror", "region": "us-west-2", "storage_namespace": "s3://west/sample"}"#;
    if body.is_empty() {
        return Err(invalid(format!("the request has no body; send JSON such as {EXAMPLE}")));
    }
    // serde would accept a JSON array as well, field by field.
    let begins = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if begins != Some(&b'{') && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok() {
        return Err(invalid(format!("the request body is not a JSON object; send JSON such as {EXAMPLE}")));
    }
    serde_json::from_slice(body).map_err(|error| {
        invalid(format!("the request body is not as it should be: {error}; send JSON such as {EXAMPLE}"))
    })
}

/// Refuses an empty path segment, which the router accepts as a name.
fn named(repository: &str) -> Answer<()> {
    if repository.is_empty() {
        let message = format!("invalid API endpoint: the repository's name is empty; see {}", crate::OPENAPI_PATH);
        return Err(ApiError::new(ErrorCode::NotFound, message));
    }
    Ok(())
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::Invalid, message)
}

fn bad_path(error: PathRejection) -> ApiError {
    invalid(format!("the address cannot be read: {}", error.body_text()))
}

fn bad_body(error: BytesRejection) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::new(ErrorCode::TooLarge, format!("the request body may have {BODY_BYTES_MAX} bytes"));
    }
    invalid(format!("the request body cannot be read: {}", error.body_text()))
}
