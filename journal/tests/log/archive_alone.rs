//! The real state out of archived segments and nothing else: neither the hot store, nor a snapshot, nor what the volume has.

use std::fs;
use std::path::Path;

use lakemirror_journal::codec;
use lakemirror_journal::event::Event;
use lakemirror_journal::log::disk::real::RealDisk;
use lakemirror_journal::log::{
    FrameInfo, Log, Options, RawRecord, Replay, ReplayRefused, ScanOptions, compress_segment, scan_with,
};
use lakemirror_journal::state::{State, image};

use super::samples::one_of_each;
use super::support::NEW;

/// The state, and whether every checkpoint on the way was the state's own.
#[derive(Default)]
struct Rebuilt {
    state: State,
    checkpoints: usize,
}

impl Replay for Rebuilt {
    fn record(&mut self, _: u64, record: RawRecord<'_>, _: &FrameInfo) -> Result<(), ReplayRefused> {
        let event = codec::decode(record.kind, record.version, record.payload).unwrap();
        self.state.apply(&event);
        Ok(())
    }

    fn checkpoint(&mut self, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        assert_eq!(frame.state_digest, image::mark(&image::digest(&self.state).unwrap()));
        self.checkpoints += 1;
        Ok(())
    }
}

/// One fact a frame, each a checkpoint, so many a segment.
fn write(dir: &Path, events: &[Event], segment: usize) -> State {
    let (mut log, _) = Log::open(dir, &Options::default(), NEW, &mut Rebuilt::default()).unwrap();
    let mut state = State::default();
    for part in events.chunks(segment) {
        for event in part {
            state.apply(event);
            let payload = codec::encode(event).unwrap();
            let record = RawRecord { kind: payload.kind, version: payload.version, payload: &payload.bytes };
            log.commit(&[record], 0, 1, image::mark(&image::digest(&state).unwrap())).unwrap();
        }
        log.seal().unwrap();
    }
    state
}

/// Every sealed segment goes into the archive, every other one compressed; the volume keeps what says which journal it is.
fn archive(dir: &Path, to: &Path) -> usize {
    fs::create_dir_all(to).unwrap();
    let names = |dir: &Path| -> Vec<String> {
        let entries = fs::read_dir(dir.join("seg")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    for name in names(dir).iter().filter(|name| name.ends_with(".jseg")).step_by(2) {
        let (first, last) = name.trim_end_matches(".jseg").split_once('-').unwrap();
        compress_segment(&RealDisk::new(dir), first.parse().unwrap(), last.parse().unwrap()).unwrap();
    }
    let sealed: Vec<_> = names(dir).into_iter().filter(|name| !name.ends_with(".open")).collect();
    for name in &sealed {
        fs::copy(dir.join("seg").join(name), to.join(name)).unwrap();
        fs::remove_file(dir.join("seg").join(name)).unwrap();
    }
    fs::remove_dir_all(dir.join("hot")).unwrap();
    sealed.len()
}

#[test]
fn an_archive_alone_gives_the_same_state() {
    let events = one_of_each();
    for segment in [1, 2, 7, events.len()] {
        let root = tempfile::tempdir().unwrap();
        let (dir, kept) = (root.path().join("journal"), root.path().join("archive"));
        let live = write(&dir, &events, segment);
        assert_eq!(archive(&dir, &kept), events.len().div_ceil(segment));
        let mut rebuilt = Rebuilt::default();
        let options = ScanOptions { archives: vec![kept], ..ScanOptions::default() };
        let report = scan_with(&dir, &options, &mut rebuilt).unwrap();
        assert_eq!((report.proven_from, report.end.last_seq as usize), (1, events.len()));
        assert_eq!(rebuilt.checkpoints, events.len());
        assert_eq!(image::digest(&rebuilt.state).unwrap(), image::digest(&live).unwrap(), "{segment} a segment");
        assert_eq!(rebuilt.state, live);
    }
}
