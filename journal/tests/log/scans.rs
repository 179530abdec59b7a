//! Scans with a start, an end and archives.

use std::fs;
use std::path::Path;

use lakemirror_journal::log::{
    FrameInfo, Log, Options, RawRecord, Replay, ReplayRefused, ScanOptions, ScanStart, Stage, compress_segment,
    disk::real::RealDisk, remove_segment, scan, scan_with, snapshot,
};

use super::support::{NEW, Seen, commit};
use super::world::State;

/// Ten segments of two records, and one record in the open one; real files.
fn journal(dir: &Path) {
    let (mut log, _) = Log::open(dir, &Options::default(), NEW, &mut Seen::default()).unwrap();
    for number in 0..10u8 {
        commit(&mut log, &[[number; 9]]).unwrap();
        let record = RawRecord { kind: 3, version: 1, payload: &[number; 4] };
        log.commit(&[record], 1, 5, 1000 + u64::from(number)).unwrap();
        log.seal().unwrap();
    }
    commit(&mut log, &[b"last"]).unwrap();
}

/// Moves the three oldest segments to an archive, the second one compressed.
fn archive(dir: &Path, archive: &Path) {
    let disk = RealDisk::new(dir);
    compress_segment(&disk, 3, 4).unwrap();
    fs::create_dir_all(archive.join("seg")).unwrap();
    let name = |first: u64, end: &str| format!("{first:016}-{:016}.jseg{end}", first + 1);
    for (name, to) in [(name(1, ""), ""), (name(3, ".zst"), "seg"), (name(5, ""), "seg")] {
        fs::copy(dir.join("seg").join(&name), archive.join(to).join(&name)).unwrap();
    }
    for first in [1, 3, 5] {
        remove_segment(&disk, first, first + 1).unwrap();
    }
}

fn numbers(seen: &Seen) -> Vec<u64> {
    seen.0.iter().map(|record| record.0).collect()
}

#[test]
fn dropped_segments_are_read_from_archives() {
    let root = tempfile::tempdir().unwrap();
    let (dir, kept) = (root.path().join("journal"), root.path().join("archive"));
    journal(&dir);
    let whole = scan(&dir, &mut Seen::default()).unwrap();
    archive(&dir, &kept);
    let missing = scan(&dir, &mut Seen::default()).unwrap_err();
    assert!(missing.to_string().contains("begins with record 7"), "{missing}");

    let options = ScanOptions { archives: vec![kept.clone()], ..ScanOptions::default() };
    let mut seen = Seen::default();
    let report = scan_with(&dir, &options, &mut seen).unwrap();
    assert_eq!(numbers(&seen), (1..=21).collect::<Vec<_>>());
    assert_eq!((report.end, report.proven_from, report.footers.clone()), (whole.end, 1, whole.footers));
    assert!(report.footers.windows(2).all(|pair| pair[1].footer.prev_footer == pair[0].hash));
    let places: Vec<_> = report.segments.iter().map(|segment| (segment.archived, segment.stage)).collect();
    assert_eq!(
        places[..4],
        [(true, Stage::Sealed), (true, Stage::Compressed), (true, Stage::Sealed), (false, Stage::Sealed)]
    );
    assert_eq!((places.len(), places[10]), (11, (false, Stage::Open)));

    // One of the archive's is gone: proven is what comes after the gap.
    fs::remove_file(kept.join("seg/0000000000000005-0000000000000006.jseg")).unwrap();
    let oldest = ScanOptions { start: ScanStart::Oldest, ..options.clone() };
    let mut seen = Seen::default();
    let report = scan_with(&dir, &oldest, &mut seen).unwrap();
    assert_eq!((report.proven_from, numbers(&seen)), (7, (7..=21).collect()));
    assert!(report.footers.iter().all(|footer| footer.fault.is_none()));
    assert!(scan_with(&dir, &options, &mut Seen::default()).is_err());
    let nowhere = ScanOptions { archives: vec![root.path().join("nowhere")], ..ScanOptions::default() };
    assert!(scan_with(&dir, &nowhere, &mut Seen::default()).is_err());
}

#[test]
fn a_scan_starts_at_a_snapshot_and_stops_where_it_is_told() {
    let root = tempfile::tempdir().unwrap();
    journal(root.path());
    let (mut early, mut at_six) = (State::default(), ScanOptions { stop_after: Some(6), ..ScanOptions::default() });
    let report = scan_with(root.path(), &at_six, &mut early).unwrap();
    assert_eq!((report.stopped, report.end.last_seq, early.replayed), (true, 6, 6));
    let header = lakemirror_journal::log::SnapshotHeader::after(&early.last.unwrap(), early.digest());
    snapshot::write(&RealDisk::new(root.path()), &header, &early.image()).unwrap();

    at_six = ScanOptions { start: ScanStart::NewestSnapshotAtOrBefore(20), ..ScanOptions::default() };
    let mut later = State::default();
    let report = scan_with(root.path(), &at_six, &mut later).unwrap();
    assert_eq!((report.snapshot, later.replayed, report.proven_from), (Some(header), 15, 7));
    assert_eq!(later.seen.payloads().len(), 21);
    // The one that is there is of later records: from the first.
    at_six.start = ScanStart::NewestSnapshotAtOrBefore(5);
    let mut first = State::default();
    assert_eq!(scan_with(root.path(), &at_six, &mut first).unwrap().snapshot, None);
    assert_eq!((first.replayed, first.restored), (21, None));
}

/// Stops at a frame, wants records of some, and checks checkpoints.
#[derive(Default)]
struct Picky {
    frames: u64,
    records: Vec<u64>,
    checkpoints: Vec<(u64, u64)>,
}

impl Replay for Picky {
    fn record(&mut self, seq: u64, _: RawRecord<'_>, _: &FrameInfo) -> Result<(), ReplayRefused> {
        self.records.push(seq);
        if seq == 9 { Err(ReplayRefused::stop()) } else { Ok(()) }
    }

    fn frame(&mut self, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        self.frames += 1;
        assert_eq!(
            (frame.segment.first_seq, frame.segment_frames),
            ((frame.first_seq - 1) / 2 * 2 + 1, 2 - frame.first_seq % 2)
        );
        Ok(())
    }

    fn wants_records(&self) -> bool {
        self.frames > 6
    }

    fn checkpoint(&mut self, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        self.checkpoints.push((frame.last_seq, frame.state_digest));
        Ok(())
    }
}

#[test]
fn a_consumer_stops_the_scan_and_sees_checkpoints() {
    let root = tempfile::tempdir().unwrap();
    journal(root.path());
    let mut picky = Picky::default();
    let report = scan(root.path(), &mut picky).unwrap();
    assert!(report.stopped);
    assert_eq!((picky.frames, picky.records), (9, vec![7, 8, 9]));
    assert_eq!(picky.checkpoints, [(2, 1000), (4, 1001), (6, 1002), (8, 1003)]);
}
