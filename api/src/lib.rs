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
/// Where the probe is.
pub const HEALTH_PATH: &str = "/_health";
/// Where the OpenAPI document is.
pub const OPENAPI_PATH: &str = "/service/replication/v1/openapi.json";
