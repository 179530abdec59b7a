//! Makes the hot store agree with the chain: prunes, fills, or replaces it.
//!
//! This runs after the repair of the segments, from which the store is filled. Intact entries from before the part that
//! was read are kept, because they can repair a segment that was sealed a moment ago.

use std::collections::BTreeSet;
use std::io;

use super::repair::Mend;
use super::{HotSide, RecoveryAction, Witness};
use crate::ids::Seq;
use crate::log::catalog::SegmentDir;
use crate::log::error::OpenError;
use crate::log::frame::Frame;
use crate::log::hot::{HotError, HotOpener, HotStore};
use crate::log::segment::At;
use crate::log::window::{Kept, Window};

/// The number of frames that are inserted between two flushes.
const FILL_FRAMES_PER_FLUSH: usize = 64;

impl Mend<'_> {
    /// Makes the hot store hold exactly the newest frames of the chain, durably.
    pub(super) fn hot(&mut self, hot: &mut HotSide, opener: &mut dyn HotOpener) -> Result<Window, OpenError> {
        let (recent, walked) = (&self.scanned.recent, self.scanned.walked);
        let starts: BTreeSet<Seq> = recent.iter().map(|kept| kept.first_seq).collect();
        let keep_from = recent.iter().next().map_or(0, |kept| kept.first_seq);
        if hot.inventory.has_strangers(walked, |seq| starts.contains(&seq), keep_from) {
            self.renew(hot, opener)?;
        } else if hot.inventory.is_empty() && hot.rebuilt.is_none() && recent.len() > 0 && self.durable.last_seq > 0 {
            hot.rebuilt = Some(("it was empty".to_owned(), None));
        }
        let oldest = hot.inventory.first().unwrap_or(0);
        let wanted = |kept: &&Kept| kept.first_seq >= oldest.max(walked) && !hot.inventory.has(kept.first_seq);
        let missing: Vec<Kept> = recent.iter().filter(wanted).copied().collect();
        // Fill first: a crash between the two must not leave an empty store.
        self.fill(&mut *hot.store, &missing)?;
        self.prune(hot, keep_from)?;
        self.tell(hot, &missing);
        let mut window = recent.clone();
        // A rebuilt store does not have the frames that were not read.
        let held: BTreeSet<Seq> = hot.inventory.whole_before(walked).map(|(seq, _)| seq).collect();
        window.retain(|kept| kept.first_seq >= oldest && (kept.first_seq >= walked || held.contains(&kept.first_seq)));
        Ok(window)
    }

    /// Moves the store aside, with all evidence in it, and starts an empty one.
    fn renew(&self, hot: &mut HotSide, opener: &mut dyn HotOpener) -> Result<(), OpenError> {
        // Closed before it is renamed.
        hot.store = Box::new(Closed);
        let aside = opener.set_aside(self.label).map_err(|error| self.hot_error(error.into()))?;
        hot.store = opener.open().map_err(|error| self.hot_error(error))?;
        hot.inventory = super::inventory::Inventory::take(&*hot.store).map_err(|error| self.hot_error(error))?;
        hot.rebuilt = Some(("it had frames that are not on the chain".to_owned(), aside));
        Ok(())
    }

    /// Removes what the store holds beyond the newest frames, so that it stays bounded over many openings.
    fn prune(&self, hot: &mut HotSide, keep_from: Seq) -> Result<(), OpenError> {
        let damaged = hot.inventory.damaged_before(self.scanned.walked).filter(|&seq| seq >= keep_from);
        let old: Vec<Seq> = hot.inventory.before(keep_from).chain(damaged).collect();
        for seq in &old {
            hot.store.remove(*seq).map_err(|error| self.hot_error(error))?;
        }
        if old.is_empty() { Ok(()) } else { hot.store.flush().map_err(|error| self.hot_error(error)) }
    }

    fn fill(&self, hot: &mut dyn HotStore, missing: &[Kept]) -> Result<(), OpenError> {
        if missing.is_empty() {
            return Ok(());
        }
        // Earlier repairs may have renamed files.
        let segments_dir = SegmentDir::new(self.disk, &[]);
        let entries = segments_dir.list()?;
        for frames in missing.chunk_by(|before, after| before.segment == after.segment) {
            let segment = frames.first().map_or(0, |kept| kept.segment);
            let failed = |error| OpenError::io("read again", self.disk.show(&format!("seg/{segment:016}")), error);
            let entry = entries.iter().find(|entry| entry.first == segment).cloned();
            let mut entry = entry.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
            let mut reader = segments_dir.open(&mut entry)?;
            for batch in frames.chunks(FILL_FRAMES_PER_FLUSH) {
                for kept in batch {
                    let found = reader.at(kept.offset).map_err(failed)?;
                    let At::Frame(bytes) = found else { return Err(failed(io::ErrorKind::InvalidData.into())) };
                    let whole = Frame::check(bytes).ok().filter(|frame| frame.stamp.first_seq == kept.first_seq);
                    let frame = whole.ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))?;
                    hot.insert(kept.first_seq, frame.bytes()).map_err(|error| self.hot_error(error))?;
                }
                hot.flush().map_err(|error| self.hot_error(error))?;
            }
        }
        Ok(())
    }

    /// Reports what was inserted into the hot store.
    fn tell(&mut self, hot: &mut HotSide, missing: &[Kept]) {
        if let Some((reason, aside)) = hot.rebuilt.take() {
            let frames = missing.len() as u64;
            self.actions.push(RecoveryAction::HotRebuilt { reason, frames, aside });
            return;
        }
        // Unacknowledged frames belong to the records that are rolled forward.
        let acknowledged = || missing.iter().filter(|kept| kept.first_seq <= self.durable.last_seq);
        if let (Some(first), Some(last)) = (acknowledged().next(), acknowledged().next_back()) {
            let next = self.scanned.recent.iter().find(|kept| kept.first_seq > last.first_seq);
            let to = next.map_or(self.scanned.end.last_seq, |kept| kept.first_seq - 1).min(self.durable.last_seq);
            let (witness, from) = (Witness::Hot, first.first_seq);
            self.actions.push(RecoveryAction::WitnessRepaired { witness, from, to, saved_as: None });
        }
    }
}

/// Stands in for a store that is being replaced.
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
