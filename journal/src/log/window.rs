//! Which frames the hot store keeps: the newest ones, limited by number and size.
//!
//! This module owns the arithmetic only. All but the newest frame are durable in the segment, so any of them may be
//! removed. The newest are kept so that damage to the recent part of a segment can be repaired. Removal happens in
//! batches, because the store rewrites a whole leaf for each removed entry.

use std::collections::VecDeque;

use crate::ids::Seq;

/// A frame in the hot store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) first_seq: Seq,
    /// First record of its segment.
    pub(super) segment: Seq,
    /// Its offset in the segment.
    pub(super) offset: u64,
    pub(super) bytes: u32,
}

/// The newest frames, oldest first.
#[derive(Debug, Clone)]
pub(super) struct Window {
    frames: VecDeque<Kept>,
    bytes: u64,
    frames_max: usize,
    bytes_max: u64,
}

impl Window {
    pub(super) fn new(frames_max: usize, bytes_max: u64) -> Self {
        Self { frames: VecDeque::new(), bytes: 0, frames_max: frames_max.max(1), bytes_max }
    }

    pub(super) fn push(&mut self, kept: Kept) {
        self.bytes = self.bytes.saturating_add(u64::from(kept.bytes));
        self.frames.push_back(kept);
    }

    /// Removes the oldest frame if there are too many, but never the last one.
    pub(super) fn pop_excess(&mut self) -> Option<Kept> {
        let excess = self.frames.len() > self.frames_max || self.bytes > self.bytes_max;
        if !excess || self.frames.len() < 2 {
            return None;
        }
        let oldest = self.frames.pop_front()?;
        self.bytes = self.bytes.saturating_sub(u64::from(oldest.bytes));
        Some(oldest)
    }

    /// Whether the excess is large enough to be worth the cost of removal: a quarter over the limit.
    pub(super) fn is_overfull(&self) -> bool {
        self.frames.len() > self.frames_max.saturating_add(self.frames_max / 4)
            || self.bytes > self.bytes_max.saturating_add(self.bytes_max / 4)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Kept> {
        self.frames.iter()
    }

    /// Drops the frames that the store does not have.
    pub(super) fn retain(&mut self, keep: impl Fn(&Kept) -> bool) {
        self.frames.retain(keep);
        self.bytes = self.frames.iter().map(|kept| u64::from(kept.bytes)).sum();
    }

    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }
}
