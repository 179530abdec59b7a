//! The snapshotter: rebuilds the state from the journal's files alone, and writes it as a snapshot.
//!
//! It loads the newest snapshot, replays the records after it up to the newest checkpoint, compares the state's digest
//! with every checkpoint on the way, writes the next snapshot, and frees the memory. A running service thereby proves
//! that its state is reproduced by its records. On a mismatch, the journal's thread ends and both states are written.
//! It reads files beside the running log, never through it. The caller decides when it runs, one call at a time.

use std::io;
use std::path::Path;
use std::sync::Arc;

use lakemirror_core::causes::chain;
use lakemirror_core::ids::Seq;
use lakemirror_engine::recorder::{RecordError, Recorder};
use lakemirror_journal::command::{Command, UpkeepStep};
use lakemirror_journal::log::disk::Disk as _;
use lakemirror_journal::log::disk::real::RealDisk;
use lakemirror_journal::log::{
    FrameInfo, RawRecord, Replay, ReplayRefused, ScanError, ScanOptions, ScanStart, SnapshotHeader, scan_with, snapshot,
};
use lakemirror_journal::state::State;
use lakemirror_journal::state::image;
use lakemirror_ports::clock::Clock;

use super::journal_writer::mismatch::{image_path, write_image};
use super::journal_writer::{Rebuild, RebuildError};

/// How many snapshots are kept: the newest, and older ones in case it is damaged.
pub const SNAPSHOTS_KEPT: usize = 3;

/// A snapshot that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// The record whose state it holds.
    pub seq: Seq,
    /// BLAKE3 of the state's image.
    pub digest: [u8; 32],
    /// The size of the image in bytes.
    pub bytes: u64,
    /// The record of the oldest snapshot that is kept. Opening the journal may have to fall back on it.
    pub oldest_seq: Seq,
}

