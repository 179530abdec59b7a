//! Finds where two journals diverge: frame by frame along both chains, then record by record, and finally by their
//! states.
//!
//! Each journal is read by its own thread, and the two streams are compared as they arrive. Memory is bounded: the
//! digests of a limited number of frames, and two states. Because frames are chained, no frame after the first
//! different one can be equal. Records can be, if one journal was rewritten from the other's records.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use lakemirror_core::ids::{CommitId, Incarnation};
use lakemirror_journal::codec;
use lakemirror_journal::log::{FrameInfo, RawRecord, Replay, ReplayRefused, ScanReport};
use lakemirror_journal::state::State;
use sha2::{Digest, Sha256};

use super::begin::at_end;
use super::{EvidenceError, Source};

/// How many frames one thread may read ahead of the comparison.
const FRAMES_AHEAD_MAX: usize = 64;

/// What two journals have in common, and where they differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// The ends of the two journals.
    pub ends: [ScanReport; 2],
    /// Number of equal frames, counted from the start.
    pub frames_same: u64,
    /// The last record of the equal frames.
    pub frames_same_to: u64,
    /// The first record number at which both journals have a record and the contents differ.
    pub record_differs: Option<u64>,
    /// Branches that point to different commits at the ends. `None` if a journal has neither its first records nor a
    /// snapshot.
    pub branches: Option<Vec<BranchDiff>>,
}

/// A branch that differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BranchDiff {
    /// Which mirror.
    pub mirror: Incarnation,
    /// Its name.
    pub name: String,
    /// Which branch.
    pub branch: String,
    /// The branch in each journal; `None` if the journal has no such branch.
    pub stands: [Option<Stands>; 2],
}

/// The commits of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stands {
    /// The last head observed at the source.
    pub source: CommitId,
    /// The commit that the mirror shows.
    pub mirror: Option<CommitId>,
}

impl Diff {
    /// Whether both journals have the same id and the same records.
    #[must_use]
    pub fn is_same(&self) -> bool {
        let [a, b] = &self.ends;
        a.uuid == b.uuid && a.end == b.end && self.record_differs.is_none()
    }

    /// Whether the shorter journal is a prefix of the longer one.
    #[must_use]
    pub fn is_prefix(&self) -> bool {
        let [a, b] = &self.ends;
        a.uuid == b.uuid && self.frames_same_to == a.end.last_seq.min(b.end.last_seq)
    }
}

/// Compares the journals in `a` and `b`.
///
/// # Errors
/// As for every read; the message names the journal's directory.
pub fn diff(a: &Source, b: &Source) -> Result<Diff, EvidenceError> {
    let (send_a, from_a) = sync_channel(FRAMES_AHEAD_MAX);
    let (send_b, from_b) = sync_channel(FRAMES_AHEAD_MAX);
    let (common, read_a, read_b) = std::thread::scope(|scope| {
        let read_a = scope.spawn(|| read(a, send_a));
        let read_b = scope.spawn(|| read(b, send_b));
        (compare(Side::new(from_a), Side::new(from_b)), read_a.join(), read_b.join())
    });
    // A panic there is a bug, and its message was already printed.
    let ended = || EvidenceError::NotSeen("one of the journals was not read to its end".to_owned());
    let (scan_a, state_a) = read_a.map_err(|_| ended())??;
    let (scan_b, state_b) = read_b.map_err(|_| ended())??;
    let Common { frames_same, frames_same_to, record_differs, .. } = common;
    let ends = (end_of(a, &scan_a, state_a)?, end_of(b, &scan_b, state_b)?);
    let branches = match &ends {
        (Some(state_a), Some(state_b)) => Some(differing_branches(state_a, state_b)),
        _ => None,
    };
    Ok(Diff { ends: [scan_a, scan_b], frames_same, frames_same_to, record_differs, branches })
}

/// The state at a journal's end: the replayed state if every record was replayed, otherwise computed from a snapshot.
fn end_of(source: &Source, scan: &ScanReport, replayed: State) -> Result<Option<State>, EvidenceError> {
    if scan.proven_from <= 1 { Ok(Some(replayed)) } else { at_end(source) }
}

/// A frame and the digests of its records.
struct Seen {
    frame: FrameInfo,
    records: VecDeque<[u8; 32]>,
}

