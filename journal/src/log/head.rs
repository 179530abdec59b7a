//! `HEAD`: the watermark of the acknowledged records, in two slots that are written in turn.
//!
//! This module owns the layout of the slots and the choice of the current one. It does not decide when a slot is
//! written (`writer`) nor what a bad slot means (`recovery`). The file is 8 KiB with one slot at the start of each 4
//! KiB half, so that no page holds both. A write goes to slot `generation % 2`; the other slot keeps the previous
//! generation.
//!
//! ```text
//! 0 magic "JHD1"   4 generation u64   12 writer_epoch u64   20 durable_seq u64   28 frame_hash [32]
//! 60 checks_total u64   68 crc32 of bytes 0..68
//! ```

use std::io;

use super::bytes::{array_at, u32_at, u64_at};
use super::chain::Position;
use super::disk::DiskFile;

const MAGIC: [u8; 4] = *b"JHD1";
const MAGIC_AT: usize = 0;
const GENERATION_AT: usize = MAGIC_AT + size_of::<[u8; 4]>();
const WRITER_EPOCH_AT: usize = GENERATION_AT + size_of::<u64>();
const DURABLE_SEQ_AT: usize = WRITER_EPOCH_AT + size_of::<u64>();
const FRAME_HASH_AT: usize = DURABLE_SEQ_AT + size_of::<u64>();
const CHECKS_TOTAL_AT: usize = FRAME_HASH_AT + size_of::<[u8; 32]>();
const CRC_AT: usize = CHECKS_TOTAL_AT + size_of::<u64>();
const SLOT_BYTES: usize = CRC_AT + size_of::<u32>();
const SLOT_STRIDE: usize = 4096;
/// Size of the file.
pub(super) const HEAD_BYTES: usize = 2 * SLOT_STRIDE;

const _: () = assert!(SLOT_BYTES == 72);

/// One valid slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    /// Grows by one with each write. Its parity is the slot's place.
    pub(super) generation: u64,
    /// The end of the acknowledged records. `writer_epoch` is the opening that wrote the slot.
    pub(super) position: Position,
}

impl Slot {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SLOT_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&self.position.writer_epoch.to_le_bytes());
        bytes.extend_from_slice(&self.position.last_seq.to_le_bytes());
        bytes.extend_from_slice(&self.position.hash);
        bytes.extend_from_slice(&self.position.checks_total.to_le_bytes());
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The slot whose bytes were read at `place` (0 or 1), or `None` if it is torn, was never written, or is damaged.
    fn decode(bytes: &[u8], place: u64) -> Option<Self> {
        let stored = u32_at(bytes, CRC_AT)?;
        if array_at(bytes, MAGIC_AT)? != MAGIC || stored != crc32fast::hash(bytes.get(..CRC_AT)?) {
            return None;
        }
        let generation = u64_at(bytes, GENERATION_AT)?;
        let position = Position {
            last_seq: u64_at(bytes, DURABLE_SEQ_AT)?,
            hash: array_at(bytes, FRAME_HASH_AT)?,
            checks_total: u64_at(bytes, CHECKS_TOTAL_AT)?,
            writer_epoch: u64_at(bytes, WRITER_EPOCH_AT)?,
        };
        // A slot in the place of the other one was not written by us.
        (generation % 2 == place).then_some(Self { generation, position })
    }

    fn offset(&self) -> u64 {
        (self.generation % 2) * SLOT_STRIDE as u64
    }

    /// Writes the slot and makes it durable.
    ///
    /// # Errors
    /// Any error of the disk.
    pub(super) fn write(&self, file: &mut dyn DiskFile) -> io::Result<()> {
        file.write_at(self.offset(), &self.encode())?;
        if crate::mutant::is_on("head_unsynced") {
            return Ok(());
        }
        file.sync()
    }
}

/// The content of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// The valid slot with the highest generation.
    pub(super) newest: Option<Slot>,
    /// A slot that is not valid; if both are, the first.
    pub(super) bad: Option<u64>,
}

/// The initial content of the file: both slots are valid, nothing is acknowledged.
pub(super) fn initial(position: Position) -> Vec<u8> {
    let mut bytes = vec![0; HEAD_BYTES];
    for (half, generation) in bytes.chunks_mut(SLOT_STRIDE).zip(0..) {
        for (to, from) in half.iter_mut().zip(Slot { generation, position }.encode()) {
            *to = from;
        }
    }
    bytes
}

/// Reads both slots.
///
/// # Errors
/// Any error of the disk.
pub(super) fn read(file: &dyn DiskFile) -> io::Result<Found> {
    let mut bytes = vec![0; HEAD_BYTES];
    let got = file.read_at(0, &mut bytes)?;
    bytes.truncate(got);
    Ok(parse(&bytes))
}

/// Both slots in the file's bytes.
pub(super) fn parse(bytes: &[u8]) -> Found {
    let second = bytes.get(SLOT_STRIDE..).unwrap_or_default();
    let slots = [Slot::decode(bytes, 0), Slot::decode(second, 1)];
    let newest = slots.iter().flatten().max_by_key(|slot| slot.generation).copied();
    let bad = (0..).zip(&slots).find(|(_, slot)| slot.is_none()).map(|(place, _)| place);
    Found { newest, bad }
}

/// The slot of generation `generation` as it is on the disk now.
///
/// # Errors
/// Any error of the disk.
pub(super) fn read_place(file: &dyn DiskFile, generation: u64) -> io::Result<Option<Slot>> {
    let place = generation % 2;
    let mut bytes = [0; SLOT_BYTES];
    file.read_at(place * SLOT_STRIDE as u64, &mut bytes)?;
    Ok(Slot::decode(&bytes, place))
}
