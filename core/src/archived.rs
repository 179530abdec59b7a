//! Objects that are at the destination, and that nobody can read before they are restored from an archive.
//!
//! Owns the numbers of the classes, as they stand in exceptions of checks, and their names.

/// `ArrivalExceptionV1::code` of the journal: there in an archive class; its `found` is the number of the class.
pub const ARCHIVED: u8 = 5;

/// S3's `GLACIER` (flexible retrieval).
pub const GLACIER: u8 = 1;
/// S3's `DEEP_ARCHIVE`.
pub const DEEP_ARCHIVE: u8 = 2;
/// `INTELLIGENT_TIERING`, in its archive access tier.
pub const ARCHIVE_ACCESS: u8 = 3;
/// `INTELLIGENT_TIERING`, in its deep archive access tier.
pub const DEEP_ARCHIVE_ACCESS: u8 = 4;

/// What is known of an archived object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Archived {
    /// The number of its class; 0, and every other one without a name here, for a class that is not known.
    pub class: u8,
    /// Whether the mirror shows it already: then it is reported, and keeps nothing from being promoted.
    pub shown: bool,
}

impl Archived {
    /// From an exception's `found`, of an object that the mirror does not show as far as is known.
    #[must_use]
    pub fn found(found: u64) -> Self {
        Self { class: u8::try_from(found).unwrap_or_default(), shown: false }
    }
}

/// The class as S3 names it; the tiers of `INTELLIGENT_TIERING` as its archive status does.
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
