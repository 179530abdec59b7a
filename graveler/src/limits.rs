//! The limits of the reader, in one place, with their reasons. Owns numbers only.

/// The largest file that is read, in bytes. lakeFS closes a range at an estimated 20 MiB by default
/// (`committed.permanent.max_range_size_bytes`) plus at most one record; 256 MiB leaves room for another setting.
pub const FILE_BYTES_MAX: u64 = 256 << 20;

/// The largest decompressed block, in bytes. A block is closed at 4 KiB or after one record, and lakeFS refuses a
/// record whose data exceed 40 MiB, so no block of its own is larger than this.
pub const BLOCK_BYTES_MAX: u64 = 48 << 20;

/// The largest expansion by snappy: its densest element makes 64 bytes out of 3.
pub const SNAPPY_EXPANSION_MAX: u64 = 22;
