//! Trees of commits as far as they are proven: metaranges, ranges, and which entries are still missing.
//!
//! A range is immutable and content-addressed, so an ordinal in it names one object for ever and a proof is shared by
//! every commit that has the range. Only what is not yet there costs memory: a range that is whole is a few dozen
//! bytes. Owns counting; what to do about a missing object is decided elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use crate::bits::{BITS_MAX, Bits};
use crate::event::{
    ArchivedShownV1, ArrivalsCheckedV1, MetarangeReadV1, RangeReadV1, SourceProbedV1, WrongSizesGoneV1,
};
use crate::ids::{CommitId, MetarangeId, RangeId};
use crate::state::archived::{ARCHIVED, Archived};
use crate::state::policy::{ArchivedRule, ImportsRule, Policy, SizeRule};

/// How far a range or a tree is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Completeness {
    /// Something is missing, or was never looked for.
    Incomplete,
    /// All is there but for objects that are gone at the source as well: enough for an ancestor.
    CompleteExceptExpired,
    /// All is there.
    Complete,
}

/// What is known of the entries of a range that is not simply whole.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct RangeDetail {
    /// Entries that were not yet seen at the destination.
    pub missing: Bits,
    /// Entries with a full address.
    pub imports: Bits,
    /// Entries found with another size, and that size in bytes.
    #[rkyv(with = rkyv::with::AsVec)]
    pub wrong_size: BTreeMap<u32, u64>,
    /// Entries found in an archive class. Not in the state image's struct: an entry of its own has them.
    #[rkyv(with = rkyv::with::Skip)]
    pub archived: BTreeMap<u32, Archived>,
    /// Entries that are missing, or there but of no use, and that the source said are gone, once.
    #[rkyv(with = rkyv::with::AsVec)]
    pub gone_once: BTreeSet<u32>,
    /// Entries that were so when the source said it twice: expired.
    #[rkyv(with = rkyv::with::AsVec)]
    pub expired: BTreeSet<u32>,
    /// Missing entries that the store refused to speak of at the last check.
    pub forbidden: u32,
}

/// A range file and the proof of its entries.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Range {
    /// Its id.
    pub id: RangeId,
    /// How many entries it has.
    pub entries: u32,
    /// Whether the file itself was read at the destination.
    pub read: bool,
    /// How far it is proven.
    pub completeness: Completeness,
    /// The oldest check that its proof rests on, milliseconds since 1970; `u64::MAX` while there is none.
    pub oldest_ms: u64,
    /// When it was last asked about, milliseconds since 1970; 0 for never.
    pub checked_ms: u64,
    /// What is open about it; `None` while nothing was ever open, and once it is whole.
    pub detail: Option<Box<RangeDetail>>,
    /// The resident metaranges that list it.
    pub users: Vec<MetarangeId>,
}

impl Range {
    fn new(id: RangeId, entries: u32) -> Self {
        let (completeness, oldest_ms) = (Completeness::Incomplete, u64::MAX);
        Self { id, entries, read: false, completeness, oldest_ms, checked_ms: 0, detail: None, users: Vec::new() }
    }

    /// How many entries are not there yet (all of them before the file was read).
    #[must_use]
    pub fn missing_count(&self) -> u32 {
        match &self.detail {
            Some(detail) => detail.missing.count(),
            None if self.completeness == Completeness::Incomplete => self.entries,
            None => 0,
        }
    }

    /// The entries not there yet, once the file was read.
    #[must_use]
    pub fn missing(&self) -> Option<&Bits> {
        self.detail.as_deref().map(|detail| &detail.missing)
    }

    fn completeness_under(&self, policy: &Policy) -> Completeness {
        let Some(detail) = self.detail.as_deref() else {
            return if self.read { Completeness::Complete } else { Completeness::Incomplete };
        };
        let sizes_count = policy.size == SizeRule::Strict && !detail.wrong_size.is_empty();
        let blocked = policy.imports == ImportsRule::Block && !detail.imports.is_none();
        let archived = policy.archived == ArchivedRule::Block && detail.archived.values().any(|one| !one.shown);
        if !self.read || sizes_count || archived || blocked || !detail.missing.is_none() {
            Completeness::Incomplete
        } else if detail.expired.is_empty() {
            Completeness::Complete
        } else {
            Completeness::CompleteExceptExpired
        }
    }

    /// Forgets details that say nothing any more.
    fn tidy(&mut self) {
        let idle = self.detail.as_deref().is_some_and(|detail| {
            detail.missing.is_none()
                && detail.wrong_size.is_empty()
                && detail.archived.is_empty()
                && detail.expired.is_empty()
                && detail.imports.is_none()
        });
        if idle && self.completeness == Completeness::Complete {
            self.detail = None;
        }
    }
}

