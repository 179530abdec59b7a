//! The integration tests: one binary with one module per subject, so that servers are started once. They test the built
//! command, or the library as its users see it, through public interfaces only.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends where it fails, in its helper functions too"
)]

#[path = "it/checker.rs"]
mod checker;
#[path = "it/config.rs"]
mod config;
#[path = "it/crash.rs"]
mod crash;
#[path = "it/demo.rs"]
mod demo;
#[path = "it/engine.rs"]
mod engine;
#[path = "it/full.rs"]
mod full;
#[path = "it/items.rs"]
mod items;
#[path = "it/journal.rs"]
mod journal;
#[path = "it/journal_explain.rs"]
mod journal_explain;
#[path = "it/mismatch.rs"]
mod mismatch;
#[path = "it/moves.rs"]
mod moves;
#[path = "it/mrec.rs"]
mod mrec;
#[path = "it/objects.rs"]
mod objects;
#[path = "it/outbound.rs"]
mod outbound;
#[path = "it/peers.rs"]
mod peers;
#[path = "it/process.rs"]
mod process;
#[path = "it/reader.rs"]
mod reader;
#[path = "it/restored.rs"]
mod restored;
#[path = "it/sandbox.rs"]
mod sandbox;
#[path = "it/servers.rs"]
mod servers;
#[path = "it/several.rs"]
mod several;
#[path = "it/source.rs"]
mod source;
#[path = "it/startup.rs"]
mod startup;
#[path = "it/stores.rs"]
mod stores;
#[path = "it/tape.rs"]
mod tape;
#[path = "it/upkeep.rs"]
mod upkeep;
#[path = "it/volume.rs"]
mod volume;
