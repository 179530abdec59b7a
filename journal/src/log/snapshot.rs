//! Snapshots: the state after a frame, so that an opening need not start with the first record. This module owns the
//! files in `snap/`: their names, layout, writing and reading.
//!
//! It does not know what an image means (the caller of `write`, and `Replay::restore`) nor whether its frame is on the
//! chain (`recovery`, `offline`). `FORMAT.md` describes the same for other languages: change both together.
//!
//! ```text
//!   0 magic "JSN1"          4 crc32 of bytes 8..end     8 version u16 | flags u16   12 zero u32
//!  16 seq u64              24 checks_total u64         32 writer_epoch u64         40 wall_ms u64
//!  48 segment u64          56 offset u64               64 segment_frames u64       72 checks_before u64
//!  80 image_len u64        88 frame_hash [32]         120 state_digest [32]       152 prev_hash [32]
//! 184 prev_footer [32]    216 image
//! ```

use std::io;

use super::bytes::{array_at, u16_at, u32_at, u64_at};
use super::chain::Position;
use super::disk::{Access, Disk, DiskFile};
use super::footer::FooterHash;
use super::frame::FrameHash;
use super::walk::{FrameInfo, SegmentStart};
use crate::ids::Seq;

/// Directory of the snapshots.
pub const SNAPSHOT_DIR: &str = "snap";
/// The largest image. It bounds what an opening has to hold in memory.
pub const IMAGE_BYTES_LIMIT: u64 = 512 * 1024 * 1024;

const SUFFIX: &str = ".jsnap";
const WRITE_BYTES: usize = 1024 * 1024;
const MAGIC: [u8; 4] = *b"JSN1";
const VERSION: u16 = 1;
const MAGIC_AT: usize = 0;
const CRC_AT: usize = MAGIC_AT + size_of::<[u8; 4]>();
const VERSION_AT: usize = CRC_AT + size_of::<u32>();
const FLAGS_AT: usize = VERSION_AT + size_of::<u16>();
const ZERO_AT: usize = FLAGS_AT + size_of::<u16>();
const SEQ_AT: usize = ZERO_AT + size_of::<u32>();
const CHECKS_TOTAL_AT: usize = SEQ_AT + size_of::<u64>();
const WRITER_EPOCH_AT: usize = CHECKS_TOTAL_AT + size_of::<u64>();
const WALL_MS_AT: usize = WRITER_EPOCH_AT + size_of::<u64>();
const SEGMENT_AT: usize = WALL_MS_AT + size_of::<u64>();
const OFFSET_AT: usize = SEGMENT_AT + size_of::<u64>();
const SEGMENT_FRAMES_AT: usize = OFFSET_AT + size_of::<u64>();
const CHECKS_BEFORE_AT: usize = SEGMENT_FRAMES_AT + size_of::<u64>();
const IMAGE_LEN_AT: usize = CHECKS_BEFORE_AT + size_of::<u64>();
const FRAME_HASH_AT: usize = IMAGE_LEN_AT + size_of::<u64>();
const STATE_DIGEST_AT: usize = FRAME_HASH_AT + size_of::<FrameHash>();
const PREV_HASH_AT: usize = STATE_DIGEST_AT + size_of::<[u8; 32]>();
const PREV_FOOTER_AT: usize = PREV_HASH_AT + size_of::<FrameHash>();
const HEADER_BYTES: usize = PREV_FOOTER_AT + size_of::<FooterHash>();

const _: () = assert!(HEADER_BYTES == 216);

/// The fields of a snapshot without its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// The last record in the state, which is the last one of its frame.
    pub seq: Seq,
    /// Arrival checks in the journal up to and including that frame.
    pub checks_total: u64,
    /// The opening that wrote that frame.
    pub writer_epoch: u64,
    /// Wall time of that frame in milliseconds since 1970; informational.
    pub wall_ms: u64,
    /// The segment of that frame.
    pub segment: SegmentStart,
    /// Where that frame ends in its segment.
    pub offset: u64,
    /// Frames of that segment up to and including that frame.
    pub segment_frames: u64,
    /// Hash of that frame.
    pub frame_hash: FrameHash,
    /// Digest of the state; its meaning belongs to the caller.
    pub state_digest: [u8; 32],
}

