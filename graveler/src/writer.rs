//! Writing ranges and metaranges as lakeFS does: records in, file out.
//!
//! Owns what a record of each kind is and where lakeFS closes a range; [`table`] owns the file format. Ids are those
//! that lakeFS computes for the same records, and files are byte for byte what its pebble writes for them.

mod block;
mod properties;
mod table;

use lakemirror_core::ids::{MetarangeId, RangeId};

pub use self::table::TableWriter;
use super::damage::Problem;
use super::entry::Entry;
use super::metarange::{self, RangeInfo, RangeOrder};
use super::range;

/// Why a record was not taken. The writer is unchanged and can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// Keys must ascend strictly, bytewise.
    #[error("key {ordinal} is not above the one before it; sort the records by key and drop duplicates")]
    KeyOrder {
        /// The record's number, from 0.
        ordinal: u64,
    },
    /// Ranges must not overlap.
    #[error("range {ordinal} does not begin above the end of the one before it; sort the ranges by key")]
    Overlap {
        /// The range's number, from 0.
        ordinal: u64,
    },
    /// A key or value is longer than lakeFS takes.
    #[error("record {ordinal} has {found} bytes, more than the limit of {limit}")]
    TooLong {
        /// The record's number, from 0.
        ordinal: u64,
        /// Bytes of its key and value.
        found: u64,
        /// The limit in bytes.
        limit: u64,
    },
}

/// A finished range file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenRange {
    /// What a metarange says of it.
    pub info: RangeInfo,
    /// The file, to be stored under its id.
    pub bytes: Vec<u8>,
}

/// Writes one range file into memory.
#[derive(Debug)]
pub struct RangeWriter(TableWriter);

impl RangeWriter {
    /// An empty range.
    #[expect(clippy::new_without_default, reason = "an empty range is where writing begins, not a default value")]
    pub fn new() -> Self {
        Self(TableWriter::new(range::KIND))
    }

    /// Adds an entry under its logical path.
    ///
    /// # Errors
    /// The key is not above the last one, or the record is too long.
    pub fn add(&mut self, key: &[u8], entry: &Entry) -> Result<(), WriteError> {
        self.0.add(key, &entry.to_value())
    }

    /// Adds an entry as another range file stores it, byte for byte, so that its range's id does not change.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn add_stored(&mut self, key: &[u8], value: &[u8]) -> Result<(), WriteError> {
        self.0.add(key, value)
    }

    /// Entries so far.
    pub fn count(&self) -> u64 {
        self.0.count()
    }

    /// pebble's running estimate of the file's size in bytes, which decides where ranges are closed.
    pub fn estimated_size(&self) -> u64 {
        self.0.estimated_size()
    }

    /// Closes the range.
    pub fn finish(self) -> WrittenRange {
        let table = self.0.finish();
        let info = RangeInfo {
            id: RangeId(table.digest),
            min_key: table.min_key,
            max_key: table.max_key,
            estimated_size: table.estimated_size,
            count: table.count,
        };
        WrittenRange { info, bytes: table.bytes }
    }
}

/// Writes one metarange file into memory.
#[derive(Debug)]
pub struct MetarangeWriter {
    table: TableWriter,
    order: RangeOrder,
}

impl MetarangeWriter {
    /// An empty tree.
    #[expect(clippy::new_without_default, reason = "an empty tree is where writing begins, not a default value")]
    pub fn new() -> Self {
        Self { table: TableWriter::new(metarange::KIND), order: RangeOrder::default() }
    }

    /// Adds a range.
    ///
    /// # Errors
    /// It does not begin above the end of the one before.
    pub fn add(&mut self, range: &RangeInfo) -> Result<(), WriteError> {
        let ordinal = self.table.count();
        self.order.take(range).map_err(|_: Problem| WriteError::Overlap { ordinal })?;
        self.table.add(&range.max_key, &range.to_value())
    }

    /// Closes the metarange.
    pub fn finish(self) -> (MetarangeId, Vec<u8>) {
        let table = self.table.finish();
        (MetarangeId(table.digest), table.bytes)
    }
}

/// When lakeFS closes a range (lakeFS `pkg/graveler/sstable/writer.go`, its configuration's defaults).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakRule {
    /// Never below this estimated size, in bytes.
    pub bytes_min: u64,
    /// Always from this estimated size on, in bytes.
    pub bytes_max: u64,
    /// In between, after a key whose hash is a multiple of this: once in so many keys.
    pub raggedness: u64,
}

impl Default for BreakRule {
    fn default() -> Self {
        Self { bytes_min: 0, bytes_max: 20 << 20, raggedness: 50_000 }
    }
}

/// Whether a range is to be closed after `key`, given its estimated size with that key in it.
pub fn should_break(key: &[u8], estimated_size: u64, rule: &BreakRule) -> bool {
    if estimated_size < rule.bytes_min {
        return false;
    }
    // A raggedness of 0 would be a division by zero in lakeFS; here it means that no key is special.
    estimated_size >= rule.bytes_max || fnv1a(key).checked_rem(rule.raggedness) == Some(0)
}

/// The 64-bit FNV-1a hash (RFC 9923).
fn fnv1a(bytes: &[u8]) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    bytes.iter().fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests;
