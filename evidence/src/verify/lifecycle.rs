//! Compares the files of a journal with its records: which segments were sealed, with which hash, and which were
//! dropped.
//!
//! A dropped segment stays in the lifecycle with its hashes, so the available records must continue the last of these
//! segments. A segment that is missing and was not dropped is damage.

use std::collections::BTreeSet;

use lakemirror_journal::log::{FrameHash, ScanReport};
use lakemirror_journal::state::lifecycle::{Archive, Segment, SegmentLifecycle, Stage};

/// A segment that was dropped from the journal's volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Its first record.
    pub first: u64,
    /// Its last record.
    pub last: u64,
    /// Bytes of its frames.
    pub bytes: u64,
    /// The hash of its footer.
    pub hash: [u8; 32],
    /// When it was dropped, milliseconds since 1970.
    pub at_ms: u64,
    /// Where it was archived; `None` if it was given up.
    pub archive: Option<Archive>,
    /// Whether it was read from an archive.
    pub at_hand: bool,
}

/// The dropped segments, according to the lifecycle.
pub(super) fn dropped(lifecycle: &SegmentLifecycle, scan: &ScanReport) -> Vec<Dropped> {
    let read: BTreeSet<u64> = scan.footers.iter().map(|seen| seen.footer.first_seq).collect();
    let dropped = lifecycle.segments.iter().filter_map(|(first, segment)| {
        let Stage::Dropped { archive, at_ms } = &segment.stage else { return None };
        let Segment { last, bytes, hash, .. } = *segment;
        let (archive, at_hand) = (archive.clone(), read.contains(first));
        Some(Dropped { first: *first, last, bytes, hash, at_ms: *at_ms, archive, at_hand })
    });
    dropped.collect()
}

/// Contradictions to the lifecycle. `from` is the first available record, `before` the hash of the frame before it.
pub(super) fn faults(lifecycle: &SegmentLifecycle, scan: &ScanReport, from: u64, before: FrameHash) -> Vec<String> {
    let mut faults = other_footers(lifecycle, scan);
    if from > 1 {
        faults.extend(gone(lifecycle, scan, from));
        faults.extend(does_not_follow(lifecycle, scan, from, before));
    }
    faults
}

/// Available segments that are not the ones that were sealed.
fn other_footers(lifecycle: &SegmentLifecycle, scan: &ScanReport) -> Vec<String> {
    let mut faults = Vec::new();
    for seen in scan.footers.iter().filter(|seen| seen.fault.is_none()) {
        let (first, last) = (seen.footer.first_seq, seen.footer.last_seq);
        let sealed = lifecycle.segments.get(&first);
        let same = sealed.is_some_and(|segment| segment.last == last && segment.hash == seen.hash);
        // The newest segments may not have been recorded yet.
        if same || first >= lifecycle.open_from() {
            continue;
        }
        let said = match sealed {
            Some(Segment { last, hash, .. }) => format!("one up to record {last} with hash {}", hex::encode(hash)),
            None => "none that begins there".to_owned(),
        };
        faults.push(format!(
            "the segment with records {first} to {last} has hash {}, and the journal says that it sealed {said}",
            hex::encode(seen.hash)
        ));
    }
    faults
}

/// Segments before `from` that are not available and were not dropped.
fn gone(lifecycle: &SegmentLifecycle, scan: &ScanReport, from: u64) -> Vec<String> {
    let there: BTreeSet<u64> = scan.segments.iter().map(|segment| segment.first).collect();
    let not_said = |first: u64, last: u64| {
        format!("records {first} to {last} are gone, and the journal does not say that it dropped them")
    };
    let kept = |(first, segment): &(&u64, &Segment)| {
        segment.last < from && !there.contains(first) && !matches!(segment.stage, Stage::Dropped { .. })
    };
    let mut faults: Vec<String> =
        lifecycle.segments.iter().filter(kept).map(|(first, segment)| not_said(*first, segment.last)).collect();
    if lifecycle.open_from() < from && !there.contains(&lifecycle.open_from()) {
        faults.push(not_said(lifecycle.open_from(), from.saturating_sub(1)));
    }
    faults
}

/// Whether the available records continue the last segment that is not available.
fn does_not_follow(lifecycle: &SegmentLifecycle, scan: &ScanReport, from: u64, before: FrameHash) -> Option<String> {
    let (first, segment) = lifecycle.segments.range(..from).next_back()?;
    let what = format!("record {from}, with which what is at hand begins, does not follow on");
    let sealed = format!("the segment with records {first} to {} that was dropped", segment.last);
    if segment.last.saturating_add(1) != from {
        return (segment.last >= from).then(|| format!("{what} {sealed}: its place is inside of that"));
    }
    if segment.last_frame != before {
        return Some(format!("{what} {sealed}: it names another frame before it"));
    }
    let next = scan.footers.first().filter(|seen| seen.footer.first_seq == from)?;
    (next.footer.prev_footer != segment.hash).then(|| format!("{what} {sealed}: it names another footer before it"))
}
