//! The lines of an export: their fields, and how they are written as JSON and read back.
//!
//! Each line of a record repeats the header of its frame, so every line belongs to a frame, and a frame with a missing
//! line is incomplete. `import` checks whether the lines follow one another.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lakemirror_journal::codec;
use lakemirror_journal::event::Event;
use lakemirror_journal::log::{FrameHash, FrameInfo, RawRecord};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fields::fields;

/// Version of these lines; incremented if the meaning of a field changes.
pub const EXPORT_VERSION: u64 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`EXPORT_VERSION`].
    pub lakemirror_export: u64,
    /// The journal's id, 32 hexadecimal digits.
    pub journal_uuid: String,
    /// When the journal was created, milliseconds since 1970.
    pub created_ms: u64,
    /// Whether all records follow that the journal had when it was exported.
    pub whole: bool,
    /// The first record that was available; more than 1 if earlier ones were dropped. Older exports do not have this
    /// field.
    #[serde(default)]
    pub begins_at: u64,
}

/// The line of a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The record's number.
    pub seq: u64,
    /// Its frame.
    pub frame: FrameLine,
    /// The kind of the record.
    pub kind: u16,
    /// The version of that kind.
    pub version: u16,
    /// The name of the kind; `None` for a kind that only a later version knows.
    pub name: Option<String>,
    /// The fields of the payload, for people; `None` for a kind that only a later version knows.
    pub event: Option<Value>,
    /// The payload in base64.
    pub payload: String,
}

/// The header of a frame, and its segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameLine {
    /// Its first record.
    pub first_seq: u64,
    /// Its last record.
    pub last_seq: u64,
    /// The epoch of the journal writer.
    pub writer_epoch: u64,
    /// Number of arrival checks in the journal up to and including this frame.
    pub checks_total: u64,
    /// When it was committed, milliseconds since 1970.
    pub committed_ms: u64,
    /// Low half of the digest of the state after it, 16 hexadecimal digits; zeros if the frame is not a checkpoint.
    pub state_digest: String,
    /// Hash of the frame before it.
    pub prev_hash: String,
    /// Its hash.
    pub hash: String,
    /// The first record of its segment.
    pub segment: u64,
}

/// The last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trailer {
    /// [`EXPORT_VERSION`].
    pub lakemirror_export_end: u64,
    /// As in the first line. If there are no records, the chain of hashes does not cover this field and the next one.
    pub journal_uuid: String,
    /// As in the first line.
    pub created_ms: u64,
    /// Number of record lines before it.
    pub records: u64,
    /// Number of frames to which they belong.
    pub frames: u64,
    /// Number of segments to which they belong.
    pub segments: u64,
    /// The last record; 0 for none.
    pub last_seq: u64,
    /// Hash of the last frame; null if there is none.
    pub head_hash: Option<String>,
    /// Number of arrival checks in the journal up to and including that frame.
    pub checks_total: u64,
}

impl FrameLine {
    pub(super) fn of(frame: &FrameInfo) -> Self {
        Self {
            first_seq: frame.first_seq,
            last_seq: frame.last_seq,
            writer_epoch: frame.writer_epoch,
            checks_total: frame.checks_total,
            committed_ms: frame.wall_ms,
            state_digest: format!("{:016x}", frame.state_digest),
            prev_hash: hex::encode(frame.prev_hash),
            hash: hex::encode(frame.hash),
            segment: frame.segment.first_seq,
        }
    }

    /// The state's digest as a number.
    pub(crate) fn digest(&self) -> Option<u64> {
        (self.state_digest.len() == 16).then(|| u64::from_str_radix(&self.state_digest, 16).ok()).flatten()
    }

    pub(crate) fn hash_before(&self) -> Option<FrameHash> {
        let mut hash = FrameHash::default();
        hex::decode_to_slice(&self.prev_hash, &mut hash).ok().map(|()| hash)
    }
}

impl Line {
    pub(super) fn of(seq: u64, record: &RawRecord<'_>, frame: &FrameInfo) -> Self {
        let event = codec::decode(record.kind, record.version, record.payload).ok();
        Self {
            seq,
            frame: FrameLine::of(frame),
            kind: record.kind,
            version: record.version,
            name: event.as_ref().map(|event| event.name().to_owned()),
            event: event.as_ref().map(fields),
            payload: STANDARD.encode(record.payload),
        }
    }

    /// The payload, if it is valid base64 in canonical form.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.payload).ok()
    }

    /// Whether name and fields agree with the payload.
    pub(crate) fn agrees(&self, payload: &[u8]) -> bool {
        let event: Option<Event> = codec::decode(self.kind, self.version, payload).ok();
        event.as_ref().map(Event::name) == self.name.as_deref() && event.as_ref().map(fields) == self.event
    }
}
