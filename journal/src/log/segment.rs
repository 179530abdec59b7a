//! Segment files: consecutive frames, followed by a footer once the segment is sealed. This module owns the file names
//! and the reading at an offset.
//!
//! It does not check how frames follow each other (`chain`), does not know where the files are (`catalog`), and does
//! not decide what happens on a fault (`recovery`). It reads through one window, so that memory is bounded for any file
//! length; frames are parsed in the window and never copied. Bytes that were passed are hashed in large pieces, which
//! is several times faster than in small ones.
//!
//! The open segment is named `<first record, 16 digits>.jseg.open`, a sealed one `<first>-<last>.jseg`, and a
//! compressed one `<first>-<last>.jseg.zst`. Copies of damaged bytes end in `.broken`.

use std::io;

use super::disk::DiskFile;
use super::footer::{self, FOOTER_BYTES};
use super::frame::{FRAME_BYTES_LIMIT, FrameFault, HEADER_BYTES, whole_len};
use super::unpack::Unpacked;
use crate::ids::Seq;

/// The directory of the segments.
pub(super) const SEGMENT_DIR: &str = "seg";
const OPEN_SUFFIX: &str = ".jseg.open";
const SEALED_SUFFIX: &str = ".jseg";
const COMPRESSED_SUFFIX: &str = ".jseg.zst";
const BROKEN_SUFFIX: &str = ".broken";
const TEMPORARY_SUFFIX: &str = ".tmp";
/// The digits of a record number in a file name.
const DIGITS: usize = 16;
const WINDOW_BYTES: usize = 4 * FRAME_BYTES_LIMIT;

/// Path of the open segment whose first record is `first_seq`.
pub(super) fn open_path(first_seq: Seq) -> String {
    format!("{SEGMENT_DIR}/{first_seq:016}{OPEN_SUFFIX}")
}

/// Path of the sealed segment with these records.
pub(super) fn sealed_path(first_seq: Seq, last_seq: Seq) -> String {
    format!("{SEGMENT_DIR}/{first_seq:016}-{last_seq:016}{SEALED_SUFFIX}")
}

/// Path of the compressed segment with these records.
pub(super) fn compressed_path(first_seq: Seq, last_seq: Seq) -> String {
    format!("{SEGMENT_DIR}/{first_seq:016}-{last_seq:016}{COMPRESSED_SUFFIX}")
}

/// Path for a copy of the damaged bytes that the opening `writer_epoch` found at `offset` of a segment.
pub(super) fn broken_path(first_seq: Seq, offset: u64, writer_epoch: u64) -> String {
    format!("{SEGMENT_DIR}/{first_seq:016}.{offset}.{writer_epoch}{BROKEN_SUFFIX}")
}

/// Path for a whole file that the opening `generation` moved aside.
pub(super) fn aside_path(path: &str, generation: u64) -> String {
    format!("{path}.{generation}{BROKEN_SUFFIX}")
}

/// The meaning of a name in the segment directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameKind {
    /// The open segment, with its first record.
    Open(Seq),
    /// A sealed segment, with its first and its last record.
    Sealed(Seq, Seq),
    /// A compressed segment, with its first and its last record.
    Compressed(Seq, Seq),
    /// A copy of damaged bytes: evidence, never read.
    Broken,
    /// An unfinished copy of any file.
    Temporary,
    /// Anything else.
    Foreign,
}

/// Classifies a name.
pub(super) fn classify(name: &str) -> NameKind {
    if name.ends_with(BROKEN_SUFFIX) {
        return NameKind::Broken;
    }
    if let Some(whole) = name.strip_suffix(TEMPORARY_SUFFIX) {
        return if classify(whole) == NameKind::Foreign { NameKind::Foreign } else { NameKind::Temporary };
    }
    let open = || name.strip_suffix(OPEN_SUFFIX).and_then(number).map(NameKind::Open);
    let pair = |suffix| {
        let (first, last) = name.strip_suffix(suffix)?.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        (first <= last).then_some((first, last))
    };
    let sealed = || pair(SEALED_SUFFIX).map(|(first, last)| NameKind::Sealed(first, last));
    let compressed = || pair(COMPRESSED_SUFFIX).map(|(first, last)| NameKind::Compressed(first, last));
    open().or_else(sealed).or_else(compressed).unwrap_or(NameKind::Foreign)
}

