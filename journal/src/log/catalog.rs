//! The segments of a journal and where they are: in the journal's own directory or in an archive that is read with it.
//!
//! This module finds and opens segments; it does not read frames (`segment`, `walk`). A segment that exists in several
//! forms is listed once: the journal's own takes precedence over an archive's, and the plain one over the compressed
//! one.

use std::io;

use super::disk::{Access, Disk};
use super::error::OpenError;
use super::segment::{self, NameKind, Reader, SEGMENT_DIR, SegmentBytes};
use super::unpack::Unpacked;
use crate::ids::Seq;

/// The stage of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It is being written.
    Open,
    /// It has a footer and never changes again.
    Sealed,
    /// Sealed, and compressed with zstd.
    Compressed,
}

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) first: Seq,
    /// Its last record; `None` for the open segment.
    pub(super) last: Option<Seq>,
    pub(super) stage: Stage,
    /// The index of the place that has it; 0 is the journal's own.
    place: usize,
    /// The file should exist and does not.
    pub(super) missing: bool,
}

impl Entry {
    /// A segment that should be in the journal's directory and is missing.
    pub(super) fn missing(first: Seq, last: Option<Seq>) -> Self {
        let stage = if last.is_some() { Stage::Sealed } else { Stage::Open };
        Self { first, last, stage, place: 0, missing: true }
    }

    /// Its path if it is in the journal's directory.
    pub(super) fn path(&self) -> String {
        match (self.stage, self.last) {
            (Stage::Sealed, Some(last)) => segment::sealed_path(self.first, last),
            (Stage::Compressed, Some(last)) => segment::compressed_path(self.first, last),
            (Stage::Open, _) | (_, None) => segment::open_path(self.first),
        }
    }

    /// Whether it is in the journal's own directory.
    pub(super) fn is_own(&self) -> bool {
        self.place == 0
    }
}

/// A directory with segments.
struct Place<'a> {
    disk: &'a dyn Disk,
    dir: &'static str,
}

/// All places.
pub(super) struct SegmentDir<'a> {
    places: Vec<Place<'a>>,
}