/// Why a file is no usable snapshot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotFault {
    /// The disk failed.
    #[error("cannot read it")]
    Io(#[from] io::Error),
    /// The file is cut or altered.
    #[error("it is damaged ({0})")]
    Damaged(&'static str),
    /// A later version wrote it.
    #[error("a newer version wrote it ({0})")]
    Newer(&'static str),
}

impl SnapshotHeader {
    /// The header of the state after `frame`.
    #[must_use]
    pub fn after(frame: &FrameInfo, state_digest: [u8; 32]) -> Self {
        Self {
            seq: frame.last_seq,
            checks_total: frame.checks_total,
            writer_epoch: frame.writer_epoch,
            wall_ms: frame.wall_ms,
            segment: frame.segment,
            offset: frame.offset.saturating_add(u64::from(frame.bytes)),
            segment_frames: frame.segment_frames,
            frame_hash: frame.hash,
            state_digest,
        }
    }

    /// The end of the chain up to the snapshot.
    #[must_use]
    pub fn position(&self) -> Position {
        let Self { seq, frame_hash, checks_total, writer_epoch, .. } = *self;
        Position { last_seq: seq, hash: frame_hash, checks_total, writer_epoch }
    }

    fn encode(&self, image: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&0u32.to_le_bytes());
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&0u16.to_le_bytes());
        bytes.extend_from_slice(&0u32.to_le_bytes());
        let numbers = [
            self.seq,
            self.checks_total,
            self.writer_epoch,
            self.wall_ms,
            self.segment.first_seq,
            self.offset,
            self.segment_frames,
            self.segment.checks_before,
            image.len() as u64,
        ];
        numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        let hashes = [self.frame_hash, self.state_digest, self.segment.prev_hash, self.segment.prev_footer];
        hashes.iter().for_each(|hash| bytes.extend_from_slice(hash));
        let mut crc = crc32fast::Hasher::new();
        crc.update(bytes.get(VERSION_AT..).unwrap_or_default());
        crc.update(image);
        let crc = crc.finalize().to_le_bytes();
        if let Some(place) = bytes.get_mut(CRC_AT..VERSION_AT) {
            place.copy_from_slice(&crc);
        }
        bytes
    }

    fn fields(bytes: &[u8]) -> Option<(Self, u64)> {
        let segment = SegmentStart {
            first_seq: u64_at(bytes, SEGMENT_AT)?,
            checks_before: u64_at(bytes, CHECKS_BEFORE_AT)?,
            prev_hash: array_at(bytes, PREV_HASH_AT)?,
            prev_footer: array_at(bytes, PREV_FOOTER_AT)?,
        };
        let header = Self {
            seq: u64_at(bytes, SEQ_AT)?,
            checks_total: u64_at(bytes, CHECKS_TOTAL_AT)?,
            writer_epoch: u64_at(bytes, WRITER_EPOCH_AT)?,
            wall_ms: u64_at(bytes, WALL_MS_AT)?,
            segment,
            offset: u64_at(bytes, OFFSET_AT)?,
            segment_frames: u64_at(bytes, SEGMENT_FRAMES_AT)?,
            frame_hash: array_at(bytes, FRAME_HASH_AT)?,
            state_digest: array_at(bytes, STATE_DIGEST_AT)?,
        };
        Some((header, u64_at(bytes, IMAGE_LEN_AT)?))
    }
}

/// Path of the snapshot after record `seq`.
#[must_use]
pub fn path(seq: Seq) -> String {
    format!("{SNAPSHOT_DIR}/{seq:016}{SUFFIX}")
}

/// Writes a snapshot atomically; it is durable when this returns. Returns the file's length.
///
/// # Errors
/// Any error of the disk, or an image over [`IMAGE_BYTES_LIMIT`]. A `.tmp` file may remain, which is ignored.
pub fn write(disk: &dyn Disk, header: &SnapshotHeader, image: &[u8]) -> io::Result<u64> {
    if image.len() as u64 > IMAGE_BYTES_LIMIT {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the state is larger than a snapshot may be"));
    }
    disk.make_dir(SNAPSHOT_DIR)?;
    disk.sync_dir("")?;
    let path = path(header.seq);
    let temporary = format!("{path}.tmp");
    let mut file = disk.open(&temporary, Access::Create)?;
    file.truncate(0)?;
    let start = header.encode(image);
    file.write_at(0, &start)?;
    let mut at = start.len() as u64;
    for piece in image.chunks(WRITE_BYTES) {
        file.write_at(at, piece)?;
        at = at.saturating_add(piece.len() as u64);
    }
    // Before the rename; otherwise the name could be durable while the content is not.
    file.sync()?;
    disk.rename(&temporary, &path)?;
    disk.sync_dir(SNAPSHOT_DIR)?;
    Ok(at)
}

