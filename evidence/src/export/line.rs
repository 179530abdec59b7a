//! The lines of an export: what each has, and how it is written as JSON and read back.
//!
//! Every line of a record says all that its frame's header says, so that no line is without its frame, and a frame with
//! a line missing is not whole. Owns names and forms of the fields; whether lines follow one another is `import`'s.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lakemirror_journal::codec;
use lakemirror_journal::event::Event;
use lakemirror_journal::log::{FrameHash, FrameInfo, RawRecord};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fields::fields;

/// Version of these lines; one more if a field ever changed its meaning.
pub const EXPORT_VERSION: u64 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`EXPORT_VERSION`].
    pub lakemirror_export: u64,
    /// The journal's id, 32 hexadecimal digits.
    pub journal_uuid: String,
    /// When the journal was made, milliseconds since 1970.
    pub created_ms: u64,
    /// Whether all of the journal's records follow, as of when it was exported.
    pub whole: bool,
    /// The first record that was at hand; more than 1 where earlier ones were dropped. Exports from before this field was
    /// there have none.
    #[serde(default)]
    pub begins_at: u64,
}

/// A record's line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The record's number.
    pub seq: u64,
    /// Its frame.
    pub frame: FrameLine,
    /// What kind of record.
    pub kind: u16,
    /// The version of that kind.
    pub version: u16,
    /// The kind's name; none of a kind that only a later version knows.
    pub name: Option<String>,
    /// The payload's fields, for people; none of a kind that only a later version knows.
    pub event: Option<Value>,
    /// The payload, base64.
    pub payload: String,
}

/// What a frame's header says, and where the frame lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameLine {
    /// Its first record.
    pub first_seq: u64,
    /// Its last record.
    pub last_seq: u64,
    /// Which opening of the journal wrote it.
    pub writer_epoch: u64,
    /// Arrival checks in the journal up to and with it.
    pub checks_total: u64,
    /// When it was committed, milliseconds since 1970.
    pub committed_ms: u64,
    /// Low half of the state's digest after it, 16 hexadecimal digits; zeros in a frame that is no checkpoint.
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
    /// As in the first line: the chain of hashes does not cover these two where there are no records.
    pub journal_uuid: String,
    /// As in the first line.
    pub created_ms: u64,
    /// Lines of records before it.
    pub records: u64,
    /// Frames that these are of.
    pub frames: u64,
    /// Segments that these are of.
    pub segments: u64,
    /// The last record; 0 for none.
    pub last_seq: u64,
    /// Hash of the last frame; null without any.
    pub head_hash: Option<String>,
    /// Arrival checks in the journal up to and with that frame.
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

    /// The payload, if it is base64 as it was written.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.payload).ok()
    }

    /// Whether name and fields are those of the payload.
    pub(crate) fn agrees(&self, payload: &[u8]) -> bool {
        let event: Option<Event> = codec::decode(self.kind, self.version, payload).ok();
        event.as_ref().map(Event::name) == self.name.as_deref() && event.as_ref().map(fields) == self.event
    }
}
