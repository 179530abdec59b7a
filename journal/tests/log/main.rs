//! The durable log from outside, on simulated and on real disks.
#![allow(missing_docs, unreachable_pub, reason = "a test")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod archive_alone;
mod bounds;
mod commit;
mod crash;
mod flips;
mod golden;
mod golden_segments;
mod init;
mod loss;
mod model;
mod order;
mod real;
mod recovery;
mod roll;
#[path = "../state/samples.rs"]
mod samples;
mod scans;
mod segments;
mod slots;
mod support;
mod world;
mod world_model;
