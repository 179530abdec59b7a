//! A machine that can be switched off: simulated disk and hot store with one fault plan, and what a test wants to know
//! after opening a journal on it.

use lakemirror_journal::log::disk::sim::SimDisk;
use lakemirror_journal::log::fault::{Faults, Survival};
use lakemirror_journal::log::hot::memory::MemoryHot;
use lakemirror_journal::log::{
    CommitError, Committed, FrameInfo, Log, NewJournal, OpenError, Options, Ports, RawRecord, Recovery, Replay,
    ReplayRefused, ScanError, ScanReport, scan_on,
};

pub const NEW: NewJournal = NewJournal { uuid: *b"a journal's uuid", wall_ms: 1_700_000_000_000 };
pub const SEGMENT: &str = "seg/0000000000000001.jseg.open";

/// Everything that a replay was given.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Seen(pub Vec<(u64, u16, u16, Vec<u8>)>);

impl Replay for Seen {
    fn record(&mut self, seq: u64, record: RawRecord<'_>, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        assert!((frame.first_seq..=frame.last_seq).contains(&seq));
        self.0.push((seq, record.kind, record.version, record.payload.to_vec()));
        Ok(())
    }
}

impl Seen {
    pub fn payloads(&self) -> Vec<Vec<u8>> {
        assert!(self.0.iter().map(|record| record.0).eq(1..=self.0.len() as u64), "numbers without gaps from 1");
        self.0.iter().map(|record| record.3.clone()).collect()
    }
}

#[derive(Clone, Default)]
pub struct Machine {
    pub faults: Faults,
    pub disk: SimDisk,
    pub hot: MemoryHot,
    pub options: Options,
}

impl Machine {
    pub fn new() -> Self {
        let faults = Faults::default();
        Self { disk: SimDisk::new(&faults), hot: MemoryHot::new(&faults), faults, options: Options::default() }
    }

    pub fn open(&self) -> Result<(Log, Recovery, Seen), OpenError> {
        let ports = Ports { disk: Box::new(self.disk.clone()), hot: Box::new(self.hot.clone()) };
        let mut seen = Seen::default();
        let (log, recovery) = Log::open_on(ports, &self.options, NEW, &mut seen)?;
        Ok((log, recovery, seen))
    }

    pub fn scan(&self) -> Result<(ScanReport, Seen), ScanError> {
        let mut seen = Seen::default();
        scan_on(&self.disk, &mut seen).map(|report| (report, seen))
    }

    /// A machine with these commits, ended cleanly.
    pub fn with(commits: &[&[&[u8]]]) -> Self {
        let machine = Self::new();
        let (mut log, _, _) = machine.open().unwrap();
        for payloads in commits {
            commit(&mut log, payloads).unwrap();
        }
        machine
    }

    pub fn reboot(&self, survival: Survival) {
        self.disk.reboot(survival);
        self.hot.reboot(survival);
        self.faults.reset();
    }

    /// Changes a file's bytes, durably.
    pub fn damage(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.disk.bytes(path).unwrap();
        change(&mut bytes);
        self.disk.put(path, bytes);
    }
}

pub fn commit(log: &mut Log, payloads: &[impl AsRef<[u8]>]) -> Result<Committed, CommitError> {
    let records: Vec<_> =
        payloads.iter().map(|payload| RawRecord { kind: 3, version: 1, payload: payload.as_ref() }).collect();
    log.commit(&records, payloads.len() as u64, 1_700_000_000_001, 0)
}

pub fn flat(commits: &[&[&[u8]]]) -> Vec<Vec<u8>> {
    commits.iter().flat_map(|payloads| payloads.iter().map(|payload| payload.to_vec())).collect()
}
