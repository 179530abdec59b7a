//! The integration tests: one binary, so that servers are started once; modules of `it/`, one a subject.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends where it fails, in its helper functions too"
)]

#[path = "it/objects.rs"]
mod objects;
