//! Which objects the trees that branches show, or are to show, have in common: so that a count has each object once.
//!
//! Two versions of a range name mostly the same objects, and only their entries tell. A range's prints are one number for
//! each object; those of small ranges are kept, the others count as having nothing in common. It costs one read of each
//! such file, when nothing else is to be done, and nothing where there is one tree only.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use lakemirror_core::ids::RangeId;
use lakemirror_graveler::range;

use super::JobContext;
use super::files::{Miss, blocking, damaged_range};
use super::track::Tracks;

/// Numbers that are kept for one mirror: 8 bytes each.
const PRINTS_MAX: usize = 1 << 20;

/// One number for each object of a range.
pub(super) type Print = Arc<[u64]>;

/// The prints of the ranges that are counted.
#[derive(Default)]
pub(super) struct Prints {
    known: HashMap<RangeId, Print>,
    wanted: Vec<RangeId>,
    /// What was read, or could not be.
    tried: HashSet<RangeId>,
    running: bool,
    shared: u64,
}

impl Prints {
    /// Takes the ranges that are counted now.
    pub(super) fn follow(&mut self, counted: &[RangeId]) {
        let counted: HashSet<RangeId> = counted.iter().copied().collect();
        let before = self.known.len();
        self.known.retain(|id, _| counted.contains(id));
        self.tried.retain(|id| counted.contains(id));
        self.wanted = counted.into_iter().filter(|id| !self.tried.contains(id)).collect();
        self.wanted.sort_unstable();
        if self.known.len() != before {
            self.count();
        }
    }

    /// The next range to be read, one at a time.
    pub(super) fn next(&mut self) -> Option<RangeId> {
        let full = self.known.values().map(|print| print.len()).sum::<usize>() >= PRINTS_MAX;
        if self.running || full {
            return None;
        }
        let id = self.wanted.pop()?;
        self.running = true;
        Some(id)
    }

    /// Takes what was read; what could not be is not tried again while it is counted.
    pub(super) fn finish(&mut self, id: RangeId, print: Option<Print>) {
        self.running = false;
        self.tried.insert(id);
        if let Some(print) = print {
            self.known.insert(id, print);
            self.count();
        }
    }

    /// By how much the entries of the ranges outnumber their objects.
    pub(super) fn shared(&self) -> u64 {
        self.shared
    }

    fn count(&mut self) {
        let all = self.known.values().map(|print| print.len()).sum::<usize>();
        let distinct: HashSet<u64> = self.known.values().flat_map(|print| print.iter().copied()).collect();
        self.shared = all.saturating_sub(distinct.len()) as u64;
    }
}

impl Tracks {
    /// By how much the missing entries that are known one by one outnumber the objects: one that several ranges miss is
    /// one that is missing.
    pub(super) fn repeated(&self) -> u64 {
        let (mut entries, mut objects) = (0u64, HashSet::new());
        for need in self.plan.trees.iter().flat_map(|tree| &tree.ranges) {
            let kept = self.ranges.get(&need.id).and_then(|track| track.kept.as_deref());
            let known = need.few.len() == need.wanted as usize;
            let still = kept.into_iter().flatten().filter(|one| !known || need.few.contains(&one.ordinal));
            for place in still.filter_map(|one| one.place.as_ref().ok()) {
                entries += 1;
                objects.insert(place);
            }
        }
        entries.saturating_sub(objects.len() as u64)
    }
}

/// Reads the prints of a range.
pub(super) async fn print(context: &JobContext, id: RangeId) -> Result<Print, Miss> {
    let (file, namespace) = (context.files.known_range(id).await?, context.files.namespace().clone());
    let scanned = blocking(move || {
        let mut prints = Vec::new();
        let read = range::scan(file, id, |_, _, entry| {
            let mut hasher = DefaultHasher::new();
            match namespace.resolve(entry.address, entry.address_type) {
                Ok(at) => (at.bucket, at.key).hash(&mut hasher),
                Err(_) => entry.address.hash(&mut hasher),
            }
            prints.push(hasher.finish());
        });
        read.map(|_| prints.into())
    });
    scanned.await?.map_err(|damage| damaged_range(id, &damage))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ranges_have_in_common_is_counted_once() {
        let (one, two, three) = (RangeId([1; 32]), RangeId([2; 32]), RangeId([3; 32]));
        let mut prints = Prints::default();
        prints.follow(&[one, two, three]);
        let mut read = HashMap::from([(one, vec![1, 2, 3]), (two, vec![2, 3, 4]), (three, vec![3, 3])]);
        while let Some(id) = prints.next() {
            assert_eq!(prints.next(), None, "one at a time");
            prints.finish(id, read.remove(&id).map(Into::into));
        }
        assert_eq!(prints.shared(), 4, "1, 2, 3 and 4 are all that there is of 8 entries");
        prints.follow(&[one, two]);
        assert_eq!((prints.shared(), prints.next()), (2, None));
        prints.finish(three, None);
        prints.follow(&[three]);
        assert_eq!((prints.shared(), prints.next()), (0, None), "what could not be read is not tried again");
    }
}
