//! Segment files: frames one after another, nothing between them. Owns their names and reading one frame at an offset.
//!
//! Does not know what follows what (`chain`) nor what to do about a fault (`recovery`). Reads through one window of
//! two frames' size, so that memory is bounded whatever the file's length.
//!
//! The segment that is being written is `<first record, 16 digits>.jseg.open`; sealing (not in this version) renames it
//! to `<first>-<last>.jseg`. Copies of damaged bytes end in `.broken`.

use std::io;

use super::disk::DiskFile;
use super::frame::{FRAME_BYTES_LIMIT, FrameFault, HEADER_BYTES, whole_len};
use crate::ids::Seq;

/// Directory of the segments.
pub(super) const SEGMENT_DIR: &str = "seg";
const OPEN_SUFFIX: &str = ".jseg.open";
const BROKEN_SUFFIX: &str = ".broken";
const WINDOW_BYTES: usize = 2 * FRAME_BYTES_LIMIT;

/// Path of the open segment whose first record is `first_seq`.
pub(super) fn open_path(first_seq: Seq) -> String {
    format!("{SEGMENT_DIR}/{first_seq:016}{OPEN_SUFFIX}")
}

/// Path for a copy of what was found damaged at `offset` of a segment by the opening `writer_epoch`.
pub(super) fn broken_path(first_seq: Seq, offset: u64, writer_epoch: u64) -> String {
    format!("{SEGMENT_DIR}/{first_seq:016}.{offset}.{writer_epoch}{BROKEN_SUFFIX}")
}

/// What a name in the segments' directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameKind {
    /// The segment being written, and its first record.
    Open(Seq),
    /// A copy of damaged bytes, or an unfinished one: evidence, never read.
    Broken,
    /// Anything else.
    Foreign,
}

/// Tells what a name is.
pub(super) fn classify(name: &str) -> NameKind {
    if name.ends_with(BROKEN_SUFFIX) || name.ends_with(".broken.tmp") {
        return NameKind::Broken;
    }
    let first = name.strip_suffix(OPEN_SUFFIX).filter(|digits| digits.len() == 16);
    match first.and_then(|digits| digits.parse().ok()) {
        Some(seq) if open_path(seq).ends_with(name) => NameKind::Open(seq),
        _ => NameKind::Foreign,
    }
}

/// Reads frames at offsets, best in rising order.
pub(super) struct Reader<'a> {
    file: Option<&'a dyn DiskFile>,
    size: u64,
    window: Vec<u8>,
    window_at: u64,
    window_len: usize,
}

/// What lies at an offset.
pub(super) enum At<'r> {
    /// The file ends exactly here.
    End,
    /// As many bytes as the header announces; not checked further.
    Bytes(&'r [u8]),
    /// No frame can be here.
    Fault(FrameFault),
}

impl<'a> Reader<'a> {
    /// Over a file, or over none, which reads as an empty one.
    ///
    /// # Errors
    /// As the disk says.
    pub(super) fn new(file: Option<&'a dyn DiskFile>) -> io::Result<Self> {
        let size = file.map_or(Ok(0), DiskFile::size)?;
        let window = vec![0; usize::try_from(size).unwrap_or(usize::MAX).min(WINDOW_BYTES)];
        Ok(Self { file, size, window, window_at: 0, window_len: 0 })
    }

    /// The file's length when the reader was made. A live journal's file may have grown since.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The frame that starts at `offset`.
    ///
    /// # Errors
    /// As the disk says.
    pub(super) fn at(&mut self, offset: u64) -> io::Result<At<'_>> {
        if offset == self.size {
            return Ok(At::End);
        }
        let need = match whole_len(self.bytes(offset, HEADER_BYTES)?) {
            Ok(need) => need,
            Err(fault) => return Ok(At::Fault(fault)),
        };
        let bytes = self.bytes(offset, need)?;
        if bytes.len() < need {
            let have = bytes.len() as u64;
            return Ok(At::Fault(FrameFault::Incomplete { have, need: need as u64 }));
        }
        Ok(At::Bytes(bytes))
    }

    /// Up to `len` bytes at `offset`, fewer only at the end.
    fn bytes(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let have = |reader: &Self| {
            let skip = usize::try_from(offset.checked_sub(reader.window_at)?).ok()?;
            (skip.checked_add(len)? <= reader.window_len).then_some(skip)
        };
        let skip = match have(self) {
            Some(skip) => skip,
            None => {
                self.window_len = match self.file {
                    Some(file) => file.read_at(offset, &mut self.window)?,
                    None => 0,
                };
                // What was appended since the start is not ours to judge.
                let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
                self.window_len = self.window_len.min(left);
                self.window_at = offset;
                0
            }
        };
        let end = skip.saturating_add(len).min(self.window_len);
        Ok(self.window.get(skip..end).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        assert_eq!(classify("0000000000000001.jseg.open"), NameKind::Open(1));
        assert_eq!(classify("0000000000000001.512.3.broken"), NameKind::Broken);
        for foreign in ["1.jseg.open", "+000000000000001.jseg.open", "0000000000000001-0000000000000009.jseg", "x"] {
            assert_eq!(classify(foreign), NameKind::Foreign, "{foreign}");
        }
    }
}
