//! Reads a journal without opening it: only segments, snapshots and HEAD. It writes nothing, takes no lock and never
//! touches sled.
//!
//! It works on a copied volume and beside a running service, whose last frame may be half written: anything after the
//! watermark is reported and is no error. Dropped segments are read from archives. `report` has the result of a scan.

mod report;

use lakemirror_core::causes::chain;
pub use report::{FooterSeen, ScanError, ScanReport, SegmentSeen};

use std::io;
use std::path::{Path, PathBuf};

use super::catalog::{Entry, SegmentDir, after_gaps};
use super::chain::Position;
use super::disk::real::RealDisk;
use super::disk::{Access, Disk};
use super::error::OpenError;
use super::head;
use super::layout::{self, FIRST_SEQ, HEAD_NAME};
use super::replay::Replay;
use super::replay_plan::{Failed, Ground, ReplayPlan, Start, Step};
use super::segment::SEGMENT_DIR;
use super::snapshot;
use crate::ids::Seq;

/// HEAD may be written while it is read. One of this many tries finds an intact slot.
const HEAD_TRIES: usize = 3;

/// Where a scan begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ScanStart {
    /// With the first record; an error if no segment has it.
    #[default]
    First,
    /// With the first record of the gapless end of the journal: the journal's first, or that of the segment after the
    /// last gap. `ScanReport::proven_from` says which.
    Oldest,
    /// With the first record. If no segment has it, with the oldest intact snapshot after which no record is missing;
    /// the consumer has to accept it.
    OldestState,
    /// With the newest intact snapshot at or before this record, which the consumer has to accept; otherwise as
    /// `First`.
    NewestSnapshotAtOrBefore(Seq),
}

/// How a journal is scanned. The default is from the first record to the end.
#[derive(Debug, Clone, Default)]
pub struct ScanOptions {
    /// Directories with dropped segments under the same names, directly or in `seg/`.
    pub archives: Vec<PathBuf>,
    /// Where to begin.
    pub start: ScanStart,
    /// The last record that is wanted; the consumer receives its whole frame.
    pub stop_after: Option<Seq>,
}

/// Reads the journal in `dir` from the first record and passes each record to `replay`.
///
/// # Errors
/// If the directory holds no journal, or one that is damaged at or before its watermark.
pub fn scan(dir: &Path, replay: &mut dyn Replay) -> Result<ScanReport, ScanError> {
    scan_with(dir, &ScanOptions::default(), replay)
}

/// As [`scan`], with `options`.
///
/// # Errors
/// As [`scan`].
pub fn scan_with(dir: &Path, options: &ScanOptions, replay: &mut dyn Replay) -> Result<ScanReport, ScanError> {
    scan_options_on(&RealDisk::new(dir), options, replay)
}

/// As [`scan`], on any disk.
///
/// # Errors
/// As [`scan`].
pub fn scan_on(disk: &dyn Disk, replay: &mut dyn Replay) -> Result<ScanReport, ScanError> {
    scan_options_on(disk, &ScanOptions::default(), replay)
}

/// As [`scan_with`], on any disk; archives are directories of the operating system.
///
/// # Errors
/// As [`scan`].
pub fn scan_options_on(
    disk: &dyn Disk,
    options: &ScanOptions,
    replay: &mut dyn Replay,
) -> Result<ScanReport, ScanError> {
    let no_journal = || ScanError::NoJournal { path: disk.show("") };
    let identity = layout::read_identity(disk)?.ok_or_else(no_journal)?;
    // Before the segments, so that the segments have at least what HEAD acknowledges.
    let (durable, bad_head_slot) = read_head(disk)?;
    let archives: Vec<RealDisk> = options.archives.iter().map(|dir| RealDisk::new(dir)).collect();
    let archives: Vec<&dyn Disk> = archives.iter().map(|disk| disk as &dyn Disk).collect();
    let segments_dir = SegmentDir::new(disk, &archives);
    let entries = segments_dir.list()?;
    let ground = Ground { segments_dir: &segments_dir, hot: None, entries: &entries, durable };
    let report = ScanReport {
        uuid: identity.uuid,
        created_ms: identity.created_ms,
        durable_seq: durable.last_seq,
        bad_head_slot,
        end: durable,
        frames: 0,
        tail: None,
        segments: segments(&segments_dir, &entries),
        proven_from: 0,
        footers: Vec::new(),
        snapshot: None,
        snapshots_refused: Vec::new(),
        stopped: false,
    };
    let scan = Scan { disk, ground, options, report };
    scan.run(Position::genesis(identity.uuid), replay)
}

fn segments(segments_dir: &SegmentDir<'_>, entries: &[Entry]) -> Vec<SegmentSeen> {
    let seen = |entry: &Entry| SegmentSeen {
        first: entry.first,
        last: entry.last,
        // A segment that was just removed exists under another name, or is not needed.
        bytes: segments_dir.file_bytes(entry).unwrap_or(0),
        stage: entry.stage,
        path: segments_dir.show(entry),
        archived: !entry.is_own(),
    };
    entries.iter().map(seen).collect()
}

fn read_head(disk: &dyn Disk) -> Result<(Position, Option<u64>), OpenError> {
    let lost = || OpenError::HeadLost { path: disk.show(HEAD_NAME) };
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => lost(),
        _ => OpenError::io("read", disk.show(HEAD_NAME), error),
    };
    let file = disk.open(HEAD_NAME, Access::Read).map_err(failed)?;
    for _ in 0..HEAD_TRIES {
        let found = head::read(&*file).map_err(failed)?;
        if let Some(slot) = found.newest {
            return Ok((slot.position, found.bad));
        }
    }
    Err(lost())
}

