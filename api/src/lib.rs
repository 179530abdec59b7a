//! lakemirror's HTTP API at `/service/replication/v1`: what crosses the wire, its OpenAPI document, and the router.
//!
//! Owns bodies, error codes and addresses; knows nothing of how mirrors work. The router (feature `server`) turns requests
//! into calls of one trait; whoever implements it, and whoever calls the API, uses the same types.

pub mod error;
pub mod openapi;
#[cfg(feature = "server")]
pub mod server;
pub mod types;

/// Where the API is.
pub const BASE_PATH: &str = "/service/replication/v1";
/// Where the vendor's probe is: 200 as long as the process runs.
pub const HEALTH_PATH: &str = "/_health";
/// Where the probe of life is: 200 as long as the process runs.
pub const LIVE_PATH: &str = "/livez";
/// Where the probe of readiness is: 503 while the API cannot answer.
pub const READY_PATH: &str = "/readyz";
/// Where the OpenAPI document is.
pub const OPENAPI_PATH: &str = "/service/replication/v1/openapi.json";
