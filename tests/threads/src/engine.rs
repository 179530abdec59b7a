//! The engine's files that threads share, as they are in production.

pub mod lease;
#[path = "../../../engine/src/recorder.rs"]
pub mod recorder;
pub mod threads;
#[path = "../../../engine/src/ticker.rs"]
pub mod ticker;
