//! The engine's files that are shared between threads, as in production.

pub mod lease;
#[path = "../../../engine/src/recorder.rs"]
pub mod recorder;
pub mod threads;
#[path = "../../../engine/src/ticker.rs"]
pub mod ticker;
