//! What the verifier is waiting for, for people and the API (I11). Written by the verifier, read by anybody; decides
//! nothing.

use std::collections::{BTreeMap, BTreeSet};

use lakemirror_core::ids::{CommitId, MetarangeId};
use lakemirror_journal::state::mirror::Mirror;

use super::loss::Loss;
use super::need::Role;

/// How many samples a waiting tree shows.
pub const SAMPLES_MAX: usize = 3;

/// The kind of thing that a tree waits for, the first that is missing in the order in which it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitsFor {
    /// Its metarange file.
    MetarangeFile,
    /// Some of its range files.
    RangeFiles,
    /// Objects.
    Objects,
}

/// How many entries are in which state. An entry may count in several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Range files that were not read yet.
    pub range_files: u64,
    /// Entries that were looked for and not found, and all those of unread ranges.
    pub missing: u64,
    /// Entries that may be missing, of ranges that were read and of which no check is recorded yet.
    pub unasked: u64,
    /// Entries whose object has another size.
    pub wrong_size: u64,
    /// Entries whose object is in an archive class, and was not shown before.
    pub archived: u64,
    /// Entries that the store refused to speak of at the last check.
    pub forbidden: u64,
    /// Entries whose object is under a delete marker, at the last check.
    pub deleted: u64,
    /// Entries that got no answer at the last check.
    pub unknown: u64,
    /// Entries that are gone at the source as well.
    pub expired: u64,
    /// Missing entries with a full address.
    pub imports: u64,
    /// Entries whose address names no object that this blockstore could have.
    pub unresolvable: u64,
}

/// What the source said of an object that does not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceAnswer {
    /// It has it: replication has not delivered it.
    HasIt,
    /// It has it no more.
    Gone,
}

/// One missing object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Its logical path.
    pub path: String,
    /// Bucket and key, or why the address names none.
    pub object: Result<(String, String), String>,
    /// The size that the entry records, in bytes.
    pub size: u64,
    /// The size found, where it was another one.
    pub found: Option<u64>,
    /// What the source said of it, once it was asked.
    pub source: Option<SourceAnswer>,
    /// The storage class that keeps it from being read, where one does.
    pub archived: Option<&'static str>,
}

/// A tree that is needed and not proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeWait {
    /// Which.
    pub metarange: MetarangeId,
    /// A commit that has it.
    pub commit: CommitId,
    /// What it is needed for.
    pub role: Role,
    /// What it waits for.
    pub waits_for: WaitsFor,
    /// Its ranges; none while the metarange is unread.
    pub ranges: Option<u32>,
    /// Those that are not proven.
    pub ranges_open: u32,
    /// Entries by state, of the ranges that are not counted at another tree.
    pub counts: Counts,
    /// Trees at which the other open ranges of this one are counted.
    pub counted_at: Vec<MetarangeId>,
    /// Some of what is missing.
    pub samples: Vec<Sample>,
    /// Where the first file is that it waits for, as a URI; none once it has them all.
    pub file: Option<String>,
    /// Of the objects that the source was last asked about: how many it has.
    pub source_has: u64,
    /// Those of them that it has no more.
    pub source_lost: u64,
    /// Since when a head waits for it, milliseconds since 1970.
    pub since_ms: u64,
    /// When it was looked at last, milliseconds since 1970; 0 for never.
    pub checked_ms: u64,
    /// When it is looked at next, milliseconds since 1970; none while that is under way.
    pub next_check_ms: Option<u64>,
    /// The last thing that went wrong with it, or is odd about it.
    pub fault: Option<String>,
}

/// Everything that one mirror's verifier waits for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifyStatus {
    /// By tree.
    pub trees: BTreeMap<MetarangeId, TreeWait>,
    /// Of trees that the mirror shows: what was looked for and is not there any more.
    pub lost: BTreeMap<MetarangeId, Loss>,
    /// What stops verification as a whole, or the last failure of any part while something waits.
    pub fault: Option<String>,
    /// By how much the missing entries outnumber the missing objects: several ranges may miss one.
    pub repeated: u64,
    /// By how much the entries of the trees that branches show or are to show outnumber their objects, as far as known.
    pub shared: u64,
    /// When this was written, milliseconds since 1970.
    pub at_ms: u64,
}

impl VerifyStatus {
    /// What a tree waits for; none when it is proven or not needed.
    #[must_use]
    pub fn tree(&self, metarange: &MetarangeId) -> Option<&TreeWait> {
        self.trees.get(metarange)
    }

    /// What a commit waits for as a head: its own tree, those of its ancestors that are not on the mirror (the first
    /// `limit` of them), and the trees at which shared ranges are counted.
    #[must_use]
    pub fn waits_of(&self, mirror: &Mirror, head: &CommitId, limit: usize) -> Vec<&TreeWait> {
        let mut commits = mirror.graph.unrecorded(head, limit);
        commits.push(*head);
        let own: Vec<&TreeWait> = commits
            .iter()
            .filter_map(|id| mirror.graph.get(id)?.metarange)
            .filter_map(|tree| self.trees.get(&tree))
            .collect();
        let ids: BTreeSet<MetarangeId> =
            own.iter().flat_map(|tree| tree.counted_at.iter().copied().chain([tree.metarange])).collect();
        ids.iter().filter_map(|id| self.trees.get(id)).collect()
    }
}
