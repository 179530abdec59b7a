//! What a commit costs against writing and syncing the same bytes to a plain file, and where the time goes.
//!
//! `cargo bench -p lakemirror-journal --bench commit`. Goal: 250 k records/s, or no less than 0.35 of the plain file's
//! rate. All write to the same volume in the same run; set `TMPDIR` to choose it (1 GiB for a moment). First
//! all ways take turns, so that other work on the volume hits them alike, and the ratios are printed; then two of them are
//! measured one after the other.
#![allow(missing_docs, reason = "criterion's macros")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench fails by panicking")]
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "a bench prints and reads the clock")]

use std::fs::File;
use std::hint::black_box;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lakemirror_journal::ids::Seq;
use lakemirror_journal::log::disk::real::RealDisk;
use lakemirror_journal::log::hot::{HotError, HotOpener, HotStore};
use lakemirror_journal::log::{FrameInfo, HEADER_BYTES, Log, NewJournal, Options, Ports};
use lakemirror_journal::log::{RawRecord, Replay, ReplayRefused};

const PAYLOAD_BYTES: usize = 96;
const RECORD_BYTES: usize = 16 + PAYLOAD_BYTES;
const PLAIN: &str = "plain file: append and fdatasync";
const COMMIT: &str = "commit";
const TURNS: usize = 400;
const NEW: NewJournal = NewJournal { uuid: [7; 16], wall_ms: 0 };
/// Room that is written with zeros beforehand, and used again and again.
const ROOM_BYTES: u64 = 64 << 20;
/// More than a bench writes.
const SEGMENT_BYTES: u64 = 192 << 20;

struct Ignore;

impl Replay for Ignore {
    fn record(&mut self, _: u64, record: RawRecord<'_>, _: &FrameInfo) -> Result<(), ReplayRefused> {
        black_box(record.payload);
        Ok(())
    }
}

/// Bytes that do not compress, as digests do not.
fn payloads(records: usize) -> Vec<u8> {
    let mut output = vec![0; PAYLOAD_BYTES * records];
    blake3::Hasher::new().finalize_xof().fill(&mut output);
    output
}

fn records(bytes: &[u8]) -> Vec<RawRecord<'_>> {
    bytes.chunks(PAYLOAD_BYTES).map(|payload| RawRecord { kind: 1, version: 1, payload }).collect()
}

