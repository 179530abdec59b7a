//! The segments of a journal by how far they are: what lies on the volume, what the journal's records say of it.
//!
//! Owns which stage a segment is on: the highest that it has reached. Files say open, sealed and compressed; records say
//! archived and dropped.

use std::collections::{BTreeMap, BTreeSet};

use lakemirror_journal::log::{ScanReport, Stage as FileStage};
use lakemirror_journal::state::lifecycle::{SegmentLifecycle, Stage};

/// How far a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StageName {
    /// It is being written.
    Open,
    /// It has a footer.
    Sealed,
    /// It is packed.
    Compressed,
    /// A copy is in an archive, and it is on the volume, too.
    Archived,
    /// It is in an archive only.
    Dropped,
    /// It was dropped without a copy.
    GivenUp,
}

impl StageName {
    /// One word.
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

/// Segments that are equally far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageSum {
    /// How far.
    pub name: StageName,
    /// How many.
    pub segments: u64,
    /// The first record of the first.
    pub first: u64,
    /// The last record of the last; none of the one that is being written.
    pub last: Option<u64>,
    /// Bytes of their files; of those that were given up, which have none, of their frames.
    pub bytes: u64,
    /// Where they are: directories, or an archive's addresses without the files' names.
    pub places: BTreeSet<String>,
}

/// Sorts the segments.
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
            // Below, by what the records say.
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