/// A tree: the list of its ranges, and how many of them are not proven.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Metarange {
    /// Indexes into [`Trees::ranges`], in key order; empty when the list was let go.
    pub ranges: Vec<u32>,
    /// How many ranges the file lists; `None` until it was read.
    pub total: Option<u32>,
    /// Ranges that are open.
    pub open: u32,
    /// Ranges that are complete only because of expired objects.
    pub expired: u32,
    /// Whether the list was let go after it was proven: the tree must be read again before a head may rest on it.
    pub evicted: bool,
    /// When it was read, milliseconds since 1970.
    pub read_ms: u64,
    /// The commits that have this tree.
    pub commits: Vec<CommitId>,
}

impl Metarange {
    fn new() -> Self {
        Self { ranges: Vec::new(), total: None, open: 0, expired: 0, evicted: false, read_ms: 0, commits: Vec::new() }
    }

    /// Whether every part of the list was read.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.evicted || self.total.is_some_and(|total| self.ranges.len() == total as usize)
    }

    /// How far the tree is proven. A list that was let go counts as expired: good for an ancestor, not for a head.
    #[must_use]
    pub fn completeness(&self) -> Completeness {
        match () {
            () if self.evicted => Completeness::CompleteExceptExpired,
            () if !self.is_read() || self.open > 0 => Completeness::Incomplete,
            () if self.expired > 0 => Completeness::CompleteExceptExpired,
            () => Completeness::Complete,
        }
    }
}

/// All trees of one mirror.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trees {
    /// Every range that was ever listed, by index.
    pub ranges: Vec<Range>,
    /// The index of a range.
    pub range_index: BTreeMap<RangeId, u32>,
    /// Every tree.
    pub metaranges: BTreeMap<MetarangeId, Metarange>,
}

/// Trees whose completeness may have changed, for the commits that have them.
pub type Touched = BTreeSet<MetarangeId>;

impl Trees {
    /// The range of this id.
    #[must_use]
    pub fn range(&self, id: &RangeId) -> Option<&Range> {
        self.range_index.get(id).and_then(|index| self.ranges.get(*index as usize))
    }

    fn range_mut(&mut self, id: &RangeId) -> Option<&mut Range> {
        let index = *self.range_index.get(id)?;
        self.ranges.get_mut(index as usize)
    }