/// A record number as it appears in names; there is no record 0.
fn number(digits: &str) -> Option<Seq> {
    let right = digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_digit());
    digits.parse().ok().filter(|&seq| right && seq > 0)
}

/// A segment's bytes, compressed or not.
pub(super) enum SegmentBytes {
    /// Uncompressed bytes.
    Plain(Box<dyn DiskFile>),
    /// Bytes behind a decoder, which only moves forward.
    Packed(Unpacked),
}

impl SegmentBytes {
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read_at(offset, into),
            Self::Packed(unpacked) => unpacked.read_at(offset, into),
        }
    }
}

/// Reads frames at rising offsets.
pub(super) struct Reader {
    bytes: Option<SegmentBytes>,
    /// The length of the file when the reader was created; unknown for a compressed file until its end.
    size: u64,
    window: Vec<u8>,
    window_at: u64,
    window_len: usize,
    /// The compressed bytes are damaged behind the window.
    unpackable: bool,
    hasher: blake3::Hasher,
    hashed_to: u64,
}

/// What is at an offset.
pub(super) enum At<'r> {
    /// The end of the file.
    End,
    /// As many bytes as the header announces; no other check has been made.
    Frame(&'r [u8]),
    /// The start of a footer: all of its bytes, or fewer if the file ends earlier.
    Footer(&'r [u8]),
    /// Bytes that cannot be a frame.
    Fault(FrameFault),
}

impl Reader {
    /// A reader over a segment, or over none, which reads as an empty one.
    ///
    /// # Errors
    /// Any error of the disk.
    pub(super) fn new(bytes: Option<SegmentBytes>) -> io::Result<Self> {
        let size = match &bytes {
            None => 0,
            Some(SegmentBytes::Plain(file)) => file.size()?,
            Some(SegmentBytes::Packed(_)) => u64::MAX,
        };
        let window = vec![0; usize::try_from(size).unwrap_or(usize::MAX).min(WINDOW_BYTES)];
        let (window_at, window_len, hashed_to) = (0, 0, 0);
        let (unpackable, hasher) = (false, blake3::Hasher::new());
        Ok(Self { bytes, size, window, window_at, window_len, unpackable, hasher, hashed_to })
    }

    /// The length of the file when the reader was created; the file of a live journal may have grown. `None` if
    /// compressed.
    pub(super) fn size(&self) -> Option<u64> {
        match self.bytes {
            Some(SegmentBytes::Packed(_)) => None,
            _ => Some(self.size),
        }
    }

    /// What is at `offset`.
    ///
    /// # Errors
    /// Any error of the disk.
    pub(super) fn at(&mut self, offset: u64) -> io::Result<At<'_>> {
        self.load(offset, HEADER_BYTES)?;
        let start = self.held(offset, HEADER_BYTES);
        if start.is_empty() {
            let packed = || At::Fault(FrameFault::Unpackable);
            return Ok(if self.unpackable {
                packed()
            } else if offset > self.size {
                missing()
            } else {
                At::End
            });
        }
        if footer::starts(start) {
            self.load(offset, FOOTER_BYTES)?;
            return Ok(At::Footer(self.held(offset, FOOTER_BYTES)));
        }
        let need = match whole_len(start) {
            Ok(need) => need,
            Err(fault) => return Ok(At::Fault(fault)),
        };
        self.load(offset, need)?;
        let bytes = self.held(offset, need);
        if bytes.len() < need {
            let have = bytes.len() as u64;
            return Ok(At::Fault(FrameFault::Incomplete { have, need: need as u64 }));
        }
        Ok(At::Frame(bytes))
    }

    /// The part of these bytes that is in the window; the last load put all of them there.
    pub(super) fn held(&self, offset: u64, len: usize) -> &[u8] {
        let skip = usize::try_from(offset.saturating_sub(self.window_at)).unwrap_or(usize::MAX).min(self.window_len);
        let end = skip.saturating_add(len).min(self.window_len);
        if offset < self.window_at { &[] } else { self.window.get(skip..end).unwrap_or_default() }
    }

    /// Whether anything is at or after `offset`. The bytes that are skipped are not hashed, because they may not belong
    /// to the segment.
    ///
    /// # Errors
    /// Any error of the disk.
    pub(super) fn has_more(&mut self, offset: u64) -> io::Result<bool> {
        let (hasher, hashed_to) = (self.hasher.clone(), self.hashed_to);
        let loaded = self.load(offset, 1);
        (self.hasher, self.hashed_to) = (hasher, hashed_to);
        loaded?;
        Ok(self.unpackable || !self.held(offset, 1).is_empty())
    }

    /// Loads up to `len` bytes at `offset` into the window; fewer only at the end.
    fn load(&mut self, offset: u64, len: usize) -> io::Result<()> {
        let window_end = self.window_at.saturating_add(self.window_len as u64);
        if offset >= self.window_at && offset.saturating_add(len as u64) <= window_end {
            return Ok(());
        }
        self.hash_to(offset);
        let keep =
            if offset >= self.window_at { usize::try_from(window_end.saturating_sub(offset)).unwrap_or(0) } else { 0 };
        self.window.copy_within(self.window_len.saturating_sub(keep)..self.window_len, 0);
        self.window_at = offset;
        self.window_len = keep;
        let from = offset.saturating_add(keep as u64);
        let Some(bytes) = &mut self.bytes else { return Ok(()) };
        if self.unpackable {
            return Ok(());
        }
        let got = match bytes.read_at(from, self.window.get_mut(keep..).unwrap_or_default()) {
            Ok(got) => got,
            Err(error) if Unpacked::is_damage(&error) => {
                self.unpackable = true;
                0
            }
            Err(error) => return Err(error),
        };
        // Bytes that were appended since the start are not checked here.
        let left = usize::try_from(self.size.saturating_sub(from)).unwrap_or(usize::MAX);
        self.window_len = self.window_len.saturating_add(got.min(left));
        Ok(())
    }

    /// Hashes the part of the window up to `offset` that is not hashed yet.
    fn hash_to(&mut self, offset: u64) {
        let upto = offset.min(self.window_at.saturating_add(self.window_len as u64));
        if let Ok(len @ 1..) = usize::try_from(upto.saturating_sub(self.hashed_to)) {
            let skip = usize::try_from(self.hashed_to.saturating_sub(self.window_at)).unwrap_or(usize::MAX);
            let piece = self.window.get(skip..skip.saturating_add(len)).unwrap_or_default();
            self.hasher.update(piece);
            self.hashed_to = upto;
        }
    }

    /// Treats a frame as if it were at `offset`.
    pub(super) fn substitute(&mut self, offset: u64, frame: &[u8]) {
        self.hash_to(offset);
        self.hasher.update(frame);
        self.hashed_to = offset.saturating_add(frame.len() as u64);
    }

    /// Skips everything before `offset` without a check. Returns `false` if the segment is shorter.
    ///
    /// # Errors
    /// Any error of the disk.
    pub(super) fn pass(&mut self, offset: u64) -> io::Result<bool> {
        while self.hashed_to < offset {
            let at = self.hashed_to;
            self.load(at, self.window.len())?;
            self.hash_to(offset);
            if self.hashed_to == at {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The hash over everything before `offset`, which has been passed already.
    pub(super) fn hasher(&mut self, offset: u64) -> blake3::Hasher {
        self.hash_to(offset);
        self.hasher.clone()
    }
}

fn missing<'r>() -> At<'r> {
    At::Fault(FrameFault::Incomplete { have: 0, need: HEADER_BYTES as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        assert_eq!(classify("0000000000000001.jseg.open"), NameKind::Open(1));
        assert_eq!(classify("0000000000000001.512.3.broken"), NameKind::Broken);
        assert_eq!(classify("0000000000000001-0000000000000009.jseg"), NameKind::Sealed(1, 9));
        assert_eq!(classify("0000000000000002-0000000000000002.jseg.zst"), NameKind::Compressed(2, 2));
        assert_eq!(classify("0000000000000002-0000000000000002.jseg.zst.tmp"), NameKind::Temporary);
        let foreign = [
            "1.jseg.open",
            "+000000000000001.jseg.open",
            "0000000000000009-0000000000000001.jseg",
            "0000000000000000.jseg.open",
            "1-2.jseg",
            "x.tmp",
            "x",
        ];
        for name in foreign {
            assert_eq!(classify(name), NameKind::Foreign, "{name}");
        }
    }
}
