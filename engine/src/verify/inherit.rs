//! Which entries of a new range stand unchanged in proven ranges of the parents: a merge-join in key order.
//!
//! Owns the comparison; which ranges may serve as a base, and what they prove, is given. Synchronous.

use bytes::Bytes;
use lakemirror_core::ids::RangeId;
use lakemirror_core::mutant;
use lakemirror_journal::bits::Bits;

use lakemirror_graveler::Damage;
use lakemirror_graveler::address::{Namespace, Reach};
use lakemirror_graveler::entry::EntryRef;
use lakemirror_graveler::range;
use lakemirror_graveler::table::{Records, Table};

/// A proven range whose entries may be inherited.
#[derive(Debug, Clone)]
pub(super) struct Base {
    pub(super) id: RangeId,
    pub(super) file: Bytes,
    /// Entries that it does not prove.
    pub(super) unproven: Bits,
    /// The oldest check behind it.
    pub(super) oldest_ms: u64,
}

/// What was found out about a range's entries.
#[derive(Debug, Clone)]
pub(super) struct Surveyed {
    pub(super) entries: u32,
    pub(super) imports: Bits,
    pub(super) inherited: Bits,
    pub(super) inherited_from: Vec<RangeId>,
    pub(super) oldest_ms: u64,
}

/// Verifies the range file and finds its imports and what it inherits.
pub(super) fn survey(id: RangeId, file: &Bytes, namespace: &Namespace, bases: &[Base]) -> Result<Surveyed, Damage> {
    let mut full = Vec::new();
    let read = range::scan(file.clone(), id, |ordinal, _, entry| {
        let resolved = namespace.resolve(entry.address, entry.address_type);
        if resolved.is_ok_and(|at| at.reach != Reach::Relative) {
            full.push(ordinal);
        }
    })?;
    let entries = read.count();
    let imports = Bits::from_ordinals(entries, full);
    let mut found =
        Surveyed { entries, imports, inherited: Bits::none(entries), inherited_from: Vec::new(), oldest_ms: u64::MAX };
    let child = Table::open(file.clone())?;
    for base in bases {
        // A base that turns out damaged proves nothing; the range itself is intact.
        if join(&child, base, &mut found.inherited).unwrap_or(false) {
            found.inherited_from.push(base.id);
            let forgotten = mutant::is_on("inherited_age_forgotten");
            found.oldest_ms = found.oldest_ms.min(if forgotten { u64::MAX - 1 } else { base.oldest_ms });
        }
    }
    Ok(found)
}

/// Marks the entries that stand in `base` with the same key, address and size; says whether there was any.
fn join(child: &Table, base: &Base, inherited: &mut Bits) -> Result<bool, Damage> {
    let table = Table::open(base.file.clone())?;
    let (mut ours, mut theirs) = (child.records(), table.records());
    let mut at = Walk::default();
    let mut matched = Vec::new();
    at.step(&mut theirs)?;
    let mut ordinal = 0u32;
    while let Some(record) = ours.next()? {
        while at.live && at.key.as_slice() < record.key {
            at.step(&mut theirs)?;
        }
        if !at.live {
            break;
        }
        let proven = !base.unproven.contains(at.ordinal) || mutant::is_on("unproven_inherited");
        if at.key == record.key && proven {
            let same = EntryRef::decode(record.value).is_ok_and(|entry| at.is_same_object(&entry));
            matched.extend(same.then_some(ordinal));
        }
        ordinal += 1;
    }
    let mut any = false;
    for ordinal in matched {
        any |= inherited.insert(ordinal);
    }
    Ok(any)
}

/// The place in the base: its records are only borrowed until the next step, so what is compared is copied.
#[derive(Default)]
struct Walk {
    live: bool,
    started: bool,
    ordinal: u32,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Walk {
    fn step(&mut self, records: &mut Records<'_>) -> Result<(), Damage> {
        self.ordinal += u32::from(self.started);
        self.started = true;
        self.live = false;
        if let Some(record) = records.next()? {
            self.live = true;
            self.key.clear();
            self.key.extend_from_slice(record.key);
            self.value.clear();
            self.value.extend_from_slice(record.value);
        }
        Ok(())
    }

    fn is_same_object(&self, entry: &EntryRef<'_>) -> bool {
        if mutant::is_on("other_object_inherited") {
            return true;
        }
        EntryRef::decode(&self.value).is_ok_and(|base| {
            (base.address, base.address_type, base.size) == (entry.address, entry.address_type, entry.size)
        })
    }
}
