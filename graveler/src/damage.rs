//! What is wrong with a metadata file, and where. Owns the error type of the whole reader; finds nothing itself.

use std::fmt;

/// A metadata file that cannot be believed: what was expected at which offset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}{}: {problem}", Within(*within))]
pub struct Damage {
    /// Offset in the file, in bytes: of the field itself, or of the block that holds it.
    pub offset: u64,
    /// Offset within the block's (decompressed) contents, where the trouble is inside a block.
    pub within: Option<u64>,
    /// What is wrong there.
    pub problem: Problem,
}

impl Damage {
    pub(super) fn at(offset: u64, problem: Problem) -> Self {
        Self { offset, within: None, problem }
    }

    pub(super) fn inside(block: u64, within: usize, problem: Problem) -> Self {
        Self { offset: block, within: Some(within as u64), problem }
    }
}

struct Within(Option<u64>);

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(within) => write!(f, ", {within} bytes into the block there"),
            None => Ok(()),
        }
    }
}

/// The kinds of damage. Retrying never helps with the same bytes; another copy of the file may be good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The bytes there are not what the format has at this place.
    #[error("expected {0}")]
    Expected(&'static str),
    /// The file is too small to be an SSTable.
    #[error("the file has {found} bytes, expected at least the {least} of an SSTable's footer")]
    TooShort {
        /// Bytes in the file.
        found: u64,
        /// Bytes of the smallest possible file.
        least: u64,
    },
    /// The file is larger than this reader takes.
    #[error("the file has {found} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Bytes in the file.
        found: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// An SSTable, but of a kind that lakeFS does not write.
    #[error("unsupported {what}: found {found}, expected {expected}")]
    Unsupported {
        /// Which property of the format.
        what: &'static str,
        /// What the file says.
        found: String,
        /// What lakeFS writes.
        expected: &'static str,
    },
    /// The stored bytes of a block do not match their checksum.
    #[error("the block's checksum is {stored:08x}, expected {computed:08x} by its bytes")]
    Checksum {
        /// The checksum in the block's trailer.
        stored: u32,
        /// The checksum computed from the bytes.
        computed: u32,
    },
    /// The block claims to decompress to more than is allowed or possible.
    #[error("the block claims {claimed} bytes decompressed, expected at most {limit}")]
    BlockTooLarge {
        /// Bytes it claims.
        claimed: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The block does not decompress.
    #[error("expected a snappy block: {why}")]
    Snappy {
        /// What the decompressor says.
        why: String,
    },
    /// A count that the file states does not match what is in it.
    #[error("property {property} is {stored}, expected {counted} by the file's contents")]
    Count {
        /// The property's name.
        property: &'static str,
        /// What it says.
        stored: String,
        /// What was counted.
        counted: u64,
    },
    /// The file holds something else than asked for.
    #[error("the file's type is {found:?}, expected {expected:?}")]
    WrongType {
        /// The `type` property, empty where it is absent.
        found: String,
        /// The type asked for.
        expected: &'static str,
    },
    /// The contents are intact as a table, but are not those that the id names.
    #[error("the content's id is {computed}, expected {expected}")]
    WrongId {
        /// 64 hexadecimal digits computed from the records.
        computed: String,
        /// 64 hexadecimal digits asked for.
        expected: String,
    },
}
