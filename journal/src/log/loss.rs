//! `LOSS`: an accepted loss whose record is not committed yet. The file is written before anything is cut and removed
//! when the record of the loss is durable, so that no crash leaves a cut without its record.
//!
//! This module owns the file, and the part of the opening that makes this record the first commit after the cut. The
//! content of the record belongs to the caller that accepted the loss; the cut belongs to `repair`. `FORMAT.md`
//! describes the same for other languages: change both together.
//!
//! ```text
//!  0 magic "JLS1"     4 crc32 of bytes 8..end    8 version u16 | flags u16    12 zero u32
//! 16 after u64       24 frame_hash [32]         56 from u64                  64 to u64
//! 72 wall_ms u64     80 head_rebuilt u32        84 kind u16 | version u16    88 payload_len u32
//! 92 zero u32        96 payload
//! ```

use std::io;

use super::bytes::{array_at, u16_at, u32_at, u64_at};
use super::chain::Position;
use super::disk::{Disk, read_small, replace_file};
use super::error::OpenError;
use super::frame::{FrameHash, RECORD_BYTES_LIMIT, RawRecord};
use super::recovery::RecoveryAction;
use super::replay::Replay;
use super::segment;
use super::walk::FrameInfo;
use super::{Log, Opened};
use crate::ids::Seq;

/// Its name in the journal's directory.
pub(super) const LOSS_NAME: &str = "LOSS";

const MAGIC: [u8; 4] = *b"JLS1";
const VERSION: u16 = 1;
const CRC_AT: usize = 4;
const VERSION_AT: usize = 8;
const FLAGS_AT: usize = 10;
const AFTER_AT: usize = 16;
const HASH_AT: usize = 24;
const FROM_AT: usize = 56;
const TO_AT: usize = 64;
const WALL_MS_AT: usize = 72;
const HEAD_AT: usize = 80;
const KIND_AT: usize = 84;
const RECORD_VERSION_AT: usize = 86;
const LEN_AT: usize = 88;
const PAYLOAD_AT: usize = 96;
const FILE_BYTES_MAX: usize = PAYLOAD_AT + RECORD_BYTES_LIMIT;

/// The record of a loss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Its kind.
    pub kind: u16,
    /// The version of its payload.
    pub version: u16,
    /// Its payload.
    pub payload: Vec<u8>,
    /// The current time in milliseconds since 1970; informational.
    pub wall_ms: u64,
}

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    /// The last record that is kept.
    pub(super) after: Seq,
    /// Hash of the frame of that record.
    pub(super) frame_hash: FrameHash,
    /// The first and the last record that are given up.
    pub(super) lost: Option<(Seq, Seq)>,
    /// HEAD was lost as well.
    pub(super) head_rebuilt: bool,
    /// The record to commit.
    pub(super) record: Acknowledgement,
}

/// What was found under the name.
pub(super) enum Noted {
    Nothing,
    Damaged,
    Note(Note),
}

impl Note {
    /// Whether the chain ends where the loss begins.
    pub(super) fn is_next_after(&self, end: &Position) -> bool {
        (self.after, self.frame_hash) == (end.last_seq, end.hash)
    }

