//! The integration tests, one binary: modules of `it/`, each over the public interface only.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "it/sandbox.rs"]
mod sandbox;
#[path = "it/tape.rs"]
mod tape;
