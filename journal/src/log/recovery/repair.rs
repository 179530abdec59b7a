//! Writes the repairs that the scan found necessary: first the segments, then (`hot_repair`) the hot store, then HEAD.
//!
//! Each step leaves a state from which the same steps follow again, so a crash in any of them is harmless. Bytes are
//! copied durably to a `.broken` file before they are overwritten or cut. The scan has already decided whether to
//! refuse.

use std::io;

use super::scan::Scanned;
use super::{RecoveryAction, Witness};
use crate::ids::Seq;
use crate::log::catalog::{Entry, SegmentDir, Stage};
use crate::log::chain::Position;
use crate::log::disk::{Access, Disk, DiskFile};
use crate::log::error::OpenError;
use crate::log::footer::FOOTER_BYTES;
use crate::log::head::Slot;
use crate::log::hot::{HotError, HotStore};
use crate::log::layout::HEAD_NAME;
use crate::log::segment::{self, At, SEGMENT_DIR};
use crate::log::tally::Ending;
use crate::log::walk::FrameInfo;

/// Evidence is copied in pieces of this size.
const COPY_BYTES: usize = 64 * 1024;

/// The repairs of one opening.
pub(super) struct Mend<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) segments_dir: &'a SegmentDir<'a>,
    pub(super) durable: Position,
    pub(super) scanned: &'a Scanned,
    /// Distinguishes the copies of this opening from those of other openings.
    pub(super) label: u64,
    pub(super) actions: &'a mut Vec<RecoveryAction>,
}

