<<<<<<< HEAD
//! The integration tests: one binary, one module a subject. What is tested is the built command or the library as
//! its users see it, over the public interface only.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

<<<<<<< HEAD
=======
//! The integration tests: one binary, so that servers are started once; modules of `it/`, one a subject.

>>>>>>> wt-objects
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends where it fails, in its helper functions too"
)]

<<<<<<< HEAD
#[path = "it/config.rs"]
mod config;
=======
#[path = "it/sandbox.rs"]
mod sandbox;
>>>>>>> wt-sandbox
#[path = "it/tape.rs"]
mod tape;
=======
#[path = "it/objects.rs"]
mod objects;
>>>>>>> wt-objects