    fn encode(&self) -> Vec<u8> {
        let (from, to) = self.lost.unwrap_or_default();
        let mut bytes = Vec::with_capacity(PAYLOAD_AT + self.record.payload.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 6]);
        bytes.extend_from_slice(&self.after.to_le_bytes());
        bytes.extend_from_slice(&self.frame_hash);
        [from, to, self.record.wall_ms].iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        bytes.extend_from_slice(&u32::from(self.head_rebuilt).to_le_bytes());
        bytes.extend_from_slice(&self.record.kind.to_le_bytes());
        bytes.extend_from_slice(&self.record.version.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(self.record.payload.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.record.payload);
        let crc = crc32fast::hash(bytes.get(VERSION_AT..).unwrap_or_default());
        if let Some(place) = bytes.get_mut(CRC_AT..VERSION_AT) {
            place.copy_from_slice(&crc.to_le_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Option<Self>, &'static str> {
        let whole = bytes.starts_with(&MAGIC)
            && u32_at(bytes, CRC_AT) == bytes.get(VERSION_AT..).map(crc32fast::hash)
            && bytes.len() >= PAYLOAD_AT;
        if !whole {
            return Ok(None);
        }
        if u16_at(bytes, VERSION_AT) != Some(VERSION) || u16_at(bytes, FLAGS_AT) != Some(0) {
            return Err("version of LOSS");
        }
        Ok(Self::fields(bytes))
    }

    fn fields(bytes: &[u8]) -> Option<Self> {
        let (from, to) = (u64_at(bytes, FROM_AT)?, u64_at(bytes, TO_AT)?);
        let payload = bytes.get(PAYLOAD_AT..)?;
        if payload.len() != usize::try_from(u32_at(bytes, LEN_AT)?).ok()? {
            return None;
        }
        Some(Self {
            after: u64_at(bytes, AFTER_AT)?,
            frame_hash: array_at(bytes, HASH_AT)?,
            lost: (from > 0).then_some((from, to)),
            head_rebuilt: u32_at(bytes, HEAD_AT)? != 0,
            record: Acknowledgement {
                kind: u16_at(bytes, KIND_AT)?,
                version: u16_at(bytes, RECORD_VERSION_AT)?,
                payload: payload.to_vec(),
                wall_ms: u64_at(bytes, WALL_MS_AT)?,
            },
        })
    }

    /// Writes the file as a whole; it is durable when this returns.
    pub(super) fn write(&self, disk: &dyn Disk) -> Result<(), OpenError> {
        let written = replace_file(disk, "", LOSS_NAME, &self.encode());
        written.map_err(|error| OpenError::io("write", disk.show(LOSS_NAME), error))
    }
}

/// Reads the file.
pub(super) fn read(disk: &dyn Disk) -> Result<Noted, OpenError> {
    let bytes = match read_small(disk, LOSS_NAME, FILE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Noted::Nothing),
        Err(error) => return Err(OpenError::io("read", disk.show(LOSS_NAME), error)),
    };
    match Note::decode(&bytes) {
        Ok(Some(note)) => Ok(Noted::Note(note)),
        Ok(None) => Ok(Noted::Damaged),
        Err(what) => Err(OpenError::NewerFrame { path: disk.show(LOSS_NAME), offset: 0, what }),
    }
}

/// Copies a damaged file, so that another can replace it, and returns the copy's name. The file itself stays until
/// then, because an opening has to see that a loss was accepted.
pub(super) fn copy_aside(disk: &dyn Disk, label: u64) -> Result<String, OpenError> {
    let aside = segment::aside_path(LOSS_NAME, label);
    let copied = read_small(disk, LOSS_NAME, FILE_BYTES_MAX).and_then(|bytes| replace_file(disk, "", &aside, &bytes));
    copied.map_err(|error| OpenError::io("copy", disk.show(LOSS_NAME), error)).map(|()| aside)
}

/// Commits the record of an accepted loss as the first one after the cut, passes it to `replay`, and removes the file.
/// If the journal continues behind the cut, the record exists already, because nothing else is committed before it.
///
/// # Errors
/// If the file is damaged, or the record cannot be committed; the journal is then not opened.
pub(super) fn complete(log: &mut Log, replay: &mut dyn Replay) -> Result<Option<RecoveryAction>, OpenError> {
    let note = match read(&*log.disk)? {
        Noted::Nothing => return Ok(None),
        Noted::Damaged => return Err(OpenError::LossDamaged { path: log.disk.show(LOSS_NAME) }),
        Noted::Note(note) => note,
    };
    let action = if note.is_next_after(&log.opened.position) { Some(commit(log, &note, replay)?) } else { None };
    let removed = log.disk.remove(LOSS_NAME).and_then(|()| log.disk.sync_dir(""));
    removed.map_err(|error| OpenError::io("remove", log.disk.show(LOSS_NAME), error))?;
    Ok(action)
}

fn commit(log: &mut Log, note: &Note, replay: &mut dyn Replay) -> Result<RecoveryAction, OpenError> {
    let Acknowledgement { kind, version, payload, wall_ms } = &note.record;
    let record = RawRecord { kind: *kind, version: *version, payload };
    let prev_hash = log.opened.position.hash;
    let committed = log.commit(&[record], 0, *wall_ms, 0);
    let committed = committed.map_err(|source| OpenError::LossUnrecorded { path: log.disk.show(LOSS_NAME), source })?;
    let seq = committed.last_seq;
    let info = describe(&log.opened, *wall_ms, prev_hash, committed.frame_bytes);
    let handed = replay.frame(&info).and_then(|()| match replay.wants_records() {
        true => replay.record(seq, record, &info),
        false => Ok(()),
    });
    handed.map_err(|source| OpenError::Refused { seq, source })?;
    Ok(RecoveryAction::LossRecorded { seq })
}

/// The frame that was committed last; it has one record.
fn describe(opened: &Opened, wall_ms: u64, prev_hash: FrameHash, frame_bytes: usize) -> FrameInfo {
    let Position { last_seq, hash, checks_total, writer_epoch } = opened.position;
    FrameInfo {
        first_seq: last_seq,
        last_seq,
        writer_epoch,
        checks_total,
        wall_ms,
        state_digest: 0,
        hash,
        prev_hash,
        segment: opened.tally.start,
        segment_frames: opened.tally.frames,
        offset: opened.segment_end.saturating_sub(frame_bytes as u64),
        bytes: u32::try_from(frame_bytes).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note() -> Note {
        let record = Acknowledgement { kind: 8, version: 1, payload: b"why".to_vec(), wall_ms: 5 };
        Note { after: 4, frame_hash: [7; 32], lost: Some((5, 9)), head_rebuilt: false, record }
    }

    #[test]
    fn reads_what_it_writes_and_notices_every_flipped_bit_and_cut() {
        for note in [note(), Note { lost: None, head_rebuilt: true, ..note() }] {
            let bytes = note.encode();
            assert_eq!(Note::decode(&bytes), Ok(Some(note)));
            for at in 0..bytes.len() {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << (at % 8);
                assert_eq!(Note::decode(&flipped), Ok(None), "byte {at}");
                assert_eq!(Note::decode(&bytes[..at]), Ok(None), "cut at {at}");
            }
        }
    }

    #[test]
    fn a_newer_note_is_told_apart_from_damage() {
        let mut bytes = note().encode();
        bytes[VERSION_AT] = 2;
        let crc = crc32fast::hash(&bytes[VERSION_AT..]);
        bytes[CRC_AT..VERSION_AT].copy_from_slice(&crc.to_le_bytes());
        assert!(Note::decode(&bytes).is_err());
    }
}
