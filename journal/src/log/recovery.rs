//! Opening a journal: one scan, then what it takes to make segment, hot store and HEAD agree again.
//!
//! Owns the order of steps and the report. What was acknowledged is never given up: either witness mends the other, and
//! where both lack it opening is refused with everything left as it was. Directory and lock: `layout`; following the
//! chain: `walk`; writing repairs: `repair`; the hot store's state: `inventory`.

mod inventory;
mod repair;
mod report;

pub use report::{Recovery, RecoveryAction, Witness};

use std::io;

use self::inventory::Inventory;
use super::chain::Position;
use super::disk::{Access, Disk, DiskFile, LockGuard};
use super::error::OpenError;
use super::head::{self, Slot};
use super::hot::{HotOpener, HotStore};
use super::layout::{self, HEAD_NAME};
use super::options::Options;
use super::segment::{self, Reader};
use super::walk::{FrameInfo, Next, Replay, WalkError, Walker, agrees};
use super::window::{Kept, Window};
use super::{NewJournal, Ports};
use crate::ids::Seq;

/// An opened journal, ready to be written.
pub(super) struct Opened {
    pub(super) segment: Box<dyn DiskFile>,
    pub(super) segment_end: u64,
    pub(super) head_file: Box<dyn DiskFile>,
    pub(super) slot: Slot,
    pub(super) position: Position,
    pub(super) hot: Box<dyn HotStore>,
    pub(super) window: Window,
    /// Only held; the last field, so that it is let go of last.
    pub(super) _lock: LockGuard,
}

/// What the scan found, before anything is changed.
struct Scanned {
    end: Position,
    segment_end: u64,
    segment_size: u64,
    tail_fault: Option<String>,
    frames: u64,
    /// Frames that the hot store has and the segment has not.
    patches: Vec<FrameInfo>,
    /// The newest frames.
    recent: Window,
}

/// What HEAD says, and the file.
struct Watermark {
    file: Box<dyn DiskFile>,
    slot: Slot,
    bad: Option<u64>,
}

/// Opens the journal behind `ports`.
pub(super) fn open(
    ports: &mut Ports,
    options: &Options,
    new: NewJournal,
    replay: &mut dyn Replay,
) -> Result<(Opened, Recovery), OpenError> {
    let disk = &*ports.disk;
    let entered = layout::enter(disk, new.identity())?;
    let mut actions = Vec::new();
    if entered.initialised {
        actions.push(RecoveryAction::Initialised);
    }
    let watermark = read_watermark(disk)?;
    let first_seq = layout::open_segment(disk)?;
    let path = segment::open_path(first_seq);
    let mut hot = HotSide::open(disk, &mut *ports.hot, watermark.slot.generation)?;
    let file = open_existing(disk, &path)?;
    let genesis = Position::genesis(entered.identity.uuid);
    let scan = Scan { path: disk.show(&path), durable: watermark.slot.position, options };
    let scanned = scan.run(file.as_deref(), &mut hot, genesis, replay)?;
    drop(file);

    let mut mend = repair::Mend { disk, first_seq, durable: scan.durable, scanned: &scanned, actions: &mut actions };
    let label = watermark.slot.generation;
    let segment = mend.segment(&*hot.store, label)?;
    let window = mend.hot(&mut hot, &mut *ports.hot, &*segment, label)?;
    let mut file = watermark.file;
    let slot = mend.head(&mut *file, &watermark.slot, watermark.bad)?;
    let (position, segment_end) = (scanned.end, scanned.segment_end);
    let HotSide { store, .. } = hot;
    let opened =
        Opened { segment, segment_end, head_file: file, slot, position, hot: store, window, _lock: entered.lock };
    let recovery =
        Recovery { actions, records: position.last_seq, frames: scanned.frames, uuid: entered.identity.uuid };
    Ok((opened, recovery))
}

fn read_watermark(disk: &dyn Disk) -> Result<Watermark, OpenError> {
    let path = || disk.show(HEAD_NAME);
    let file = match disk.open(HEAD_NAME, Access::Write) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(OpenError::HeadLost { path: path() }),
        Err(error) => return Err(OpenError::io("open", path(), error)),
    };
    let found = head::read(&*file).map_err(|error| OpenError::io("read", path(), error))?;
    let slot = found.newest.ok_or_else(|| OpenError::HeadLost { path: path() })?;
    Ok(Watermark { file, slot, bad: found.bad })
}

