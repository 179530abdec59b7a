//! The engine's files that threads share, as they are in production.

pub mod lease;
#[path = "../../../src/engine/recorder.rs"]
pub mod recorder;
pub mod threads;
#[path = "../../../src/engine/ticker.rs"]
pub mod ticker;
