//! The journal's log as the recorder's ledger: entries into frames, checkpoints and segments, and the replay at start.
//!
//! Owns when a frame is a checkpoint and when a segment is ended, by what was written and by the wall clock. Which facts
//! follow from an ended segment is the recorder's business.

pub(super) mod mismatch;
mod rebuild;

use std::path::Path;

use lakemirror_core::causes::chain;
use lakemirror_core::ids::Seq;
use lakemirror_journal::codec::Payload;
use lakemirror_journal::command::UpkeepStep;
use lakemirror_journal::log::{
    CommitError, Footer, HEADER_BYTES, Log, NewJournal, OpenError, Options, Ports, RawRecord, Recovery, verify_segment,
};
use lakemirror_journal::state::State;
use lakemirror_journal::state::image;
use lakemirror_journal::state::lifecycle::SegmentLifecycle;

use lakemirror_engine::recorder::{Digest, Entry, Halt, JournalWriter};

pub use rebuild::{Rebuild, RebuildError};

/// Bytes that a record takes beside its payload: its own header, and at most this much padding.
const RECORD_OVERHEAD: usize = 32;

/// The smallest segment that is ended for its size: the fact that one was ended must not end the next.
const SEAL_BYTES_MIN: u64 = 4096;

/// Facts about the journal's own files.
const UPKEEP_KINDS: std::ops::RangeInclusive<u16> = 4..=7;

/// When frames become checkpoints and segments end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealPolicy {
    /// A segment that has so many bytes is ended. Default: 128 MiB; at least 4 KiB.
    pub seal_bytes_max: u64,
    /// A segment whose first frame is so old, in milliseconds, is ended, with the next commit or without. Default: 24 h.
    pub seal_age_ms_max: u64,
    /// After so many bytes of frames, one is a checkpoint. Default: 32 MiB.
    pub checkpoint_bytes_max: u64,
    /// So many milliseconds after the last checkpoint, the next commit is one. Default: 10 min.
    pub checkpoint_age_ms_max: u64,
}

impl Default for SealPolicy {
    fn default() -> Self {
        Self {
            seal_bytes_max: 128 * 1024 * 1024,
            seal_age_ms_max: 24 * 60 * 60 * 1000,
            checkpoint_bytes_max: 32 * 1024 * 1024,
            checkpoint_age_ms_max: 10 * 60 * 1000,
        }
    }
}

/// An open journal.
pub struct Journal {
    log: Log,
    frame_bytes_max: usize,
    seal_policy: SealPolicy,
    /// Bytes of frames since the last checkpoint.
    bytes_since_checkpoint: u64,
    /// Wall time of the last checkpoint.
    checkpoint_wall_ms: u64,
    /// Whether the open segment may hold other facts than those of the journal's own upkeep, which alone end no segment.
    worked: bool,
}

impl Journal {
    /// Opens the journal in `dir`, making one if there is none, and rebuilds the state. Blocks.
    ///
    /// # Errors
    /// [`OpenError`]; in [`OpenError::Refused`] is a [`RebuildError`].
    pub fn open(dir: &Path, uuid: [u8; 16], wall_ms: u64) -> Result<(Self, State, Recovery), OpenError> {
        let options = Options::default();
        let mut rebuild = Rebuild::default();
        let opened = Log::open(dir, &options, NewJournal { uuid, wall_ms }, &mut rebuild);
        let (log, recovery) = opened.inspect_err(|error| keep_mismatch(dir, error, &rebuild.state))?;
        let (journal, state) = Self::over(log, rebuild, &options, wall_ms);
        Ok((journal, state, recovery))
    }

    /// As [`Journal::open`], on other ports than a directory's.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_on(ports: Ports, uuid: [u8; 16], wall_ms: u64) -> Result<(Self, State, Recovery), OpenError> {
        let options = Options::default();
        let mut rebuild = Rebuild::default();
        let (log, recovery) = Log::open_on(ports, &options, NewJournal { uuid, wall_ms }, &mut rebuild)?;
        let (journal, state) = Self::over(log, rebuild, &options, wall_ms);
        Ok((journal, state, recovery))
    }

    fn over(log: Log, rebuild: Rebuild, options: &Options, wall_ms: u64) -> (Self, State) {
        let checkpoint_wall_ms = Some(rebuild.checkpoint_wall_ms).filter(|known| *known != 0).unwrap_or(wall_ms);
        let journal = Self {
            log,
            frame_bytes_max: options.frame_bytes_max,
            seal_policy: SealPolicy::default(),
            bytes_since_checkpoint: rebuild.bytes_since_checkpoint,
            checkpoint_wall_ms,
            worked: true,
        };
        (journal, rebuild.state)
    }

    /// The same journal with another seal policy.
    #[must_use]
    pub fn with_seal_policy(mut self, seal_policy: SealPolicy) -> Self {
        self.seal_policy = SealPolicy { seal_bytes_max: seal_policy.seal_bytes_max.max(SEAL_BYTES_MIN), ..seal_policy };
        self
    }

    /// Which opening of the journal this is.
    #[must_use]
    pub fn writer_epoch(&self) -> u64 {
        self.log.head().writer_epoch
    }

    /// Whether the open segment is to end after so many bytes more.
    fn fills_segment(&self, bytes: u64, wall_ms: u64) -> bool {
        let open = self.log.open_segment();
        // The clock may have jumped: a segment "from tomorrow" is as old as one from yesterday.
        let old = open.frames > 0 && wall_ms.abs_diff(open.first_wall_ms) >= self.seal_policy.seal_age_ms_max;
        old || open.bytes.saturating_add(bytes) >= self.seal_policy.seal_bytes_max
    }

    fn is_checkpoint_due(&self, bytes: u64, wall_ms: u64) -> bool {
        self.bytes_since_checkpoint.saturating_add(bytes) >= self.seal_policy.checkpoint_bytes_max
            || wall_ms.abs_diff(self.checkpoint_wall_ms) >= self.seal_policy.checkpoint_age_ms_max
    }

    fn seal(&mut self) -> Result<UpkeepStep, Halt> {
        let sealed = self.log.seal().map_err(|error| stopped(&error))?;
        self.worked = false;
        Ok(sealed_step(&sealed.footer))
    }

    fn commit_frame(&mut self, entries: &[Entry], wall_ms: u64, mark: u64) -> Result<(), Halt> {
        let records: Vec<RawRecord<'_>> = entries.iter().map(|entry| raw(&entry.payload)).collect();
        let checks = entries.iter().map(|entry| entry.checks).sum();
        self.worked |= entries.iter().any(|entry| !UPKEEP_KINDS.contains(&entry.payload.kind));
        let committed = self.log.commit(&records, checks, wall_ms, mark).map_err(|error| stopped(&error))?;
        if mark == 0 {
            self.bytes_since_checkpoint = self.bytes_since_checkpoint.saturating_add(committed.frame_bytes as u64);
        } else {
            (self.bytes_since_checkpoint, self.checkpoint_wall_ms) = (0, wall_ms);
        }
        Ok(())
    }
}

