//! lakemirror's HTTP API at `/service/replication/v1`: its bodies, its OpenAPI document, and the router.
//!
//! This crate owns bodies, error codes and paths; it does not know how mirrors work. The router (feature `server`)
//! turns requests into calls of one trait. Servers and clients of the API use the same types.

pub mod error;
pub mod openapi;
#[cfg(feature = "server")]
pub mod server;
pub mod types;

/// The base path of the API.
pub const BASE_PATH: &str = "/service/replication/v1";
/// The path of lakeFS's health probe: 200 as long as the process runs.
pub const HEALTH_PATH: &str = "/_health";
/// The path of the liveness probe: 200 as long as the process runs.
pub const LIVE_PATH: &str = "/livez";
/// The path of the readiness probe: 503 while the API cannot answer.
pub const READY_PATH: &str = "/readyz";
/// The path of the OpenAPI document.
pub const OPENAPI_PATH: &str = "/service/replication/v1/openapi.json";
