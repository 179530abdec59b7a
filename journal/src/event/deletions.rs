//! Facts about branches that are gone at the source and may not go on the mirror without an operator, and about branches
//! that were made again at the source with another visibility.
//!
//! They came after the facts about branches, whose meaning stays what it was. Owns the payloads; what they do to the
//! state is `state`'s.

use rkyv::{Archive, Deserialize, Serialize};

use crate::ids::Incarnation;

payloads! {
    /// An operator lets held deletions go on: these branches are removed like others, after the time of grace.
    DeletionsApprovedV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// The branches' names.
        branches: Vec<String>,
        /// Who approved; lakeFS's name of the user.
        by: String,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// The source shows the branch with another visibility than before: it was deleted there and made again.
    BranchVisibilityChangedV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// The branch's name.
        branch: String,
        /// Whether it is hidden at the source.
        hidden: bool,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// The mirror's branch has another visibility than the source's, which lakeFS cannot change: it is about to be deleted
    /// and created again at the same head, which is proven.
    BranchRemakeStartedV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// The branch's name.
        branch: String,
        /// Whether it is hidden once it is created again.
        hidden: bool,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// The source answers that these branches are gone, and why that is not believed without an operator.
    DeletionsHeldV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// The branches' names.
        branches: Vec<String>,
        /// 0: the source's listing lacks its default branch; 1: too many are gone at once.
        reason: u8,
        /// Branches that were gone at once, held ones included.
        vanished: u32,
        /// Branches that there were, these included.
        live: u32,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// These deletions need no operator any more: why they were held is over.
    DeletionsReleasedV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// The branches' names.
        branches: Vec<String>,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
}
