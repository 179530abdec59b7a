//! How far a segment is. In a file of its own because what rkyv derives for it is nobody's business.

use super::Archive;

/// How far a segment is.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Stage {
    /// It is complete on the journal's volume, and only there.
    Sealed,
    /// It is on the journal's volume and in an archive.
    Archived(
        /// The copy.
        Archive,
    ),
    /// It is no longer on the journal's volume.
    Dropped {
        /// The copy that is left; none where retention gave the segment up.
        archive: Option<Archive>,
        /// When it was dropped, milliseconds since 1970.
        at_ms: u64,
    },
}
