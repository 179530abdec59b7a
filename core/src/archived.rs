//! Objects that exist at the destination but cannot be read until they are restored from an archive.
//!
//! This module owns the numbers of the archive classes, as exceptions of checks store them, and their names.

/// `ArrivalExceptionV1::code` in the journal: the object is in an archive class; `found` is the number of the class.
pub const ARCHIVED: u8 = 5;

/// S3's `GLACIER` (flexible retrieval).
pub const GLACIER: u8 = 1;
/// S3's `DEEP_ARCHIVE`.
pub const DEEP_ARCHIVE: u8 = 2;
/// `INTELLIGENT_TIERING`, archive access tier.
pub const ARCHIVE_ACCESS: u8 = 3;
/// `INTELLIGENT_TIERING`, deep archive access tier.
pub const DEEP_ARCHIVE_ACCESS: u8 = 4;

/// What is known about an archived object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Archived {
    /// The number of its class. 0, and any other number without a constant here, is an unknown class.
    pub class: u8,
    /// Whether the mirror already shows the object. If so, it is reported and does not block a promotion.
    pub shown: bool,
}

impl Archived {
    /// Builds the value from an exception's `found`, for an object that the mirror is not known to show.
    #[must_use]
    pub fn found(found: u64) -> Self {
        Self { class: u8::try_from(found).unwrap_or_default(), shown: false }
    }
}

/// The class by S3's name; for the tiers of `INTELLIGENT_TIERING`, the name of the archive status.
#[must_use]
pub fn class_name(class: u8) -> &'static str {
    match class {
        GLACIER => "GLACIER",
        DEEP_ARCHIVE => "DEEP_ARCHIVE",
        ARCHIVE_ACCESS => "INTELLIGENT_TIERING ARCHIVE_ACCESS",
        DEEP_ARCHIVE_ACCESS => "INTELLIGENT_TIERING DEEP_ARCHIVE_ACCESS",
        _ => "an archive class",
    }
}
