//! The content of the hot store at the opening, and its comparison with the chain.
//!
//! This module does not repair (`repair`). It reads the store once and keeps one hash per frame.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;

use crate::ids::Seq;
use crate::log::disk::Disk;
use crate::log::disk::real::SymbolicLink;
use crate::log::error::OpenError;
use crate::log::frame::{Frame, FrameHash};
use crate::log::hot::{HotError, HotStore};
use crate::log::walk::FrameInfo;

/// One entry as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// An intact frame under its own number, of this many bytes.
    Whole(FrameHash, u32),
    /// Anything else.
    Damaged,
    /// A frame that the chain has as well, of this many bytes.
    Met(u32),
}

/// All entries by number.
#[derive(Debug, Clone)]
pub(in crate::log) struct Inventory {
    entries: BTreeMap<Seq, Held>,
}

impl Inventory {
    /// Reads the whole store.
    pub(in crate::log) fn take(hot: &dyn HotStore) -> Result<Self, HotError> {
        let mut entries = BTreeMap::new();
        hot.each(&mut |seq, bytes| {
            let held = match Frame::check(bytes) {
                Ok(frame) if frame.stamp.first_seq == seq => {
                    Held::Whole(frame.hash(), u32::try_from(bytes.len()).unwrap_or(u32::MAX))
                }
                _ => Held::Damaged,
            };
            entries.insert(seq, held);
        })?;
        Ok(Self { entries })
    }

    /// Entries older than `oldest`, which the store need not keep.
    pub(in crate::log) fn before(&self, oldest: Seq) -> impl Iterator<Item = Seq> {
        self.entries.range(..oldest).map(|(&seq, _)| seq)
    }

    pub(in crate::log) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The oldest entry. Older ones have been pruned and are not missing.
    pub(in crate::log) fn first(&self) -> Option<Seq> {
        self.entries.first_key_value().map(|(&seq, _)| seq)
    }

    /// Compares with a frame of the chain. `false` if the store has another intact frame in its place.
    pub(in crate::log) fn meet(&mut self, info: &FrameInfo) -> bool {
        match self.entries.get_mut(&info.first_seq) {
            Some(held @ Held::Whole(..)) if *held == Held::Whole(info.hash, info.bytes) => {
                *held = Held::Met(info.bytes);
                true
            }
            Some(Held::Whole(..)) => false,
            Some(Held::Damaged | Held::Met(_)) | None => true,
        }
    }

    /// Whether the store has the chain's frame that starts with `first_seq`.
    pub(in crate::log) fn has(&self, first_seq: Seq) -> bool {
        matches!(self.entries.get(&first_seq), Some(Held::Met(_)))
    }

    /// Intact frames from before `walked`, which the scan has not read, with their sizes. Nothing contradicts them.
    pub(in crate::log) fn whole_before(&self, walked: Seq) -> impl Iterator<Item = (Seq, u32)> {
        self.entries.range(..walked).filter_map(|(&seq, held)| match held {
            Held::Whole(_, bytes) | Held::Met(bytes) => Some((seq, *bytes)),
            Held::Damaged => None,
        })
    }

    /// Damaged entries from before `walked`.
    pub(in crate::log) fn damaged_before(&self, walked: Seq) -> impl Iterator<Item = Seq> {
        self.entries.range(..walked).filter(|(_, held)| **held == Held::Damaged).map(|(&seq, _)| seq)
    }

    /// Whether the store has intact frames after `walked` that are not on the chain, or damage that can be neither
    /// overwritten nor pruned.
    pub(in crate::log) fn has_strangers(&self, walked: Seq, is_start: impl Fn(Seq) -> bool, oldest: Seq) -> bool {
        self.entries.range(walked..).any(|(&seq, held)| match held {
            Held::Met(_) => false,
            Held::Whole(..) => true,
            Held::Damaged => seq >= oldest && !is_start(seq),
        })
    }
}

/// The reason for a rebuild, if a rebuild can repair `error`.
///
/// # Errors
/// If moving the store aside would change nothing: the volume is full or read-only, the process has no file handles
/// left, or a thread is still inside the store.
pub(in crate::log) fn mendable(error: HotError, disk: &dyn Disk) -> Result<String, OpenError> {
    /// `EMFILE` and `ENFILE`, which have no `ErrorKind`.
    const NO_HANDLES: [i32; 2] = [24, 23];
    if let HotError::Hung { .. } = error {
        return Err(OpenError::HotStuck { source: error });
    }
    let HotError::Io(io) = error else { return Ok(error.to_string()) };
    let surroundings = matches!(
        io.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::WouldBlock
            | io::ErrorKind::OutOfMemory
    );
    let linked = SymbolicLink::within(&io).is_some();
    if linked || surroundings || io.raw_os_error().is_some_and(|code| NO_HANDLES.contains(&code)) {
        return Err(match io.kind() {
            io::ErrorKind::WouldBlock => OpenError::InUse { path: disk.show("") },
            _ => OpenError::io("open", disk.show("hot"), io),
        });
    }
    let cause = io.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    Ok(format!("{io}{cause}"))
}
