//! What a commit costs against writing and syncing the same bytes to a plain file, and how fast a journal is read.
//!
//! `cargo bench -p lakemirror-journal`. Goal: commits at no less than 0.35 of the plain file's rate. Both write to the
//! same volume in the same run; set `TMPDIR` to choose it.
#![allow(missing_docs, reason = "criterion's macros")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lakemirror_journal::log::{FrameInfo, Log, NewJournal, Options, RawRecord, Replay, ReplayRefused, scan};

const PAYLOAD_BYTES: usize = 96;
/// With 16 bytes of header each, and the frame's 96, just within 64 KiB.
const RECORDS: usize = 584;
const REPLAY_FRAMES: usize = 1000;
const NEW: NewJournal = NewJournal { uuid: [7; 16], wall_ms: 0 };

struct Count(u64);

impl Replay for Count {
    fn record(&mut self, _: u64, record: RawRecord<'_>, _: &FrameInfo) -> Result<(), ReplayRefused> {
        black_box(record.payload);
        self.0 += 1;
        Ok(())
    }
}

/// Bytes that do not compress, as digests do not.
fn payloads() -> Vec<u8> {
    let mut output = vec![0; PAYLOAD_BYTES * RECORDS];
    blake3::Hasher::new().finalize_xof().fill(&mut output);
    output
}

fn records(bytes: &[u8]) -> Vec<RawRecord<'_>> {
    bytes.chunks(PAYLOAD_BYTES).map(|payload| RawRecord { kind: 1, version: 1, payload }).collect()
}

fn write(criterion: &mut Criterion) {
    let bytes = payloads();
    let records = records(&bytes);
    let root = tempfile::tempdir().unwrap();
    let mut group = criterion.benchmark_group("frame of 64 KiB");
    group.throughput(Throughput::Elements(RECORDS as u64)).sample_size(30);

    let raw = File::create_new(root.path().join("raw")).unwrap();
    let frame = vec![0xA5; 96 + records.iter().map(RawRecord::framed_bytes).sum::<usize>()];
    let mut end = 0;
    group.bench_function("plain file, append and fdatasync", |bench| {
        bench.iter(|| {
            raw.write_all_at(&frame, end).unwrap();
            raw.sync_data().unwrap();
            end += frame.len() as u64;
        });
    });

    let (mut log, _) = Log::open(&root.path().join("journal"), &Options::default(), NEW, &mut Count(0)).unwrap();
    group.bench_function("commit", |bench| bench.iter(|| log.commit(&records, 0, 0, 0).unwrap()));
    group.finish();
}

fn read(criterion: &mut Criterion) {
    let bytes = payloads();
    let root = tempfile::tempdir().unwrap();
    let (mut log, _) = Log::open(root.path(), &Options::default(), NEW, &mut Count(0)).unwrap();
    for _ in 0..REPLAY_FRAMES {
        log.commit(&records(&bytes), 0, 0, 0).unwrap();
    }
    drop(log);
    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Elements((REPLAY_FRAMES * RECORDS) as u64)).sample_size(10);
    group.bench_function("scan", |bench| {
        bench.iter(|| {
            let mut count = Count(0);
            scan(root.path(), &mut count).unwrap();
            assert_eq!(count.0, (REPLAY_FRAMES * RECORDS) as u64);
        });
    });
    group.bench_function("open", |bench| {
        bench.iter(|| Log::open(root.path(), &Options::default(), NEW, &mut Count(0)).unwrap());
    });
    group.finish();
}

criterion_group!(benches, write, read);
criterion_main!(benches);
