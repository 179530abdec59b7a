//! Segment files: frames one after another, and behind the last one of a sealed segment its footer. Owns their names and
//! reading what lies at an offset.
//!
//! Does not know what follows what (`chain`), where the files are (`catalog`) nor what to do about a fault (`recovery`).
//! Reads through one window, so that memory is bounded whatever the file's length; frames are looked at in the window
//! and never copied. What has been passed is hashed in large pieces, which is several times faster than in small ones.
//!
//! The segment that is being written is `<first record, 16 digits>.jseg.open`; sealed it is `<first>-<last>.jseg`, and
//! compressed `<first>-<last>.jseg.zst`. Copies of damaged bytes end in `.broken`.

use std::io;

use super::disk::DiskFile;
use super::footer::{self, FOOTER_BYTES};
use super::frame::{FRAME_BYTES_LIMIT, FrameFault, HEADER_BYTES, whole_len};
use super::unpack::Unpacked;
use crate::ids::Seq;

/// Directory of the segments.
pub(super) const SEGMENT_DIR: &str = "seg";
const OPEN_SUFFIX: &str = ".jseg.open";
const SEALED_SUFFIX: &str = ".jseg";
const COMPRESSED_SUFFIX: &str = ".jseg.zst";
const BROKEN_SUFFIX: &str = ".broken";
const TEMPORARY_SUFFIX: &str = ".tmp";
/// Digits of a record's number in a name.
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

/// Path for a copy of what was found damaged at `offset` of a segment by the opening `writer_epoch`.
pub(super) fn broken_path(first_seq: Seq, offset: u64, writer_epoch: u64) -> String {
    format!("{SEGMENT_DIR}/{first_seq:016}.{offset}.{writer_epoch}{BROKEN_SUFFIX}")
}

/// Path for a whole file that the opening `generation` set aside.
pub(super) fn aside_path(path: &str, generation: u64) -> String {
    format!("{path}.{generation}{BROKEN_SUFFIX}")
}

/// What a name in the segments' directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameKind {
    /// The segment being written, and its first record.
    Open(Seq),
    /// A sealed segment, its first and its last record.
    Sealed(Seq, Seq),
    /// A compressed one.
    Compressed(Seq, Seq),
    /// A copy of damaged bytes: evidence, never read.
    Broken,
    /// An unfinished copy of anything.
    Temporary,
    /// Anything else.
    Foreign,
}

/// Tells what a name is.
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

/// A record's number as names have it; there is no record 0.
fn number(digits: &str) -> Option<Seq> {
    let right = digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_digit());
    digits.parse().ok().filter(|&seq| right && seq > 0)
}

/// A segment's bytes, packed or not.
pub(super) enum SegmentBytes {
    /// As they are.
    Plain(Box<dyn DiskFile>),
    /// Behind a decoder, which goes only forward.
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

/// Reads frames at offsets, in rising order.
pub(super) struct Reader {
    bytes: Option<SegmentBytes>,
    /// Where the file ended when the reader was made; of a packed one it is not known before the end.
    size: u64,
    window: Vec<u8>,
    window_at: u64,
    window_len: usize,
    /// The packed bytes go no further than the window, because they are damaged there.
    unpackable: bool,
    hasher: blake3::Hasher,
    hashed_to: u64,
}

/// What lies at an offset.
pub(super) enum At<'r> {
    /// The file ends exactly here.
    End,
    /// As many bytes as the header announces; not checked further.
    Frame(&'r [u8]),
    /// A footer begins here: as many bytes as one has, or fewer.
    Footer(&'r [u8]),
    /// No frame can be here.
    Fault(FrameFault),
}

impl Reader {
    /// Over a segment, or over none, which reads as an empty one.
    ///
    /// # Errors
    /// As the disk says.
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

    /// The file's length when the reader was made. A live journal's file may have grown since. `None` of a packed one.
    pub(super) fn size(&self) -> Option<u64> {
        match self.bytes {
            Some(SegmentBytes::Packed(_)) => None,
            _ => Some(self.size),
        }
    }

    /// What lies at `offset`.
    ///
    /// # Errors
    /// As the disk says.
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

    /// What of these bytes is in the window: all that were loaded last.
    pub(super) fn held(&self, offset: u64, len: usize) -> &[u8] {
        let skip = usize::try_from(offset.saturating_sub(self.window_at)).unwrap_or(usize::MAX).min(self.window_len);
        let end = skip.saturating_add(len).min(self.window_len);
        if offset < self.window_at { &[] } else { self.window.get(skip..end).unwrap_or_default() }
    }

    /// Whether anything lies at or after `offset`. What is looked over on the way is not hashed: it may turn out not to
    /// belong to the segment.
    ///
    /// # Errors
    /// As the disk says.
    pub(super) fn has_more(&mut self, offset: u64) -> io::Result<bool> {
        let (hasher, hashed_to) = (self.hasher.clone(), self.hashed_to);
        let loaded = self.load(offset, 1);
        (self.hasher, self.hashed_to) = (hasher, hashed_to);
        loaded?;
        Ok(self.unpackable || !self.held(offset, 1).is_empty())
    }

    /// Brings up to `len` bytes at `offset` into the window, fewer only at the end.
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
        // What was appended since the start is not ours to judge.
        let left = usize::try_from(self.size.saturating_sub(from)).unwrap_or(usize::MAX);
        self.window_len = self.window_len.saturating_add(got.min(left));
        Ok(())
    }

    /// Hashes what the window has up to `offset` and is not hashed yet.
    fn hash_to(&mut self, offset: u64) {
        let upto = offset.min(self.window_at.saturating_add(self.window_len as u64));
        if let Ok(len @ 1..) = usize::try_from(upto.saturating_sub(self.hashed_to)) {
            let skip = usize::try_from(self.hashed_to.saturating_sub(self.window_at)).unwrap_or(usize::MAX);
            let piece = self.window.get(skip..skip.saturating_add(len)).unwrap_or_default();
            self.hasher.update(piece);
            self.hashed_to = upto;
        }
    }

    /// Takes a frame that should be at `offset` as if it were there.
    pub(super) fn substitute(&mut self, offset: u64, frame: &[u8]) {
        self.hash_to(offset);
        self.hasher.update(frame);
        self.hashed_to = offset.saturating_add(frame.len() as u64);
    }

    /// Passes over everything before `offset`, whatever it is; `false` if the segment is shorter.
    ///
    /// # Errors
    /// As the disk says.
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

    /// The hash over everything before `offset`, which has been passed.
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
