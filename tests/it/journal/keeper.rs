//! A journal that is maintained as the service does it: every frame is a checkpoint, segments are sealed, archived and
//! dropped with their records, snapshots are taken.

use std::path::{Path, PathBuf};

use lakemirror_journal::codec;
use lakemirror_journal::event::*;
use lakemirror_journal::log::disk::real::RealDisk;
use lakemirror_journal::log::{
    FrameInfo, Log, RawRecord, Replay, ReplayRefused, ScanOptions, ScanStart, SnapshotHeader, scan_with, snapshot,
};
use lakemirror_journal::state::State;
use lakemirror_journal::state::image;

use super::fixture::{self, Frame, NOON};

pub(crate) struct Keeper {
    pub(crate) dir: PathBuf,
    log: Log,
    pub(crate) state: State,
    second: u64,
    /// First record, last record and footer hash of every sealed segment.
    pub(crate) sealed: Vec<(u64, u64, [u8; 32])>,
}

impl Keeper {
    pub(crate) fn new(dir: &Path) -> Self {
        let log = fixture::open(dir);
        Self { dir: dir.to_owned(), log, state: State::default(), second: 0, sealed: Vec::new() }
    }

    pub(crate) fn append(&mut self, frame: &Frame) {
        let (second, events) = frame;
        self.second = *second;
        events.iter().for_each(|event| self.state.apply(event));
        let payloads: Vec<_> = events.iter().map(|event| codec::encode(event).unwrap()).collect();
        let records: Vec<_> = payloads
            .iter()
            .map(|payload| RawRecord { kind: payload.kind, version: payload.version, payload: &payload.bytes })
            .collect();
        let checks = events.iter().map(|event| match event {
            Event::ArrivalsChecked(batch) => lakemirror_journal::state::checks_of(batch),
            _ => 0,
        });
        let mark = image::mark(&image::digest(&self.state).unwrap());
        self.log.commit(&records, checks.sum(), NOON + second * 1000, mark).unwrap();
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.append(&(self.second, vec![event]));
    }

    fn at_ms(&self) -> u64 {
        NOON + self.second * 1000
    }

    /// Seals the segment; its record is the first one of the next segment.
    pub(crate) fn seal(&mut self) {
        self.seal_saying(|_| {});
    }

    /// As [`Keeper::seal`], with a modified record.
    pub(crate) fn seal_saying(&mut self, change: impl FnOnce(&mut SegmentSealedV1)) {
        let footer = self.log.seal().unwrap().footer;
        let mut fact = SegmentSealedV1 {
            first: footer.first_seq,
            last: footer.last_seq,
            frames: footer.frames,
            bytes: footer.frame_bytes,
            checks: footer.checks_total,
            hash: footer.hash(),
            last_frame: footer.last_hash,
            at_ms: self.at_ms(),
        };
        self.sealed.push((fact.first, fact.last, fact.hash));
        change(&mut fact);
        self.tell(Event::SegmentSealed(fact));
    }

    /// Takes a snapshot of the current state and records it. Returns its record number.
    pub(crate) fn snapshot(&mut self) -> u64 {
        let (header, image) = self.header();
        snapshot::write(&RealDisk::new(&self.dir), &header, &image).unwrap();
        let (seq, digest, bytes) = (header.seq, header.state_digest, image.len() as u64);
        self.tell(Event::SnapshotTaken(SnapshotTakenV1 { seq, digest, bytes, at_ms: self.at_ms() }));
        seq
    }

    /// The snapshot of the current state.
    pub(crate) fn header(&self) -> (SnapshotHeader, Vec<u8>) {
        let mut last = Last(None);
        let options = ScanOptions { start: ScanStart::Oldest, ..ScanOptions::default() };
        scan_with(&self.dir, &options, &mut last).unwrap();
        let mut image = Vec::new();
        image::write(&self.state, |bytes| image.extend_from_slice(bytes)).unwrap();
        (SnapshotHeader::after(&last.0.unwrap(), image::digest_of(&image)), image)
    }

    pub(crate) fn file(&self, segment: usize) -> PathBuf {
        let (first, last, _) = self.sealed[segment];
        self.dir.join(format!("seg/{first:016}-{last:016}.jseg"))
    }

    /// Drops a segment, and moves it to an archive if there is one.
    pub(crate) fn drop_segment(&mut self, segment: usize, archive: Option<&Path>) {
        let (first, last, hash) = self.sealed[segment];
        let (file, at_ms) = (self.file(segment), self.at_ms());
        if let Some(archive) = archive {
            let place = archive.join(file.file_name().unwrap());
            std::fs::copy(&file, &place).unwrap();
            let (bytes, place) = (place.metadata().unwrap().len(), place.display().to_string());
            let file_hash = [9; 32];
            self.tell(Event::SegmentArchived(SegmentArchivedV1 { first, last, hash, bytes, file_hash, place, at_ms }));
        }
        let archived = archive.is_some();
        self.tell(Event::SegmentDropped(SegmentDroppedV1 { first, last, hash, archived, at_ms }));
        std::fs::remove_file(file).unwrap();
    }
}

struct Last(Option<FrameInfo>);

impl Replay for Last {
    fn frame(&mut self, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        self.0 = Some(*frame);
        Ok(())
    }

    fn record(&mut self, _: u64, _: RawRecord<'_>, _: &FrameInfo) -> Result<(), ReplayRefused> {
        Ok(())
    }
}
