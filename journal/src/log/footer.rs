//! The footer of a sealed segment: numbers and hashes that describe its content. This module owns the layout and the
//! encoding.
//!
//! It does not check whether the footer is true (`walk` compares it with the frames). `FORMAT.md` describes the same
//! for other languages: change both together.
//!
//! ```text
//!   0 magic "JSF1"          4 crc32 of bytes 8..216     8 version u16 | flags u16   12 zero u32
//!  16 first_seq u64        24 last_seq u64             32 frames u64               40 frame_bytes u64
//!  48 checks_before u64    56 checks_total u64         64 writer_epoch u64         72 first_wall_ms u64
//!  80 last_wall_ms u64     88 prev_hash [32]          120 last_hash [32]          152 frames_hash [32]
//! 184 prev_footer [32]
//! ```

use super::bytes::{array_at, u16_at, u32_at, u64_at};
use super::frame::FrameHash;
use crate::ids::Seq;

/// A BLAKE3 hash over a whole footer, called "the hash of the segment".
pub type FooterHash = [u8; 32];

/// Stands for the hash of the previous footer if there is none or it was lost.
pub(super) const NO_FOOTER: FooterHash = [0; 32];

const MAGIC: [u8; 4] = *b"JSF1";
const VERSION: u16 = 1;
const MAGIC_AT: usize = 0;
const CRC_AT: usize = MAGIC_AT + size_of::<[u8; 4]>();
const VERSION_AT: usize = CRC_AT + size_of::<u32>();
const FLAGS_AT: usize = VERSION_AT + size_of::<u16>();
const ZERO_AT: usize = FLAGS_AT + size_of::<u16>();
const FIRST_SEQ_AT: usize = ZERO_AT + size_of::<u32>();
const LAST_SEQ_AT: usize = FIRST_SEQ_AT + size_of::<u64>();
const FRAMES_AT: usize = LAST_SEQ_AT + size_of::<u64>();
const FRAME_BYTES_AT: usize = FRAMES_AT + size_of::<u64>();
const CHECKS_BEFORE_AT: usize = FRAME_BYTES_AT + size_of::<u64>();
const CHECKS_TOTAL_AT: usize = CHECKS_BEFORE_AT + size_of::<u64>();
const WRITER_EPOCH_AT: usize = CHECKS_TOTAL_AT + size_of::<u64>();
const FIRST_WALL_MS_AT: usize = WRITER_EPOCH_AT + size_of::<u64>();
const LAST_WALL_MS_AT: usize = FIRST_WALL_MS_AT + size_of::<u64>();
const PREV_HASH_AT: usize = LAST_WALL_MS_AT + size_of::<u64>();
const LAST_HASH_AT: usize = PREV_HASH_AT + size_of::<FrameHash>();
const FRAMES_HASH_AT: usize = LAST_HASH_AT + size_of::<FrameHash>();
const PREV_FOOTER_AT: usize = FRAMES_HASH_AT + size_of::<[u8; 32]>();
/// Size of a footer.
pub const FOOTER_BYTES: usize = PREV_FOOTER_AT + size_of::<FooterHash>();

const _: () = assert!(FOOTER_BYTES == 216);

/// The description of a sealed segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footer {
    /// Number of the first record.
    pub first_seq: Seq,
    /// Number of the last record.
    pub last_seq: Seq,
    /// The number of frames, at least one.
    pub frames: u64,
    /// Bytes of all frames; the footer follows them.
    pub frame_bytes: u64,
    /// Arrival checks in the journal before this segment.
    pub checks_before: u64,
    /// Arrival checks in the journal up to and including this segment.
    pub checks_total: u64,
    /// The opening that wrote the last frame.
    pub writer_epoch: u64,
    /// Wall time of the first frame in milliseconds since 1970; informational.
    pub first_wall_ms: u64,
    /// Wall time of the last frame in milliseconds since 1970; informational.
    pub last_wall_ms: u64,
    /// Hash of the frame before the segment.
    pub prev_hash: FrameHash,
    /// Hash of the last frame.
    pub last_hash: FrameHash,
    /// BLAKE3 over the bytes of all frames.
    pub frames_hash: [u8; 32],
    /// Hash of the previous segment's footer; zeros if there is none or it was lost.
    pub prev_footer: FooterHash,
}

/// Why bytes are not a footer. All but [`FooterFault::Newer`] mean damage or an unfinished write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FooterFault {
    /// There are fewer bytes than a footer has.
    #[error("{0} bytes where a footer has {FOOTER_BYTES}")]
    Incomplete(usize),
    /// The first four bytes are not the magic.
    #[error("no footer starts here")]
    Magic,
    /// The checksum differs.
    #[error("the footer's checksum is {found:08x} where it says {stored:08x}")]
    Crc {
        /// As stored.
        stored: u32,
        /// As computed.
        found: u32,
    },
    /// The checksum is right, but the footer uses something that this version does not know.
    #[error("the footer was written by a newer version ({0})")]
    Newer(&'static str),
}

