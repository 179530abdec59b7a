//! The evidence for one range: when it was read, which records found its entries, and what is still missing.
//!
//! Follows the records of one range exactly as the state does (`journal::state::tree`), but keeps record numbers where
//! the state keeps only sums. Memory: two bits per entry and at most [`BATCHES_LISTED_MAX`] batches; four more bytes
//! per entry if the deciding check of each object is requested.

use std::collections::{BTreeMap, BTreeSet};

use lakemirror_core::archived::{ARCHIVED, Archived};
use lakemirror_core::ids::RangeId;
use lakemirror_journal::bits::{BITS_MAX, Bits};
use lakemirror_journal::event::{ArchivedShownV1, ArrivalsCheckedV1, RangeReadV1, SourceProbedV1, WrongSizesGoneV1};
use lakemirror_journal::state::policy::{ArchivedRule, ImportsRule, Policy, SizeRule};
use lakemirror_journal::state::tree::{Completeness, FORBIDDEN, Range, WRONG_SIZE};

use super::graph::At;

/// Maximum number of batches of one range that are listed; further ones are counted.
pub const BATCHES_LISTED_MAX: usize = 32;

/// A record of checks that proved entries of the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// The record, and the time of its last answer.
    pub at: At,
    /// Number of entries that it proved and that were not proven before.
    pub proven: u32,
}

/// A record that found entries for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The record.
    pub at: At,
    /// The last of these entries.
    pub ordinal: u32,
    /// Number of these entries.
    pub count: u32,
}

/// How an entry was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// A check found it.
    Present,
    /// A check found it with another size, which the policy accepts or not.
    WrongSize,
    /// A check found it in an archive class, which the policy accepts or not.
    Archived,
    /// It has the same address in a range in which it was found.
    Inherited,
    /// It has a full address, and the policy does not check such entries.
    ImportIgnored,
    /// The source reported twice that it does not exist.
    Expired,
    /// By records that are not available; a snapshot contains their result.
    Snapshot,
}

/// A decision and the record that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// How.
    pub how: How,
    /// The record.
    pub at: At,
}

/// One range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeProof {
    /// Its id.
    pub id: RangeId,
    /// Its number of entries.
    pub entries: u32,
    /// When the file was read at the destination. If the snapshot has it as read: the time of the snapshot.
    pub read: Option<At>,
    /// Number of entries that are proven in the snapshot, if the journal begins with one.
    pub by_snapshot: Option<u32>,
    /// Number of entries with a full address.
    pub imports: u32,
    /// Number of entries inherited from other ranges when it was read.
    pub inherited: u32,
    /// These other ranges, with the record that read each of them.
    pub inherited_from: Vec<(RangeId, Option<u64>)>,
    /// The oldest check on which the proof rests, milliseconds since 1970; `u64::MAX` for none.
    pub oldest_ms: u64,
    /// Number of checks of its entries.
    pub checks: u64,
    /// Number of records with such checks.
    pub check_records: u64,
    /// The first and the last of these records.
    pub asked: Option<(At, At)>,
    /// The first batches that proved entries.
    pub batches: Vec<Batch>,
    /// Number of further batches.
    pub batches_more: u64,
    /// The last batch that proved entries.
    pub last_batch: Option<Batch>,
    /// The last arrival.
    pub last_arrival: Option<Arrival>,
    /// The last time that the checks so far were invalidated, and how often that happened.
    pub reopened: Option<(At, u32)>,
    /// Entries that were found with another size, and that size in bytes.
    pub wrong_size: BTreeMap<u32, u64>,
    /// Entries that were found in an archive class.
    pub archived: BTreeMap<u32, Archived>,
    /// Number of missing entries for which the store denied access at the last check.
    pub forbidden: u32,
    /// The source's answers about missing entries: the record, how many do not exist there, and how many do.
    pub probes: Vec<(At, u32, u32)>,
    /// Entries that are not proven yet, once the range was read.
    pub missing: Bits,
    /// Entries that the source reported twice as nonexistent.
    pub expired: Bits,
    gone_once: Bits,
    arrived: Bits,
    import_bits: Bits,
    /// By ordinal, the position of the decision in the list of decisions, from 1; empty unless requested.
    decided: Vec<u32>,
}