fn read(source: &Source, send: SyncSender<Seen>) -> Result<(ScanReport, State), EvidenceError> {
    let mut sender = Teller { send, records: VecDeque::new(), state: State::default() };
    let scan = source.read_oldest(&mut sender)?;
    Ok((scan, sender.state))
}

struct Teller {
    send: SyncSender<Seen>,
    records: VecDeque<[u8; 32]>,
    state: State,
}

impl Replay for Teller {
    fn record(&mut self, seq: u64, record: RawRecord<'_>, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        let mut digest = Sha256::new();
        digest.update(record.kind.to_le_bytes());
        digest.update(record.version.to_le_bytes());
        digest.update(record.payload);
        self.records.push_back(digest.finalize().into());
        // A kind that only a later version knows can be compared, but its effect on branches is unknown.
        if let Ok(event) = codec::decode(record.kind, record.version, record.payload) {
            self.state.apply(&event);
        }
        if seq == frame.last_seq {
            // The receiver is closed only if the comparing thread has panicked.
            let _ = self.send.send(Seen { frame: *frame, records: std::mem::take(&mut self.records) });
        }
        Ok(())
    }
}

/// The stream of frames of one journal.
struct Side {
    frames: Receiver<Seen>,
    records: VecDeque<[u8; 32]>,
}

impl Side {
    fn new(frames: Receiver<Seen>) -> Self {
        Self { frames, records: VecDeque::new() }
    }

    /// Reads the next frame and makes its records available.
    fn frame(&mut self) -> Option<FrameInfo> {
        let Seen { frame, records } = self.frames.recv().ok()?;
        self.records.extend(records);
        Some(frame)
    }

    /// Reads the next frame and discards the records before it.
    fn skip(&mut self) -> Option<FrameInfo> {
        self.records.clear();
        self.frame()
    }

    fn record(&mut self) -> Option<[u8; 32]> {
        while self.records.is_empty() {
            self.frame()?;
        }
        self.records.pop_front()
    }

    /// Reads to the end, so that the sending thread can finish.
    fn drain(self) {
        self.frames.iter().for_each(drop);
    }
}

#[derive(Default)]
struct Common {
    frames_same: u64,
    frames_same_to: u64,
    record_differs: Option<u64>,
    /// The record before the first one that both journals have; 0 if that is record 1.
    seq_before: u64,
}

fn compare(mut a: Side, mut b: Side) -> Common {
    let mut common = Common::default();
    let (mut next_a, mut next_b) = (a.frame(), b.frame());
    while let (Some(left), Some(right)) = (next_a, next_b) {
        // Frames that only one journal still has cannot be compared.
        if left.first_seq != right.first_seq && common.frames_same == 0 {
            match left.first_seq < right.first_seq {
                true => next_a = a.skip(),
                false => next_b = b.skip(),
            }
            common.seq_before = left.first_seq.max(right.first_seq).saturating_sub(1);
            continue;
        }
        if left.hash != right.hash {
            break;
        }
        common.frames_same += 1;
        common.frames_same_to = left.last_seq;
        (next_a, next_b) = (a.skip(), b.skip());
    }
    let mut seq = common.frames_same_to.max(common.seq_before);
    while let (Some(left), Some(right)) = (a.record(), b.record()) {
        seq += 1;
        if left != right {
            common.record_differs = Some(seq);
            break;
        }
    }
    a.drain();
    b.drain();
    common
}

fn differing_branches(a: &State, b: &State) -> Vec<BranchDiff> {
    let mut found = Vec::new();
    for (here, there, swap) in [(a, b, false), (b, a, true)] {
        for (id, mirror) in &here.mirrors {
            for name in mirror.branches.keys() {
                let (mine, others) = (stands(here, id, name), stands(there, id, name));
                // A branch that both journals have was found in the first round.
                if mine == others || swap && others.is_some() {
                    continue;
                }
                let stands = if swap { [others, mine] } else { [mine, others] };
                found.push(BranchDiff {
                    mirror: *id,
                    name: mirror.definition.name.clone(),
                    branch: name.clone(),
                    stands,
                });
            }
        }
    }
    found.sort();
    found
}

fn stands(state: &State, mirror: &Incarnation, branch: &str) -> Option<Stands> {
    let branch = state.mirror(mirror)?.branches.get(branch)?;
    Some(Stands { source: branch.head, mirror: branch.mirror })
}
