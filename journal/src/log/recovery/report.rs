//! What opening a journal found and did, for the process log and for a record in the journal.

use std::fmt;

use crate::ids::Seq;
use crate::log::snapshot::SnapshotHeader;

/// One of the two places that hold a copy of the newest frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// The segment file.
    Segment,
    /// The hot store.
    Hot,
}

/// One repair or other step of an opening.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecoveryAction {
    /// There was no journal, and a new one was created.
    Initialised,
    /// Records that were written but not acknowledged are intact and count from now on.
    RolledForward {
        /// First of them.
        from: Seq,
        /// Last of them.
        to: Seq,
    },
    /// An unfinished, unacknowledged write was cut off the segment.
    TailTruncated {
        /// The new end of the segment.
        offset: u64,
        /// The number of bytes that were cut.
        bytes: u64,
        /// What was wrong with them.
        fault: String,
        /// A copy of what was cut.
        saved_as: String,
    },
    /// Acknowledged records were damaged or missing in one copy and have been restored from the other.
    WitnessRepaired {
        /// The copy that was damaged.
        witness: Witness,
        /// First record restored.
        from: Seq,
        /// Last record restored.
        to: Seq,
        /// A copy of what was overwritten, if there was anything.
        saved_as: Option<String>,
    },
    /// The hot store was unusable and has been rebuilt from the segments.
    HotRebuilt {
        /// The reason.
        reason: String,
        /// The number of frames that it has now.
        frames: u64,
        /// The new place of the old store, if there was one.
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
    /// A segment had been sealed, but its name did not show it yet.
    RollCompleted {
        /// Its first record.
        first: Seq,
        /// Its last record.
        last: Seq,
    },
    /// The footer of a sealed segment was damaged, but not its frames. It has been computed and written again.
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
    /// Records are damaged permanently. A snapshot contains their effect, so the state is complete but the evidence is
    /// not.
    EvidenceDamaged {
        /// First of them.
        from: Seq,
        /// The last record that may be damaged.
        to: Seq,
        /// What is wrong with the first one.
        fault: String,
    },
    /// The record of an accepted loss was committed.
    LossRecorded {
        /// That record.
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

/// The report of an opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The steps in order; none after a clean shutdown.
    pub actions: Vec<RecoveryAction>,
    /// The last record.
    pub records: u64,
    /// The snapshot from which the replay started, if it did not start with the first record.
    pub snapshot: Option<SnapshotHeader>,
    /// The number of frames read.
    pub frames: u64,
    /// The journal's id. It was set at creation, whatever the caller passed now.
    pub uuid: [u8; 16],
}

impl Recovery {
    /// Whether the opening had nothing to do.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.actions.is_empty()
    }
}