    /// The ranges of a tree, in key order.
    pub fn ranges_of<'a>(&'a self, metarange: &'a Metarange) -> impl Iterator<Item = &'a Range> + 'a {
        metarange.ranges.iter().filter_map(|index| self.ranges.get(*index as usize))
    }

    /// Notes that a commit has a tree.
    pub(crate) fn add_commit(&mut self, metarange: MetarangeId, commit: CommitId) {
        self.metaranges.entry(metarange).or_insert_with(Metarange::new).commits.push(commit);
    }

    pub(crate) fn apply_metarange(&mut self, event: &MetarangeReadV1) -> Touched {
        let tree = self.metaranges.entry(event.metarange).or_insert_with(Metarange::new);
        if tree.is_read() && !tree.evicted || event.first as usize != tree.ranges.len() && event.first != 0 {
            return Touched::new();
        }
        if event.first == 0 {
            // A crash between its records leaves a part of a list, whose ranges must not count this tree twice.
            for index in std::mem::take(&mut tree.ranges) {
                if let Some(range) = self.ranges.get_mut(index as usize) {
                    range.users.retain(|user| *user != event.metarange);
                }
            }
            *tree = Metarange { commits: std::mem::take(&mut tree.commits), ..Metarange::new() };
        }
        (tree.total, tree.read_ms) = (Some(event.total), event.at_ms);
        for (id, entries) in &event.ranges {
            let next = self.ranges.len() as u32;
            let index = *self.range_index.entry(*id).or_insert(next);
            if index == next {
                self.ranges.push(Range::new(*id, *entries));
            }
            let Some(range) = self.ranges.get_mut(index as usize) else { continue };
            tree.ranges.push(index);
            tree.open = tree.open.saturating_add(u32::from(range.completeness == Completeness::Incomplete));
            tree.expired =
                tree.expired.saturating_add(u32::from(range.completeness == Completeness::CompleteExceptExpired));
            range.users.push(event.metarange);
        }
        Touched::from([event.metarange])
    }

    pub(crate) fn apply_range(&mut self, event: &RangeReadV1, policy: &Policy) -> Touched {
        let (Ok(imports), Ok(inherited)) = (event.imports.decode(), event.inherited.decode()) else {
            return Touched::new();
        };
        if event.entries > BITS_MAX {
            return Touched::new();
        }
        self.change(&event.range, policy, |range| {
            range.entries = event.entries;
            range.read = true;
            range.oldest_ms = event.at_ms.min(event.inherited_oldest_ms);
            let mut missing = Bits::all(event.entries);
            missing.subtract(&inherited);
            range.detail = Some(Box::new(RangeDetail { missing, imports, ..RangeDetail::blank(event.entries) }));
        })
    }

    pub(crate) fn apply_arrivals(&mut self, event: &ArrivalsCheckedV1, policy: &Policy) -> Touched {
        let (Ok(asked), Ok(present)) = (event.asked.decode(), event.present.decode()) else {
            return Touched::new();
        };
        if self.range(&event.range).is_none_or(|range| !range.read) {
            return Touched::new();
        }
        self.change(&event.range, policy, |range| {
            range.checked_ms = range.checked_ms.max(event.finished_ms);
            let blank = || RangeDetail::blank(range.entries);
            let detail = range.detail.get_or_insert_with(|| Box::new(blank()));
            for (offset, rank) in asked.iter().zip(0u32..) {
                let ordinal = event.base.saturating_add(offset);
                detail.wrong_size.remove(&ordinal);
                detail.archived.remove(&ordinal);
                if present.contains(rank) {
                    range.oldest_ms = range.oldest_ms.min(event.started_ms);
                    detail.missing.remove(ordinal);
                    detail.gone_once.remove(&ordinal);
                    detail.expired.remove(&ordinal);
                } else if !detail.expired.contains(&ordinal) {
                    detail.missing.insert(ordinal);
                }
            }
            detail.forbidden = 0;
            for exception in &event.exceptions {
                detail.forbidden += u32::from(exception.code == FORBIDDEN);
                if !matches!(exception.code, WRONG_SIZE | ARCHIVED) {
                    continue;
                }
                range.oldest_ms = range.oldest_ms.min(event.started_ms);
                detail.missing.remove(exception.ordinal);
                detail.gone_once.remove(&exception.ordinal);
                detail.expired.remove(&exception.ordinal);
                if exception.code == WRONG_SIZE {
                    detail.wrong_size.insert(exception.ordinal, exception.found);
                } else {
                    detail.archived.insert(exception.ordinal, Archived::found(exception.found));
                }
            }
        })
    }

    pub(crate) fn apply_probe(&mut self, event: &SourceProbedV1, policy: &Policy) -> Touched {
        self.change(&event.range, policy, |range| {
            let Some(detail) = range.detail.as_deref_mut() else { return };
            for ordinal in &event.there {
                detail.gone_once.remove(ordinal);
            }
            for ordinal in
                event.gone.iter().filter(|ordinal| detail.missing.contains(**ordinal)).copied().collect::<Vec<_>>()
            {
                if !detail.gone_once.insert(ordinal) || crate::mutant::is_on("one_answer_expires") {
                    detail.gone_once.remove(&ordinal);
                    detail.missing.remove(ordinal);
                    detail.expired.insert(ordinal);
                }
            }
        })
    }

    /// Of entries with another size or in an archive class only: what else the source said of is [`Trees::apply_probe`]'s.
    pub(crate) fn apply_wrong_sizes_gone(&mut self, event: &WrongSizesGoneV1, policy: &Policy) -> Touched {
        self.change(&event.range, policy, |range| {
            let Some(detail) = range.detail.as_deref_mut() else { return };
            let unfit =
                |ordinal: &u32| detail.wrong_size.contains_key(ordinal) || detail.archived.contains_key(ordinal);
            let once: Vec<u32> = event.once.iter().copied().filter(unfit).collect();
            detail.gone_once.extend(once);
            for ordinal in &event.twice {
                if detail.wrong_size.remove(ordinal).is_some() | detail.archived.remove(ordinal).is_some() {
                    detail.gone_once.remove(ordinal);
                    detail.expired.insert(*ordinal);
                }
            }
        })
    }

    pub(crate) fn apply_archived_shown(&mut self, event: &ArchivedShownV1, policy: &Policy) -> Touched {
        self.change(&event.range, policy, |range| {
            let Some(detail) = range.detail.as_deref_mut() else { return };
            for ordinal in &event.ordinals {
                if let Some(archived) = detail.archived.get_mut(ordinal) {
                    archived.shown = true;
                }
            }
        })
    }

    pub(crate) fn apply_reopen(&mut self, ids: &[RangeId], policy: &Policy) -> Touched {
        let mut touched = Touched::new();
        for id in ids.iter().filter(|id| self.range(id).is_some_and(|range| range.read)).collect::<Vec<_>>() {
            touched.extend(self.change(id, policy, |range| {
                let mut detail = RangeDetail::blank(range.entries);
                detail.missing = Bits::all(range.entries);
                if let Some(old) = range.detail.take() {
                    detail.imports = old.imports;
                }
                range.oldest_ms = u64::MAX;
                range.detail = Some(Box::new(detail));
            }));
        }
        touched
    }

    /// Applies another policy to every range.
    pub(crate) fn apply_policy(&mut self, old: &Policy, new: &Policy) -> Touched {
        let ids: Vec<RangeId> =
            self.ranges.iter().filter(|range| range.detail.is_some()).map(|range| range.id).collect();
        let mut touched = Touched::new();
        for id in ids {
            touched.extend(self.change(&id, new, |range| {
                let Some(detail) = range.detail.as_deref_mut() else { return };
                if old.imports != new.imports {
                    detail.forget_imports();
                    detail.missing.union(&detail.imports);
                }
            }));
        }
        touched
    }

    /// Lets the list of a proven tree go; its ranges stay known by id.
    pub(crate) fn evict(&mut self, id: &MetarangeId) {
        let Some(tree) =
            self.metaranges.get_mut(id).filter(|tree| tree.completeness() != Completeness::Incomplete && !tree.evicted)
        else {
            return;
        };
        tree.evicted = true;
        for index in std::mem::take(&mut tree.ranges) {
            if let Some(range) = self.ranges.get_mut(index as usize) {
                range.users.retain(|user| user != id);
            }
        }
    }

    /// A tree that was let go is needed again: it counts as unread.
    pub(crate) fn invalidate(&mut self, id: &MetarangeId) -> Touched {
        let Some(tree) = self.metaranges.get_mut(id).filter(|tree| tree.evicted) else { return Touched::new() };
        *tree = Metarange { commits: std::mem::take(&mut tree.commits), ..Metarange::new() };
        Touched::from([*id])
    }

    /// Changes one range and keeps the counters of the trees that list it.
    fn change(&mut self, id: &RangeId, policy: &Policy, with: impl FnOnce(&mut Range)) -> Touched {
        let Some(range) = self.range_mut(id) else { return Touched::new() };
        let before = range.completeness;
        with(range);
        if let Some(detail) = range.detail.as_deref_mut().filter(|_| policy.imports == ImportsRule::Ignore) {
            detail.forget_imports();
        }
        range.completeness = range.completeness_under(policy);
        range.tidy();
        let after = range.completeness;
        if before == after {
            return Touched::new();
        }
        let users = range.users.clone();
        for user in &users {
            let Some(tree) = self.metaranges.get_mut(user) else { continue };
            tree.open = tree
                .open
                .saturating_add(u32::from(after == Completeness::Incomplete))
                .saturating_sub(u32::from(before == Completeness::Incomplete));
            tree.expired = tree
                .expired
                .saturating_add(u32::from(after == Completeness::CompleteExceptExpired))
                .saturating_sub(u32::from(before == Completeness::CompleteExceptExpired));
        }
        users.into_iter().collect()
    }
}

