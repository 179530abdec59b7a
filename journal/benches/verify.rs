//! How fast a journal is read and proven (checksums, chain), against what the hash alone takes, and a copy of the bytes.
//!
//! `cargo bench -p lakemirror-journal --bench verify`. Goal: 1 GB/s of frames from the page cache.
#![allow(missing_docs, reason = "criterion's macros")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lakemirror_journal::log::{FrameInfo, HEADER_BYTES, Log, NewJournal, Options};
use lakemirror_journal::log::{RawRecord, Replay, ReplayRefused, scan};

const PAYLOAD_BYTES: usize = 96;
const NEW: NewJournal = NewJournal { uuid: [7; 16], wall_ms: 0 };
const JOURNAL_BYTES: usize = 64 << 20;

#[derive(Default)]
struct Count(u64);

impl Replay for Count {
    fn record(&mut self, _: u64, record: RawRecord<'_>, _: &FrameInfo) -> Result<(), ReplayRefused> {
        black_box(record.payload);
        self.0 += 1;
        Ok(())
    }
}

/// A journal of frames of about this size, and how many records it has.
fn write(dir: &Path, frame_bytes: usize) -> u64 {
    let per_frame = ((frame_bytes - HEADER_BYTES) / (16 + PAYLOAD_BYTES)).max(1);
    let mut bytes = vec![0; PAYLOAD_BYTES * per_frame];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    let records: Vec<_> =
        bytes.chunks(PAYLOAD_BYTES).map(|payload| RawRecord { kind: 1, version: 1, payload }).collect();
    // Syncs are not what is measured, and small frames would take minutes of them.
    let frames = (JOURNAL_BYTES / frame_bytes).min(4000);
    let (mut log, _) = Log::open(dir, &Options::default(), NEW, &mut Count::default()).unwrap();
    for _ in 0..frames {
        log.commit(&records, 0, 0, 0).unwrap();
    }
    (frames * per_frame) as u64
}

fn read(criterion: &mut Criterion) {
    for (name, frame_bytes) in [("4 KiB", 4 << 10), ("64 KiB", 64 << 10), ("256 KiB", 256 << 10)] {
        let root = tempfile::tempdir().unwrap();
        let records = write(root.path(), frame_bytes);
        let bytes = std::fs::read(root.path().join("seg/0000000000000001.jseg.open")).unwrap();
        let mut group = criterion.benchmark_group(format!("frames of {name}"));
        group.throughput(Throughput::Bytes(bytes.len() as u64)).sample_size(10);
        let mut copy = vec![0; frame_bytes];
        group.bench_function("floor: copy", |bench| {
            bench.iter(|| {
                bytes.chunks_exact(frame_bytes).for_each(|chunk| black_box(&mut copy).copy_from_slice(chunk));
            });
        });
        group.bench_function("floor: CRC-32", |bench| {
            bench.iter(|| bytes.chunks(frame_bytes).map(crc32fast::hash).fold(0, |sum, crc| sum ^ crc));
        });
        group.bench_function("floor: BLAKE3", |bench| {
            bench.iter(|| bytes.chunks(frame_bytes).for_each(|chunk| _ = black_box(blake3::hash(chunk))));
        });
        group.bench_function("scan", |bench| {
            bench.iter(|| {
                let mut count = Count::default();
                scan(root.path(), &mut count).unwrap();
                assert_eq!(count.0, records);
            });
        });
        group.bench_function("open", |bench| {
            bench.iter(|| Log::open(root.path(), &Options::default(), NEW, &mut Count::default()).unwrap());
        });
        group.finish();
    }
}

criterion_group!(benches, read);
criterion_main!(benches);