impl<'a> SegmentDir<'a> {
    /// The journal's own directory, and archives, which hold segments directly or in `seg/`.
    pub(super) fn new(own: &'a dyn Disk, archives: &[&'a dyn Disk]) -> Self {
        let archived = archives.iter().flat_map(|&disk| ["", SEGMENT_DIR].map(|dir| Place { disk, dir }));
        Self { places: std::iter::once(Place { disk: own, dir: SEGMENT_DIR }).chain(archived).collect() }
    }

    /// The segments in order, each once. There may be gaps between them.
    ///
    /// # Errors
    /// If the journal's own directory has a file that does not belong there, or two segments overlap.
    pub(super) fn list(&self) -> Result<Vec<Entry>, OpenError> {
        let mut all = Vec::new();
        for place in 0..self.places.len() {
            self.list_place(place, &mut all)?;
        }
        all.sort_by_key(|entry| (entry.first, entry.place, entry.stage == Stage::Compressed, entry.last.is_none()));
        // An archive may hold a copy of a segment, and both forms exist while a segment is compressed.
        all.dedup_by(|later, before| (later.first, later.last) == (before.first, before.last));
        self.bound_open(&mut all);
        let overlap = all.windows(2).find_map(|pair| match pair {
            [before, after] if before.last.is_none_or(|last| last >= after.first) => Some(after),
            _ => None,
        });
        overlap.map_or(Ok(all.clone()), |entry| Err(OpenError::MisplacedSegment { path: self.show(entry) }))
    }

    /// An open segment that precedes another one is sealed already; only its name does not show it yet.
    fn bound_open(&self, all: &mut [Entry]) {
        let after: Vec<Option<Seq>> = all.iter().skip(1).map(|next| Some(next.first)).chain([None]).collect();
        for (entry, next) in all.iter_mut().zip(after) {
            if let (None, Some(next)) = (entry.last, next.filter(|&next| next > entry.first)) {
                entry.last = Some(next.saturating_sub(1));
            }
        }
    }

    fn list_place(&self, place: usize, all: &mut Vec<Entry>) -> Result<(), OpenError> {
        let Some(Place { disk, dir }) = self.places.get(place) else { return Ok(()) };
        let names = match disk.list(dir) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !dir.is_empty() => Vec::new(),
            Err(error) => return Err(OpenError::io("list", disk.show(dir), error)),
        };
        let missing = false;
        for name in names {
            let (first, last, stage) = match segment::classify(&name) {
                NameKind::Open(first) if place == 0 => (first, None, Stage::Open),
                NameKind::Sealed(first, last) => (first, Some(last), Stage::Sealed),
                NameKind::Compressed(first, last) => (first, Some(last), Stage::Compressed),
                NameKind::Foreign if place == 0 => {
                    return Err(OpenError::ForeignSegment { path: disk.show(&format!("{dir}/{name}")) });
                }
                NameKind::Open(_) | NameKind::Broken | NameKind::Temporary | NameKind::Foreign => continue,
            };
            all.push(Entry { first, last, stage, place, missing });
        }
        Ok(())
    }

    /// The file's name for messages.
    pub(super) fn show(&self, entry: &Entry) -> String {
        let path = entry.path();
        match self.places.get(entry.place) {
            Some(Place { disk, dir: "" }) => disk.show(path.trim_start_matches("seg/")),
            Some(Place { disk, .. }) => disk.show(&path),
            None => path,
        }
    }

    fn open_file(&self, entry: &Entry) -> io::Result<Option<SegmentBytes>> {
        let Some(Place { disk, dir }) = self.places.get(entry.place).filter(|_| !entry.missing) else {
            return Ok(None);
        };
        let path = entry.path();
        let path = if dir.is_empty() { path.trim_start_matches("seg/") } else { &path };
        let file = disk.open(path, Access::Read)?;
        Ok(Some(match entry.stage {
            Stage::Compressed => SegmentBytes::Packed(Unpacked::new(file)?),
            Stage::Open | Stage::Sealed => SegmentBytes::Plain(file),
        }))
    }

    /// Opens a segment for reading; a missing one reads as empty. If a running service has sealed, compressed or
    /// removed the segment meanwhile, it is searched once more.
    ///
    /// # Errors
    /// Any error of the disk.
    pub(super) fn open(&self, entry: &mut Entry) -> Result<Reader, OpenError> {
        let failed = |entry: &Entry, error| OpenError::io("read", self.show(entry), error);
        let bytes = match self.open_file(entry) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match self.list()?.into_iter().find(|found| found.first == entry.first) {
                    Some(found) => *entry = found,
                    None => entry.missing = true,
                }
                self.open_file(entry)
            }
            other => other,
        };
        bytes.and_then(Reader::new).map_err(|error| failed(entry, error))
    }

    /// The length of the file.
    ///
    /// # Errors
    /// As the disk says.
    pub(super) fn file_bytes(&self, entry: &Entry) -> io::Result<u64> {
        let Some(Place { disk, dir }) = self.places.get(entry.place) else { return Ok(0) };
        let path = entry.path();
        disk.open(if dir.is_empty() { path.trim_start_matches("seg/") } else { &path }, Access::Read)?.size()
    }
}

/// Inserts entries for the missing segments between the existing ones, and an open one at the end.
pub(super) fn without_gaps(entries: Vec<Entry>, from: Seq) -> Vec<Entry> {
    let mut whole: Vec<Entry> = Vec::with_capacity(entries.len() + 1);
    let mut next = Some(from);
    for entry in entries {
        if let Some(expected) = next.filter(|&expected| expected < entry.first) {
            whole.push(Entry::missing(expected, Some(entry.first.saturating_sub(1))));
        }
        next = entry.last.map(|last| last.saturating_add(1));
        whole.push(entry);
    }
    whole.extend(next.map(|expected| Entry::missing(expected, None)));
    whole
}

/// The segments after the last gap.
pub(super) fn after_gaps(entries: &[Entry]) -> &[Entry] {
    let is_gap = |pair: &[Entry]| match pair {
        [before, after] => before.last.and_then(|last| last.checked_add(1)) != Some(after.first),
        _ => false,
    };
    let start = entries.windows(2).rposition(is_gap).map_or(0, |gap| gap.saturating_add(1));
    entries.get(start..).unwrap_or_default()
}
