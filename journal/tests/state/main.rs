//! The state machine from outside: properties over command sequences, single rules, totality, and the bytes of facts.
#![allow(missing_docs, unreachable_pub, reason = "a test")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod ages;
mod archived;
mod bounds;
mod deletions;
mod drive;
mod golden;
mod hostile;
mod image;
mod imports;
mod joins;
mod lifecycle;
mod model;
mod model_files;
mod properties;
mod recount;
mod rules;
mod samples;
mod world;
