//! The lakeFS of one region over its HTTP API, as the engine's port `Lakefs` and a few calls for other parts.
//!
//! Owns the requests, the reading of the answers, and what a failed answer means; it keeps no state but its pool of
//! connections and caches nothing. It decides nothing about mirrors. Requests flow from [`Client`] through `call`
//! (one request as a value) and `transport` (tries, limits) out; answers come back through `answer` (status and
//! message to fault) and `types` (JSON to values).
//!
//! Written against lakeFS 1.84; needs at least 1.25, and 1.44 where hidden branches are mirrored.

mod account;
mod answer;
mod branches;
mod call;
mod client;
mod commits;
mod connect;
mod connections;
mod listing;
mod objects;
mod pages;
mod port;
mod repositories;
mod throttle;
mod transport;
mod types;
mod walk;

pub use account::{Policy, Statement};
pub use client::{CallerCredentials, Client, Settings};
pub use connect::ConnectError;

#[cfg(test)]
mod tests;