impl RangeProof {
    /// A range without evidence. With `each`, it has room for the deciding check of each entry.
    pub(super) fn new(id: RangeId, entries: u32, each: bool) -> Self {
        let entries = entries.min(BITS_MAX);
        let none = || Bits::none(entries);
        Self {
            id,
            entries,
            read: None,
            by_snapshot: None,
            imports: 0,
            inherited: 0,
            inherited_from: Vec::new(),
            oldest_ms: u64::MAX,
            checks: 0,
            check_records: 0,
            asked: None,
            batches: Vec::new(),
            batches_more: 0,
            last_batch: None,
            last_arrival: None,
            reopened: None,
            wrong_size: BTreeMap::new(),
            archived: BTreeMap::new(),
            forbidden: 0,
            probes: Vec::new(),
            missing: none(),
            expired: none(),
            gone_once: none(),
            arrived: none(),
            import_bits: none(),
            decided: if each { vec![0; entries as usize] } else { Vec::new() },
        }
    }

    /// How complete it is under this policy.
    #[must_use]
    pub fn completeness(&self, policy: &Policy) -> Completeness {
        let sizes_count = policy.size == SizeRule::Strict && !self.wrong_size.is_empty();
        let blocked = policy.imports == ImportsRule::Block && self.imports > 0;
        let archived = policy.archived == ArchivedRule::Block && self.archived.values().any(|one| !one.shown);
        match () {
            () if self.read.is_none() || sizes_count || archived || blocked || !self.missing.is_none() => {
                Completeness::Incomplete
            }
            () if self.expired.is_none() => Completeness::Complete,
            () => Completeness::CompleteExceptExpired,
        }
    }

    /// Number of entries that are not proven yet; all of them until the file was read.
    #[must_use]
    pub fn missing_count(&self) -> u32 {
        if self.read.is_some() { self.missing.count() } else { self.entries }
    }

    pub(super) fn take_read(
        &mut self,
        at: At,
        e: &RangeReadV1,
        from: Vec<(RangeId, Option<u64>)>,
        policy: &Policy,
        decisions: &mut Vec<Decision>,
    ) {
        let (Ok(imports), Ok(inherited)) = (e.imports.decode(), e.inherited.decode()) else { return };
        if e.entries > BITS_MAX {
            return;
        }
        // When the range is read again, earlier arrivals stay valid.
        let new = Self::new(self.id, e.entries, !self.decided.is_empty());
        let old = std::mem::replace(self, new);
        if old.arrived.len() == e.entries {
            (self.arrived, self.last_arrival) = (old.arrived, old.last_arrival);
        }
        (self.checks, self.check_records, self.asked) = (old.checks, old.check_records, old.asked);
        (self.read, self.oldest_ms, self.inherited_from) = (Some(at), e.at_ms.min(e.inherited_oldest_ms), from);
        (self.imports, self.inherited) = (imports.count(), inherited.count());
        self.missing = Bits::all(e.entries);
        if policy.imports == ImportsRule::Ignore {
            self.missing.subtract(&imports);
            self.decide(imports.iter(), How::ImportIgnored, at, decisions);
        }
        self.missing.subtract(&inherited);
        self.arrived.union(&inherited);
        self.decide(inherited.iter(), How::Inherited, at, decisions);
        self.import_bits = imports;
    }

    /// Starts with what a snapshot contains about the range.
    pub(super) fn take_snapshot(&mut self, at: At, found: &Range, decisions: &mut Vec<Decision>) {
        if !found.read || found.entries != self.entries {
            return;
        }
        (self.read, self.oldest_ms) = (Some(at), found.oldest_ms);
        if let Some(detail) = found.detail.as_deref() {
            let bits = |ordinals: &BTreeSet<u32>| Bits::from_ordinals(self.entries, ordinals.iter().copied());
            (self.expired, self.gone_once) = (bits(&detail.expired), bits(&detail.gone_once));
            (self.missing, self.wrong_size) = (detail.missing.clone(), detail.wrong_size.clone());
            (self.imports, self.import_bits) = (detail.imports.count(), detail.imports.clone());
            self.forbidden = detail.forbidden;
            self.archived = detail.archived.clone();
        }
        self.arrived = complement(&self.missing);
        self.arrived.subtract(&self.expired);
        self.by_snapshot = Some(self.arrived.count());
        let proven = self.arrived.clone();
        self.decide(proven.iter(), How::Snapshot, at, decisions);
        let expired = self.expired.clone();
        self.decide(expired.iter(), How::Expired, at, decisions);
    }

    fn decide(&mut self, ordinals: impl Iterator<Item = u32>, how: How, at: At, decisions: &mut Vec<Decision>) {
        if self.decided.is_empty() {
            return;
        }
        let place = place(decisions, Decision { how, at });
        for ordinal in ordinals {
            self.note(ordinal, place);
        }
    }

