//! The four stages of mirroring and the ports they need.

pub mod ports;
pub mod recorder;
pub mod verify;