impl JournalWriter for Journal {
    fn commit(&mut self, entries: &[Entry], wall_ms: u64, digest: Digest<'_>) -> Result<Option<UpkeepStep>, Halt> {
        let mut rest = entries;
        if rest.is_empty() {
            return Ok(None);
        }
        loop {
            let (frame, later) = rest.split_at(frame_length(rest, self.frame_bytes_max));
            if !later.is_empty() {
                // The state has the facts of the later frames already: only the last one can be a checkpoint.
                self.commit_frame(frame, wall_ms, 0)?;
                rest = later;
                continue;
            }
            let bytes = frame_bytes(frame) as u64;
            let seals = self.fills_segment(bytes, wall_ms);
            let checks = seals || self.is_checkpoint_due(bytes, wall_ms);
            let mark = if checks { image::mark(&digest()?) } else { 0 };
            self.commit_frame(frame, wall_ms, mark)?;
            if !seals {
                return Ok(None);
            }
            return self.seal().map(Some);
        }
    }

    fn rest(&mut self, wall_ms: u64) -> Result<Option<UpkeepStep>, Halt> {
        if !self.worked || self.log.open_segment().frames == 0 || !self.fills_segment(0, wall_ms) {
            return Ok(None);
        }
        // There is no fact to make a checkpoint of: the one that tells of the seal is.
        self.bytes_since_checkpoint = u64::MAX;
        self.seal().map(Some)
    }

    fn head(&self) -> (u64, [u8; 32]) {
        let head = self.log.head();
        (head.durable_seq, head.frame_hash)
    }

    /// A crash between the end of a segment and its fact leaves a segment of which the lifecycle knows nothing.
    fn unrecorded(&self, lifecycle: &SegmentLifecycle) -> Result<Vec<UpkeepStep>, String> {
        let open = self.log.open_segment().first_seq;
        let mut next = lifecycle.open_from();
        if next >= open {
            return Ok(Vec::new());
        }
        let disk = self.log.disk();
        let names = disk.list("seg").map_err(|error| chain(&error))?;
        let mut steps = Vec::new();
        while next < open {
            let named = names.iter().filter_map(|name| segment_name(name)).find(|(first, _)| *first == next);
            let (first, last) = named.ok_or_else(|| format!("no sealed segment begins with record {next}"))?;
            let footer = verify_segment(disk, first, last).map_err(|error| chain(&error))?;
            steps.push(sealed_step(&footer));
            next = last.saturating_add(1);
        }
        Ok(steps)
    }
}

fn sealed_step(footer: &Footer) -> UpkeepStep {
    UpkeepStep::Sealed {
        first: footer.first_seq,
        last: footer.last_seq,
        frames: footer.frames,
        bytes: footer.frame_bytes,
        checks: footer.checks_total,
        hash: footer.hash(),
        last_frame: footer.last_hash,
    }
}

/// A state that a checkpoint contradicts is written, so that somebody can find out why.
fn keep_mismatch(dir: &Path, error: &OpenError, state: &State) {
    let OpenError::Refused { source, .. } = error else { return };
    let Some(RebuildError::Checkpoint { seq, .. }) = source.0.downcast_ref() else { return };
    match mismatch::write_image(dir, &mismatch::image_path(*seq, "replayed"), state) {
        Ok(path) => tracing::error!("the replayed state, which is not the one that was, is in {path}"),
        Err(error) => tracing::error!("the replayed state cannot be written: {}", chain(&error)),
    }
}

/// First and last record of a sealed segment, by its name.
fn segment_name(name: &str) -> Option<(Seq, Seq)> {
    let records = name.strip_suffix(".jseg").or_else(|| name.strip_suffix(".jseg.zst"))?;
    let (first, last) = records.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
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
    fitting.count().max(1).min(entries.len())
}

/// What a frame of the entries takes at most.
fn frame_bytes(entries: &[Entry]) -> usize {
    entries.iter().fold(HEADER_BYTES, |bytes, entry| bytes + entry.payload.bytes.len() + RECORD_OVERHEAD)
}

/// Why the journal cannot go on, for somebody who has the volume.
fn stopped(error: &CommitError) -> Halt {
    let why = chain(error);
    if error.is_volume() { Halt::Volume(why) } else { Halt::Fault(why) }
}

#[cfg(test)]
mod tests;
