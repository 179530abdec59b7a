//! A writer that is made to be killed: `load DIR` opens the journal in DIR as the service does and commits frame after
//! frame, and says after each, on standard output, what is now durable: `SEQ:HASH`, as `journal verify --anchor` takes it.
//!
//! Segments are sealed, verified and compressed on the way, and a snapshot is written now and then. Used by
//! `tests/crash/crash.py`, which kills it or cuts its disk off, and holds the journal to the last line.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "it fails by panicking"
)]
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "it prints, and asks the system")]

use std::io::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use lakemirror_journal::codec;
use lakemirror_journal::event::{Event, ServiceStartedV1};
use lakemirror_journal::ids::Seq;
use lakemirror_journal::log::disk::real::RealDisk;
use lakemirror_journal::log::{
    FrameInfo, Log, NewJournal, Options, RawRecord, Replay, ReplayRefused, compress_segment, verify_segment,
};

/// Small, so that the steps of upkeep come often.
const SEGMENT_BYTES: u64 = 200_000;

struct Count(u64);

impl Replay for Count {
    fn record(&mut self, seq: Seq, _: RawRecord<'_>, _: &FrameInfo) -> Result<(), ReplayRefused> {
        self.0 = seq;
        Ok(())
    }
}

fn main() {
    let dir = std::env::args().nth(1).expect("load DIR");
    let wall_ms = || u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    // The id has to differ from another journal's, no more.
    let mut uuid = [0; 16];
    uuid[..8].copy_from_slice(&wall_ms().to_le_bytes());
    let identity = NewJournal { uuid, wall_ms: wall_ms() };
    let mut replayed = Count(0);
    let (mut log, recovery) = Log::open(Path::new(&dir), &Options::default(), identity, &mut replayed).unwrap();
    eprintln!("open after record {}, {recovery:?}", replayed.0);
    let (disk, mut draw) = (RealDisk::new(Path::new(&dir)), wall_ms() | 1);
    let mut out = std::io::stdout().lock();
    loop {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let count = 1 + (draw >> 33) % 40;
        let first = log.head().durable_seq + 1;
        let payloads: Vec<Vec<u8>> = (first..first + count)
            .map(|seq| {
                let software = format!("{seq:016}").repeat(1 + usize::try_from(seq % 12).unwrap());
                let event = Event::ServiceStarted(ServiceStartedV1 { writer_epoch: seq, software, at_ms: wall_ms() });
                codec::encode(&event).unwrap().bytes
            })
            .collect();
        let records: Vec<_> = payloads.iter().map(|payload| RawRecord { kind: 1, version: 1, payload }).collect();
        let done = log.commit(&records, 0, wall_ms(), 0).unwrap();
        let hash: String = done.frame_hash.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(out, "{}:{hash}", done.last_seq).unwrap();
        out.flush().unwrap();
        if log.open_segment().bytes > SEGMENT_BYTES {
            let sealed = log.seal().unwrap().footer;
            verify_segment(&disk, sealed.first_seq, sealed.last_seq).unwrap();
            if sealed.first_seq % 2 == 1 {
                compress_segment(&disk, sealed.first_seq, sealed.last_seq).unwrap();
            }
        }
    }
}
