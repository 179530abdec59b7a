//! The router: requests become calls of one [`Service`], and everything else becomes an error in JSON.
//!
//! Owns addresses, methods, body limits, parsing of bodies, queries and credentials, and the state of starting. Does not
//! check credentials and knows no mirror: the service does. Every request goes through the [`Observer`] once.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use async_trait::async_trait;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use crate::error::{ApiError, ErrorCode};
use crate::types::{
    ApprovedDeletions, Deletion, DeletionsApproval, Health, HealthState, ListPage, Mirror, MirrorCreation, MirrorList,
};
use crate::{BASE_PATH, HEALTH_PATH, OPENAPI_PATH};

mod caller;
mod credentials;
mod handlers;
mod observe;

pub use caller::Caller;
pub use credentials::{Credentials, Hidden};
pub use observe::Observer;

/// Largest request body, in bytes: a creation has a few hundred.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// What the API can do.
#[async_trait]
pub trait Service: Send + Sync {
    /// Creates a mirror of `source`.
    async fn create_mirror(&self, caller: &Caller, source: &str, creation: MirrorCreation) -> Result<Mirror, ApiError>;
    /// A page of the mirrors of `source`.
    async fn list_mirrors(&self, caller: &Caller, source: &str, page: &ListPage) -> Result<MirrorList, ApiError>;
    /// One mirror of `source`.
    async fn get_mirror(&self, caller: &Caller, source: &str, mirror: &str) -> Result<Mirror, ApiError>;
    /// Deletes a mirror of `source`.
    async fn delete_mirror(
        &self,
        caller: &Caller,
        source: &str,
        mirror: &str,
        deletion: Deletion,
    ) -> Result<(), ApiError>;
    /// Lets held deletions of branches of a mirror go on.
    async fn approve_deletions(
        &self,
        caller: &Caller,
        source: &str,
        mirror: &str,
        approval: DeletionsApproval,
    ) -> Result<ApprovedDeletions, ApiError>;
}

/// How far the start has come. The router serves from the first moment on: the probe answers 200, all else 503 until
/// [`Startup::ready`].
pub struct Startup {
    service: OnceLock<Arc<dyn Service>>,
    doing: RwLock<String>,
}

impl Default for Startup {
    fn default() -> Self {
        Self { service: OnceLock::new(), doing: RwLock::new("starting".to_owned()) }
    }
}

impl Startup {
    /// Nothing is ready yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what the start is doing, such as `replaying the journal`.
    pub fn doing(&self, what: &str) {
        what.clone_into(&mut self.doing.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Opens the API. Only the first call counts.
    pub fn ready(&self, service: Arc<dyn Service>) {
        drop(self.service.set(service));
    }

    fn service(&self) -> Result<&Arc<dyn Service>, ApiError> {
        self.service.get().ok_or_else(|| {
            let doing = self.health().message;
            ApiError::new(ErrorCode::Starting, format!("lakemirror is starting ({doing}); try again in a moment"))
        })
    }

    fn health(&self) -> Health {
        if self.service.get().is_some() {
            return Health { state: HealthState::Ready, message: "ready".to_owned() };
        }
        let message = self.doing.read().unwrap_or_else(PoisonError::into_inner).clone();
        Health { state: HealthState::Starting, message }
    }
}

/// The router over a service that may still be starting.
pub fn router(startup: Arc<Startup>, observer: Arc<dyn Observer>) -> Router {
    let mirrors = format!("{BASE_PATH}/repositories/{{repository}}/mirrors");
    Router::new()
        .route(HEALTH_PATH, get(handlers::health))
        .route(OPENAPI_PATH, get(handlers::openapi))
        .route(&mirrors, get(handlers::list).post(handlers::create))
        .route(&format!("{mirrors}/{{mirror}}"), get(handlers::get_one).delete(handlers::delete))
        .route(&format!("{mirrors}/{{mirror}}/deletions/approve"), post(handlers::approve_deletions))
        .method_not_allowed_fallback(handlers::method_not_allowed)
        .fallback(handlers::not_found)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(axum::middleware::from_fn_with_state(observer, observe::observe))
        .with_state(startup)
}

#[cfg(test)]
mod tests;
