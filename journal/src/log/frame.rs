//! The frame: one group commit as bytes. This module owns the layout, the encoding, and the checks that need only the
//! frame itself.
//!
//! It does not know where frames are (`segment`, `hot`) nor how one follows another (`chain`). Records are opaque
//! payloads. All integers are little endian. `FORMAT.md` describes the same for other languages: change both together.
//!
//! ```text
//!  0 magic "JRF1"          4 crc32 of bytes 8..end       8 version u16 | flags u16     12 body_len u32
//! 16 first_seq u64        24 count u32 | zero u32       32 writer_epoch u64            40 checks_total u64 (after)
//! 48 wall_ms u64          56 state_digest u64           64 prev_hash [32]
//! 96 body: count x { kind u16, version u16, len u32, flags u32, zero u32, payload[len], zeros to a multiple of 16 }
//! ```

use super::bytes::{array_at, u16_at, u32_at, u64_at};
use crate::ids::Seq;

/// A BLAKE3 hash over a whole frame, as the next frame and HEAD carry it.
pub type FrameHash = [u8; 32];

/// The largest frame, header included. It bounds what a reader has to hold.
pub const FRAME_BYTES_LIMIT: usize = 256 * 1024;
/// The largest payload. Larger data goes to a file of its own, and its digest into a record.
pub const RECORD_BYTES_LIMIT: usize = 192 * 1024;
/// The version of the layout above.
pub const FRAME_VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"JRF1";
const MAGIC_AT: usize = 0;
const CRC_AT: usize = MAGIC_AT + size_of::<[u8; 4]>();
const VERSION_AT: usize = CRC_AT + size_of::<u32>();
const FLAGS_AT: usize = VERSION_AT + size_of::<u16>();
const BODY_LEN_AT: usize = FLAGS_AT + size_of::<u16>();
const FIRST_SEQ_AT: usize = BODY_LEN_AT + size_of::<u32>();
const COUNT_AT: usize = FIRST_SEQ_AT + size_of::<u64>();
const ZERO_AT: usize = COUNT_AT + size_of::<u32>();
const WRITER_EPOCH_AT: usize = ZERO_AT + size_of::<u32>();
const CHECKS_TOTAL_AT: usize = WRITER_EPOCH_AT + size_of::<u64>();
const WALL_MS_AT: usize = CHECKS_TOTAL_AT + size_of::<u64>();
const STATE_DIGEST_AT: usize = WALL_MS_AT + size_of::<u64>();
const PREV_HASH_AT: usize = STATE_DIGEST_AT + size_of::<u64>();
/// Bytes before the body.
pub const HEADER_BYTES: usize = PREV_HASH_AT + size_of::<FrameHash>();

const KIND_AT: usize = 0;
const RECORD_VERSION_AT: usize = KIND_AT + size_of::<u16>();
const LEN_AT: usize = RECORD_VERSION_AT + size_of::<u16>();
const RECORD_FLAGS_AT: usize = LEN_AT + size_of::<u32>();
const RECORD_ZERO_AT: usize = RECORD_FLAGS_AT + size_of::<u32>();
const RECORD_HEADER_BYTES: usize = RECORD_ZERO_AT + size_of::<u32>();
const RECORD_ALIGN: usize = 16;

const _: () = assert!(HEADER_BYTES == 96 && RECORD_HEADER_BYTES == 16 && HEADER_BYTES.is_multiple_of(RECORD_ALIGN));

/// One record: its kind, the version of that kind, and the payload, which this module never parses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawRecord<'a> {
    /// The kind of record (the table is in `FORMAT.md`).
    pub kind: u16,
    /// The version of that kind's payload.
    pub version: u16,
    /// The payload, at most [`RECORD_BYTES_LIMIT`] bytes.
    pub payload: &'a [u8],
}

impl RawRecord<'_> {
    /// The bytes that the record takes in a frame: header, payload and padding.
    #[must_use]
    pub fn framed_bytes(&self) -> usize {
        RECORD_HEADER_BYTES.saturating_add(self.payload.len()).next_multiple_of(RECORD_ALIGN)
    }
}

/// The fields of a frame's header, without its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Number of the first record.
    pub first_seq: Seq,
    /// The opening of the journal that wrote it.
    pub writer_epoch: u64,
    /// Arrival checks in the journal, including this frame's.
    pub checks_total: u64,
    /// Wall time of the commit in milliseconds since 1970; informational.
    pub wall_ms: u64,
    /// Low half of the state's digest; 0 in a frame that is no checkpoint.
    pub state_digest: u64,
    /// Hash of the previous frame.
    pub prev_hash: FrameHash,
}

