//! Facts that take back what counted as proven, or let count what did not: about evidence that is too old to act on,
//! and about objects of another size that the source has no more.
//!
//! They came after the facts about checks and moves, whose meaning stays what it was. Owns the payloads; what they do to
//! the state is `state`'s.

use rkyv::{Archive, Deserialize, Serialize};

use crate::ids::{CommitId, Incarnation, MetarangeId, RangeId};

payloads! {
    /// The source's answers about entries that the destination has with another size: for an ancestor they are as good
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
