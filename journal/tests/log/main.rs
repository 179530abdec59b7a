//! The durable log from outside, on simulated and on real disks.
#![allow(missing_docs, unreachable_pub, reason = "a test")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod commit;
mod crash;
mod flips;
mod golden;
mod golden_segments;
mod init;
mod loss;
mod model;
mod real;
mod recovery;
mod roll;
mod scans;
mod segments;
mod support;
mod world;
mod world_model;
