//! The router: turns requests into calls of one [`Service`], and everything else into JSON errors.
//!
//! This module owns paths, methods, body limits, the parsing of bodies, queries and credentials, and the startup state.
//! It does not check credentials and knows no mirrors; the service does. Every request is reported to the [`Observer`]
//! once.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use crate::error::ApiError;
use crate::types::{ApprovedDeletions, Deletion, DeletionsApproval, ListPage, Mirror, MirrorCreation, MirrorList};
use crate::{BASE_PATH, HEALTH_PATH, LIVE_PATH, OPENAPI_PATH, READY_PATH};

mod body;
mod caller;
mod credentials;
mod handlers;
mod observe;
mod startup;

pub use body::BODY_TIME_MAX;
pub use caller::Caller;
pub use credentials::{Credentials, Hidden};
pub use observe::Observer;
pub use startup::{Startup, Unready};

/// The largest request body in bytes. A mirror creation has a few hundred.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// The operations of the API.
#[async_trait]
pub trait Service: Send + Sync {
    /// Creates a mirror of `source`.
    async fn create_mirror(&self, caller: &Caller, source: &str, creation: MirrorCreation) -> Result<Mirror, ApiError>;
    /// Returns a page of the mirrors of `source`.
    async fn list_mirrors(&self, caller: &Caller, source: &str, page: &ListPage) -> Result<MirrorList, ApiError>;
    /// Returns one mirror of `source`.
    async fn get_mirror(&self, caller: &Caller, source: &str, mirror: &str) -> Result<Mirror, ApiError>;
    /// Deletes a mirror of `source`.
    async fn delete_mirror(
        &self,
        caller: &Caller,
        source: &str,
        mirror: &str,
        deletion: Deletion,
    ) -> Result<(), ApiError>;
    /// Approves held deletions of branches of a mirror.
    async fn approve_deletions(
        &self,
        caller: &Caller,
        source: &str,
        mirror: &str,
        approval: DeletionsApproval,
    ) -> Result<ApprovedDeletions, ApiError>;
    /// Whether calls can be answered at all; if not, the reason for people. `/readyz` calls this without credentials.
    async fn ready(&self) -> Result<(), String> {
        Ok(())
    }
}

/// The router over a service that may still be starting.
pub fn router(startup: Arc<Startup>, observer: Arc<dyn Observer>) -> Router {
    let mirrors = format!("{BASE_PATH}/repositories/{{repository}}/mirrors");
    Router::new()
        .route(HEALTH_PATH, get(handlers::health))
        .route(LIVE_PATH, get(handlers::health))
        .route(READY_PATH, get(handlers::readiness))
        .route(OPENAPI_PATH, get(handlers::openapi))
        .route(&mirrors, get(handlers::list).post(handlers::create))
        .route(&format!("{mirrors}/{{mirror}}"), get(handlers::get_one).delete(handlers::delete))
        .route(&format!("{mirrors}/{{mirror}}/deletions/approve"), post(handlers::approve_deletions))
        .method_not_allowed_fallback(handlers::method_not_allowed)
        .fallback(handlers::not_found)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(axum::middleware::from_fn(body::read_whole))
        .layer(axum::middleware::from_fn_with_state(observer, observe::observe))
        .with_state(startup)
}

#[cfg(test)]
mod tests;
