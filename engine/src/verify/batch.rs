//! What one job takes of a tree: ranges that are checked together, and the bounds by which parents are waited for.

use super::check::Look;
use super::files::{Files, Ranges};
use super::many::Reach;
use super::need::{RangeNeed, TreeNeed};
use super::track::{Held, Job, RetryState};
use crate::ports::Effort;

/// What is asked about a range that is needed: all that is missing, or a few of it.
pub(super) fn look(need: &RangeNeed, track: &RetryState, reach: Reach) -> Look {
    // A file that the mirror shows is part of what is to be there: the first look is at the store's, not at a kept one.
    let anew = need.shown && (track.tries == 0 || track.gone.has_no_file());
    let kept = if reach == Reach::Scouts { track.scouts.clone() } else { track.kept.clone() };
    Look { range: need.id, for_head: need.for_head, anew, kept, reach }
}

/// Ranges of one tree to be checked together, all for the first time or all again, and all as a whole or by a few.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) looks: Vec<Look>,
    again: bool,
    reach: Reach,
    pub(super) is_large: bool,
    shown: bool,
}

impl Batch {
    /// Of a tree that only the mirror's heads have, or of another one.
    pub(super) fn of(tree: &TreeNeed) -> Self {
        Self { shown: tree.shown_only, ..Self::default() }
    }

    pub(super) fn takes(&self, track: &RetryState, reach: Reach) -> bool {
        self.looks.is_empty() || (self.again, self.reach) == (track.tries > 0, reach)
    }

    pub(super) fn add(&mut self, need: &RangeNeed, track: &RetryState, large: bool, reach: Reach) {
        (self.again, self.reach) = (track.tries > 0, reach);
        self.is_large |= large;
        self.looks.push(look(need, track, reach));
    }

    pub(super) fn held(self) -> Option<Held> {
        let effort = if self.again { Effort::Recheck } else { Effort::Sweep };
        let (large, shown) = (self.is_large, self.shown);
        (!self.looks.is_empty()).then_some(Held::new(Job::Check(self.looks, effort), large, shown))
    }
}

/// First and last keys of a tree's ranges, looked up in the order of the tree; its list is not looked for before it is
/// asked for.
pub(super) struct Bounds<'a> {
    pub(super) tree: &'a TreeNeed,
    pub(super) place: usize,
    files: &'a Files,
    ranges: Option<Option<Ranges>>,
    at: usize,
}

impl<'a> Bounds<'a> {
    pub(super) fn new(tree: &'a TreeNeed, place: usize, files: &'a Files) -> Self {
        Self { tree, place, files, ranges: None, at: 0 }
    }

    pub(super) fn of(&mut self, need: &RangeNeed) -> Option<(Vec<u8>, Vec<u8>)> {
        let kept = self.ranges.get_or_insert_with(|| self.files.kept_metarange(&self.tree.id));
        let ranges = kept.as_ref()?;
        let found = ranges.iter().enumerate().skip(self.at).find(|(_, range)| range.id == need.id);
        let (at, range) = found?;
        self.at = at;
        Some((range.min_key.clone(), range.max_key.clone()))
    }
}