/// The records after which snapshots exist, intact or not, in rising order.
///
/// # Errors
/// As the disk says.
pub fn list(disk: &dyn Disk) -> io::Result<Vec<Seq>> {
    let names = match disk.list(SNAPSHOT_DIR) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let number = |name: &String| -> Option<Seq> {
        let digits = name.strip_suffix(SUFFIX).filter(|digits| digits.len() == 16)?;
        digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    Ok(names.iter().filter_map(number).collect())
}

/// Reads a snapshot and checks everything that needs neither the chain nor the state.
///
/// # Errors
/// What is wrong with it.
pub fn read(disk: &dyn Disk, seq: Seq) -> Result<(SnapshotHeader, Vec<u8>), SnapshotFault> {
    let file = disk.open(&path(seq), Access::Read)?;
    let (header, crc, image_len) = read_start(&*file, seq)?;
    let image_len = usize::try_from(image_len).map_err(|_| SnapshotFault::Damaged("its length"))?;
    let mut image = vec![0; image_len];
    if file.read_at(HEADER_BYTES as u64, &mut image)? != image_len {
        return Err(SnapshotFault::Damaged("its length"));
    }
    let (stored, mut hasher) = crc;
    hasher.update(&image);
    if hasher.finalize() == stored { Ok((header, image)) } else { Err(SnapshotFault::Damaged("its checksum")) }
}

/// Reads a snapshot's header without reading and checking the image.
///
/// # Errors
/// What is wrong with it.
pub fn read_header(disk: &dyn Disk, seq: Seq) -> Result<SnapshotHeader, SnapshotFault> {
    let file = disk.open(&path(seq), Access::Read)?;
    read_start(&*file, seq).map(|(header, ..)| header)
}

type Crc = (u32, crc32fast::Hasher);

/// Reads the header, the stored checksum with its computation so far, and the image's length, which agrees with the
/// file's length.
fn read_start(file: &dyn DiskFile, seq: Seq) -> Result<(SnapshotHeader, Crc, u64), SnapshotFault> {
    let mut bytes = [0; HEADER_BYTES];
    if file.read_at(0, &mut bytes)? != HEADER_BYTES || array_at(&bytes, MAGIC_AT) != Some(MAGIC) {
        return Err(SnapshotFault::Damaged("its header"));
    }
    if u16_at(&bytes, VERSION_AT) != Some(VERSION) {
        return Err(SnapshotFault::Newer("snapshot version"));
    }
    if u16_at(&bytes, FLAGS_AT) != Some(0) || u32_at(&bytes, ZERO_AT) != Some(0) {
        return Err(SnapshotFault::Newer("snapshot flags"));
    }
    let (header, image_len) = SnapshotHeader::fields(&bytes).ok_or(SnapshotFault::Damaged("its header"))?;
    // The length is compared before memory is allocated for it.
    let whole = image_len.saturating_add(HEADER_BYTES as u64);
    if image_len > IMAGE_BYTES_LIMIT || file.size()? != whole {
        return Err(SnapshotFault::Damaged("its length"));
    }
    if header.seq != seq {
        return Err(SnapshotFault::Damaged("its name"));
    }
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(bytes.get(VERSION_AT..).unwrap_or_default());
    Ok((header, (u32_at(&bytes, CRC_AT).unwrap_or_default(), hasher), image_len))
}

/// Removes a snapshot. The caller knows that a newer one is intact, or that this one is damaged.
///
/// # Errors
/// As the disk says.
pub fn remove(disk: &dyn Disk, seq: Seq) -> io::Result<()> {
    disk.remove(&path(seq))?;
    disk.sync_dir(SNAPSHOT_DIR)
}