impl Mend<'_> {
    fn failed(&self, action: &'static str, entry: &Entry) -> impl Fn(io::Error) -> OpenError + use<> {
        let path = self.segments_dir.show(entry);
        move |error| OpenError::io(action, path.clone(), error)
    }

    pub(super) fn hot_error(&self, source: HotError) -> OpenError {
        OpenError::Hot { path: self.disk.show(""), source }
    }

    /// Makes the segments hold exactly the chain, durably, and returns the open one.
    pub(super) fn segments(&mut self, hot: &dyn HotStore) -> Result<Box<dyn DiskFile>, OpenError> {
        for (entry, ending) in &self.scanned.endings {
            self.sealed(entry, ending, hot)?;
        }
        let entry = &self.scanned.entry;
        let mut file = self.disk.open(&entry.path(), Access::Create).map_err(self.failed("open", entry))?;
        for run in runs(&self.patches(entry)) {
            self.restore(&mut *file, hot, run, self.scanned.segment_size)?;
        }
        self.cut_tail(&mut *file)?;
        // Also without repairs: frames that a dead process wrote may not be synced, and will count from now on.
        file.sync().map_err(self.failed("sync", entry))?;
        self.disk.sync_dir(SEGMENT_DIR).map_err(self.failed("sync", entry))?;
        if self.scanned.end.last_seq > self.durable.last_seq {
            let from = self.durable.next_seq();
            self.actions.push(RecoveryAction::RolledForward { from, to: self.scanned.end.last_seq });
        }
        Ok(file)
    }

    /// The frames of a segment that only the hot store has.
    fn patches(&self, entry: &Entry) -> Vec<FrameInfo> {
        let of_it = |info: &&FrameInfo| info.segment.first_seq == entry.first;
        self.scanned.patches.iter().filter(of_it).copied().collect()
    }

    /// Repairs a segment that has ended: its frames, its footer, its name.
    fn sealed(&mut self, entry: &Entry, ending: &Ending, hot: &dyn HotStore) -> Result<(), OpenError> {
        let patches = self.patches(entry);
        let named = entry.stage != Stage::Open;
        if patches.is_empty() && ending.fault.is_none() && named {
            return Ok(());
        }
        if entry.stage == Stage::Compressed {
            return self.unpacked(entry, ending, &patches, hot);
        }
        let mut file = self.disk.open(&entry.path(), Access::Create).map_err(self.failed("open", entry))?;
        let size = file.size().map_err(self.failed("read", entry))?;
        for run in runs(&patches) {
            self.restore(&mut *file, hot, run, size)?;
        }
        if let Some(fault) = &ending.fault {
            self.write_footer(&mut *file, entry, ending, fault, size)?;
        }
        file.sync().map_err(self.failed("sync", entry))?;
        if !named {
            self.finish_roll(entry, ending)?;
        }
        self.disk.sync_dir(SEGMENT_DIR).map_err(self.failed("sync", entry))
    }

    fn write_footer(
        &mut self,
        file: &mut dyn DiskFile,
        entry: &Entry,
        ending: &Ending,
        fault: &str,
        size: u64,
    ) -> Result<(), OpenError> {
        let at = ending.footer.frame_bytes;
        let saved_as = if at < size { Some(self.save(&*file, entry, at, size)?) } else { None };
        file.write_at(at, &ending.footer.encode()).map_err(self.failed("repair", entry))?;
        file.truncate(at.saturating_add(FOOTER_BYTES as u64)).map_err(self.failed("repair", entry))?;
        let (first, last) = (entry.first, ending.footer.last_seq);
        self.actions.push(RecoveryAction::FooterRepaired { first, last, fault: fault.to_owned(), saved_as });
        Ok(())
    }

    /// Completes the start of a new segment that a crash interrupted, in the same order.
    fn finish_roll(&mut self, entry: &Entry, ending: &Ending) -> Result<(), OpenError> {
        let (first, last) = (entry.first, ending.footer.last_seq);
        let next = Entry::missing(last.saturating_add(1), None);
        let made = self.disk.open(&next.path(), Access::Create).and_then(|mut file| file.sync());
        made.map_err(self.failed("make", &next))?;
        let renamed = self.disk.rename(&entry.path(), &segment::sealed_path(first, last));
        renamed.map_err(self.failed("rename", entry))?;
        self.actions.push(RecoveryAction::RollCompleted { first, last });
        Ok(())
    }

    /// Writes a damaged compressed segment again, uncompressed.
    fn unpacked(
        &mut self,
        entry: &Entry,
        ending: &Ending,
        patches: &[FrameInfo],
        hot: &dyn HotStore,
    ) -> Result<(), OpenError> {
        let (first, last) = (entry.first, ending.footer.last_seq);
        let path = segment::sealed_path(first, last);
        let temporary = format!("{path}.tmp");
        let mut file = self.disk.open(&temporary, Access::Create).map_err(self.failed("unpack", entry))?;
        file.truncate(0).map_err(self.failed("unpack", entry))?;
        self.unpack_frames(&mut *file, entry, ending.footer.frame_bytes, patches, hot)?;
        let written = file.write_at(ending.footer.frame_bytes, &ending.footer.encode());
        written.and_then(|()| file.sync()).map_err(self.failed("unpack", entry))?;
        let aside = segment::aside_path(&entry.path(), self.label);
        let renamed = self.disk.rename(&temporary, &path).and_then(|()| self.disk.rename(&entry.path(), &aside));
        renamed.and_then(|()| self.disk.sync_dir(SEGMENT_DIR)).map_err(self.failed("rename", entry))?;
        let from = patches.first().map_or(first, |info| info.first_seq);
        let (witness, saved_as) = (Witness::Segment, Some(aside));
        self.actions.push(RecoveryAction::WitnessRepaired { witness, from, to: last, saved_as });
        Ok(())
    }

    fn unpack_frames(
        &self,
        file: &mut dyn DiskFile,
        entry: &Entry,
        frame_bytes: u64,
        patches: &[FrameInfo],
        hot: &dyn HotStore,
    ) -> Result<(), OpenError> {
        let mut reader = self.segments_dir.open(&mut entry.clone())?;
        let mut at = 0;
        while at < frame_bytes {
            let patch = patches.iter().find(|info| info.offset == at).map(|info| self.hot_frame(hot, info.first_seq));
            let found = match patch.transpose()? {
                Some(frame) => frame,
                None => match reader.at(at).map_err(self.failed("read again", entry))? {
                    At::Frame(bytes) => bytes.to_vec(),
                    At::End | At::Footer(_) | At::Fault(_) => {
                        return Err(self.failed("read again", entry)(io::ErrorKind::InvalidData.into()));
                    }
                },
            };
            file.write_at(at, &found).map_err(self.failed("unpack", entry))?;
            at = at.saturating_add(found.len() as u64);
        }
        Ok(())
    }

    fn hot_frame(&self, hot: &dyn HotStore, first_seq: Seq) -> Result<Vec<u8>, OpenError> {
        let frame = hot.get(first_seq).map_err(|error| self.hot_error(error))?;
        frame.ok_or_else(|| self.hot_error(io::Error::from(io::ErrorKind::NotFound).into()))
    }

    /// Writes frames of the hot store to their places in a segment of `size` bytes.
    fn restore(
        &mut self,
        file: &mut dyn DiskFile,
        hot: &dyn HotStore,
        run: &[FrameInfo],
        size: u64,
    ) -> Result<(), OpenError> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(()) };
        let entry = Entry::missing(first.segment.first_seq, None);
        let end = last.offset.saturating_add(u64::from(last.bytes)).min(size);
        let saved_as = if first.offset < end { Some(self.save(&*file, &entry, first.offset, end)?) } else { None };
        for info in run {
            let frame = self.hot_frame(hot, info.first_seq)?;
            file.write_at(info.offset, &frame).map_err(self.failed("repair", &entry))?;
        }
        if first.first_seq <= self.durable.last_seq {
            let to = last.last_seq.min(self.durable.last_seq);
            let (witness, from) = (Witness::Segment, first.first_seq);
            self.actions.push(RecoveryAction::WitnessRepaired { witness, from, to, saved_as });
        }
        Ok(())
    }

    fn cut_tail(&mut self, file: &mut dyn DiskFile) -> Result<(), OpenError> {
        let (offset, size, entry) = (self.scanned.segment_end, self.scanned.segment_size, &self.scanned.entry);
        if offset >= size {
            return Ok(());
        }
        let saved_as = self.save(&*file, entry, offset, size)?;
        file.truncate(offset).map_err(self.failed("cut", entry))?;
        let fault = self.scanned.tail_fault.clone().unwrap_or_else(|| "no frame".to_owned());
        self.actions.push(RecoveryAction::TailTruncated { offset, bytes: size - offset, fault, saved_as });
        Ok(())
    }

    /// Copies bytes of a segment to a file of their own, durably.
    fn save(&self, file: &dyn DiskFile, entry: &Entry, from: u64, to: u64) -> Result<String, OpenError> {
        save(self.disk, file, entry.first, (from, to), self.label)
    }

    /// Writes HEAD for this opening: everything that exists counts, under a new writer epoch. It writes both slots, the
    /// older one first, so that no damage to a single slot can make a later opening use the same epoch.
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

/// Copies the bytes `from..to` of the segment that begins with `first_seq` to a file of their own, durably.
pub(in crate::log) fn save(
    disk: &dyn Disk,
    file: &dyn DiskFile,
    first_seq: Seq,
    (from, to): (u64, u64),
    label: u64,
) -> Result<String, OpenError> {
    let path = segment::broken_path(first_seq, from, label);
    copy(disk, file, from, to, &path).map_err(|error| OpenError::io("write", disk.show(&path), error))?;
    Ok(path)
}

fn copy(disk: &dyn Disk, file: &dyn DiskFile, from: u64, to: u64, path: &str) -> io::Result<()> {
    let mut copy = disk.open(path, Access::Create)?;
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
    disk.sync_dir(SEGMENT_DIR)
}

/// Groups neighbouring frames.
fn runs(patches: &[FrameInfo]) -> impl Iterator<Item = &[FrameInfo]> {
    patches.chunk_by(|before, after| before.last_seq.checked_add(1) == Some(after.first_seq))
}
