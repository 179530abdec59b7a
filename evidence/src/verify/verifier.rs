//! The consumer that verifies: compares frames with anchors and snapshots and, if it replays, records with frames,
//! checkpoints and snapshots.
//!
//! `verify` decides the verdict. Without replay, only records about the journal's own files are decoded, so that frames
//! are read as fast as they can be hashed.

use std::collections::BTreeMap;

use lakemirror_journal::codec;
use lakemirror_journal::log::{FrameHash, FrameInfo, RawRecord, Replay, ReplayRefused, SnapshotHeader};
use lakemirror_journal::state::image;
use lakemirror_journal::state::transition::Change;
use lakemirror_journal::state::{State, checks_of};

use super::snapshots::SnapshotSeen;
use super::{Deep, Problems, Proven, Request};
use crate::begin::restored;
use crate::decode;

/// Kinds of records about the journal's own files.
const UPKEEP_KINDS: std::ops::RangeInclusive<u16> = 4..=9;

/// The findings.
pub(super) struct Verifier {
    deep: bool,
    /// The result of replaying.
    pub(super) replayed: Deep,
    /// The state, if it is replayed. If not all records are decoded, only its lifecycle is valid. `None` if the first
    /// record is not available and no snapshot was restored.
    pub(super) state: Option<State>,
    /// Anchors that were not found yet.
    pub(super) open: BTreeMap<u64, Vec<FrameHash>>,
    pub(super) anchors_found: usize,
    pub(super) proven: Proven,
    /// Hash of the frame before the first one that was read.
    pub(super) before: FrameHash,
    pub(super) snapshots: BTreeMap<u64, SnapshotSeen>,
    pub(super) problems: Problems,
    /// Number of checks in the current frame.
    frame_checks: u64,
    first: bool,
}

impl Verifier {
    pub(super) fn new(request: &Request, snapshots: BTreeMap<u64, SnapshotSeen>) -> Self {
        let mut open: BTreeMap<u64, Vec<FrameHash>> = BTreeMap::new();
        for anchor in &request.anchors {
            open.entry(anchor.seq).or_default().push(anchor.hash);
        }
        Self {
            deep: request.deep,
            replayed: Deep::default(),
            state: None,
            open,
            anchors_found: 0,
            proven: Proven::default(),
            before: FrameHash::default(),
            snapshots,
            problems: Problems::default(),
            frame_checks: 0,
            first: true,
        }
    }

    /// Whether every record was replayed, from the first one.
    pub(super) fn is_replaying(&self) -> bool {
        self.deep && self.state.is_some()
    }

    fn begin(&mut self, frame: &FrameInfo) {
        if !std::mem::take(&mut self.first) {
            return;
        }
        self.before = frame.prev_hash;
        // A later start needs a snapshot to have a state.
        if frame.first_seq == 1 {
            self.state = Some(State::default());
        }
    }

    fn look_into(&mut self, record: &RawRecord<'_>) -> Result<(), ReplayRefused> {
        let Some(state) = &mut self.state else { return Ok(()) };
        if !self.deep {
            let upkeep = UPKEEP_KINDS.contains(&record.kind);
            let event = upkeep.then(|| codec::decode(record.kind, record.version, record.payload));
            if let Some(Ok(event)) = event {
                state.apply(&event);
            }
            return Ok(());
        }
        let event = decode(record)?;
        if let Change::ArrivalsChecked(batch) = event.change() {
            let checks = checks_of(batch);
            self.replayed.checks += checks;
            self.frame_checks += checks;
        }
        state.apply(&event);
        self.replayed.records += 1;
        self.replayed.ignored_events = state.ignored_events;
        Ok(())
    }

    fn end_frame(&mut self, frame: &FrameInfo) {
        self.compare_checks(frame);
        let proven = &mut self.proven;
        if proven.frames == 0 {
            (proven.first_seq, proven.first_ms) = (frame.first_seq, frame.wall_ms);
        }
        proven.clock_back += u64::from(proven.frames > 0 && frame.wall_ms < proven.last_ms);
        (proven.last_seq, proven.hash, proven.checks) = (frame.last_seq, frame.hash, frame.checks_total);
        proven.last_ms = frame.wall_ms;
        proven.frames += 1;
        proven.bytes += u64::from(frame.bytes);
        self.compare_snapshots(frame);
        self.compare_anchors(frame);
    }

