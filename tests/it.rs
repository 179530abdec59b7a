//! The integration tests: one binary, one module a subject. What is tested is the built command or the library as
//! its users see it, over the public interface only.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "it/config.rs"]
mod config;
#[path = "it/tape.rs"]
mod tape;