/// The segment, or `None` if it is gone: it is made again only once it is known that nothing is lost.
fn open_existing(disk: &dyn Disk, path: &str) -> Result<Option<Box<dyn DiskFile>>, OpenError> {
    match disk.open(path, Access::Write) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OpenError::io("open", disk.show(path), error)),
    }
}

/// The open hot store, what it held, and whether it had to be made anew.
struct HotSide {
    store: Box<dyn HotStore>,
    inventory: Inventory,
    rebuilt: Option<(String, Option<String>)>,
}

impl HotSide {
    fn open(disk: &dyn Disk, opener: &mut dyn HotOpener, label: u64) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Hot { path: disk.show(""), source };
        let (store, rebuilt) = match opener.open() {
            Ok(store) => (store, None),
            Err(error) => {
                let reason = inventory::mendable(error, disk)?;
                let aside = opener.set_aside(label).map_err(|error| failed(error.into()))?;
                (opener.open().map_err(failed)?, Some((reason, aside)))
            }
        };
        let inventory = Inventory::take(&*store).map_err(failed)?;
        Ok(Self { store, inventory, rebuilt })
    }
}

/// The scan at open, with what its errors need.
struct Scan<'a> {
    path: String,
    durable: Position,
    options: &'a Options,
}

impl Scan<'_> {
    fn run(
        &self,
        file: Option<&dyn DiskFile>,
        hot: &mut HotSide,
        genesis: Position,
        replay: &mut dyn Replay,
    ) -> Result<Scanned, OpenError> {
        if self.durable.last_seq == 0 && self.durable.hash != genesis.hash {
            return Err(OpenError::HeadDisagrees { path: self.path.clone(), seq: 0 });
        }
        let reader = Reader::new(file).map_err(|error| self.disk_error(error))?;
        let mut walker = Walker::new(reader, Some(&*hot.store), genesis);
        let mut recent = Window::new(self.options.hot_frames_max, self.options.hot_bytes_max);
        let (mut patches, mut frames) = (Vec::new(), 0);
        let tail_fault = loop {
            match walker.next().map_err(|error| self.walk_error(error))? {
                Next::Frame { info, from_hot } => {
                    self.compare(&info, &mut hot.inventory)?;
                    let refused = |(seq, source)| OpenError::Refused { seq, source };
                    walker.replay(&info, replay).map_err(refused)?;
                    patches.extend(from_hot.then_some(info));
                    recent.push(Kept { first_seq: info.first_seq, offset: info.offset, bytes: info.bytes });
                    while recent.pop_excess().is_some() {}
                    frames += 1;
                }
                Next::End => break None,
                Next::Fault(fault) => break Some(fault),
                Next::Newer(what) => {
                    return Err(OpenError::NewerFrame { path: self.path.clone(), offset: walker.offset(), what });
                }
            }
        };
        let (end, segment_end, segment_size) = (walker.position(), walker.offset(), walker.segment_size());
        if end.last_seq < self.durable.last_seq {
            return Err(self.lost(end.last_seq, segment_end, tail_fault));
        }
        Ok(Scanned { end, segment_end, segment_size, tail_fault, frames, patches, recent })
    }

    /// The chain against HEAD and against the hot store.
    fn compare(&self, info: &FrameInfo, inventory: &mut Inventory) -> Result<(), OpenError> {
        if !agrees(&self.durable, info) {
            return Err(OpenError::HeadDisagrees { path: self.path.clone(), seq: self.durable.last_seq });
        }
        if inventory.meet(info) { Ok(()) } else { Err(OpenError::WitnessesDisagree { seq: info.first_seq }) }
    }

    fn lost(&self, reached: Seq, offset: u64, fault: Option<String>) -> OpenError {
        let fault = fault.unwrap_or_else(|| "the file ends".to_owned());
        let durable = self.durable.last_seq;
        OpenError::Lost { path: self.path.clone(), offset, from: reached.saturating_add(1), durable, fault }
    }

    fn disk_error(&self, error: io::Error) -> OpenError {
        OpenError::io("read", self.path.clone(), error)
    }

    fn walk_error(&self, error: WalkError) -> OpenError {
        match error {
            WalkError::Disk(error) => self.disk_error(error),
            WalkError::Hot(source) => OpenError::Hot { path: self.path.clone(), source },
        }
    }
}