    fn note(&mut self, ordinal: u32, place: u32) {
        if let Some(slot) = self.decided.get_mut(ordinal as usize) {
            *slot = place;
        }
    }

    /// Whether the policy ignores the entry, so that no answer about it counts.
    fn is_ignored(&self, ordinal: u32, policy: &Policy) -> bool {
        policy.imports == ImportsRule::Ignore && self.import_bits.contains(ordinal)
    }

    pub(super) fn take_checks(
        &mut self,
        seq: u64,
        e: &ArrivalsCheckedV1,
        policy: &Policy,
        decisions: &mut Vec<Decision>,
    ) {
        let (Ok(asked), Ok(present)) = (e.asked.decode(), e.present.decode()) else { return };
        if self.read.is_none() {
            return;
        }
        let at = At { seq, at_ms: e.finished_ms };
        self.checks += u64::from(asked.count());
        self.check_records += 1;
        self.asked = Some((self.asked.map_or(at, |(first, _)| first), at));
        let each = !self.decided.is_empty();
        let there = if each { place(decisions, Decision { how: How::Present, at }) } else { 0 };
        let (mut proven, mut arrival) = (0, None);
        for (offset, rank) in asked.iter().zip(0u32..) {
            let ordinal = e.base.saturating_add(offset);
            if self.is_ignored(ordinal, policy) {
                continue;
            }
            self.wrong_size.remove(&ordinal);
            self.archived.remove(&ordinal);
            if present.contains(rank) {
                proven += u32::from(self.prove(ordinal, there));
                if self.arrived.insert(ordinal) {
                    let count = arrival.map_or(0, |arrival: Arrival| arrival.count) + 1;
                    arrival = Some(Arrival { at, ordinal, count });
                }
            } else if !self.expired.contains(ordinal) {
                self.missing.insert(ordinal);
                self.note(ordinal, 0);
            }
        }
        if !present.is_none() {
            self.oldest_ms = self.oldest_ms.min(e.started_ms);
        }
        self.take_exceptions(at, e, policy, decisions);
        self.last_arrival = arrival.or(self.last_arrival);
        self.list(Batch { at, proven });
    }

    /// Marks the entry as proven. Returns whether it was not proven before.
    fn prove(&mut self, ordinal: u32, place: u32) -> bool {
        let new = self.missing.remove(ordinal) | self.expired.remove(ordinal);
        self.gone_once.remove(ordinal);
        let first = self.decided.get(ordinal as usize).is_some_and(|decided| *decided == 0);
        if new || first {
            self.note(ordinal, place);
        }
        new
    }

    fn take_exceptions(&mut self, at: At, e: &ArrivalsCheckedV1, policy: &Policy, decisions: &mut Vec<Decision>) {
        self.forbidden = 0;
        for exception in &e.exceptions {
            self.forbidden += u32::from(exception.code == FORBIDDEN);
            if matches!(exception.code, WRONG_SIZE | ARCHIVED) {
                self.oldest_ms = self.oldest_ms.min(e.started_ms);
                if self.is_ignored(exception.ordinal, policy) {
                    continue;
                }
                self.missing.remove(exception.ordinal);
                self.gone_once.remove(exception.ordinal);
                self.expired.remove(exception.ordinal);
                let how = if exception.code == WRONG_SIZE {
                    self.wrong_size.insert(exception.ordinal, exception.found);
                    How::WrongSize
                } else {
                    self.archived.insert(exception.ordinal, Archived::found(exception.found));
                    How::Archived
                };
                self.decide(std::iter::once(exception.ordinal), how, at, decisions);
            }
        }
    }

    fn list(&mut self, batch: Batch) {
        if batch.proven == 0 {
            return;
        }
        self.last_batch = Some(batch);
        if self.batches.len() < BATCHES_LISTED_MAX {
            self.batches.push(batch);
        } else {
            self.batches_more += 1;
        }
    }

    pub(super) fn take_probe(&mut self, at: At, e: &SourceProbedV1, decisions: &mut Vec<Decision>) {
        let count = |list: &Vec<u32>| u32::try_from(list.len()).unwrap_or(u32::MAX);
        if self.probes.len() < BATCHES_LISTED_MAX {
            self.probes.push((at, count(&e.gone), count(&e.there)));
        }
        for ordinal in &e.there {
            self.gone_once.remove(*ordinal);
        }
        for ordinal in e.gone.iter().copied() {
            if self.missing.contains(ordinal) && !self.gone_once.insert(ordinal) {
                self.gone_once.remove(ordinal);
                self.missing.remove(ordinal);
                self.expired.insert(ordinal);
                self.decide(std::iter::once(ordinal), How::Expired, at, decisions);
            }
        }
    }

