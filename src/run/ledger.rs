//! The journal's log as the recorder's ledger: entries into frames, and the replay at start into a state.

use std::path::Path;

use lakemirror_journal::codec::{self, Payload};
use lakemirror_journal::ids::Seq;
use lakemirror_journal::log::{
    FrameInfo, HEADER_BYTES, Log, NewJournal, OpenError, Options, RawRecord, Recovery, Replay, ReplayRefused,
};
use lakemirror_journal::state::State;

use crate::engine::recorder::{Entry, Ledger};

/// Bytes that a record takes beside its payload: its own header, and at most this much padding.
const RECORD_OVERHEAD: usize = 32;

/// An open journal.
pub struct Journal {
    log: Log,
    frame_bytes_max: usize,
}

struct Rebuild {
    state: State,
    records: u64,
}

impl Replay for Rebuild {
    fn record(&mut self, _seq: Seq, record: RawRecord<'_>, _frame: &FrameInfo) -> Result<(), ReplayRefused> {
        let event = codec::decode(record.kind, record.version, record.payload)
            .map_err(|error| ReplayRefused(Box::new(error)))?;
        self.state.apply(&event);
        self.records += 1;
        if self.records.is_multiple_of(1_000_000) {
            tracing::info!(records = self.records, "replaying the journal");
        }
        Ok(())
    }
}

impl Journal {
    /// Opens the journal in `dir`, making one if there is none, and rebuilds the state. Blocks.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(dir: &Path, uuid: [u8; 16], wall_ms: u64) -> Result<(Self, State, Recovery), OpenError> {
        let options = Options::default();
        let mut rebuild = Rebuild { state: State::default(), records: 0 };
        let (log, recovery) = Log::open(dir, &options, NewJournal { uuid, wall_ms }, &mut rebuild)?;
        Ok((Self { log, frame_bytes_max: options.frame_bytes_max }, rebuild.state, recovery))
    }

    /// Which opening of the journal this is.
    #[must_use]
    pub fn writer_epoch(&self) -> u64 {
        self.log.head().writer_epoch
    }
}

impl Ledger for Journal {
    fn commit(&mut self, entries: &[Entry], wall_ms: u64) -> Result<(), String> {
        let mut rest = entries;
        while !rest.is_empty() {
            let (frame, later) = rest.split_at(frame_length(rest, self.frame_bytes_max));
            let records: Vec<RawRecord<'_>> = frame.iter().map(|entry| raw(&entry.payload)).collect();
            let checks = frame.iter().map(|entry| entry.checks).sum();
            self.log.commit(&records, checks, wall_ms, 0).map_err(|error| error_chain(&error))?;
            rest = later;
        }
        Ok(())
    }

    fn head(&self) -> (u64, [u8; 32]) {
        let head = self.log.head();
        (head.durable_seq, head.frame_hash)
    }
}

fn raw(payload: &Payload) -> RawRecord<'_> {
    RawRecord { kind: payload.kind, version: payload.version, payload: &payload.bytes }
}

/// How many of the entries fit into one frame: at least one, which the log refuses by itself if it is too large.
fn frame_length(entries: &[Entry], frame_bytes_max: usize) -> usize {
    let mut bytes = HEADER_BYTES;
    let fitting = entries.iter().take_while(|entry| {
        bytes += entry.payload.bytes.len() + RECORD_OVERHEAD;
        bytes <= frame_bytes_max
    });
    fitting.count().max(1)
}

/// An error and its causes, joined by colons.
pub(super) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_filled_and_never_empty() {
        let entry = |bytes| Entry { payload: Payload { kind: 1, version: 1, bytes: vec![0; bytes] }, checks: 0 };
        assert_eq!(frame_length(&[entry(10_000)], 1000), 1);
        assert_eq!(frame_length(&vec![entry(100); 50], 1000), (1000 - HEADER_BYTES) / 132);
        assert_eq!(frame_length(&vec![entry(1); 3], 1 << 20), 3);
    }

    #[test]
    fn what_was_committed_is_replayed() {
        let dir = tempfile::tempdir().unwrap();
        let started = |epoch| {
            codec::encode(&lakemirror_journal::event::Event::ServiceStarted(
                lakemirror_journal::event::ServiceStartedV1 {
                    writer_epoch: epoch,
                    software: "test".to_owned(),
                    at_ms: 7,
                },
            ))
            .unwrap()
        };
        let (mut journal, state, _) = Journal::open(dir.path(), [7; 16], 1).unwrap();
        assert_eq!(state, State::default());
        let entries: Vec<Entry> = (0..5000).map(|epoch| Entry { payload: started(epoch), checks: 0 }).collect();
        journal.commit(&entries, 2).unwrap();
        drop(journal);
        let (journal, state, _) = Journal::open(dir.path(), [8; 16], 3).unwrap();
        assert_eq!(state.writer_epoch, 4999);
        assert_eq!(journal.head().0, 5000);
    }
}
