//! The segments of a journal by stage, from the files on the volume and from the journal's records.
//!
//! A segment is in the last stage that it has reached. Files show open, sealed and compressed; records show archived
//! and dropped.

use std::collections::{BTreeMap, BTreeSet};

use lakemirror_journal::log::{ScanReport, Stage as FileStage};
use lakemirror_journal::state::lifecycle::{SegmentLifecycle, Stage};

/// Stage of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StageName {
    /// It is being written.
    Open,
    /// It has a footer.
    Sealed,
    /// It is compressed.
    Compressed,
    /// It is in an archive and still on the volume.
    Archived,
    /// It is in an archive only.
    Dropped,
    /// It was dropped without a copy.
    GivenUp,
}

impl StageName {
    /// The stage as one word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Sealed => "sealed",
            Self::Compressed => "compressed",
            Self::Archived => "archived",
            Self::Dropped => "dropped",
            Self::GivenUp => "given up",
        }
    }
}

/// The segments in one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageSum {
    /// The stage.
    pub name: StageName,
    /// Number of segments.
    pub segments: u64,
    /// The first record of the first segment.
    pub first: u64,
    /// The last record of the last segment; `None` for the open one.
    pub last: Option<u64>,
    /// Bytes of their files; for segments that were given up, which have no files, of their frames.
    pub bytes: u64,
    /// Where they are: directories, or the addresses of an archive without file names.
    pub places: BTreeSet<String>,
}

/// Groups the segments by stage.
pub(super) fn stages(scan: &ScanReport, lifecycle: Option<&SegmentLifecycle>) -> Vec<StageSum> {
    let mut found: BTreeMap<StageName, StageSum> = BTreeMap::new();
    let empty = BTreeMap::new();
    let known = lifecycle.map_or(&empty, |lifecycle| &lifecycle.segments);
    let mut add = |name, first, last, bytes, place: Option<&str>| {
        let new = || StageSum { name, segments: 0, first, last, bytes: 0, places: BTreeSet::new() };
        let stage = found.entry(name).or_insert_with(new);
        stage.segments += 1;
        stage.bytes += bytes;
        stage.last = last;
        stage.places.extend(place.map(directory));
    };
    for segment in &scan.segments {
        let stage = known.get(&segment.first).map(|known| &known.stage);
        if segment.archived && matches!(stage, Some(Stage::Dropped { .. })) {
            // Handled below, from the records.
            continue;
        }
        let (first, last) = (segment.first, segment.last);
        match (segment.stage, stage) {
            (FileStage::Open, _) => add(StageName::Open, first, last, segment.bytes, Some(&segment.path)),
            (_, Some(Stage::Archived(copy))) => add(StageName::Archived, first, last, copy.bytes, Some(&copy.place)),
            (FileStage::Compressed, _) => add(StageName::Compressed, first, last, segment.bytes, Some(&segment.path)),
            (FileStage::Sealed, _) => add(StageName::Sealed, first, last, segment.bytes, Some(&segment.path)),
        }
    }
    for (first, segment) in known {
        match &segment.stage {
            Stage::Dropped { archive: Some(copy), .. } => {
                add(StageName::Dropped, *first, Some(segment.last), copy.bytes, Some(&copy.place));
            }
            Stage::Dropped { archive: None, .. } => {
                add(StageName::GivenUp, *first, Some(segment.last), segment.bytes, None);
            }
            Stage::Sealed | Stage::Archived(_) => {}
        }
    }
    found.into_values().collect()
}

fn directory(place: &str) -> String {
    place.rsplit_once('/').map_or(place, |(directory, _)| directory).to_owned()
}
