//! Decides the next step of the lifecycle of sealed segments. Pure: lifecycle, files and rules in, one step out.
//!
//! A segment is dropped from the volume only if a snapshot covers it, oldest first, and with an archive configured only
//! after its copy was read back. But a full volume stops everything. If the archive fails for so long that the segments
//! take twice the space that may be kept, the oldest of them are dropped without a copy, and this is logged.

use lakemirror_core::ids::Seq;
use lakemirror_journal::log::SegmentFile;
use lakemirror_journal::state::lifecycle::{SegmentLifecycle, Stage};

/// The retention rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Whether segments are compressed.
    pub compress: bool,
    /// Whether an archive is configured.
    pub archive: bool,
    /// How long a sealed segment stays on the volume, in milliseconds.
    pub age_ms_max: u64,
    /// The maximum size of the sealed segments on the volume, in bytes.
    pub bytes_max: u64,
}

/// A step for one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Remove its file, which was left behind by a crash after its drop was recorded.
    Remove,
    /// Verify and compress it.
    Compress,
    /// Verify it and copy it to the archive.
    Archive,
    /// Verify that it may be dropped, record that, and remove it.
    Drop {
        /// Dropped without a copy although an archive is configured.
        unarchived: bool,
    },
}

/// The next step and its segment; `None` if nothing is due.
///
/// `proven` is the record of the oldest snapshot that is kept, so that opening the journal has a fallback when the
/// newest snapshot is damaged; 0 for none. `archive_down` means that the last attempt to archive failed recently.
#[must_use]
pub fn next(
    lifecycle: &SegmentLifecycle,
    kept: &[SegmentFile],
    proven: Seq,
    now_ms: u64,
    rules: &Rules,
    archive_down: bool,
) -> Option<(Step, SegmentFile)> {
    let dropped = kept.iter().find(|file| is_dropped(lifecycle, file.first));
    if let Some(file) = dropped {
        return Some((Step::Remove, *file));
    }
    let known = || kept.iter().filter(|file| lifecycle.segments.get(&file.first).is_some_and(|s| s.last == file.last));
    if let Some(file) = known().find(|file| rules.compress && !file.packed) {
        return Some((Step::Compress, *file));
    }
    let waits = |file: &&SegmentFile| lifecycle.segments.get(&file.first).is_some_and(|s| s.stage == Stage::Sealed);
    if let Some(file) = known().find(waits).filter(|_| rules.archive && !archive_down) {
        return Some((Step::Archive, *file));
    }
    drop_oldest(lifecycle, kept, proven, now_ms, rules)
}

fn is_dropped(lifecycle: &SegmentLifecycle, first: Seq) -> bool {
    lifecycle.segments.get(&first).is_some_and(|segment| matches!(segment.stage, Stage::Dropped { .. }))
}

fn drop_oldest(
    lifecycle: &SegmentLifecycle,
    kept: &[SegmentFile],
    proven: Seq,
    now_ms: u64,
    rules: &Rules,
) -> Option<(Step, SegmentFile)> {
    let (first, segment) = lifecycle.oldest_kept()?;
    let file = kept.iter().find(|file| file.first == first && file.last == segment.last)?;
    let behind_snapshot = segment.last <= proven;
    let newest = segment.last.saturating_add(1) == lifecycle.open_from();
    if !behind_snapshot || newest {
        return None;
    }
    let bytes: u64 = kept.iter().map(|file| file.bytes).sum();
    let old = now_ms.saturating_sub(segment.sealed_ms) > rules.age_ms_max;
    let archived = matches!(segment.stage, Stage::Archived(_));
    let may_go = archived || !rules.archive;
    if may_go && (old || bytes > rules.bytes_max) {
        return Some((Step::Drop { unarchived: false }, *file));
    }
    let too_much = bytes > rules.bytes_max.saturating_mul(2);
    (!may_go && too_much).then_some((Step::Drop { unarchived: true }, *file))
}

#[cfg(test)]
mod tests;