    fn compare_checks(&mut self, frame: &FrameInfo) {
        let counted = std::mem::take(&mut self.frame_checks);
        let said = frame.checks_total.saturating_sub(self.proven.checks);
        if self.is_replaying() && counted != said {
            let FrameInfo { first_seq, last_seq, .. } = frame;
            self.problems.add(format!(
                "the frame of records {first_seq} to {last_seq} says that it adds {said} checks, and its records hold {counted}"
            ));
        }
    }

    fn compare_snapshots(&mut self, frame: &FrameInfo) {
        let from = if self.proven.frames == 1 { frame.first_seq.saturating_sub(1) } else { frame.first_seq };
        for (seq, seen) in self.snapshots.range_mut(from..=frame.last_seq) {
            seen.meet(frame);
            if let Some(state) = self.state.as_ref().filter(|_| self.deep && *seq == frame.last_seq) {
                seen.compare(image::digest(state).ok());
            }
        }
    }

    /// A head is always the end of a frame, so an anchor inside a frame can never match.
    fn compare_anchors(&mut self, frame: &FrameInfo) {
        let later = self.open.split_off(&frame.last_seq.saturating_add(1));
        for (seq, hashes) in std::mem::replace(&mut self.open, later) {
            for hash in hashes {
                self.compare_anchor(seq, &hash, frame);
            }
        }
    }

    fn compare_anchor(&mut self, seq: u64, hash: &FrameHash, frame: &FrameInfo) {
        let FrameInfo { first_seq, last_seq, .. } = *frame;
        let here = match seq {
            _ if seq == last_seq => Some(frame.hash),
            // The first frame that is read names the one before it; the first frame of the journal, the journal's id.
            _ if seq.checked_add(1) == Some(first_seq) => Some(frame.prev_hash),
            _ => None,
        };
        match here {
            Some(here) if here == *hash => self.anchors_found += 1,
            Some(here) => self.problems.add(format!(
                "the anchor at record {seq} is {}, and the journal has {} there: it was rewritten since the anchor was published",
                hex::encode(hash),
                hex::encode(here)
            )),
            None if seq < first_seq => self.problems.add(format!(
                "the anchor at record {seq} is before record {first_seq}, with which what is at hand begins: add the archive that has it"
            )),
            None => self.problems.add(format!(
                "the anchor at record {seq} is inside the frame of records {first_seq} to {last_seq}: no head can be there, so this is another journal or it was rewritten"
            )),
        }
    }
}

impl Replay for Verifier {
    fn record(&mut self, seq: u64, record: RawRecord<'_>, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        self.look_into(&record)?;
        if seq == frame.last_seq {
            self.end_frame(frame);
        }
        Ok(())
    }

    fn frame(&mut self, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        self.begin(frame);
        if self.state.is_none() {
            self.end_frame(frame);
        }
        Ok(())
    }

    /// Compares the digest of the frame with the state that its records lead to.
    fn checkpoint(&mut self, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        let Some(state) = self.state.as_ref().filter(|_| self.deep) else { return Ok(()) };
        let mark = image::digest(state).map(|digest| image::mark(&digest));
        if !mark.is_ok_and(|mark| mark == frame.state_digest) {
            self.problems.add(format!(
                "the state after record {} is not the one that the frame's digest says was live: memory or this version of lakemirror is at fault",
                frame.last_seq
            ));
        }
        self.replayed.checkpoints += 1;
        Ok(())
    }

    fn wants_records(&self) -> bool {
        self.state.is_some()
    }

    fn restore(&mut self, snapshot: &SnapshotHeader, image: &[u8]) -> Result<(), ReplayRefused> {
        self.state = Some(restored(snapshot, image)?);
        self.proven.checks = snapshot.checks_total;
        self.replayed.from = snapshot.seq.saturating_add(1);
        Ok(())
    }
}