/// Whether `bytes` begin like a footer.
pub(super) fn starts(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

impl Footer {
    /// The footer's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FOOTER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&0u32.to_le_bytes());
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&0u16.to_le_bytes());
        bytes.extend_from_slice(&0u32.to_le_bytes());
        let numbers = [
            self.first_seq,
            self.last_seq,
            self.frames,
            self.frame_bytes,
            self.checks_before,
            self.checks_total,
            self.writer_epoch,
            self.first_wall_ms,
            self.last_wall_ms,
        ];
        numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        let hashes = [self.prev_hash, self.last_hash, self.frames_hash, self.prev_footer];
        hashes.iter().for_each(|hash| bytes.extend_from_slice(hash));
        let crc = crc32fast::hash(bytes.get(VERSION_AT..).unwrap_or_default());
        if let Some(place) = bytes.get_mut(CRC_AT..VERSION_AT) {
            place.copy_from_slice(&crc.to_le_bytes());
        }
        bytes
    }

    /// Decodes the footer in exactly these bytes.
    ///
    /// # Errors
    /// The first fault found.
    pub fn decode(bytes: &[u8]) -> Result<Self, FooterFault> {
        if bytes.len() != FOOTER_BYTES {
            return Err(FooterFault::Incomplete(bytes.len()));
        }
        if !starts(bytes) {
            return Err(FooterFault::Magic);
        }
        let stored = u32_at(bytes, CRC_AT).unwrap_or_default();
        let found = crc32fast::hash(bytes.get(VERSION_AT..).unwrap_or_default());
        if stored != found {
            return Err(FooterFault::Crc { stored, found });
        }
        if u16_at(bytes, VERSION_AT) != Some(VERSION) {
            return Err(FooterFault::Newer("footer version"));
        }
        if u16_at(bytes, FLAGS_AT) != Some(0) || u32_at(bytes, ZERO_AT) != Some(0) {
            return Err(FooterFault::Newer("footer flags"));
        }
        Self::fields(bytes).ok_or(FooterFault::Incomplete(bytes.len()))
    }

    fn fields(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            first_seq: u64_at(bytes, FIRST_SEQ_AT)?,
            last_seq: u64_at(bytes, LAST_SEQ_AT)?,
            frames: u64_at(bytes, FRAMES_AT)?,
            frame_bytes: u64_at(bytes, FRAME_BYTES_AT)?,
            checks_before: u64_at(bytes, CHECKS_BEFORE_AT)?,
            checks_total: u64_at(bytes, CHECKS_TOTAL_AT)?,
            writer_epoch: u64_at(bytes, WRITER_EPOCH_AT)?,
            first_wall_ms: u64_at(bytes, FIRST_WALL_MS_AT)?,
            last_wall_ms: u64_at(bytes, LAST_WALL_MS_AT)?,
            prev_hash: array_at(bytes, PREV_HASH_AT)?,
            last_hash: array_at(bytes, LAST_HASH_AT)?,
            frames_hash: array_at(bytes, FRAMES_HASH_AT)?,
            prev_footer: array_at(bytes, PREV_FOOTER_AT)?,
        })
    }

    /// BLAKE3 over the whole footer.
    #[must_use]
    pub fn hash(&self) -> FooterHash {
        *blake3::hash(&self.encode()).as_bytes()
    }

    /// Arrival checks in this segment.
    #[must_use]
    pub fn checks(&self) -> u64 {
        self.checks_total.saturating_sub(self.checks_before)
    }

    /// Bytes of the sealed file: frames and footer.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.frame_bytes.saturating_add(FOOTER_BYTES as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footer() -> Footer {
        Footer {
            first_seq: 5,
            last_seq: 9,
            frames: 2,
            frame_bytes: 640,
            checks_before: 100,
            checks_total: 130,
            writer_epoch: 3,
            first_wall_ms: 1,
            last_wall_ms: 2,
            prev_hash: [1; 32],
            last_hash: [2; 32],
            frames_hash: [3; 32],
            prev_footer: [4; 32],
        }
    }

    #[test]
    fn reads_what_it_writes_and_notices_every_flipped_bit() {
        let bytes = footer().encode();
        assert_eq!(Footer::decode(&bytes), Ok(footer()));
        for at in 0..FOOTER_BYTES {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(Footer::decode(&flipped).is_err(), "byte {at} bit {bit}");
            }
            assert_eq!(Footer::decode(&bytes[..at]), Err(FooterFault::Incomplete(at)));
        }
    }

    #[test]
    fn a_newer_footer_is_told_apart_from_damage() {
        let mut bytes = footer().encode();
        bytes[VERSION_AT] = 2;
        let crc = crc32fast::hash(&bytes[VERSION_AT..]);
        bytes[CRC_AT..VERSION_AT].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Footer::decode(&bytes), Err(FooterFault::Newer("footer version")));
    }
}
