//! Writing what the scan found to be necessary: segment first, then hot store, then HEAD.
//!
//! Each step leaves a state from which the same steps follow again, so a crash in any of them is harmless; bytes are
//! copied to a `.broken` file, durably, before they are overwritten or cut. Decides nothing about refusing: the scan
//! has done that.

use std::collections::BTreeSet;
use std::io;

use super::{HotSide, RecoveryAction, Scanned, Witness};
use crate::ids::Seq;
use crate::log::chain::Position;
use crate::log::disk::{Access, Disk, DiskFile};
use crate::log::error::OpenError;
use crate::log::frame::Frame;
use crate::log::head::Slot;
use crate::log::hot::{HotError, HotOpener, HotStore};
use crate::log::layout::HEAD_NAME;
use crate::log::segment::{self, At, Reader, SEGMENT_DIR};
use crate::log::walk::FrameInfo;
use crate::log::window::{Kept, Window};

/// Copying evidence, and filling the hot store, goes in pieces of this size.
const COPY_BYTES: usize = 64 * 1024;
const FILL_FRAMES_PER_FLUSH: usize = 64;

/// The repairs of one opening.
pub(super) struct Mend<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) first_seq: Seq,
    pub(super) durable: Position,
    pub(super) scanned: &'a Scanned,
    pub(super) actions: &'a mut Vec<RecoveryAction>,
}

