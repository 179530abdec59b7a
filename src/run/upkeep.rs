//! Upkeep of the journal: verifies, compresses, archives and finally drops sealed segments; proves the state by a
//! replay and writes it as a snapshot.
//!
//! This module has the periodic task and the order of an action and its record. `plan` decides the next step, and the
//! journal crate handles the files. Upkeep never blocks mirroring: a failure is logged and retried. Every step may be
//! repeated after a crash.

pub mod plan;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lakemirror_core::causes::chain;
use lakemirror_core::ids::Seq;
use lakemirror_engine::recorder::{RecordError, Recorder};
use lakemirror_journal::command::{Command, UpkeepStep};
use lakemirror_journal::log::disk::real::RealDisk;
use lakemirror_journal::log::{
    Archived, SegmentFile, UpkeepError, archive_segment, compress_segment, remove_segment, sealed_segments, snapshot,
    verify_segment,
};
use lakemirror_journal::state::lifecycle::SegmentLifecycle;
use lakemirror_objects::s3;
use lakemirror_ports::clock::Clock;
use tokio_util::sync::CancellationToken;

use crate::run::snapshotter::{ShadowError, take_snapshot};
use plan::{Rules, Step};

/// The interval of the task. A segment takes longer to fill.
const TICK: Duration = Duration::from_secs(5);
/// The wait before a failed archive is tried again and before an unusual state is logged again.
const REST: Duration = Duration::from_secs(60);
/// The maximum number of steps in one turn. The rest waits for the next turn.
const STEPS_MAX: usize = 64;

/// An archive.
#[derive(Debug, Clone)]
pub enum Archive {
    /// A directory of the same shape as a journal's.
    Directory(PathBuf),
    /// The same below a prefix of a bucket.
    S3(Box<s3::archive::Archive>),
}

/// Settings of upkeep.
#[derive(Debug, Clone)]
pub struct Settings {
    /// When segments are compressed and dropped.
    pub rules: Rules,
    /// Where sealed segments are copied.
    pub archive: Option<Archive>,
    /// How often a snapshot is taken.
    pub snapshot_interval: Duration,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
enum Undone {
    #[error(transparent)]
    Segment(#[from] UpkeepError),
    #[error(transparent)]
    Archive(#[from] s3::archive::ArchiveError),
    #[error(
        "segment {first} to {last} on the volume is not the one that the journal sealed: see `lakemirror journal verify`"
    )]
    Another { first: Seq, last: Seq },
    #[error("the journal refused the step")]
    Refused(#[from] RecordError),
    #[error("the work was broken off")]
    Broken(#[from] tokio::task::JoinError),
}

/// The upkeep task.
pub struct Upkeep {
    dir: PathBuf,
    settings: Settings,
    recorder: Recorder,
    clock: Arc<dyn Clock>,
    /// The archive is not tried before this monotonic time.
    archive_from: Duration,
    /// When the next snapshot is due, monotonic.
    snapshot_from: Duration,
    /// Segments that a step failed on. They are left alone until the next start.
    set_aside: BTreeSet<Seq>,
}

impl Upkeep {
    /// Creates the task for the journal in `dir`, which `recorder` writes.
    #[must_use]
    pub fn new(dir: PathBuf, settings: Settings, recorder: Recorder, clock: Arc<dyn Clock>) -> Self {
        let snapshot_from = clock.monotonic() + settings.snapshot_interval;
        let (archive_from, set_aside) = (Duration::ZERO, BTreeSet::new());
        Self { dir, settings, recorder, clock, archive_from, snapshot_from, set_aside }
    }

    /// Runs until stopped, or until the journal stops.
    pub async fn run(mut self, stop: CancellationToken) {
        let work = async {
            loop {
                if self.snapshot().await.is_err() || self.turn().await.is_err() {
                    return;
                }
                self.clock.sleep(TICK).await;
            }
        };
        // Work may be interrupted anywhere, because every step is complete by itself.
        stop.run_until_cancelled(work).await;
    }

    /// Takes a snapshot if one is due.
    ///
    /// # Errors
    /// The journal has stopped, or its replayed state differs from the live one, which stops it.
    pub async fn snapshot(&mut self) -> Result<(), ShadowError> {
        if self.clock.monotonic() < self.snapshot_from {
            return Ok(());
        }
        self.snapshot_from = self.clock.monotonic() + self.settings.snapshot_interval;
        match take_snapshot(&self.recorder, &self.dir, &self.clock).await {
            Ok(None) => Ok(()),
            Ok(Some(taken)) => {
                tracing::info!(
                    seq = taken.seq,
                    bytes = taken.bytes,
                    "the state was proven by a replay, a snapshot is taken"
                );
                Ok(())
            }
            Err(error @ (ShadowError::Mismatch(_) | ShadowError::Record(RecordError::Stopped))) => Err(error),
            Err(error) => {
                tracing::warn!("no snapshot of the journal, it is tried again later: {}", chain(&error));
                Ok(())
            }
        }
    }

    /// Does what is due, and returns whether anything is left for later.
    ///
    /// # Errors
    /// Only if the journal has stopped.
    pub async fn turn(&mut self) -> Result<bool, RecordError> {
        self.recorder.rest().await?;
        for _ in 0..STEPS_MAX {
            let lifecycle = self.recorder.read(|state| state.lifecycle.clone()).await?;
            if lifecycle.segments.is_empty() {
                return Ok(false);
            }
            let (kept, proven) = match self.kept().await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!("journal upkeep: {}", chain(&error));
                    return Ok(true);
                }
            };
            let archive_down = self.clock.monotonic() < self.archive_from;
            let next = plan::next(&lifecycle, &kept, proven, self.clock.wall_ms(), &self.settings.rules, archive_down);
            let Some((step, file)) = next else { return Ok(false) };
            match self.follow(&lifecycle, step, file).await {
                Ok(()) => {}
                Err(Undone::Refused(RecordError::Stopped)) => return Err(RecordError::Stopped),
                Err(error) => self.give_up(step, file, &error),
            }
        }
        Ok(true)
    }

