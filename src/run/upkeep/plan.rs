//! What is to be done next with the journal's sealed segments. Pure: the lifecycle, the files and the rules in, one step
//! out.
//!
//! A segment goes from the volume only behind a snapshot, oldest first, and with an archive configured only after its
//! copy was read again; but a volume that runs full ends everything, so an archive that stays away for so long that
//! the segments are twice of what may be kept costs the oldest of them, and that is said.

use lakemirror_core::ids::Seq;
use lakemirror_journal::log::SegmentFile;
use lakemirror_journal::state::lifecycle::{SegmentLifecycle, Stage};

/// The rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Whether segments are compressed.
    pub compress: bool,
    /// Whether there is an archive.
    pub archive: bool,
    /// How long a sealed segment stays on the volume, in milliseconds.
    pub age_ms_max: u64,
    /// How many bytes of sealed segments stay on the volume.
    pub bytes_max: u64,
}

/// One step with one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Its file is left over from a crash after its drop was journaled: remove it.
    Remove,
    /// Verify and compress it.
    Compress,
    /// Verify it and copy it to the archive.
    Archive,
    /// Verify that it may go, journal that, and remove it.
    Drop {
        /// It goes without a copy although there is an archive.
        unarchived: bool,
    },
}

/// The next step and its segment; none when all is as it should be.
///
/// `proven`: the record of the oldest snapshot that is kept, so that an opening has something to fall back on when the
/// newest one is damaged; 0 for none. `archive_down`: the last attempt to archive failed a short while ago, so that nothing waits for it now.
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
