//! Blocks as they lie in the file: a handle, the stored bytes, a compression type and a checksum.
//!
//! Owns finding, checking and decompressing one block, and the checksum itself; the writer uses the same trailer.

use std::ops::Range;

use super::super::damage::{Damage, Problem};
use super::super::{limits, varint};

/// Bytes behind every block: its type and its checksum.
pub(in super::super) const BLOCK_TRAILER: u64 = 1 + size_of::<u32>() as u64;
/// Stored as it is.
pub(in super::super) const TYPE_RAW: u8 = 0;
/// Stored in snappy's block format.
pub(in super::super) const TYPE_SNAPPY: u8 = 1;

/// Where a block is: its trailer is not counted in `length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Handle {
    pub(in super::super) offset: u64,
    pub(in super::super) length: u64,
}

impl Handle {
    /// Splits a handle off `input`.
    pub(super) fn decode(input: &[u8]) -> Option<(Self, &[u8])> {
        let (offset, rest) = varint::read(input)?;
        let (length, rest) = varint::read(rest)?;
        let handle = Self { offset, length };
        handle.checked_end()?;
        Some((handle, rest))
    }

    /// A handle with nothing behind it.
    pub(super) fn decode_exact(input: &[u8]) -> Option<Self> {
        match Self::decode(input)? {
            (handle, []) => Some(handle),
            _ => None,
        }
    }

    /// Appends the handle.
    pub(in super::super) fn encode(&self, out: &mut Vec<u8>) {
        varint::write(out, self.offset);
        varint::write(out, self.length);
    }

    /// Where the block's trailer ends, unless that exceeds 64 bits.
    pub(super) fn checked_end(&self) -> Option<u64> {
        self.offset.checked_add(self.length)?.checked_add(BLOCK_TRAILER)
    }

    /// Where the block's trailer ends. Decoded handles never saturate.
    pub(super) fn end_with_trailer(&self) -> u64 {
        self.checked_end().unwrap_or(u64::MAX)
    }
}

/// CRC-32C as stored: rotated and shifted, so that a checksum over checksums stays a good one.
pub(in super::super) fn masked_crc(bytes: &[u8]) -> u32 {
    mask(crc32c::crc32c(bytes))
}

pub(in super::super) fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Holds one block's contents: a place in the file if it is stored raw, else a buffer that is used again.
#[derive(Debug, Default)]
pub(super) struct BlockBuffer {
    stored: Range<usize>,
    compressed: bool,
    buffer: Vec<u8>,
}

impl BlockBuffer {
    /// Reads a block that lakeFS never compresses.
    pub(super) fn load_raw(&mut self, file: &[u8], at: Handle) -> Result<(), Damage> {
        self.load(file, at)?;
        if !self.compressed {
            return Ok(());
        }
        Err(Damage::at(at.offset, Problem::Expected("an uncompressed block")))
    }

    /// Reads, checks and decompresses a block.
    pub(super) fn load(&mut self, file: &[u8], at: Handle) -> Result<(), Damage> {
        let outside = || Damage::at(at.offset.min(file.len() as u64), Problem::Expected("a block inside the file"));
        let range = byte_range(file, at).ok_or_else(outside)?;
        let (body, stored_crc) =
            file.get(range.clone()).and_then(|block| block.split_last_chunk::<4>()).ok_or_else(outside)?;
        let (stored, computed) = (u32::from_le_bytes(*stored_crc), masked_crc(body));
        // A fuzzer cannot guess checksums; everything behind them is to be reached all the same.
        if stored != computed && !cfg!(fuzzing) {
            return Err(Damage::at(at.offset, Problem::Checksum { stored, computed }));
        }
        let (&kind, contents) = body.split_last().ok_or_else(outside)?;
        self.stored = range.start..range.start + contents.len();
        self.compressed = kind == TYPE_SNAPPY;
        match kind {
            TYPE_RAW => check_size(contents.len() as u64, limits::BLOCK_BYTES_MAX),
            TYPE_SNAPPY => self.decompress(contents),
            other => Err(Problem::Unsupported {
                what: "compression type",
                found: other.to_string(),
                expected: "0 (none) or 1 (snappy)",
            }),
        }
        .map_err(|problem| Damage::at(at.offset, problem))
    }

    fn decompress(&mut self, contents: &[u8]) -> Result<(), Problem> {
        let fails = |error: snap::Error| Problem::Snappy { why: error.to_string() };
        let claimed = snap::raw::decompress_len(contents).map_err(fails)?;
        let possible = (contents.len() as u64).saturating_mul(limits::SNAPPY_EXPANSION_MAX);
        check_size(claimed as u64, possible.min(limits::BLOCK_BYTES_MAX))?;
        self.buffer.resize(claimed, 0);
        let written = snap::raw::Decoder::new().decompress(contents, &mut self.buffer).map_err(fails)?;
        if written != claimed {
            return Err(Problem::Expected("a snappy block of the length it claims"));
        }
        Ok(())
    }

    /// The block's contents. `file` is the file it was loaded from.
    #[inline]
    pub(super) fn contents<'a>(&'a self, file: &'a [u8]) -> &'a [u8] {
        if self.compressed { &self.buffer } else { file.get(self.stored.clone()).unwrap_or_default() }
    }
}

fn check_size(claimed: u64, limit: u64) -> Result<(), Problem> {
    if claimed > limit {
        return Err(Problem::BlockTooLarge { claimed, limit });
    }
    Ok(())
}

/// The block and its trailer.
fn byte_range(file: &[u8], at: Handle) -> Option<Range<usize>> {
    let end = usize::try_from(at.checked_end()?).ok()?;
    (end <= file.len()).then_some(())?;
    Some(usize::try_from(at.offset).ok()?..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_masked() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(masked_crc(b"123456789"), 0xc78a_b0e5);
        let empty_block = [0, 0, 0, 0, 1, 0, 0, 0, TYPE_RAW];
        assert_eq!(masked_crc(&empty_block).to_le_bytes(), [0xc0, 0xf2, 0xa1, 0xb0]);
    }
}
