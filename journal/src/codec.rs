//! Facts to bytes and back: the table of `(kind, version)` numbers, each with its frozen payload struct.
//!
//! The payload is rkyv with the format features that the workspace manifest fixes; its integrity is the frame's
//! business (crc and chain), its schema is the pair of numbers. An unknown pair is an error that names what is needed.

use rkyv::rancor;

use crate::event::Event;

/// A fact's bytes with the numbers that say how to read them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// What kind of fact.
    pub kind: u16,
    /// Which version of its struct.
    pub version: u16,
    /// The struct's rkyv bytes.
    pub bytes: Vec<u8>,
}

/// Why bytes are not a fact, or a fact has no bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// A later version of lakemirror wrote this.
    #[error(
        "record kind {kind} version {version} is not known to this version of lakemirror: read the journal with the version that wrote it, or a later one"
    )]
    Unknown {
        /// The record's kind.
        kind: u16,
        /// The record's version.
        version: u16,
    },
    /// The bytes are not what the struct's encoder writes.
    #[error("record kind {kind} version {version} does not hold what it should: {detail}")]
    Malformed {
        /// The record's kind.
        kind: u16,
        /// The record's version.
        version: u16,
        /// What the decoder says.
        detail: String,
    },
    /// The encoder failed (memory).
    #[error("record kind {kind} could not be encoded: {detail}")]
    Encode {
        /// The record's kind.
        kind: u16,
        /// What the encoder says.
        detail: String,
    },
}

macro_rules! table {
    (@name $variant:ident $name:literal) => { $name };
    (@name $variant:ident) => { stringify!($variant) };
    ($($kind:literal $version:literal $variant:ident $(as $name:literal)?),* $(,)?) => {
        impl Event {
            /// The numbers under which this fact stands on disk: kind and version.
            #[must_use]
            pub fn kind(&self) -> (u16, u16) {
                match self {
                    $(Event::$variant(_) => ($kind, $version),)*
                }
            }

            /// The fact's name, as tools print it.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Event::$variant(_) => table!(@name $variant $($name)?),)*
                }
            }
        }

        /// The fact as bytes.
        ///
        /// # Errors
        /// [`CodecError::Encode`] when memory runs out.
        pub fn encode(event: &Event) -> Result<Payload, CodecError> {
            let (kind, version) = event.kind();
            let bytes = match event {
                $(Event::$variant(payload) => rkyv::to_bytes::<rancor::Error>(payload),)*
            };
            let bytes = bytes.map_err(|error| CodecError::Encode { kind, detail: error.to_string() })?;
            Ok(Payload { kind, version, bytes: bytes.into_vec() })
        }

        /// The fact that these bytes hold.
        ///
        /// # Errors
        /// [`CodecError::Unknown`] for a pair of numbers without a struct, [`CodecError::Malformed`] for bytes that
        /// are no such struct.
        pub fn decode(kind: u16, version: u16, bytes: &[u8]) -> Result<Event, CodecError> {
            match (kind, version) {
                $(($kind, $version) => rkyv::from_bytes::<_, rancor::Error>(bytes).map(Event::$variant)
                    .map_err(|error| CodecError::Malformed { kind, version, detail: error.to_string() }),)*
                _ => Err(CodecError::Unknown { kind, version }),
            }
        }
    };
}

table! {
    1 1 ServiceStarted,
    2 1 PolicySet,
    2 2 PolicySetV2 as "PolicySet",
    3 1 JournalRecovered,
    4 1 SegmentSealed,
    5 1 SegmentArchived,
    6 1 SegmentDropped,
    7 1 SnapshotTaken,
    8 1 LossAcknowledged,
    9 1 JournalGapFound,
    10 1 DatabaseItemWritten,
    11 1 DatabaseRebuilt,
    16 1 MirrorDefined,
    17 1 SourceIdentified,
    18 1 RepositoryIntended,
    19 1 RepositoryReady,
    20 1 TroubleNoted,
    21 1 MirrorDeletionStarted,
    22 1 MirrorGone,
    23 1 MirrorTaken,
    24 1 ConditionRaised,
    25 1 ConditionResolved,
    27 1 DeletionsApproved,
    32 1 BranchSeen,
    33 1 BranchMissed,
    34 1 BranchTombstoned,
    35 1 BranchRemovalStarted,
    36 1 BranchRemoved,
    37 1 BranchDiverged,
    38 1 BranchAdopted,
    39 1 BranchForgotten,
    40 1 BranchVisibilityChanged,
    41 1 BranchRemakeStarted,
    44 1 DeletionsHeld,
    45 1 DeletionsReleased,
    48 1 CommitObserved,
    49 1 MetarangeRead,
    50 1 RangeRead,
    51 1 ArrivalsChecked,
    52 1 SourceProbed,
    53 1 RangesReopened,
    54 1 WrongSizesGone,
    55 1 TreesTakenBack,
    56 1 ArchivedShown,
    64 1 MoveStarted,
    65 1 RecordsWritten,
    66 1 MoveFinished,
    67 1 MoveGivenUp,
    80 1 SummaryPublished,
}
