//! Facts about conditions of a mirror as a whole. They came after `TroubleNoted`, which had one text for all of them.
//!
//! Owns the payloads; which conditions there are is `state::condition`'s.

use rkyv::{Archive, Deserialize, Serialize};

use crate::ids::Incarnation;

payloads! {
    /// The mirror as a whole cannot go on until an operator does something.
    ConditionRaisedV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// The condition's number.
        condition: u8,
        /// What is wrong and what to do, for people.
        text: String,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
    /// A condition of the mirror is over.
    ConditionResolvedV1 {
        /// Which mirror.
        mirror: Incarnation,
        /// The condition's number.
        condition: u8,
        /// When, milliseconds since 1970.
        at_ms: u64,
    }
}
