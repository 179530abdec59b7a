//! Checks the snapshot files of a journal individually: checksum, and digest of the image.
//!
//! `verifier` decides whether a snapshot belongs to the chain and agrees with the state at its record.

use std::collections::BTreeMap;

use lakemirror_core::causes::chain;
use lakemirror_journal::log::disk::real::RealDisk;
use lakemirror_journal::log::snapshot::{self, SNAPSHOT_DIR, SnapshotFault};
use lakemirror_journal::log::{FrameInfo, SnapshotHeader};
use lakemirror_journal::state::image;

use crate::{EvidenceError, Source};

/// One snapshot file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotSeen {
    /// The record after which it was taken.
    pub seq: u64,
    /// Its header; `None` if it cannot be read.
    pub header: Option<SnapshotHeader>,
    /// Bytes of its image.
    pub bytes: u64,
    /// Whether the frame that it names was read and is the right one.
    pub on_chain: bool,
    /// Whether the records were replayed up to it and agree with its state.
    pub replayed: bool,
    /// What is wrong with it.
    pub fault: Option<String>,
}

/// Reads and checks every snapshot file. Must run before the segments are read, which use the snapshots.
pub(super) fn look(source: &Source) -> Result<BTreeMap<u64, SnapshotSeen>, EvidenceError> {
    let disk = RealDisk::new(source.dir());
    let path = source.dir().join(SNAPSHOT_DIR).display().to_string();
    let listed = match snapshot::list(&disk) {
        // There is no directory, or a file in its place: reading the journal reports that better.
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => Vec::new(),
        listed => listed.map_err(|source| EvidenceError::Unreadable { path, source })?,
    };
    Ok(listed.into_iter().filter_map(|seq| Some((seq, check(&disk, seq)?))).collect())
}

/// `None` if the service has removed the file meanwhile.
fn check(disk: &RealDisk, seq: u64) -> Option<SnapshotSeen> {
    let bare = SnapshotSeen { seq, header: None, bytes: 0, on_chain: false, replayed: false, fault: None };
    Some(match snapshot::read(disk, seq) {
        Err(SnapshotFault::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(fault) => SnapshotSeen { fault: Some(chain(&fault)), ..bare },
        Ok((header, image)) => {
            let same = image::digest_of(&image) == header.state_digest;
            let fault = (!same).then(|| "its image has another digest than its header says".to_owned());
            SnapshotSeen { header: Some(header), bytes: image.len() as u64, fault, ..bare }
        }
    })
}

impl SnapshotSeen {
    /// Compares with a frame that was read.
    pub(super) fn meet(&mut self, frame: &FrameInfo) {
        let Some(header) = self.header else { return };
        let fault = if frame.last_seq == self.seq {
            let mark = image::mark(&header.state_digest);
            match () {
                () if header.frame_hash != frame.hash => Some("the frame that it names is not the one on the chain"),
                () if header.checks_total != frame.checks_total => Some("it counts other checks than its frame"),
                () if frame.state_digest != 0 && frame.state_digest != mark => {
                    Some("its state is not the one that was live when its frame was written")
                }
                () => None,
            }
        } else if frame.first_seq > self.seq {
            // The first available frame names the one before it.
            (header.frame_hash != frame.prev_hash).then_some("the frame that it names is not the one on the chain")
        } else {
            Some("it is of a part of a frame")
        };
        self.on_chain |= fault.is_none();
        self.fault = self.fault.take().or(fault.map(str::to_owned));
    }

    /// Compares with the digest of the state that was replayed up to it.
    pub(super) fn compare(&mut self, replayed: Option<[u8; 32]>) {
        let Some(header) = self.header else { return };
        match replayed == Some(header.state_digest) {
            true => self.replayed = true,
            false => drop(self.fault.get_or_insert("the records do not come to its state".to_owned())),
        }
    }
}
