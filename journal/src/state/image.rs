//! The state as bytes: what a snapshot holds, and what the digest of a checkpoint is over.
//!
//! An image is a list of small entries in a fixed order, one for each thing that the state has, so that neither writing
//! nor hashing one needs memory for more than its largest entry. Equal states have equal images, and what reads back is
//! exactly what was written: [`read`] refuses every other form. `FORMAT.md` has the bytes, under "State image".
//!
//! Owns the order and the framing; the fields are those of the state's structs, as rkyv archives them. They are frozen
//! under [`IMAGE_VERSION`] as the payloads of facts are: a field more is another version, and this one is still read.

mod read;
mod write;

pub use read::read;
pub use write::write;

use super::State;

/// The latest version. What version 1 can hold is written as version 1, so that the digests of checkpoints that an
/// earlier version of lakemirror wrote stay what they are; version 2 adds entries of the kinds 14, 15, 32 to 34 and 45.
pub const IMAGE_VERSION: u16 = 2;

/// `kind`, `key_len` and `value_len`, each 4 bytes.
const ENTRY_HEADER_BYTES: usize = 12;

/// What an entry is about. The numbers stand on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Kind {
    Service = 1,
    Loss = 2,
    Segment = 3,
    Gone = 4,
    Mirror = 5,
    Branch = 6,
    Commit = 7,
    Frontier = 8,
    Children = 9,
    Resident = 10,
    Range = 11,
    Metarange = 12,
    End = 13,
    Archive = 14,
    Archived = 15,
    Hold = 44,
    Gap = 32,
    Database = 33,
    DatabaseItem = 34,
    Condition = 45,
}

impl Kind {
    const ALL: [Self; 20] = [
        Self::Service,
        Self::Loss,
        Self::Segment,
        Self::Gone,
        Self::Mirror,
        Self::Branch,
        Self::Commit,
        Self::Frontier,
        Self::Children,
        Self::Resident,
        Self::Range,
        Self::Metarange,
        Self::End,
        Self::Archive,
        Self::Archived,
        Self::Hold,
        Self::Gap,
        Self::Database,
        Self::DatabaseItem,
        Self::Condition,
    ];

    fn of(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u32 == number)
    }
}

/// The first entry: what there is once.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Service {
    writer_epoch: u64,
    policy: super::policy::Policy,
    snapshot: Option<super::lifecycle::Snapshot>,
    checks: u64,
    ignored_events: u64,
}

/// A mirror but for what has entries of its own.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct MirrorHead {
    definition: super::mirror::Definition,
    phase: super::mirror::Phase,
    adopted_ms: Option<u64>,
    source: Option<super::mirror::Source>,
    trouble: Option<super::condition::Raised>,
    checks: u64,
    moves: u64,
    published: u64,
}

/// Why bytes are not an image, or a state has none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A later version of lakemirror wrote it.
    #[error("the image of the state has version {found}, this version of lakemirror reads up to {IMAGE_VERSION}")]
    Newer {
        /// The image's version.
        found: u16,
    },
    /// It is not what the writer writes.
    #[error("the image of the state is damaged at byte {at}: {what}")]
    Damaged {
        /// Where the entry starts.
        at: usize,
        /// What is wrong there.
        what: String,
    },
    /// It reads, but the state that it gives has another image.
    #[error("the image of the state is not the one that its content has")]
    NotCanonical,
    /// The encoder failed (memory, or a single thing of 2 GiB).
    #[error("the state could not be encoded: {0}")]
    Encode(String),
}

/// BLAKE3 of the state's image. Equal states have equal digests.
///
/// # Errors
/// [`ImageError::Encode`].
pub fn digest(state: &State) -> Result<[u8; 32], ImageError> {
    let mut hasher = blake3::Hasher::new();
    write(state, |bytes| {
        hasher.update(bytes);
    })?;
    Ok(*hasher.finalize().as_bytes())
}

/// BLAKE3 of an image that is there: the digest of its state, if it is sound.
#[must_use]
pub fn digest_of(image: &[u8]) -> [u8; 32] {
    *blake3::hash(image).as_bytes()
}

/// What a frame that is a checkpoint says of a state with this digest: its first 8 bytes as a little-endian number, or
/// 1 where that is 0, which says "no checkpoint".
#[must_use]
pub fn mark(digest: &[u8; 32]) -> u64 {
    let low = digest.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    low.max(1)
}