/// Why bytes are not a frame. All but [`FrameFault::Newer`] mean damage or an unfinished write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameFault {
    /// There are fewer bytes than a header, or than the header announces.
    #[error("{have} bytes where {need} are needed")]
    Incomplete {
        /// The bytes that exist.
        have: u64,
        /// The bytes of a complete frame.
        need: u64,
    },
    /// The rest of a compressed segment cannot be decompressed.
    #[error("the compressed file is damaged before this")]
    Unpackable,
    /// The first four bytes are not the magic.
    #[error("no frame starts here")]
    Magic,
    /// The announced length is impossible.
    #[error("a body of {0} bytes, which no frame can have")]
    BodyLen(u32),
    /// The checksum over the frame differs.
    #[error("checksum {found:08x} where the frame says {stored:08x}")]
    Crc {
        /// As stored in the frame.
        stored: u32,
        /// As computed.
        found: u32,
    },
    /// The checksum is right, but the structure is not.
    #[error("the checksum is right, but {0}")]
    Structure(&'static str),
    /// The checksum is right, but the frame uses something that this version does not know.
    #[error("written by a newer version ({0})")]
    Newer(&'static str),
}

/// A frame whose bytes have been checked: magic, length, checksum, structure.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The header's fields.
    pub stamp: Stamp,
    /// The number of records, at least one.
    pub count: u32,
    bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Checks `bytes`, which must be exactly one frame.
    ///
    /// # Errors
    /// The first fault found.
    pub fn check(bytes: &'a [u8]) -> Result<Self, FrameFault> {
        let need = whole_len(bytes)?;
        if bytes.len() != need {
            return Err(FrameFault::Incomplete { have: bytes.len() as u64, need: need as u64 });
        }
        check_crc(bytes)?;
        if u16_at(bytes, VERSION_AT) != Some(FRAME_VERSION) {
            return Err(FrameFault::Newer("frame version"));
        }
        if u16_at(bytes, FLAGS_AT) != Some(0) {
            return Err(FrameFault::Newer("frame flags"));
        }
        if u32_at(bytes, ZERO_AT) != Some(0) {
            return Err(FrameFault::Newer("reserved field"));
        }
        let frame = Self::trusted(bytes).ok_or(FrameFault::Structure("its header is short"))?;
        frame.check_records()?;
        Ok(frame)
    }

    /// Parses bytes that have passed [`Frame::check`] before. `None` if they are shorter than a header.
    pub(super) fn trusted(bytes: &'a [u8]) -> Option<Self> {
        let stamp = Stamp {
            first_seq: u64_at(bytes, FIRST_SEQ_AT)?,
            writer_epoch: u64_at(bytes, WRITER_EPOCH_AT)?,
            checks_total: u64_at(bytes, CHECKS_TOTAL_AT)?,
            wall_ms: u64_at(bytes, WALL_MS_AT)?,
            state_digest: u64_at(bytes, STATE_DIGEST_AT)?,
            prev_hash: array_at(bytes, PREV_HASH_AT)?,
        };
        Some(Self { stamp, count: u32_at(bytes, COUNT_AT)?, bytes })
    }

    fn check_records(&self) -> Result<(), FrameFault> {
        if self.count == 0 {
            return Err(FrameFault::Structure("it has no records"));
        }
        if self.stamp.first_seq.checked_add(u64::from(self.count)).is_none() {
            return Err(FrameFault::Structure("its sequence numbers overflow"));
        }
        let mut rest = self.body();
        for _ in 0..self.count {
            rest = split_record(rest)?.1;
        }
        if rest.is_empty() { Ok(()) } else { Err(FrameFault::Structure("bytes follow its last record")) }
    }

    fn body(&self) -> &'a [u8] {
        self.bytes.get(HEADER_BYTES..).unwrap_or_default()
    }

    /// The records in order.
    pub fn records(&self) -> impl Iterator<Item = RawRecord<'a>> + use<'a> {
        let mut rest = self.body();
        std::iter::from_fn(move || {
            // `check` has parsed the same bytes without a fault, so this ends only at the end.
            let (record, after) = split_record(rest).ok()?;
            rest = after;
            Some(record)
        })
    }

    /// Number of the last record.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        self.stamp.first_seq.saturating_add(u64::from(self.count)).saturating_sub(1)
    }

    /// BLAKE3 over header and body.
    #[must_use]
    pub fn hash(&self) -> FrameHash {
        hash(self.bytes)
    }

    /// The whole frame.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// BLAKE3 over a whole frame.
#[must_use]
pub(super) fn hash(frame: &[u8]) -> FrameHash {
    *blake3::hash(frame).as_bytes()
}

