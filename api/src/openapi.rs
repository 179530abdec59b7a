//! The OpenAPI 3 document, generated from the types that are served.
//!
//! The functions here are only descriptions and never called. A test compares the document with the router's answers.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::error::ErrorBody;
use crate::types::{ApprovedDeletions, DeletionsApproval, Health, Mirror, MirrorCreation, MirrorList};

/// The document as JSON.
///
/// # Errors
/// Only if the document cannot be serialized, which a test excludes.
pub fn document() -> Result<String, serde_json::Error> {
    Document::openapi().to_json()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "lakemirror",
        description = "Mirrors of lakeFS repositories that only ever show complete commits.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        create_mirror,
        list_mirrors,
        get_mirror,
        delete_mirror,
        approve_deletions,
        openapi_document,
        health,
        liveness,
        readiness
    ),
    security(("basic_auth" = []), ("jwt_token" = [])),
    modifiers(&Schemes),
)]
struct Document;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        for (name, scheme) in [("basic_auth", HttpAuthScheme::Basic), ("jwt_token", HttpAuthScheme::Bearer)] {
            components.add_security_scheme(name, SecurityScheme::Http(Http::new(scheme)));
        }
    }
}

/// Creates a mirror of a repository in another region.
#[expect(dead_code, reason = "described, not called")]
#[utoipa::path(
    post,
    path = "/service/replication/v1/repositories/{repository}/mirrors",
    operation_id = "createMirror",
    params(("repository" = String, Path, description = "The repository to mirror")),
    request_body = MirrorCreation,
    responses(
        (status = 201, description = "The mirror, to be filled in from now on", body = Mirror),
        (status = 400, description = "The request must be changed", body = ErrorBody),
        (status = 401, description = "Wrong credentials, or not permitted", body = ErrorBody),
        (status = 404, description = "No such repository in this region", body = ErrorBody),
        (status = 409, description = "The name is taken", body = ErrorBody),
        (status = 413, description = "The body is too large", body = ErrorBody),
        (status = 503, description = "Something that the call needs does not answer", body = ErrorBody),
    ),
)]
fn create_mirror() {}

/// Lists the mirrors of a repository.
#[expect(dead_code, reason = "described, not called")]
#[utoipa::path(
    get,
    path = "/service/replication/v1/repositories/{repository}/mirrors",
    operation_id = "listMirrors",
    params(
        ("repository" = String, Path, description = "The mirrored repository"),
        ("prefix" = Option<String>, Query, description = "Only mirrors whose names start so"),
        ("after" = Option<String>, Query, description = "Only mirrors after this name"),
        ("amount" = Option<i64>, Query, minimum = -1, maximum = 1000, description = "How many; -1 and 0 mean 100"),
    ),
    responses(
        (status = 200, description = "A page of mirrors", body = MirrorList),
        (status = 400, description = "The request must be changed", body = ErrorBody),
        (status = 401, description = "Wrong credentials, or not permitted", body = ErrorBody),
        (status = 404, description = "No such repository", body = ErrorBody),
        (status = 503, description = "Something that the call needs does not answer", body = ErrorBody),
    ),
)]
fn list_mirrors() {}

/// Returns a mirror.
#[expect(dead_code, reason = "described, not called")]
#[utoipa::path(
    get,
    path = "/service/replication/v1/repositories/{repository}/mirrors/{mirror}",
    operation_id = "getMirror",
    params(
        ("repository" = String, Path, description = "The mirrored repository"),
        ("mirror" = String, Path, description = "The mirror's name"),
    ),
    responses(
        (status = 200, description = "The mirror", body = Mirror),
        (status = 400, description = "The request must be changed", body = ErrorBody),
        (status = 401, description = "Wrong credentials, or not permitted", body = ErrorBody),
        (status = 404, description = "No such mirror of this repository", body = ErrorBody),
        (status = 503, description = "Something that the call needs does not answer", body = ErrorBody),
    ),
)]
fn get_mirror() {}

/// Deletes a mirror and its repository.
///
/// Branches and commits that exist only on the mirror are lost; objects are not deleted. The name is free at once. Use
/// the region of the source; while it does not answer, use the mirror's region with `force=true`.
#[expect(dead_code, reason = "described, not called")]
#[utoipa::path(
    delete,
    path = "/service/replication/v1/repositories/{repository}/mirrors/{mirror}",
    operation_id = "deleteMirror",
    params(
        ("repository" = String, Path, description = "The mirrored repository"),
        ("mirror" = String, Path, description = "The mirror's name"),
        ("force" = Option<bool>, Query, description = "Delete in the mirror's region although the source's is lost"),
    ),
    responses(
        (status = 204, description = "Deleted"),
        (status = 400, description = "The request must be changed", body = ErrorBody),
        (status = 401, description = "Wrong credentials, or not permitted", body = ErrorBody),
        (status = 404, description = "No such mirror of this repository in this region", body = ErrorBody),
        (status = 409, description = "With force: the source's region answers, delete the mirror there", body = ErrorBody),
        (status = 503, description = "Something that the call needs does not answer", body = ErrorBody),
    ),
)]
fn delete_mirror() {}

/// Approves held deletions of branches.
///
/// Deletions are held when there are many at once, or when the source's list of branches lacks its default branch. The
/// `waiting` list of such a branch contains `deletion_held`.
#[expect(dead_code, reason = "described, not called")]
#[utoipa::path(
    post,
    path = "/service/replication/v1/repositories/{repository}/mirrors/{mirror}/deletions/approve",
    operation_id = "approveDeletions",
    params(
        ("repository" = String, Path, description = "The mirrored repository"),
        ("mirror" = String, Path, description = "The mirror's name"),
    ),
    request_body = Option<DeletionsApproval>,
    responses(
        (status = 202, description = "They go on", body = ApprovedDeletions),
        (status = 400, description = "The request must be changed", body = ErrorBody),
        (status = 401, description = "Wrong credentials, or not permitted", body = ErrorBody),
        (status = 404, description = "No such mirror of this repository", body = ErrorBody),
        (status = 409, description = "The deletion of a named branch is not held, or none is", body = ErrorBody),
        (status = 413, description = "The body is too large", body = ErrorBody),
        (status = 503, description = "Something that the call needs does not answer", body = ErrorBody),
    ),
)]
fn approve_deletions() {}

/// Returns this document.
#[expect(dead_code, reason = "described, not called")]
#[utoipa::path(
    get,
    path = "/service/replication/v1/openapi.json",
    operation_id = "getOpenapi",
    security(()),
    responses((status = 200, description = "This document", body = Object)),
)]
fn openapi_document() {}

/// Liveness, at lakeFS's path. Answers 200 also during the start.
#[expect(dead_code, reason = "described, not called")]
#[utoipa::path(
    get,
    path = "/_health",
    operation_id = "getHealth",
    security(()),
    responses((status = 200, description = "It runs", body = Health)),
)]
fn health() {}

/// Liveness. Answers 200 also during the start.
#[expect(dead_code, reason = "described, not called")]
#[utoipa::path(
    get,
    path = "/livez",
    operation_id = "getLiveness",
    security(()),
    responses((status = 200, description = "It runs", body = Health)),
)]
fn liveness() {}

/// Readiness: whether the API can answer.
#[expect(dead_code, reason = "described, not called")]
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "getReadiness",
    security(()),
    responses(
        (status = 200, description = "It can", body = Health),
        (status = 503, description = "It cannot; the message says why", body = Health),
    ),
)]
fn readiness() {}
