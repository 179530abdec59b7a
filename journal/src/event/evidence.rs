//! Facts that take back what counted as proven, or let count what did not: about evidence that is too old to act on,
//! and about objects of another size that the source has no more.
//!
//! They came after the facts about checks and moves, whose meaning stays what it was. Owns the payloads; what they do to
//! the state is `state`'s.

use rkyv::{Archive, Deserialize, Serialize};

use super::PolicySetV1;
use crate::ids::{CommitId, Incarnation, MetarangeId, RangeId};

payloads! {
    /// The policy that decisions follow from here on, with the rule about archive classes.
    PolicySetV2 {
        /// 0 complete, 1 head.
        history: u8,
        /// 0 strict, 1 report.
        size: u8,
        /// 0 block, 1 report.
        archived: u8,
        /// 0 check, 1 ignore, 2 block.
        imports: u8,
        /// 0 report, 1 restore.
        on_divergence: u8,
        /// How long a positive check counts, milliseconds.
        evidence_age_ms_max: u64,
        /// How long a branch that is gone stays as a tombstone, milliseconds.
        deletion_grace_ms: u64,
        /// Thousandths of a mirror's branches that may vanish at once.
        deletion_permille_max: u16,
    }
    /// Entries of a range that the mirror shows were found in an archive class: they are reported, and keep nothing from
    /// being promoted. Follows the checks that found them.
    ArchivedShownV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// Which range.
        range: RangeId,
        /// Ordinals of the archived entries.
        ordinals: Vec<u32>,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// The source's answers about entries that the destination has with another size or in an archive class: for an ancestor they are as good
    /// as those about entries that are not there. Follows the answer itself, and each check that finds the size wrong
    /// again: a check alone takes such answers back.
    WrongSizesGoneV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// Which range.
        range: RangeId,
        /// Ordinals that the source said are gone, once.
        once: Vec<u32>,
        /// Ordinals that the source said are gone, twice: expired.
        twice: Vec<u32>,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// Trees whose lists of ranges were let go are needed again, with the age of what proves them: they count as unread.
    TreesTakenBackV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// Which trees.
        metaranges: Vec<MetarangeId>,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// A move was not carried out in time: what it rests on is too old by now, or proven no more. Its head waits again
    /// in its old place among those seen, and commit records that are on the mirror already stay there.
    MoveGivenUpV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// The branch's name.
        branch: String,
        /// Where it was to go.
        to: CommitId,
        /// Which of the branch's seen heads that is, counted from 1.
        seen: u64,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
}

impl PolicySetV2 {
    /// What version 1 of this fact says of it.
    #[must_use]
    pub fn version_1(&self) -> PolicySetV1 {
        PolicySetV1 {
            history: self.history,
            size: self.size,
            imports: self.imports,
            on_divergence: self.on_divergence,
            evidence_age_ms_max: self.evidence_age_ms_max,
            deletion_grace_ms: self.deletion_grace_ms,
            deletion_permille_max: self.deletion_permille_max,
        }
    }
}