    /// The sealed segments on the volume, and the record of the oldest snapshot.
    async fn kept(&self) -> Result<(Vec<SegmentFile>, Seq), Undone> {
        let dir = self.dir.clone();
        let look = move || {
            let disk = RealDisk::new(&dir);
            let oldest = snapshot::list(&disk).unwrap_or_default().first().copied().unwrap_or(0);
            Ok::<_, Undone>((sealed_segments(&disk)?, oldest))
        };
        let (mut kept, proven) = tokio::task::spawn_blocking(look).await??;
        kept.retain(|file| !self.set_aside.contains(&file.first));
        Ok((kept, proven))
    }

    fn give_up(&mut self, step: Step, file: SegmentFile, error: &Undone) {
        let why = chain(error);
        let (first, last) = (file.first, file.last);
        if step == Step::Archive && !matches!(error, Undone::Another { .. }) {
            self.archive_from = self.clock.monotonic() + REST;
            tracing::warn!(first, last, "cannot archive a segment of the journal, it stays where it is: {why}");
        } else {
            self.set_aside.insert(first);
            tracing::error!(
                first,
                last,
                ?step,
                "a segment of the journal is left as it is until the next start: {why}"
            );
        }
    }

    async fn follow(&self, lifecycle: &SegmentLifecycle, step: Step, file: SegmentFile) -> Result<(), Undone> {
        let SegmentFile { first, last, .. } = file;
        let sealed = lifecycle.segments.get(&first).map(|segment| segment.hash).unwrap_or_default();
        let dir = self.dir.clone();
        match step {
            Step::Remove => {
                tokio::task::spawn_blocking(move || remove_segment(&RealDisk::new(&dir), first, last)).await??;
            }
            Step::Compress => {
                let compress = move || {
                    prove(&RealDisk::new(&dir), first, last, &sealed)?;
                    Ok::<u64, Undone>(compress_segment(&RealDisk::new(&dir), first, last)?)
                };
                let bytes = tokio::task::spawn_blocking(compress).await??;
                tracing::info!(
                    first,
                    last,
                    was = file.bytes,
                    bytes,
                    "a segment of the journal was proven and compressed"
                );
            }
            Step::Archive => self.archive(file, sealed).await?,
            Step::Drop { unarchived } => self.drop_segment(file, sealed, unarchived).await?,
        }
        Ok(())
    }

    async fn archive(&self, file: SegmentFile, sealed: [u8; 32]) -> Result<(), Undone> {
        let Some(archive) = self.settings.archive.clone() else { return Ok(()) };
        let archived = self.copy(file, sealed, archive).await?;
        let (first, last, Archived { place, bytes, file_hash }) = (file.first, file.last, archived);
        tracing::info!(first, last, bytes, place, "a segment of the journal was archived");
        self.journal(UpkeepStep::Archived { first, last, hash: sealed, bytes, file_hash, place }).await
    }

    /// Verifies a segment and copies it.
    async fn copy(&self, file: SegmentFile, sealed: [u8; 32], archive: Archive) -> Result<Archived, Undone> {
        let SegmentFile { first, last, .. } = file;
        let dir = self.dir.clone();
        let proven = move || prove(&RealDisk::new(&dir), first, last, &sealed);
        tokio::task::spawn_blocking(proven).await??;
        let dir = self.dir.clone();
        match archive {
            Archive::Directory(archive) => {
                let copy = move || archive_segment(&RealDisk::new(&dir), &RealDisk::new(&archive), first, last);
                Ok(tokio::task::spawn_blocking(copy).await??)
            }
            Archive::S3(archive) => {
                let s3::archive::Stored { place, bytes, hash } = archive.put(&dir, &file.path()).await?;
                Ok(Archived { place, bytes, file_hash: hash })
            }
        }
    }

    async fn drop_segment(&self, file: SegmentFile, hash: [u8; 32], unarchived: bool) -> Result<(), Undone> {
        let SegmentFile { first, last, .. } = file;
        // Recorded first: after a crash in between, the next turn knows that the file is dropped and removes it.
        self.journal(UpkeepStep::Dropped { first, last, hash }).await?;
        let dir = self.dir.clone();
        tokio::task::spawn_blocking(move || remove_segment(&RealDisk::new(&dir), first, last)).await??;
        if unarchived {
            tracing::error!(
                first,
                last,
                "a segment of the journal was dropped without a copy, because the archive fails and the volume holds twice of journal.retain.max_bytes: its hashes stay, its records are gone"
            );
        } else {
            tracing::info!(first, last, "a segment of the journal was dropped from the volume, its hashes stay");
        }
        Ok(())
    }

    async fn journal(&self, step: UpkeepStep) -> Result<(), Undone> {
        self.recorder.command(Command::Upkeep { step, at_ms: self.clock.wall_ms() }).await?;
        Ok(())
    }
}

/// Reads the segment from the disk and compares it with the journal's record of it.
fn prove(disk: &RealDisk, first: Seq, last: Seq, sealed: &[u8; 32]) -> Result<(), Undone> {
    let footer = verify_segment(disk, first, last)?;
    if footer.hash() == *sealed { Ok(()) } else { Err(Undone::Another { first, last }) }
}