    /// The mirror already shows the archived entries, so they do not block anything.
    pub(super) fn take_archived_shown(&mut self, e: &ArchivedShownV1) {
        for ordinal in &e.ordinals {
            if let Some(archived) = self.archived.get_mut(ordinal) {
                archived.shown = true;
            }
        }
    }

    /// Processes the source's answers about entries with another size or in an archive class.
    pub(super) fn take_wrong_sizes_gone(&mut self, at: At, e: &WrongSizesGoneV1, decisions: &mut Vec<Decision>) {
        let unfit = |ordinal: &&u32| self.wrong_size.contains_key(ordinal) || self.archived.contains_key(ordinal);
        for ordinal in e.once.iter().filter(unfit) {
            self.gone_once.insert(*ordinal);
        }
        for ordinal in &e.twice {
            if self.wrong_size.remove(ordinal).is_some() | self.archived.remove(ordinal).is_some() {
                self.gone_once.remove(*ordinal);
                self.expired.insert(*ordinal);
                self.decide(std::iter::once(*ordinal), How::Expired, at, decisions);
            }
        }
    }

    pub(super) fn take_reopening(&mut self, at: At, policy: &Policy, decisions: &mut Vec<Decision>) {
        let Some(read) = self.read else { return };
        self.missing = Bits::all(self.entries);
        (self.expired, self.gone_once) = (Bits::none(self.entries), Bits::none(self.entries));
        self.wrong_size.clear();
        self.archived.clear();
        (self.oldest_ms, self.forbidden) = (u64::MAX, 0);
        (self.batches, self.batches_more, self.last_batch) = (Vec::new(), 0, None);
        self.decided.fill(0);
        self.reopened = Some((at, self.reopened.map_or(0, |(_, times)| times) + 1));
        if policy.imports == ImportsRule::Ignore {
            self.missing.subtract(&self.import_bits);
            let imports = self.import_bits.clone();
            self.decide(imports.iter(), How::ImportIgnored, read, decisions);
        }
    }

    /// Processes a changed policy for entries with a full address, as the state does.
    pub(super) fn take_policy(&mut self, at: At, old: &Policy, new: &Policy, decisions: &mut Vec<Decision>) {
        if self.read.is_none() || old.imports == new.imports {
            return;
        }
        let imports = std::mem::replace(&mut self.import_bits, Bits::none(0));
        for ordinal in imports.iter() {
            let open = self.missing.remove(ordinal)
                | self.wrong_size.remove(&ordinal).is_some()
                | self.archived.remove(&ordinal).is_some()
                | self.expired.remove(ordinal);
            self.gone_once.remove(ordinal);
            if new.imports == ImportsRule::Ignore {
                let ignored = open.then_some(ordinal);
                self.decide(ignored.into_iter(), How::ImportIgnored, at, decisions);
            } else {
                self.missing.insert(ordinal);
                self.note(ordinal, 0);
            }
        }
        self.import_bits = imports;
    }

    /// Runs of entries with the same decision, in order; `None` for entries without a decision.
    pub(super) fn runs<'a>(&'a self, decisions: &'a [Decision]) -> impl Iterator<Item = (u32, u32, Option<Decision>)> {
        let chunks = self.decided.chunk_by(|a, b| a == b);
        chunks.scan(0u32, |next, chunk| {
            let first = *next;
            *next = first.saturating_add(u32::try_from(chunk.len()).unwrap_or(u32::MAX));
            let place = chunk.first().copied().unwrap_or_default();
            let decision = place.checked_sub(1).and_then(|at| decisions.get(at as usize)).copied();
            Some((first, next.saturating_sub(1), decision))
        })
    }
}

/// The position of the decision in the list, from 1.
fn place(decisions: &mut Vec<Decision>, decision: Decision) -> u32 {
    if decisions.last() != Some(&decision) {
        decisions.push(decision);
    }
    u32::try_from(decisions.len()).unwrap_or(u32::MAX)
}

fn complement(bits: &Bits) -> Bits {
    let mut all = Bits::all(bits.len());
    all.subtract(bits);
    all
}

#[cfg(test)]
mod tests;