/// Why no snapshot was taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShadowError {
    /// The replayed state differs from the state that was live when the journal was written.
    #[error("the journal's state cannot be replayed")]
    Mismatch(#[source] RebuildError),
    /// The journal's files cannot be read.
    #[error("the journal cannot be read beside the running service")]
    Scan(#[from] ScanError),
    /// The snapshot cannot be written.
    #[error("the snapshot in {path} cannot be written or the older ones removed")]
    Io {
        /// The directory.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The journal has stopped, or refuses the record.
    #[error("the snapshot cannot be entered into the journal")]
    Record(#[from] RecordError),
    /// The thread could not be started, or it panicked.
    #[error("the snapshot's thread failed: {0}")]
    Thread(String),
}

/// Takes the next snapshot of the running service's journal in `dir` and records it; `None` if there is no checkpoint
/// after the newest snapshot. On a mismatch it stops the journal's thread, with a reason that names the two files with
/// the states, before it returns the error: the service has to end.
///
/// # Errors
/// [`ShadowError`]. After any error but a mismatch the service can continue, and the next call tries again.
pub async fn take_snapshot(
    recorder: &Recorder,
    dir: &Path,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Taken>, ShadowError> {
    let (durable, _) = recorder.read_with_head(|_, head| head).await?;
    let path = dir.to_owned();
    let reduced = tokio::task::spawn_blocking(move || reduce(&path, durable)).await;
    let taken = match reduced.map_err(|error| ShadowError::Thread(error.to_string()))? {
        Err(ShadowError::Mismatch(error)) => {
            let (path, text) = (dir.to_owned(), chain(&error));
            recorder.stop_with(move |live, (head, _)| format!("{text}. {}", keep_both(&path, live, head))).await;
            return Err(ShadowError::Mismatch(error));
        }
        Err(other) => return Err(other),
        Ok(None) => return Ok(None),
        Ok(Some(taken)) => taken,
    };
    let step = UpkeepStep::SnapshotTaken { seq: taken.seq, digest: taken.digest, bytes: taken.bytes };
    recorder.command(Command::Upkeep { step, at_ms: clock.wall_ms() }).await?;
    Ok(Some(taken))
}

/// Replays the journal in `dir` to the newest checkpoint at or before record `durable`, and writes the state there as a
/// snapshot; `None` if that snapshot exists or there is no checkpoint. Blocks. Holds the state and its image in memory.
///
/// # Errors
/// [`ShadowError::Mismatch`], [`ShadowError::Scan`], [`ShadowError::Io`].
pub fn reduce(dir: &Path, durable: Seq) -> Result<Option<Taken>, ShadowError> {
    let mut reducer = Reducer::default();
    let scanned = scan_with(dir, &from_snapshot_to(durable), &mut reducer);
    if let Some(mismatch) = reducer.mismatch {
        return Err(ShadowError::Mismatch(mismatch));
    }
    scanned?;
    // Free the state before the image is written, which may be as large.
    drop(reducer.rebuild);
    let Some(header) = reducer.newest else { return Ok(None) };
    let disk = RealDisk::new(dir);
    let failed = |source| ShadowError::Io { path: disk.show(snapshot::SNAPSHOT_DIR), source };
    snapshot::write(&disk, &header, &reducer.image).map_err(failed)?;
    let oldest_seq = remove_old(&disk, header.seq).map_err(failed)?;
    let bytes = reducer.image.len() as u64;
    Ok(Some(Taken { seq: header.seq, digest: header.state_digest, bytes, oldest_seq }))
}

fn from_snapshot_to(seq: Seq) -> ScanOptions {
    ScanOptions { start: ScanStart::NewestSnapshotAtOrBefore(seq), stop_after: Some(seq), ..ScanOptions::default() }
}

/// Keeps the newest snapshots up to this one, and returns the record of the oldest of them.
fn remove_old(disk: &RealDisk, newest: Seq) -> io::Result<Seq> {
    let mut kept = newest;
    for (place, seq) in snapshot::list(disk)?.into_iter().rev().filter(|seq| *seq <= newest).enumerate() {
        if place < SNAPSHOTS_KEPT {
            kept = seq;
        } else {
            snapshot::remove(disk, seq)?;
        }
    }
    Ok(kept)
}

/// Serializes the state at every checkpoint and keeps the newest image.
#[derive(Default)]
struct Reducer {
    rebuild: Rebuild,
    image: Vec<u8>,
    newest: Option<SnapshotHeader>,
    mismatch: Option<RebuildError>,
}

impl Reducer {
    fn write_down(&mut self, frame: &FrameInfo) -> Result<(), RebuildError> {
        self.image.clear();
        self.newest = None;
        image::write(&self.rebuild.state, |bytes| self.image.extend_from_slice(bytes))?;
        let digest = image::digest_of(&self.image);
        Rebuild::compare(frame, digest)?;
        self.newest = Some(SnapshotHeader::after(frame, digest));
        self.rebuild.pass(frame);
        Ok(())
    }
}

impl Replay for Reducer {
    fn frame(&mut self, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        self.rebuild.frame(frame)
    }

    fn record(&mut self, seq: Seq, record: RawRecord<'_>, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        self.rebuild.record(seq, record, frame)
    }

    fn checkpoint(&mut self, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        self.write_down(frame).map_err(|error| {
            if matches!(error, RebuildError::Checkpoint { .. }) {
                self.mismatch = Some(error);
                return ReplayRefused::stop();
            }
            error.into()
        })
    }

    fn restore(&mut self, snapshot: &SnapshotHeader, image: &[u8]) -> Result<(), ReplayRefused> {
        self.rebuild.restore(snapshot, image)
    }
}

/// Replays the state without comparing it with checkpoints.
struct Unchecked(Rebuild);

impl Replay for Unchecked {
    fn record(&mut self, seq: Seq, record: RawRecord<'_>, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        self.0.record(seq, record, frame)
    }

    fn restore(&mut self, snapshot: &SnapshotHeader, image: &[u8]) -> Result<(), ReplayRefused> {
        self.0.restore(snapshot, image)
    }
}

/// Writes the live state and the replayed one, both after record `head`, and returns where they are or why not.
fn keep_both(dir: &Path, live: &State, head: Seq) -> String {
    let write =
        |which: &str, state: &State| write_image(dir, &image_path(head, which), state).map_err(|error| chain(&error));
    let kept = write("live", live).and_then(|live| {
        let mut replayed = Unchecked(Rebuild::default());
        scan_with(dir, &from_snapshot_to(head), &mut replayed).map_err(|error| chain(&error))?;
        Ok((live, write("replayed", &replayed.0.state)?))
    });
    match kept {
        Ok((live, replayed)) => format!("The two states after record {head} are in {live} and {replayed}"),
        Err(why) => format!("The two states after record {head} could not be written: {why}"),
    }
}

#[cfg(test)]
mod tests;
