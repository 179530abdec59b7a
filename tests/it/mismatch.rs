//! A state that does not agree with its records ends `lakemirror run` with exit code 70, at its start and while it
//! runs, and the states are written to the disk.

use std::path::Path;
use std::time::Duration;

use lakemirror::sandbox;
use lakemirror_journal::codec;
use lakemirror_journal::event::{Event, ServiceStartedV1};
use lakemirror_journal::log::disk::real::RealDisk;
use lakemirror_journal::log::{
    FrameInfo, Log, NewJournal, Options, RawRecord, Replay, ReplayRefused, SnapshotHeader, scan, snapshot,
};
use lakemirror_journal::state::{State, image};

use crate::process::{Process, lakemirror};

/// Longer than anything here takes, even on a loaded machine.
const LIMIT: Duration = Duration::from_secs(60);
/// 2026-11-24T12:00:00Z.
const NOON: u64 = 1_795_521_600_000;

#[derive(Default)]
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

/// A journal with one start of the service, whose frame states this digest of the state.
fn journal(dir: &Path, mark: u64) -> State {
    let identity = NewJournal { uuid: [7; 16], wall_ms: NOON };
    let (mut log, _) = Log::open(dir, &Options::default(), identity, &mut Last::default()).unwrap();
    let event = Event::ServiceStarted(ServiceStartedV1 { writer_epoch: 1, software: "test".into(), at_ms: NOON });
    let payload = codec::encode(&event).unwrap();
    let record = RawRecord { kind: payload.kind, version: payload.version, payload: &payload.bytes };
    log.commit(&[record], 0, NOON, mark).unwrap();
    let mut state = State::default();
    state.apply(&event);
    state
}

/// Runs `run` without any server to connect to.
fn run(dir: &Path) -> Process {
    let root = dir.display();
    let text = format!(
        "region: east\norganization_id: acme\nregional_endpoint: http://127.0.0.1:9\n\
         dst_endpoints: {{ west: 'http://127.0.0.1:9' }}\n\
         lakefs_access_key_id: {}\nlakefs_secret_access_key: {}\nauth: {{ encrypt: {{ secret_key: {} }} }}\n\
         mirrors_database: {{ type: local, local: {{ path: {root}/mirrors }} }}\n\
         blockstore: {{ type: local, local: {{ path: {root}/blocks }} }}\n\
         journal: {{ path: {root}/journal, snapshot: {{ interval: 5s }} }}\nlisten_address: 127.0.0.1:0\n",
        sandbox::EXAMPLE_ACCESS_KEY_ID,
        sandbox::EXAMPLE_SECRET_ACCESS_KEY,
        sandbox::EXAMPLE_SECRET_KEY,
    );
    std::fs::create_dir_all(dir.join("blocks")).unwrap();
    std::fs::write(dir.join("config.yaml"), text).unwrap();
    Process::start(lakemirror().args(["run", "--config"]).arg(dir.join("config.yaml")))
}

/// The state in an image that was written because it is wrong.
fn kept(dir: &Path, which: &str) -> State {
    let names: Vec<String> = std::fs::read_dir(dir.join("journal/mismatch"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let name = names.iter().find(|name| name.ends_with(&format!(".{which}.image")));
    let name = name.unwrap_or_else(|| panic!("no {which} image among {names:?}"));
    image::read(&std::fs::read(dir.join("journal/mismatch").join(name)).unwrap()).unwrap()
}

#[test]
fn start_with_a_wrong_state_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let state = journal(&dir.path().join("journal"), 4711);
    for _ in 0..2 {
        let (code, said) = run(dir.path()).end(LIMIT);
        assert_eq!(code, 70, "{said}");
        assert!(said.contains("after record 1 the state has digest"), "{said}");
        assert!(said.contains("Nothing may be done on such a state"), "{said}");
        assert!(said.contains("the replayed state, which is not the one that was, is in"), "{said}");
        assert_eq!(kept(dir.path(), "replayed"), state);
    }
    let report = lakemirror().args(["journal", "verify", "--deep"]).arg(dir.path().join("journal")).output().unwrap();
    assert_eq!(report.status.code(), Some(1));
}

#[test]
fn running_service_with_a_wrong_state_ends_and_keeps_both_states() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    // The frame is not a checkpoint, so nothing contradicts the snapshot with which the service starts.
    let mut state = journal(&path, 0);
    let mut last = Last::default();
    scan(&path, &mut last).unwrap();
    state.checks += 1;
    let mut bytes = Vec::new();
    image::write(&state, |part| bytes.extend_from_slice(part)).unwrap();
    let header = SnapshotHeader::after(&last.0.unwrap(), image::digest_of(&bytes));
    snapshot::write(&RealDisk::new(&path), &header, &bytes).unwrap();
    let mut process = run(dir.path());
    process.until("the journal is open", LIMIT);
    // Five seconds before the first proof by a replay, which now begins with the first record.
    std::fs::remove_file(path.join(snapshot::path(1))).unwrap();
    let (code, said) = process.end(LIMIT);
    assert_eq!(code, 70, "{said}");
    assert!(said.contains("the state has digest") && said.contains("The two states after record"), "{said}");
    let (live, replayed) = (kept(dir.path(), "live"), kept(dir.path(), "replayed"));
    assert_eq!((live.checks, replayed.checks), (1, 0));
    assert_eq!(State { checks: 0, ..live }, replayed);
}
