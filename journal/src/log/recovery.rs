//! Opens a journal: one scan, then the repairs after which segments, hot store and HEAD agree again.
//!
//! This module owns the order of the steps and the report. Acknowledged records are never given up: each copy repairs
//! the other, and if both lack a record, opening is refused and everything stays as it was. Directory and lock:
//! `layout`; following the chain: `replay_plan`; where to start: `scan`; repairs: `repair`, `hot_repair`; the state of
//! the hot store: `inventory`.

mod hot_repair;
mod inventory;
mod repair;
mod report;
mod scan;

pub use report::{Recovery, RecoveryAction, Witness};

use std::io;

use self::inventory::Inventory;
pub(super) use self::repair::save;
use self::scan::Scan;
pub(super) use self::scan::Scanned;
use super::catalog::SegmentDir;
use super::chain::Position;
use super::disk::{Access, Disk, DiskFile, LockGuard};
use super::error::OpenError;
use super::head::{self, Slot};
use super::hot::{HotOpener, HotStore};
use super::layout::{self, HEAD_NAME};
use super::options::Options;
use super::replay::Replay;
use super::tally::Tally;
use super::window::Window;
use super::{NewJournal, Ports};

/// An opened journal, ready to be written.
pub(super) struct Opened {
    pub(super) segment: Box<dyn DiskFile>,
    pub(super) segment_end: u64,
    /// The tally of the open segment.
    pub(super) tally: Tally,
    /// The hash over the open segment's bytes.
    pub(super) hasher: blake3::Hasher,
    pub(super) head_file: Box<dyn DiskFile>,
    pub(super) slot: Slot,
    pub(super) position: Position,
    pub(super) hot: Box<dyn HotStore>,
    pub(super) window: Window,
    /// The last field, so that the lock is released last.
    pub(super) _lock: LockGuard,
}

/// The content of HEAD, and the file.
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
    let segments_dir = SegmentDir::new(disk, &[]);
    let entries = segments_dir.list()?;
    let mut hot = HotSide::open(disk, &mut *ports.hot, watermark.slot.generation)?;
    let genesis = Position::genesis(entered.identity.uuid);
    let durable = watermark.slot.position;
    let scan = Scan { disk, segments_dir: &segments_dir, entries: &entries, durable, options };
    let mut scanned = scan.run(&*hot.store, &hot.inventory, genesis, replay)?;
    hot.inventory = scanned.inventory.clone();
    actions.append(&mut scanned.actions);

    let label = watermark.slot.generation;
    let mut mend =
        repair::Mend { disk, segments_dir: &segments_dir, durable, scanned: &scanned, label, actions: &mut actions };
    let segment = mend.segments(&*hot.store)?;
    let window = mend.hot(&mut hot, &mut *ports.hot)?;
    let mut file = watermark.file;
    let slot = mend.head(&mut *file, &watermark.slot, watermark.bad)?;
    let recovery = Recovery {
        actions,
        records: scanned.end.last_seq,
        snapshot: scanned.snapshot,
        frames: scanned.frames,
        uuid: entered.identity.uuid,
    };
    let opened = Opened {
        segment,
        segment_end: scanned.segment_end,
        tally: scanned.tally,
        hasher: scanned.hasher,
        head_file: file,
        slot,
        position: scanned.end,
        hot: hot.store,
        window,
        _lock: entered.lock,
    };
    Ok((opened, recovery))
}

/// Finds how far the chain goes if everything up to `durable` was acknowledged; it may end earlier. Changes nothing,
/// except for a hot store that cannot be opened.
pub(super) fn survey(
    ports: &mut Ports,
    options: &Options,
    durable: Position,
    genesis: Position,
    replay: &mut dyn Replay,
) -> Result<Scanned, OpenError> {
    let disk = &*ports.disk;
    let segments_dir = SegmentDir::new(disk, &[]);
    let entries = segments_dir.list()?;
    let hot = HotSide::open(disk, &mut *ports.hot, durable.writer_epoch)?;
    let scan = Scan { disk, segments_dir: &segments_dir, entries: &entries, durable, options };
    scan.walk(&*hot.store, &hot.inventory, genesis, replay)
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

/// The open hot store, what it held, and whether it was rebuilt.
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