/// The length of the frame that starts with `start`, from its header alone.
///
/// # Errors
/// A fault if `start` is not the header of a possible frame.
pub(super) fn whole_len(start: &[u8]) -> Result<usize, FrameFault> {
    let have = start.len() as u64;
    let (Some(magic), Some(body_len)) = (array_at(start, MAGIC_AT), u32_at(start, BODY_LEN_AT)) else {
        return Err(FrameFault::Incomplete { have, need: HEADER_BYTES as u64 });
    };
    if magic != MAGIC {
        return Err(FrameFault::Magic);
    }
    if start.len() < HEADER_BYTES {
        return Err(FrameFault::Incomplete { have, need: HEADER_BYTES as u64 });
    }
    let body = body_len as usize;
    let possible = (RECORD_HEADER_BYTES..=FRAME_BYTES_LIMIT - HEADER_BYTES).contains(&body);
    if !possible || !body.is_multiple_of(RECORD_ALIGN) {
        return Err(FrameFault::BodyLen(body_len));
    }
    Ok(HEADER_BYTES + body)
}

fn check_crc(bytes: &[u8]) -> Result<(), FrameFault> {
    let stored = u32_at(bytes, CRC_AT).unwrap_or_default();
    let found = crc32fast::hash(bytes.get(VERSION_AT..).unwrap_or_default());
    if stored == found { Ok(()) } else { Err(FrameFault::Crc { stored, found }) }
}

/// Splits the first record off a body.
fn split_record(body: &[u8]) -> Result<(RawRecord<'_>, &[u8]), FrameFault> {
    const SHORT: FrameFault = FrameFault::Structure("a record goes past its end");
    let (header, after) = body.split_at_checked(RECORD_HEADER_BYTES).ok_or(SHORT)?;
    if u32_at(header, RECORD_FLAGS_AT) != Some(0) || u32_at(header, RECORD_ZERO_AT) != Some(0) {
        return Err(FrameFault::Newer("record flags"));
    }
    let len = u32_at(header, LEN_AT).ok_or(SHORT)? as usize;
    if len > RECORD_BYTES_LIMIT {
        return Err(FrameFault::Structure("a record is larger than records can be"));
    }
    let (payload, after) = after.split_at_checked(len).ok_or(SHORT)?;
    let padding = len.next_multiple_of(RECORD_ALIGN) - len;
    let (zeros, rest) = after.split_at_checked(padding).ok_or(SHORT)?;
    if zeros.iter().any(|&byte| byte != 0) {
        return Err(FrameFault::Structure("its padding is not zero"));
    }
    let kind = u16_at(header, KIND_AT).ok_or(SHORT)?;
    let version = u16_at(header, RECORD_VERSION_AT).ok_or(SHORT)?;
    Ok((RawRecord { kind, version, payload }, rest))
}

/// Encodes the frame of `records` into `into`, replaces what is there, and returns the frame's hash. The caller has
/// checked the sizes: at least one record, and records and frame within the limits.
pub(super) fn encode(into: &mut Vec<u8>, stamp: &Stamp, records: &[RawRecord<'_>]) -> FrameHash {
    let body_len: usize = records.iter().map(RawRecord::framed_bytes).sum();
    into.clear();
    into.reserve(HEADER_BYTES + body_len);
    into.extend_from_slice(&MAGIC);
    into.extend_from_slice(&0u32.to_le_bytes());
    into.extend_from_slice(&FRAME_VERSION.to_le_bytes());
    into.extend_from_slice(&0u16.to_le_bytes());
    into.extend_from_slice(&u32::try_from(body_len).unwrap_or(u32::MAX).to_le_bytes());
    into.extend_from_slice(&stamp.first_seq.to_le_bytes());
    into.extend_from_slice(&u32::try_from(records.len()).unwrap_or(u32::MAX).to_le_bytes());
    into.extend_from_slice(&0u32.to_le_bytes());
    into.extend_from_slice(&stamp.writer_epoch.to_le_bytes());
    into.extend_from_slice(&stamp.checks_total.to_le_bytes());
    into.extend_from_slice(&stamp.wall_ms.to_le_bytes());
    into.extend_from_slice(&stamp.state_digest.to_le_bytes());
    into.extend_from_slice(&stamp.prev_hash);
    records.iter().for_each(|record| encode_record(into, record));
    // The checksum covers everything after itself, so it is computed last.
    let crc = crc32fast::hash(into.get(VERSION_AT..).unwrap_or_default());
    if let Some(place) = into.get_mut(CRC_AT..VERSION_AT) {
        place.copy_from_slice(&crc.to_le_bytes());
    }
    hash(into)
}

fn encode_record(into: &mut Vec<u8>, record: &RawRecord<'_>) {
    into.extend_from_slice(&record.kind.to_le_bytes());
    into.extend_from_slice(&record.version.to_le_bytes());
    into.extend_from_slice(&u32::try_from(record.payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    into.extend_from_slice(&0u32.to_le_bytes());
    into.extend_from_slice(&0u32.to_le_bytes());
    into.extend_from_slice(record.payload);
    let padding = record.payload.len().next_multiple_of(RECORD_ALIGN) - record.payload.len();
    into.resize(into.len() + padding, 0);
}

#[cfg(test)]
mod tests;
