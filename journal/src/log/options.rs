//! The settings of the log. Sizes can be lowered, never raised above the limits of the format.

use super::frame::{FRAME_BYTES_LIMIT, RECORD_BYTES_LIMIT};

/// Settings of a log. [`Options::default`] is right for production.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The largest frame that is written, header included. Default and maximum: 256 KiB.
    pub frame_bytes_max: usize,
    /// The largest payload of a record. Default and maximum: 192 KiB.
    pub record_bytes_max: usize,
    /// How many of the newest frames the hot store keeps. Default: 1024. It may temporarily hold up to a quarter more.
    pub hot_frames_max: usize,
    /// How many bytes of the newest frames the hot store keeps. Default: 8 MiB, because sled keeps in memory what it
    /// has written. It may temporarily hold up to a quarter more.
    pub hot_bytes_max: u64,
    /// The timeout for opening sled, in seconds. Default: 60.
    pub hot_open_seconds_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            frame_bytes_max: FRAME_BYTES_LIMIT,
            record_bytes_max: RECORD_BYTES_LIMIT,
            hot_frames_max: 1024,
            hot_bytes_max: 8 * 1024 * 1024,
            hot_open_seconds_max: 60,
        }
    }
}

impl Options {
    pub(super) fn frame_limit(&self) -> usize {
        self.frame_bytes_max.min(FRAME_BYTES_LIMIT)
    }

    pub(super) fn record_limit(&self) -> usize {
        self.record_bytes_max.min(RECORD_BYTES_LIMIT)
    }
}