type Way = (&'static str, Box<dyn FnMut()>);

/// Appends and syncs; into `room` again and again, if some was made beforehand.
fn appending(file: File, frame: Vec<u8>, room: u64) -> impl FnMut() {
    let mut end = 0;
    move || {
        end = if room > 0 && end + frame.len() as u64 > room { 0 } else { end };
        file.write_all_at(&frame, end).unwrap();
        file.sync_data().unwrap();
        end += frame.len() as u64;
    }
}

fn with_room(path: &Path, bytes: u64) -> File {
    let file = File::options().create(true).truncate(false).write(true).open(path).unwrap();
    for at in (0..bytes).step_by(1 << 20) {
        file.write_all_at(&[0; 1 << 20], at).unwrap();
    }
    file.sync_all().unwrap();
    file
}

fn plain(root: &Path, frame: &[u8]) -> Vec<Way> {
    let new = |name| File::create_new(root.join(name)).unwrap();
    let room = with_room(&root.join("room"), ROOM_BYTES);
    let (mut append, mut head) = (
        appending(new("raw2"), frame.to_vec(), 0),
        appending(with_room(&root.join("head"), 1 << 20), vec![1; 72], 4096),
    );
    vec![
        (PLAIN, Box::new(appending(new("raw"), frame.to_vec(), 0))),
        ("plain file, allocated beforehand", Box::new(appending(room, frame.to_vec(), ROOM_BYTES))),
        (
            "plain file, then a head: two fdatasync",
            Box::new(move || {
                append();
                head();
            }),
        ),
    ]
}

/// A hot store that keeps nothing: what a commit costs without one.
struct NoHot;

impl HotOpener for NoHot {
    fn open(&mut self) -> Result<Box<dyn HotStore>, HotError> {
        Ok(Box::new(Self))
    }

    fn set_aside(&mut self, _: u64) -> io::Result<Option<String>> {
        Ok(None)
    }
}

impl HotStore for NoHot {
    fn insert(&mut self, _: Seq, _: &[u8]) -> Result<(), HotError> {
        Ok(())
    }

    fn remove(&mut self, _: Seq) -> Result<(), HotError> {
        Ok(())
    }

    fn flush(&mut self) -> Result<(), HotError> {
        Ok(())
    }

    fn get(&self, _: Seq) -> Result<Option<Vec<u8>>, HotError> {
        Ok(None)
    }

    fn each(&self, _: &mut dyn FnMut(Seq, &[u8])) -> Result<(), HotError> {
        Ok(())
    }
}

fn commits(root: &Path, bytes: &'static [u8]) -> Vec<Way> {
    let dir = root.join("without");
    std::fs::create_dir(&dir).unwrap();
    let ports = Ports { disk: Box::new(RealDisk::new(&dir)), hot: Box::new(NoHot) };
    let (mut without, _) = Log::open_on(ports, &Options::default(), NEW, &mut Ignore).unwrap();
    let (mut log, _) = Log::open(&root.join("journal"), &Options::default(), NEW, &mut Ignore).unwrap();
    // What allocating a segment beforehand would bring; the format does not have it.
    let dir = root.join("allocated");
    let (mut allocated, _) = Log::open(&dir, &Options::default(), NEW, &mut Ignore).unwrap();
    with_room(&dir.join("seg/0000000000000001.jseg.open"), SEGMENT_BYTES);
    let committing = move |log: &mut Log| {
        log.commit(&records(bytes), 0, 0, 0).unwrap();
    };
    vec![
        ("commit without a hot store", Box::new(move || committing(&mut without))),
        (COMMIT, Box::new(move || committing(&mut log))),
        ("commit, segment allocated beforehand", Box::new(move || committing(&mut allocated))),
    ]
}

/// Other work on the volume comes and goes: taken in turns, all ways suffer alike, and their ratio says something.
fn in_turns(name: &str, count: usize, ways: &mut [Way]) {
    let mut times: Vec<Vec<Duration>> = ways.iter().map(|_| Vec::with_capacity(TURNS)).collect();
    for _ in 0..TURNS {
        for ((_, run), times) in ways.iter_mut().zip(&mut times) {
            let begin = Instant::now();
            run();
            times.push(begin.elapsed());
        }
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[TURNS / 2].as_secs_f64()
    };
    let medians: Vec<f64> = times.iter_mut().map(median).collect();
    println!("{name}, {count} records each, in turns:");
    for ((way, _), median) in ways.iter().zip(&medians) {
        let (rate, ratio) = (count as f64 / median / 1e3, medians[0] / median);
        println!("  {way:42} {:8.3} ms {rate:8.0} k records/s {ratio:6.2} of the plain file", median * 1e3);
    }
}

fn frames_of(criterion: &mut Criterion, name: &str, frame_bytes: usize) {
    let count = (frame_bytes - HEADER_BYTES) / RECORD_BYTES;
    let root = tempfile::tempdir().unwrap();
    let mut ways = plain(root.path(), &vec![0xA5; HEADER_BYTES + count * RECORD_BYTES]);
    ways.extend(commits(root.path(), payloads(count).leak()));
    in_turns(name, count, &mut ways);
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(count as u64)).sample_size(20);
    for (way, mut run) in ways.into_iter().filter(|(way, _)| [PLAIN, COMMIT].contains(way)) {
        group.bench_function(way, |bench| bench.iter(&mut run));
    }
    group.finish();
}

fn write(criterion: &mut Criterion) {
    frames_of(criterion, "frames of 64 KiB", 64 << 10);
    frames_of(criterion, "frames of 256 KiB", 256 << 10);
}

criterion_group!(benches, write);
criterion_main!(benches);
