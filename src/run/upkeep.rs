//! Upkeep of the journal: sealed segments are verified, compressed, archived and in the end dropped; the state is
//! proven by a replay and written as a snapshot.
//!
//! Owns the periodic task and the order of an act and its record; what is next is `plan`'s decision, how a file is
//! handled the journal crate's. Nothing here is in the way of mirroring: a failure is said, and tried again later.
//! Every step may be repeated after a crash.

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

/// How often it is looked whether there is something to do. A segment takes longer to fill.
const TICK: Duration = Duration::from_secs(5);
/// How long an archive that failed is left alone, and an unusual state is not said again.
const REST: Duration = Duration::from_secs(60);
/// Steps of one turn; the rest waits for the next one.
const STEPS_MAX: usize = 64;

/// An archive.
#[derive(Debug, Clone)]
pub enum Archive {
    /// A directory of the same shape as a journal's.
    Directory(PathBuf),
    /// The same below a prefix of a bucket.
    S3(Box<s3::archive::Archive>),
}

/// What upkeep goes by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// When segments are compressed and dropped.
    pub rules: Rules,
    /// Where sealed segments are copied to.
    pub archive: Option<Archive>,
    /// How often a snapshot is taken.
    pub snapshot_interval: Duration,
}

/// Why a step was not done.
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

/// The task.
pub struct Upkeep {
    dir: PathBuf,
    settings: Settings,
    recorder: Recorder,
    clock: Arc<dyn Clock>,
    /// Not tried before this monotonic time.
    archive_from: Duration,
    /// When the next snapshot is due, by the monotonic clock.
    snapshot_from: Duration,
    /// Segments that could not be worked on: they stay as they are until the next start.
    set_aside: BTreeSet<Seq>,
}

impl Upkeep {
    /// Upkeep of the journal in `dir`, which `recorder` writes.
    #[must_use]
    pub fn new(dir: PathBuf, settings: Settings, recorder: Recorder, clock: Arc<dyn Clock>) -> Self {
        let snapshot_from = clock.monotonic() + settings.snapshot_interval;
        let (archive_from, set_aside) = (Duration::ZERO, BTreeSet::new());
        Self { dir, settings, recorder, clock, archive_from, snapshot_from, set_aside }
    }

    /// Works until stopped, or until the journal stops.
    pub async fn run(mut self, stop: CancellationToken) {
        let work = async {
            loop {
                if self.snapshot().await.is_err() || self.turn().await.is_err() {
                    return;
                }
                self.clock.sleep(TICK).await;
            }
        };
        // What is under way may be broken off anywhere: every step is whole by itself.
        stop.run_until_cancelled(work).await;
    }

    /// Takes a snapshot if it is time for one.
    ///
    /// # Errors
    /// The journal has stopped, or what it holds is not what was live: then it stops.
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

    /// Does what there is to do now. Says whether anything is left for later.
    ///
    /// # Errors
    /// Only that the journal has stopped.
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

    /// Proves a segment and copies it.
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
        // Journaled first: a crash in between leaves a file that is known to be dropped, and is removed then.
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

/// Reads the segment from the disk, and holds it against what the journal says of it.
fn prove(disk: &RealDisk, first: Seq, last: Seq, sealed: &[u8; 32]) -> Result<(), Undone> {
    let footer = verify_segment(disk, first, last)?;
    if footer.hash() == *sealed { Ok(()) } else { Err(Undone::Another { first, last }) }
}
