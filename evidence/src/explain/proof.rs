//! The second pass over a journal: collects the evidence for a set of ranges, up to the record on which a decision
//! could rest.
//!
//! Passes each record to the range that it concerns, under the policy that was in force at that record. Memory: that of
//! the ranges ([`super::range`]), and 40 bytes for each range of the mirror that was read.

use std::collections::BTreeMap;

use lakemirror_core::ids::{Incarnation, RangeId};
use lakemirror_journal::event::Event;
use lakemirror_journal::log::{FrameInfo, RawRecord, Replay, ReplayRefused, SnapshotHeader};
use lakemirror_journal::state::policy::Policy;
use lakemirror_journal::state::transition::Change;

use super::graph::At;
use super::range::{Decision, RangeProof};
use crate::begin::restored;
use crate::{EvidenceError, Source, decode};

/// The evidence for a set of ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// In the requested order.
    pub ranges: Vec<RangeProof>,
    /// The policy at the end.
    pub policy: Policy,
    pub(super) decisions: Vec<Decision>,
}

/// Which evidence is requested.
pub(super) struct Wanted<'a> {
    pub(super) mirror: Incarnation,
    pub(super) ranges: &'a [(RangeId, u32)],
    /// The last record that is considered.
    pub(super) until: u64,
    /// Whether to collect the deciding check of each entry.
    pub(super) each: bool,
}

/// Collects the evidence.
pub(super) fn prove(source: &Source, wanted: &Wanted<'_>) -> Result<Proof, EvidenceError> {
    let ranges: Vec<RangeProof> =
        wanted.ranges.iter().map(|(id, entries)| RangeProof::new(*id, *entries, wanted.each)).collect();
    let index = ranges.iter().zip(0usize..).map(|(range, at)| (range.id, at)).collect();
    let proof = Proof { ranges, policy: Policy::default(), decisions: Vec::new() };
    let mut follow = Follow { mirror: wanted.mirror, until: wanted.until, index, reads: BTreeMap::new(), proof };
    source.read(&mut follow)?;
    Ok(follow.proof)
}

/// Record kinds that concern evidence, and the kind that sets the policy.
const POLICY_KIND: u16 = 2;
const EVIDENCE_KINDS: std::ops::RangeInclusive<u16> = 50..=54;

struct Follow {
    mirror: Incarnation,
    until: u64,
    index: BTreeMap<RangeId, usize>,
    reads: BTreeMap<RangeId, u64>,
    proof: Proof,
}

impl Replay for Follow {
    fn record(&mut self, seq: u64, record: RawRecord<'_>, _: &FrameInfo) -> Result<(), ReplayRefused> {
        if seq > self.until {
            return Err(ReplayRefused::stop());
        }
        if record.kind != POLICY_KIND && !EVIDENCE_KINDS.contains(&record.kind) {
            return Ok(());
        }
        let event = decode(&record)?;
        if event.mirror().is_none_or(|mirror| mirror == self.mirror) {
            self.apply(seq, &event);
        }
        Ok(())
    }

    fn restore(&mut self, snapshot: &SnapshotHeader, image: &[u8]) -> Result<(), ReplayRefused> {
        let state = restored(snapshot, image)?;
        let Proof { ranges, policy, decisions } = &mut self.proof;
        *policy = state.policy.clone();
        let Some(mirror) = state.mirror(&self.mirror) else { return Ok(()) };
        let at = At { seq: 0, at_ms: snapshot.wall_ms };
        for range in ranges {
            if let Some(found) = mirror.trees.range(&range.id) {
                range.take_snapshot(at, found, decisions);
            }
        }
        Ok(())
    }
}

impl Follow {
    fn apply(&mut self, seq: u64, event: &Event) {
        match event.change() {
            Change::PolicySet(policy) => self.set_policy(seq, policy),
            Change::ArchivedShown(e) => self.change(e.range, |range, _, _| range.take_archived_shown(e)),
            Change::RangeRead(e) => {
                self.reads.entry(e.range).or_insert(seq);
                let from = || e.inherited_from.iter().map(|id| (*id, self.reads.get(id).copied())).collect();
                let from: Vec<_> = from();
                let at = At { seq, at_ms: e.at_ms };
                self.change(e.range, |range, policy, decisions| range.take_read(at, e, from, policy, decisions));
            }
            Change::ArrivalsChecked(e) => {
                self.change(e.range, |range, policy, decisions| range.take_checks(seq, e, policy, decisions));
            }
            Change::SourceProbed(e) => {
                let at = At { seq, at_ms: e.at_ms };
                self.change(e.range, |range, _, decisions| range.take_probe(at, e, decisions));
            }
            Change::WrongSizesGone(e) => {
                let at = At { seq, at_ms: e.at_ms };
                self.change(e.range, |range, _, decisions| range.take_wrong_sizes_gone(at, e, decisions));
            }
            Change::RangesReopened(e) => {
                let at = At { seq, at_ms: e.at_ms };
                for id in &e.ranges {
                    self.change(*id, |range, policy, decisions| range.take_reopening(at, policy, decisions));
                }
            }
            _ => {}
        }
    }

    fn change(&mut self, id: RangeId, with: impl FnOnce(&mut RangeProof, &Policy, &mut Vec<Decision>)) {
        let Proof { ranges, policy, decisions } = &mut self.proof;
        if let Some(range) = self.index.get(&id).and_then(|at| ranges.get_mut(*at)) {
            with(range, policy, decisions);
        }
    }

    fn set_policy(&mut self, seq: u64, new: Policy) {
        let Proof { ranges, policy, decisions } = &mut self.proof;
        let old = std::mem::replace(policy, new);
        // The event has no time of its own.
        let at = At { seq, at_ms: 0 };
        ranges.iter_mut().for_each(|range| range.take_policy(at, &old, policy, decisions));
    }
}
