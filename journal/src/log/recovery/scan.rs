//! The scan at opening: from the newest intact snapshot, or else from the first record, to the end.
//!
//! This module owns the choice of the start and the result of the walk. It changes nothing.

use lakemirror_core::causes::chain;

use super::inventory::Inventory;
use super::report::RecoveryAction;
use crate::ids::Seq;
use crate::log::catalog::{Entry, SegmentDir};
use crate::log::chain::Position;
use crate::log::disk::Disk;
use crate::log::error::OpenError;
use crate::log::hot::HotStore;
use crate::log::layout::FIRST_SEQ;
use crate::log::options::Options;
use crate::log::replay::Replay;
use crate::log::replay_plan::{Failed, Ground, ReplayPlan, Start, Step};
use crate::log::segment::SEGMENT_DIR;
use crate::log::snapshot::{self, SnapshotHeader};
use crate::log::tally::{Ending, Tally};
use crate::log::walk::FrameInfo;
use crate::log::window::{Kept, Window};

/// The result of the scan, before anything is changed.
pub(in crate::log) struct Scanned {
    pub(in crate::log) end: Position,
    /// The segment in which the walk ended, which is the open one.
    pub(in crate::log) entry: Entry,
    pub(in crate::log) segment_end: u64,
    pub(super) segment_size: u64,
    pub(super) tail_fault: Option<String>,
    pub(super) tally: Tally,
    pub(super) hasher: blake3::Hasher,
    pub(super) frames: u64,
    /// Frames that the hot store has and the segments do not.
    pub(super) patches: Vec<FrameInfo>,
    /// The segments that the walk passed, with their ends.
    pub(super) endings: Vec<(Entry, Ending)>,
    /// The newest frames.
    pub(super) recent: Window,
    /// The first record that was read.
    pub(super) walked: Seq,
    pub(super) inventory: Inventory,
    pub(super) snapshot: Option<SnapshotHeader>,
    /// The actions to report so far.
    pub(super) actions: Vec<RecoveryAction>,
}

/// The scan at opening, with the data for its errors.
pub(in crate::log) struct Scan<'a> {
    pub(in crate::log) disk: &'a dyn Disk,
    pub(in crate::log) segments_dir: &'a SegmentDir<'a>,
    pub(in crate::log) entries: &'a [Entry],
    pub(in crate::log) durable: Position,
    pub(in crate::log) options: &'a Options,
}

impl Scan<'_> {
    /// Walks to the end, which is at or after the position acknowledged in HEAD.
    pub(super) fn run(
        &self,
        hot: &dyn HotStore,
        inventory: &Inventory,
        genesis: Position,
        replay: &mut dyn Replay,
    ) -> Result<Scanned, OpenError> {
        let scanned = self.walk(hot, inventory, genesis, replay)?;
        if scanned.end.last_seq < self.durable.last_seq {
            return Err(self.lost(&scanned));
        }
        // A segment is sealed when all its frames are acknowledged, so this log never ends the chain inside one.
        match scanned.entry.last {
            Some(_) => Err(OpenError::MisplacedSegment { path: self.segments_dir.show(&scanned.entry) }),
            None => Ok(scanned),
        }
    }

    /// Walks as far as possible.
    pub(in crate::log) fn walk(
        &self,
        hot: &dyn HotStore,
        inventory: &Inventory,
        genesis: Position,
        replay: &mut dyn Replay,
    ) -> Result<Scanned, OpenError> {
        let mut refused = Vec::new();
        let snapshots = snapshot::list(self.disk);
        let snapshots =
            snapshots.map_err(|error| OpenError::io("list", self.disk.show(snapshot::SNAPSHOT_DIR), error))?;
        for seq in snapshots.into_iter().rev() {
            match self.walk_snapshot(seq, hot, inventory, replay) {
                Ok(scanned) => return Ok(told(scanned, refused)),
                Err(Failed::Unsound(reason)) => refused.push((seq, reason)),
                Err(Failed::NoSnapshots) => break,
                Err(failed) => return Err(as_error(failed)),
            }
        }
        let first = self.entries.first().map_or(FIRST_SEQ, |entry| entry.first);
        if first > FIRST_SEQ && inventory.first() != Some(FIRST_SEQ) {
            return Err(self.no_start(first, &refused));
        }
        let scanned = self.attempt(Start::First(genesis), hot, inventory, replay).map_err(as_error)?;
        Ok(told(scanned, refused))
    }

    fn walk_snapshot(
        &self,
        seq: Seq,
        hot: &dyn HotStore,
        inventory: &Inventory,
        replay: &mut dyn Replay,
    ) -> Result<Scanned, Failed> {
        let snapshot = snapshot::read(self.disk, seq).map_err(|fault| Failed::Unsound(chain(&fault)))?;
        let header = snapshot.0;
        let scanned = self.attempt(Start::Snapshot(Box::new(snapshot)), hot, inventory, replay)?;
        Ok(Scanned { snapshot: Some(header), ..scanned })
    }

    fn attempt(
        &self,
        start: Start,
        hot: &dyn HotStore,
        inventory: &Inventory,
        replay: &mut dyn Replay,
    ) -> Result<Scanned, Failed> {
        let ground =
            Ground { segments_dir: self.segments_dir, hot: Some(hot), entries: self.entries, durable: self.durable };
        let mut replay_plan = ReplayPlan::begin(ground, start)?;
        let mut notes = Notes::new(self.options, inventory, replay_plan.from);
        let tail_fault = loop {
            match replay_plan.next(replay)? {
                Step::Frame { info, from_hot } => notes.frame(&info, from_hot)?,
                Step::Sealed { entry, ending } => notes.endings.push((entry, ending)),
                Step::Skipped { from, to, fault } => {
                    notes.forget(self.options, to.saturating_add(1));
                    notes.actions.push(RecoveryAction::EvidenceDamaged { from, to, fault });
                }
                Step::End => break None,
                Step::Fault(fault) => break Some(fault),
            }
        };
        let mut walker = replay_plan.walker;
        let Notes { walked, inventory, recent, patches, endings, frames, actions } = notes;
        Ok(Scanned {
            end: walker.position(),
            entry: walker.entry(),
            segment_end: walker.offset(),
            segment_size: walker.segment_size(),
            tail_fault,
            tally: walker.tally().clone(),
            hasher: walker.hasher(),
            frames,
            patches,
            endings,
            recent,
            walked,
            inventory,
            snapshot: None,
            actions,
        })
    }

    fn lost(&self, scanned: &Scanned) -> OpenError {
        OpenError::Lost {
            path: self.segments_dir.show(&scanned.entry),
            offset: scanned.segment_end,
            from: scanned.end.next_seq(),
            durable: self.durable.last_seq,
            fault: scanned.tail_fault.clone().unwrap_or_else(|| "the file ends".to_owned()),
        }
    }

    fn no_start(&self, first: Seq, refused: &[(Seq, String)]) -> OpenError {
        let each: Vec<String> =
            refused.iter().map(|(seq, reason)| format!("that after record {seq}: {reason}")).collect();
        let refused = if each.is_empty() { "there is none".to_owned() } else { each.join("; ") };
        OpenError::NoStart { path: self.disk.show(SEGMENT_DIR), first, refused }
    }
}