impl RangeDetail {
    fn blank(entries: u32) -> Self {
        Self {
            missing: Bits::none(entries),
            imports: Bits::none(entries),
            wrong_size: BTreeMap::new(),
            archived: BTreeMap::new(),
            gone_once: BTreeSet::new(),
            expired: BTreeSet::new(),
            forbidden: 0,
        }
    }

    /// Nothing about the imports counts any more: neither that they are missing, nor what was found or said of them, under
    /// other rules or unasked.
    fn forget_imports(&mut self) {
        let Self { missing, imports, wrong_size, archived, gone_once, expired, .. } = self;
        missing.subtract(imports);
        wrong_size.retain(|ordinal, _| !imports.contains(*ordinal));
        archived.retain(|ordinal, _| !imports.contains(*ordinal));
        gone_once.retain(|ordinal| !imports.contains(*ordinal));
        expired.retain(|ordinal| !imports.contains(*ordinal));
    }
}

/// [`crate::event::ArrivalExceptionV1::code`]: under a delete marker.
pub const DELETED: u8 = 1;
/// [`crate::event::ArrivalExceptionV1::code`]: there with another size.
pub const WRONG_SIZE: u8 = 2;
/// [`crate::event::ArrivalExceptionV1::code`]: the store refuses to say.
pub const FORBIDDEN: u8 = 3;
/// [`crate::event::ArrivalExceptionV1::code`]: no answer.
pub const UNKNOWN: u8 = 4;
