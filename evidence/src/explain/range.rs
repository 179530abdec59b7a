//! What proves one range: when it was read, which records saw its entries arrive, and what is missing still.
//!
//! Owns following the records of one range exactly as the state does (`journal::state::tree`), with their numbers kept
//! where the state keeps only the sums. Memory: two bits an entry, and at most [`BATCHES_LISTED_MAX`] batches; four
//! bytes more an entry while each object's deciding check is asked for.

use std::collections::{BTreeMap, BTreeSet};

use lakemirror_core::archived::{ARCHIVED, Archived};
use lakemirror_core::ids::RangeId;
use lakemirror_journal::bits::{BITS_MAX, Bits};
use lakemirror_journal::event::{ArchivedShownV1, ArrivalsCheckedV1, RangeReadV1, SourceProbedV1, WrongSizesGoneV1};
use lakemirror_journal::state::policy::{ArchivedRule, ImportsRule, Policy, SizeRule};
use lakemirror_journal::state::tree::{Completeness, FORBIDDEN, Range, WRONG_SIZE};

use super::graph::At;

/// Batches of one range that are kept one by one; the others are counted.
pub const BATCHES_LISTED_MAX: usize = 32;

/// A record of checks that proved entries of the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// The record, and when its last answer came.
    pub at: At,
    /// How many entries it found there that were not proven before.
    pub proven: u32,
}

/// Entries that were there for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The record that saw them first.
    pub at: At,
    /// The last of them.
    pub ordinal: u32,
    /// How many it saw first.
    pub count: u32,
}

/// What decided about one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// A check found it there.
    Present,
    /// A check found it there with another size, which the rules let pass or not.
    WrongSize,
    /// A check found it there in an archive class, which the rules let pass or not.
    Archived,
    /// It stands with the same address in a range where it was found there.
    Inherited,
    /// An entry with a full address, which the rules do not look for.
    ImportIgnored,
    /// The source said twice that it is gone.
    Expired,
    /// Records that are not at hand: a snapshot has what they came to.
    Snapshot,
}

/// What decided, and by which record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// What.
    pub how: How,
    /// The record.
    pub at: At,
}

/// One range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeProof {
    /// Its id.
    pub id: RangeId,
    /// Its entries.
    pub entries: u32,
    /// When the file itself was read at the destination; of one that a snapshot has as read, the time of the snapshot.
    pub read: Option<At>,
    /// Entries that a snapshot has as proven, where it begins with one.
    pub by_snapshot: Option<u32>,
    /// Entries with a full address.
    pub imports: u32,
    /// Entries inherited from other ranges when it was read.
    pub inherited: u32,
    /// These ranges, with the record that read each.
    pub inherited_from: Vec<(RangeId, Option<u64>)>,
    /// The oldest check that the proof rests on, milliseconds since 1970; `u64::MAX` for none.
    pub oldest_ms: u64,
    /// Checks of it, and how many records hold them.
    pub checks: u64,
    /// Records of checks.
    pub check_records: u64,
    /// The first and the last record of checks.
    pub asked: Option<(At, At)>,
    /// The first batches that proved entries.
    pub batches: Vec<Batch>,
    /// How many more did.
    pub batches_more: u64,
    /// The last batch that proved entries.
    pub last_batch: Option<Batch>,
    /// The last arrival.
    pub last_arrival: Option<Arrival>,
    /// The last time that the checks so far were made not to count, and how often that was.
    pub reopened: Option<(At, u32)>,
    /// Entries found with another size, and that size in bytes.
    pub wrong_size: BTreeMap<u32, u64>,
    /// Entries found in an archive class.
    pub archived: BTreeMap<u32, Archived>,
    /// Missing entries that the store refused to speak of at the last check.
    pub forbidden: u32,
    /// Records of the source's answers about missing entries: how many it said are gone, and are there.
    pub probes: Vec<(At, u32, u32)>,
    /// Entries not there yet, once it was read.
    pub missing: Bits,
    /// Entries that the source said are gone, twice.
    pub expired: Bits,
    gone_once: Bits,
    arrived: Bits,
    import_bits: Bits,
    /// By ordinal, the place of its decision in the list of all, from 1; empty unless asked for.
    decided: Vec<u32>,
}

impl RangeProof {
    /// A range that nothing is known of; with room for each entry's deciding check, if that is wanted.
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

    /// How far it is proven under these rules.
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

    /// How many entries are not there yet; all of them before the file was read.
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
        // Read again, what was seen to arrive before stays seen.
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

    /// Begins with what a snapshot has of the range.
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

    /// Whether nothing that is found or said of the entry counts.
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

    /// Whether it was not proven before.
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

    /// The mirror shows archived entries: they keep nothing back.
    pub(super) fn take_archived_shown(&mut self, e: &ArchivedShownV1) {
        for ordinal in &e.ordinals {
            if let Some(archived) = self.archived.get_mut(ordinal) {
                archived.shown = true;
            }
        }
    }

    /// What the source said of entries with another size, or in an archive class.
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

    /// Other rules for entries with a full address, as the state takes them.
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

    /// Runs of entries that one record decided about, in order; none for entries that nothing decided about yet.
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

/// The decision's place in the list, from 1.
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
