//! What a new range need not ask for: entries that stand in a parent's range as well, where they were seen present.
//!
//! A commit that changes ten objects of a range of fifty thousand has a new range; forty-nine thousand nine hundred and
//! ninety answers are known. The comparison is by key, place and size, over both files.

use std::collections::BTreeMap;

use lakemirror_journal::bits::Bits;
use lakemirror_journal::ids::RangeId;

use super::files::{FileRead, Files, Item};
use super::needs::{Base, Need, base};
use crate::engine::mirror::{Ended, Site};

/// Parent ranges that one range is compared with, at most.
const BASES_MAX: usize = 8;

/// Entries that need no check of their own, and where their answers come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inheritance {
    /// Which entries.
    pub bits: Bits,
    /// From which ranges.
    pub from: Vec<RangeId>,
    /// The oldest check behind them, milliseconds since 1970; `u64::MAX` for none.
    pub oldest_ms: u64,
}

impl Inheritance {
    /// Nothing is inherited by a range of so many entries.
    #[must_use]
    pub fn none(entries: u32) -> Self {
        Self { bits: Bits::none(entries), from: Vec::new(), oldest_ms: u64::MAX }
    }
}

/// What a range that was just read inherits. A parent's file that cannot be read is no reason to wait: then it
/// inherits nothing.
///
/// # Errors
/// [`Ended::Journal`].
pub async fn inherit(
    site: &Site,
    files: &Files,
    need: &Need,
    id: RangeId,
    items: &[Item],
) -> Result<Inheritance, Ended> {
    let entries = u32::try_from(items.len()).unwrap_or(u32::MAX);
    let mut inheritance = Inheritance::none(entries);
    let (Some(first), Some(last)) = (items.first(), items.last()) else { return Ok(inheritance) };
    let mut candidates = Vec::new();
    for parent in &need.parents {
        let Ok(FileRead::There(ranges)) = files.metarange(site, *parent).await else { continue };
        let overlapping = ranges
            .iter()
            .filter(|range| range.max_key.as_slice() >= &*first.path && range.min_key.as_slice() <= &*last.path);
        candidates.extend(overlapping.map(|range| range.id).filter(|other| *other != id));
    }
    candidates.dedup();
    candidates.truncate(BASES_MAX);
    for (range, proof) in bases(site, candidates).await? {
        let Ok(FileRead::There(theirs)) = files.range(site, range).await else { continue };
        let before = inheritance.bits.count();
        join(items, &theirs, &proof, &mut inheritance.bits);
        if inheritance.bits.count() > before {
            inheritance.from.push(range);
            inheritance.oldest_ms = inheritance.oldest_ms.min(proof.oldest_ms);
        }
    }
    Ok(inheritance)
}

async fn bases(site: &Site, candidates: Vec<RangeId>) -> Result<BTreeMap<RangeId, Base>, Ended> {
    let mirror = site.definition.incarnation;
    let look = site.recorder.read(move |state| {
        let Some(mirror) = state.mirror(&mirror) else { return BTreeMap::new() };
        candidates.into_iter().filter_map(|id| base(state, mirror, &id).map(|base| (id, base))).collect()
    });
    look.await.map_err(|_| Ended::Journal)
}

/// Marks the entries of `mine` that stand in `theirs` with the same place and size and are proven there.
fn join(mine: &[Item], theirs: &[Item], proof: &Base, inherited: &mut Bits) {
    let mut others = theirs.iter().zip(0u32..).peekable();
    for (item, ordinal) in mine.iter().zip(0u32..) {
        while others.next_if(|(other, _)| other.path < item.path).is_some() {}
        if let Some((other, their_ordinal)) = others.peek()
            && *other == item
            && item.place.is_ok()
            && proof.proven.contains(*their_ordinal)
        {
            inherited.insert(ordinal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ports::Location;

    fn item(path: &str, key: &str, size: u64) -> Item {
        Item {
            path: path.as_bytes().into(),
            place: Ok(Location { bucket: "b".into(), key: key.to_owned() }),
            size,
            import: false,
        }
    }

    #[test]
    fn only_the_same_entry_that_is_proven_is_inherited() {
        let theirs = [item("a", "k1", 1), item("b", "k2", 2), item("c", "k3", 3), item("d", "k4", 4)];
        let mine =
            [item("a", "k1", 1), item("b", "other", 2), item("bb", "k9", 9), item("c", "k3", 30), item("d", "k4", 4)];
        let proof = Base { proven: Bits::from_ordinals(4, [0, 1, 2]), oldest_ms: 5 };
        let mut inherited = Bits::none(5);
        join(&mine, &theirs, &proof, &mut inherited);
        assert_eq!(inherited.iter().collect::<Vec<_>>(), [0]);
    }
}
