//! A damaged snapshot file, or any bytes: an error, or exactly what was written.

#![no_main]

use lakemirror_journal::log::disk::sim::SimDisk;
use lakemirror_journal::log::fault::Faults;
use lakemirror_journal::log::snapshot;
use lakemirror_journal::log::{SegmentStart, SnapshotHeader};
use libfuzzer_sys::fuzz_target;

fn header() -> SnapshotHeader {
    SnapshotHeader {
        seq: 7,
        segment: SegmentStart { first_seq: 1, prev_hash: [1; 32], checks_before: 2, prev_footer: [4; 32] },
        offset: 900,
        segment_frames: 3,
        frame_hash: [3; 32],
        writer_epoch: 2,
        checks_total: 40,
        wall_ms: 1_700_000_000_000,
        state_digest: [9; 32],
    }
}

fuzz_target!(|data: &[u8]| {
    let disk = SimDisk::new(&Faults::default());
    let path = snapshot::path(7);
    let Some((mode, rest)) = data.split_first() else { return };
    if mode & 1 == 0 {
        snapshot::write(&disk, &header(), b"").expect("the disk is sound");
        disk.put(&path, rest.to_vec());
        if let Ok((found, image)) = snapshot::read(&disk, 7) {
            // An accepted file contains the record number of its name.
            assert_eq!(found.seq, 7);
            assert!(image.len() < rest.len());
        }
        return;
    }
    let [low, high, value, image @ ..] = rest else { return };
    snapshot::write(&disk, &header(), image).expect("the disk is sound");
    let mut bytes = disk.bytes(&path).expect("it was written");
    let at = usize::from(u16::from_le_bytes([*low, *high])) % bytes.len();
    bytes[at] ^= value;
    disk.put(&path, bytes);
    match snapshot::read(&disk, 7) {
        Ok((found, read)) => assert!(*value == 0 && found == header() && read == image),
        Err(_) => assert_ne!(*value, 0),
    }
});
