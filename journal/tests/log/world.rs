//! A journal with segments and snapshots on a simulated machine: steps, and a state that snapshots can hold.

use lakemirror_journal::log::{
    FrameInfo, Log, OpenError, Ports, RawRecord, Recovery, Replay, ReplayRefused, ScanOptions, SnapshotHeader, Stage,
    compress_segment, remove_segment, scan_options_on, snapshot,
};

use super::support::{Machine, NEW, Seen, commit};

/// Every record so far, as a state that goes into snapshots and comes out of them.
#[derive(Debug, Default, Clone)]
pub struct State {
    pub seen: Seen,
    pub last: Option<FrameInfo>,
    pub restored: Option<u64>,
    /// Records that were read and not restored.
    pub replayed: usize,
}

impl State {
    pub fn image(&self) -> Vec<u8> {
        let mut image = Vec::new();
        for (seq, kind, version, payload) in &self.seen.0 {
            image.extend(seq.to_le_bytes());
            image.extend(kind.to_le_bytes());
            image.extend(version.to_le_bytes());
            image.extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
            image.extend(payload);
        }
        image
    }

    fn from_image(mut image: &[u8]) -> Option<Seen> {
        let mut seen = Seen::default();
        while let Some((head, rest)) = image.split_first_chunk::<16>() {
            let seq = u64::from_le_bytes(head[..8].try_into().unwrap());
            let kind = u16::from_le_bytes(head[8..10].try_into().unwrap());
            let version = u16::from_le_bytes(head[10..12].try_into().unwrap());
            let len = u32::from_le_bytes(head[12..].try_into().unwrap()) as usize;
            let (payload, rest) = rest.split_at_checked(len)?;
            seen.0.push((seq, kind, version, payload.to_vec()));
            image = rest;
        }
        Some(seen)
    }

    pub fn digest(&self) -> [u8; 32] {
        *blake3::hash(&self.image()).as_bytes()
    }
}

impl Replay for State {
    fn record(&mut self, seq: u64, record: RawRecord<'_>, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        self.replayed += 1;
        self.seen.record(seq, record, frame)
    }

    fn frame(&mut self, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        self.last = Some(*frame);
        Ok(())
    }

    fn restore(&mut self, snapshot: &SnapshotHeader, image: &[u8]) -> Result<(), ReplayRefused> {
        if *blake3::hash(image).as_bytes() != snapshot.state_digest {
            return Err(ReplayRefused("the state has another digest".into()));
        }
        self.seen = Self::from_image(image).ok_or_else(|| ReplayRefused("no state".into()))?;
        self.restored = Some(snapshot.seq);
        Ok(())
    }
}

/// What can be done with an open journal.
#[derive(Debug, Clone)]
pub enum Step {
    Commit(Vec<Vec<u8>>),
    Seal,
    /// Compresses the oldest segment that is sealed and not compressed.
    Compress,
    Snapshot,
    /// Removes the oldest segment, if a snapshot stands for it.
    Drop,
}

pub fn open(machine: &Machine) -> Result<(Log, Recovery, State), OpenError> {
    let ports = Ports { disk: Box::new(machine.disk.clone()), hot: Box::new(machine.hot.clone()) };
    let mut state = State::default();
    let (log, recovery) = Log::open_on(ports, &machine.options, NEW, &mut state)?;
    Ok((log, recovery, state))
}

/// Writes a snapshot of what is acknowledged, as the service does: from a scan.
pub fn take_snapshot(machine: &Machine, log: &Log) -> Result<Option<SnapshotHeader>, String> {
    let mut state = State::default();
    let seq = log.head().durable_seq;
    let start = lakemirror_journal::log::ScanStart::NewestSnapshotAtOrBefore(seq);
    let options = ScanOptions { start, stop_after: Some(seq), ..ScanOptions::default() };
    scan_options_on(&machine.disk, &options, &mut state).map_err(|error| error.to_string())?;
    let Some(last) = state.last.filter(|_| state.replayed > 0) else { return Ok(None) };
    let header = SnapshotHeader::after(&last, state.digest());
    snapshot::write(&machine.disk, &header, &state.image()).map_err(|error| error.to_string())?;
    Ok(Some(header))
}

/// The segments that are sealed: first and last record, and stage.
pub fn sealed(machine: &Machine) -> Vec<(u64, u64, Stage)> {
    let mut found: Vec<_> = machine.disk.paths().iter().filter_map(|path| parse(path)).collect();
    found.sort_by_key(|(first, _, stage)| (*first, *stage));
    found.dedup_by_key(|(first, ..)| *first);
    found
}

fn parse(path: &str) -> Option<(u64, u64, Stage)> {
    let name = path.strip_prefix("seg/")?;
    let (numbers, stage) = match name.strip_suffix(".jseg") {
        Some(numbers) => (numbers, Stage::Sealed),
        None => (name.strip_suffix(".jseg.zst")?, Stage::Compressed),
    };
    let (first, last) = numbers.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?, stage))
}

/// Does one step. An error is the machine's.
pub fn step(machine: &Machine, log: &mut Log, step: &Step) -> Result<(), String> {
    match step {
        Step::Commit(payloads) => commit(log, payloads).map(|_| ()).map_err(|error| error.to_string()),
        Step::Seal if log.open_segment().frames == 0 => Ok(()),
        Step::Seal => log.seal().map(|_| ()).map_err(|error| error.to_string()),
        Step::Compress => match sealed(machine).iter().find(|(.., stage)| *stage == Stage::Sealed) {
            Some((first, last, _)) => {
                compress_segment(&machine.disk, *first, *last).map(|_| ()).map_err(|error| error.to_string())
            }
            None => Ok(()),
        },
        Step::Snapshot => take_snapshot(machine, log).map(|_| ()),
        Step::Drop => {
            let (found, newest) = (sealed(machine), snapshot::list(&machine.disk).unwrap_or_default().pop());
            match (found.first(), newest) {
                (Some((first, last, _)), Some(newest)) if *last <= newest && found.len() > 1 => {
                    remove_segment(&machine.disk, *first, *last).map_err(|error| error.to_string())
                }
                _ => Ok(()),
            }
        }
    }
}