/// What the walk collects.
struct Notes {
    walked: Seq,
    inventory: Inventory,
    recent: Window,
    patches: Vec<FrameInfo>,
    endings: Vec<(Entry, Ending)>,
    frames: u64,
    actions: Vec<RecoveryAction>,
}

impl Notes {
    fn new(options: &Options, inventory: &Inventory, walked: Seq) -> Self {
        let recent = unread(options, inventory, walked);
        let (patches, endings, actions) = (Vec::new(), Vec::new(), Vec::new());
        Self { walked, inventory: inventory.clone(), recent, patches, endings, frames: 0, actions }
    }

    /// Drops everything before `walked`, which was not read.
    fn forget(&mut self, options: &Options, walked: Seq) {
        self.walked = walked;
        self.recent = unread(options, &self.inventory, walked);
    }

    fn frame(&mut self, info: &FrameInfo, from_hot: bool) -> Result<(), OpenError> {
        if !self.inventory.meet(info) {
            return Err(OpenError::WitnessesDisagree { seq: info.first_seq });
        }
        self.patches.extend(from_hot.then_some(*info));
        let FrameInfo { first_seq, segment, offset, bytes, .. } = *info;
        self.recent.push(Kept { first_seq, segment: segment.first_seq, offset, bytes });
        while self.recent.pop_excess().is_some() {}
        self.frames = self.frames.saturating_add(1);
        Ok(())
    }
}

/// The entries of the hot store from before the part that is read.
fn unread(options: &Options, inventory: &Inventory, walked: Seq) -> Window {
    let mut recent = Window::new(options.hot_frames_max, options.hot_bytes_max);
    for (first_seq, bytes) in inventory.whole_before(walked) {
        // Their offset is unknown and not needed: the store has the frame.
        recent.push(Kept { first_seq, segment: 0, offset: 0, bytes });
    }
    recent
}

fn told(scanned: Scanned, refused: Vec<(Seq, String)>) -> Scanned {
    let refused = refused.into_iter().map(|(seq, reason)| RecoveryAction::SnapshotRefused { seq, reason });
    let actions = refused.chain(scanned.actions).collect();
    Scanned { actions, ..scanned }
}

fn as_error(failed: Failed) -> OpenError {
    let refused = |error: Box<dyn std::error::Error + Send + Sync>| OpenError::Refused {
        seq: 0,
        source: crate::log::ReplayRefused(error),
    };
    match failed {
        Failed::Open(error) => error,
        Failed::Unsound(reason) => refused(reason.into()),
        Failed::NoSnapshots | Failed::Stopped => {
            OpenError::Refused { seq: 0, source: crate::log::ReplayRefused::stop() }
        }
    }
}