struct Scan<'a> {
    disk: &'a dyn Disk,
    ground: Ground<'a>,
    options: &'a ScanOptions,
    report: ScanReport,
}

impl Scan<'_> {
    fn run(mut self, genesis: Position, replay: &mut dyn Replay) -> Result<ScanReport, ScanError> {
        for seq in self.snapshots()? {
            match self.follow_snapshot(seq, replay) {
                Ok(()) => return Ok(self.report),
                Err(Failed::Unsound(reason)) => self.report.snapshots_refused.push((seq, reason)),
                Err(Failed::NoSnapshots) => break,
                Err(failed) => return Err(as_error(failed)),
            }
        }
        let start = if self.options.start == ScanStart::Oldest && self.first() > FIRST_SEQ {
            Start::Oldest
        } else if self.first() > FIRST_SEQ {
            return Err(self.no_start().into());
        } else {
            Start::First(genesis)
        };
        self.follow(start, replay).map_err(as_error)?;
        Ok(self.report)
    }

    /// The snapshots that may be the start, in the order in which they are tried.
    fn snapshots(&self) -> Result<Vec<Seq>, OpenError> {
        let first = self.first();
        let wanted = match self.options.start {
            ScanStart::NewestSnapshotAtOrBefore(_) => true,
            ScanStart::OldestState => first > FIRST_SEQ,
            ScanStart::First | ScanStart::Oldest => false,
        };
        if !wanted {
            return Ok(Vec::new());
        }
        let listed = snapshot::list(self.disk);
        let listed = listed.map_err(|error| OpenError::io("list", self.disk.show(snapshot::SNAPSHOT_DIR), error))?;
        Ok(match self.options.start {
            ScanStart::NewestSnapshotAtOrBefore(last) => listed.into_iter().rev().filter(|&seq| seq <= last).collect(),
            _ => listed.into_iter().filter(|seq| seq.saturating_add(1) >= first).collect(),
        })
    }

    /// The first record that may be the start.
    fn first(&self) -> Seq {
        let entries = self.ground.entries;
        let whole = matches!(self.options.start, ScanStart::Oldest | ScanStart::OldestState);
        let entries = if whole { after_gaps(entries) } else { entries };
        entries.first().map_or(FIRST_SEQ, |entry| entry.first)
    }

    fn no_start(&self) -> OpenError {
        let refused = &self.report.snapshots_refused;
        let each: Vec<String> =
            refused.iter().map(|(seq, reason)| format!("that after record {seq}: {reason}")).collect();
        let refused = if each.is_empty() { "none was used".to_owned() } else { each.join("; ") };
        OpenError::NoStart { path: self.disk.show(SEGMENT_DIR), first: self.first(), refused }
    }

    fn follow_snapshot(&mut self, seq: Seq, replay: &mut dyn Replay) -> Result<(), Failed> {
        let snapshot = snapshot::read(self.disk, seq).map_err(|fault| Failed::Unsound(chain(&fault)))?;
        let header = snapshot.0;
        self.follow(Start::Snapshot(Box::new(snapshot)), replay)?;
        self.report.snapshot = Some(header);
        Ok(())
    }

    /// Walks to the end, or to the last record that is wanted.
    fn follow(&mut self, start: Start, replay: &mut dyn Replay) -> Result<(), Failed> {
        let mut replay_plan = ReplayPlan::begin(self.ground, start)?;
        self.report.proven_from = replay_plan.from;
        (self.report.frames, self.report.tail) = (0, None);
        self.report.footers.clear();
        let fault = loop {
            if self.options.stop_after.is_some_and(|last| replay_plan.walker.position().last_seq >= last) {
                self.report.stopped = true;
                break None;
            }
            match replay_plan.next(replay) {
                Ok(Step::Frame { .. }) => self.report.frames = self.report.frames.saturating_add(1),
                Ok(Step::Sealed { ending, .. }) => {
                    let hash = ending.footer.hash();
                    self.report.footers.push(FooterSeen { footer: ending.footer, hash, fault: ending.fault });
                }
                Ok(Step::Skipped { from, fault, .. }) => return Err(self.lost(&replay_plan, from, Some(fault)).into()),
                Ok(Step::End) => break None,
                Ok(Step::Fault(fault)) => break Some(fault),
                Err(Failed::Stopped) => {
                    self.report.stopped = true;
                    break None;
                }
                Err(failed) => return Err(failed),
            }
        };
        self.report.end = replay_plan.walker.position();
        if self.report.stopped {
            return Ok(());
        }
        if self.report.end.last_seq < self.report.durable_seq {
            return Err(self.lost(&replay_plan, self.report.end.next_seq(), fault).into());
        }
        if replay_plan.walker.entry().last.is_some() {
            return Err(OpenError::MisplacedSegment { path: replay_plan.walker.path() }.into());
        }
        let left = replay_plan.walker.segment_size().saturating_sub(replay_plan.walker.offset());
        self.report.tail = fault.map(|fault| (left, fault));
        Ok(())
    }

    fn lost(&self, replay_plan: &ReplayPlan<'_>, from: Seq, fault: Option<String>) -> OpenError {
        OpenError::Lost {
            path: replay_plan.walker.path(),
            offset: replay_plan.walker.offset(),
            from,
            durable: self.report.durable_seq,
            fault: fault.unwrap_or_else(|| "the file ends".to_owned()),
        }
    }
}

fn as_error(failed: Failed) -> ScanError {
    match failed {
        Failed::Open(error) => error.into(),
        Failed::Unsound(reason) => ScanError::Start { reason },
        Failed::NoSnapshots | Failed::Stopped => ScanError::Start { reason: String::new() },
    }
}
