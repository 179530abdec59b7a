//! What opening a journal found and did, for the log and for a record in the journal itself.

use std::fmt;

use crate::ids::Seq;
use crate::log::snapshot::SnapshotHeader;

/// One of the two places where every frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// The segment file.
    Segment,
    /// The hot store.
    Hot,
}

/// One thing that had to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecoveryAction {
    /// There was nothing, and a new journal was made.
    Initialised,
    /// Records that were written and not acknowledged are whole, and now count.
    RolledForward {
        /// First of them.
        from: Seq,
        /// Last of them.
        to: Seq,
    },
    /// An unfinished, unacknowledged write was cut off the segment.
    TailTruncated {
        /// Where the segment now ends.
        offset: u64,
        /// How much was cut.
        bytes: u64,
        /// What was wrong with it.
        fault: String,
        /// A copy of what was cut.
        saved_as: String,
    },
    /// Acknowledged records were damaged or missing in one witness and have been restored from the other.
    WitnessRepaired {
        /// The one that was damaged.
        witness: Witness,
        /// First record restored.
        from: Seq,
        /// Last record restored.
        to: Seq,
        /// A copy of what was overwritten, if there was anything.
        saved_as: Option<String>,
    },
    /// The hot store was unusable and has been made anew from the segment.
    HotRebuilt {
        /// Why.
        reason: String,
        /// Frames it has now.
        frames: u64,
        /// Where the old one is, if there was one.
        aside: Option<String>,
    },
    /// One slot of HEAD was unreadable and has been rewritten.
    HeadSlotRepaired {
        /// 0 or 1.
        slot: u64,
    },
    /// A snapshot was not used.
    SnapshotRefused {
        /// The last record in it.
        seq: Seq,
        /// What is wrong with it.
        reason: String,
    },
    /// A segment had been sealed, and its name did not say so yet.
    RollCompleted {
        /// Its first record.
        first: Seq,
        /// Its last record.
        last: Seq,
    },
    /// The footer of a sealed segment was damaged, its frames were not: it has been computed and written anew.
    FooterRepaired {
        /// The segment's first record.
        first: Seq,
        /// Its last record.
        last: Seq,
        /// What was wrong.
        fault: String,
        /// A copy of what was overwritten, if there was anything.
        saved_as: Option<String>,
    },
    /// Records are damaged for good; a snapshot has what they did, so the state is whole and the evidence is not.
    EvidenceDamaged {
        /// First of them.
        from: Seq,
        /// The last that may be damaged.
        to: Seq,
        /// What is wrong at the first.
        fault: String,
    },
    /// A loss that had been accepted was entered into the journal.
    LossRecorded {
        /// The record that says it.
        seq: Seq,
    },
}

impl fmt::Display for RecoveryAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Initialised => write!(f, "made a new journal"),
            Self::RolledForward { from, to } => {
                write!(f, "records {from} to {to} were written but not acknowledged; they are whole and are kept")
            }
            Self::TailTruncated { offset, bytes, fault, saved_as } => write!(
                f,
                "cut {bytes} bytes of an unacknowledged write off the segment at byte {offset} ({fault}); copy in {saved_as}"
            ),
            Self::WitnessRepaired { witness, from, to, saved_as } => {
                let (damaged, other) = match witness {
                    Witness::Segment => ("segment", "hot store"),
                    Witness::Hot => ("hot store", "segment"),
                };
                write!(
                    f,
                    "records {from} to {to} were damaged or missing in the {damaged} and are restored from the {other}"
                )?;
                saved_as.iter().try_for_each(|copy| write!(f, "; what was there is in {copy}"))?;
                write!(f, "; check the volume")
            }
            Self::HotRebuilt { reason, frames, aside } => {
                write!(
                    f,
                    "the hot store was unusable ({reason}) and is rebuilt with {frames} frames from the segment"
                )?;
                aside.iter().try_for_each(|old| write!(f, "; the old one is in {old}"))
            }
            Self::HeadSlotRepaired { slot } => write!(f, "slot {slot} of HEAD was unreadable and is rewritten"),
            Self::SnapshotRefused { seq, reason } => {
                write!(f, "the snapshot after record {seq} was not used: {reason}; remove it once a newer one is there")
            }
            Self::RollCompleted { first, last } => {
                write!(f, "the segment with records {first} to {last} had just been sealed; its name now says so")
            }
            Self::FooterRepaired { first, last, fault, saved_as } => {
                write!(
                    f,
                    "the footer of the segment with records {first} to {last} was damaged ({fault}) and is rewritten"
                )?;
                saved_as.iter().try_for_each(|copy| write!(f, "; what was there is in {copy}"))?;
                write!(f, "; check the volume")
            }
            Self::LossRecorded { seq } => write!(f, "an accepted loss is recorded as record {seq}"),
            Self::EvidenceDamaged { from, to, fault } => write!(
                f,
                "records {from} to {to} are damaged ({fault}) and cannot be restored; the state is whole, from a snapshot of later records; put the segment back from a copy of the volume, or keep this as evidence"
            ),
        }
    }
}

/// What opening found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// In the order in which they were done; none after a clean end.
    pub actions: Vec<RecoveryAction>,
    /// The last record.
    pub records: u64,
    /// The snapshot with which the replay began, if not with the first record.
    pub snapshot: Option<SnapshotHeader>,
    /// Frames that were read.
    pub frames: u64,
    /// The journal's id: the one given at its making, whatever was given now.
    pub uuid: [u8; 16],
}

impl Recovery {
    /// Whether nothing had to be done.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.actions.is_empty()
    }
}