impl Mend<'_> {
    fn path(&self) -> String {
        segment::open_path(self.first_seq)
    }

    fn segment_error(&self, action: &'static str) -> impl Fn(io::Error) -> OpenError + use<> {
        let path = self.disk.show(&self.path());
        move |error| OpenError::io(action, path.clone(), error)
    }

    fn hot_error(&self, source: HotError) -> OpenError {
        OpenError::Hot { path: self.disk.show(""), source }
    }

    /// Makes the segment hold exactly the chain, durably.
    pub(super) fn segment(&mut self, hot: &dyn HotStore, label: u64) -> Result<Box<dyn DiskFile>, OpenError> {
        let mut file = self.disk.open(&self.path(), Access::Create).map_err(self.segment_error("open"))?;
        for run in runs(&self.scanned.patches) {
            self.restore(&mut *file, hot, run, label)?;
        }
        self.cut_tail(&mut *file, label)?;
        // Also without repairs: frames that a dead process wrote may not be synced, and are about to count.
        file.sync().map_err(self.segment_error("sync"))?;
        self.disk.sync_dir(SEGMENT_DIR).map_err(self.segment_error("sync"))?;
        if self.scanned.end.last_seq > self.durable.last_seq {
            let from = self.durable.last_seq.saturating_add(1);
            self.actions.push(RecoveryAction::RolledForward { from, to: self.scanned.end.last_seq });
        }
        Ok(file)
    }

    /// Writes frames of the hot store where the segment should have them.
    fn restore(
        &mut self,
        file: &mut dyn DiskFile,
        hot: &dyn HotStore,
        run: &[FrameInfo],
        label: u64,
    ) -> Result<(), OpenError> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(()) };
        let end = last.offset.saturating_add(u64::from(last.bytes)).min(self.scanned.segment_size);
        let saved_as = if first.offset < end { Some(self.save(&*file, first.offset, end, label)?) } else { None };
        for info in run {
            let frame = hot.get(info.first_seq).map_err(|error| self.hot_error(error))?;
            let gone = || self.hot_error(io::Error::from(io::ErrorKind::NotFound).into());
            let frame = frame.ok_or_else(gone)?;
            file.write_at(info.offset, &frame).map_err(self.segment_error("repair"))?;
        }
        if first.first_seq <= self.durable.last_seq {
            let to = last.last_seq.min(self.durable.last_seq);
            let (witness, from) = (Witness::Segment, first.first_seq);
            self.actions.push(RecoveryAction::WitnessRepaired { witness, from, to, saved_as });
        }
        Ok(())
    }

    fn cut_tail(&mut self, file: &mut dyn DiskFile, label: u64) -> Result<(), OpenError> {
        let (offset, size) = (self.scanned.segment_end, self.scanned.segment_size);
        if offset >= size {
            return Ok(());
        }
        let saved_as = self.save(&*file, offset, size, label)?;
        file.truncate(offset).map_err(self.segment_error("cut"))?;
        let fault = self.scanned.tail_fault.clone().unwrap_or_else(|| "no frame".to_owned());
        self.actions.push(RecoveryAction::TailTruncated { offset, bytes: size - offset, fault, saved_as });
        Ok(())
    }

    /// Copies bytes of the segment to a file of their own, durably.
    fn save(&self, file: &dyn DiskFile, from: u64, to: u64, label: u64) -> Result<String, OpenError> {
        let path = segment::broken_path(self.first_seq, from, label);
        self.copy(file, from, to, &path).map_err(|error| OpenError::io("write", self.disk.show(&path), error))?;
        Ok(path)
    }

    fn copy(&self, file: &dyn DiskFile, from: u64, to: u64, path: &str) -> io::Result<()> {
        let mut copy = self.disk.open(path, Access::Create)?;
        let mut buffer = vec![0; COPY_BYTES];
        let mut at = from;
        while at < to {
            let want = usize::try_from(to - at).unwrap_or(COPY_BYTES).min(COPY_BYTES);
            let got = file.read_at(at, buffer.get_mut(..want).unwrap_or_default())?;
            if got == 0 {
                break;
            }
            copy.write_at(at - from, buffer.get(..got).unwrap_or_default())?;
            at += got as u64;
        }
        copy.sync()?;
        self.disk.sync_dir(SEGMENT_DIR)
    }

    /// Makes the hot store hold the newest frames of the chain, durably, and nothing that is not on it.
    pub(super) fn hot(
        &mut self,
        hot: &mut HotSide,
        opener: &mut dyn HotOpener,
        segment: &dyn DiskFile,
        label: u64,
    ) -> Result<Window, OpenError> {
        let recent = &self.scanned.recent;
        let starts: BTreeSet<Seq> = recent.iter().map(|kept| kept.first_seq).collect();
        let keep_from = recent.iter().next().map_or(0, |kept| kept.first_seq);
        if hot.inventory.has_strangers(|seq| starts.contains(&seq), keep_from) {
            self.renew(hot, opener, label)?;
        } else if hot.inventory.is_empty() && hot.rebuilt.is_none() && recent.len() > 0 && self.durable.last_seq > 0 {
            hot.rebuilt = Some(("it was empty".to_owned(), None));
        }
        let oldest = hot.inventory.first().unwrap_or(0);
        let wanted = |kept: &&Kept| kept.first_seq >= oldest && !hot.inventory.has(kept.first_seq);
        let missing: Vec<Kept> = recent.iter().filter(wanted).copied().collect();
        self.prune(hot, keep_from)?;
        self.fill(&mut *hot.store, segment, &missing)?;
        self.tell(hot, &missing);
        let mut window = recent.clone();
        window.retain(|kept| kept.first_seq >= oldest);
        Ok(window)
    }

    /// Sets the store aside, with all evidence in it, and starts an empty one.
    fn renew(&self, hot: &mut HotSide, opener: &mut dyn HotOpener, label: u64) -> Result<(), OpenError> {
        // Closed before it is renamed.
        hot.store = Box::new(Closed);
        let aside = opener.set_aside(label).map_err(|error| self.hot_error(error.into()))?;
        hot.store = opener.open().map_err(|error| self.hot_error(error))?;
        hot.inventory = super::Inventory::take(&*hot.store).map_err(|error| self.hot_error(error))?;
        hot.rebuilt = Some(("it had frames that are not on the chain".to_owned(), aside));
        Ok(())
    }

    /// What the store kept beyond the newest frames goes, so that it is bounded over many openings too.
    fn prune(&self, hot: &mut HotSide, keep_from: Seq) -> Result<(), OpenError> {
        let old: Vec<Seq> = hot.inventory.before(keep_from).collect();
        for seq in &old {
            hot.store.remove(*seq).map_err(|error| self.hot_error(error))?;
        }
        if old.is_empty() { Ok(()) } else { hot.store.flush().map_err(|error| self.hot_error(error)) }
    }

    fn fill(&self, hot: &mut dyn HotStore, segment: &dyn DiskFile, missing: &[Kept]) -> Result<(), OpenError> {
        let mut reader = Reader::new(Some(segment)).map_err(self.segment_error("read"))?;
        for batch in missing.chunks(FILL_FRAMES_PER_FLUSH) {
            for kept in batch {
                let found = reader.at(kept.offset).map_err(self.segment_error("read"))?;
                let whole = match found {
                    At::Bytes(bytes) => {
                        Frame::check(bytes).ok().filter(|frame| frame.stamp.first_seq == kept.first_seq)
                    }
                    At::End | At::Fault(_) => None,
                };
                let frame = whole.ok_or_else(|| self.segment_error("read again")(io::ErrorKind::InvalidData.into()))?;
                hot.insert(kept.first_seq, frame.bytes()).map_err(|error| self.hot_error(error))?;
            }
            hot.flush().map_err(|error| self.hot_error(error))?;
        }
        Ok(())
    }

    /// Reports what the hot store was given.
    fn tell(&mut self, hot: &mut HotSide, missing: &[Kept]) {
        if let Some((reason, aside)) = hot.rebuilt.take() {
            let frames = missing.len() as u64;
            self.actions.push(RecoveryAction::HotRebuilt { reason, frames, aside });
            return;
        }
        // Unacknowledged ones are part of what is rolled forward.
        let acknowledged = || missing.iter().filter(|kept| kept.first_seq <= self.durable.last_seq);
        if let (Some(first), Some(last)) = (acknowledged().next(), acknowledged().next_back()) {
            let next = self.scanned.recent.iter().find(|kept| kept.first_seq > last.first_seq);
            let to = next.map_or(self.scanned.end.last_seq, |kept| kept.first_seq - 1).min(self.durable.last_seq);
            let (witness, from) = (Witness::Hot, first.first_seq);
            self.actions.push(RecoveryAction::WitnessRepaired { witness, from, to, saved_as: None });
        }
    }

    /// Writes HEAD for this opening: everything that is there counts, under a new writer epoch. Both slots, the older
    /// one first, so that no damage to a single slot can make a later opening use the same epoch.
    pub(super) fn head(&mut self, file: &mut dyn DiskFile, old: &Slot, bad: Option<u64>) -> Result<Slot, OpenError> {
        let writer_epoch = old.position.writer_epoch.max(self.scanned.end.writer_epoch).saturating_add(1);
        let position = Position { writer_epoch, ..self.scanned.end };
        let slot = |ahead| Slot { generation: old.generation.saturating_add(ahead), position };
        for ahead in [1, 2] {
            slot(ahead).write(file).map_err(|error| OpenError::io("write", self.disk.show(HEAD_NAME), error))?;
        }
        self.actions.extend(bad.map(|slot| RecoveryAction::HeadSlotRepaired { slot }));
        Ok(slot(2))
    }
}

/// Neighbouring frames together.
fn runs(patches: &[FrameInfo]) -> impl Iterator<Item = &[FrameInfo]> {
    patches.chunk_by(|before, after| before.last_seq.checked_add(1) == Some(after.first_seq))
}

/// In the place of a store that is being replaced.
struct Closed;

impl Closed {
    fn closed() -> HotError {
        io::Error::other("the hot store is closed").into()
    }
}

impl HotStore for Closed {
    fn insert(&mut self, _: Seq, _: &[u8]) -> Result<(), HotError> {
        Err(Self::closed())
    }

    fn remove(&mut self, _: Seq) -> Result<(), HotError> {
        Err(Self::closed())
    }

    fn flush(&mut self) -> Result<(), HotError> {
        Err(Self::closed())
    }

    fn get(&self, _: Seq) -> Result<Option<Vec<u8>>, HotError> {
        Err(Self::closed())
    }

    fn each(&self, _: &mut dyn FnMut(Seq, &[u8])) -> Result<(), HotError> {
        Err(Self::closed())
    }
}
