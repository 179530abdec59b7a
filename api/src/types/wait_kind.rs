//! The kinds of things that a branch waits for: one closed list for the engine, the stored summary, the API and its
//! clients.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The kind of thing that a branch waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitKind {
    /// The record of a commit at the source.
    Commit,
    /// The records of ancestors at the source.
    History,
    /// A metarange file at the destination.
    Metarange,
    /// Range files at the destination.
    Range,
    /// Objects at the destination.
    Objects,
    /// Objects whose size differs from their entries.
    WrongSize,
    /// Objects in an archive storage class.
    Archived,
    /// The move of the branch, which is in progress.
    Promotion,
    /// An operator, because another writer moved the branch of the mirror.
    Divergence,
    /// The end of the grace period, because the branch was deleted at the source.
    Deletion,
    /// An operator who approves the deletion of the branch.
    DeletionHeld,
    /// A call that fails and is retried.
    Fault,
    /// A kind that only a newer lakemirror knows.
    #[serde(other)]
    Unknown,
}

impl WaitKind {
    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::History => "history",
            Self::Metarange => "metarange",
            Self::Range => "range",
            Self::Objects => "objects",
            Self::WrongSize => "wrong_size",
            Self::Archived => "archived",
            Self::Promotion => "promotion",
            Self::Divergence => "divergence",
            Self::Deletion => "deletion",
            Self::DeletionHeld => "deletion_held",
            Self::Fault => "fault",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_json_says_and_a_newer_kind_is_unknown() {
        for kind in [
            WaitKind::Commit,
            WaitKind::History,
            WaitKind::Metarange,
            WaitKind::Range,
            WaitKind::Objects,
            WaitKind::WrongSize,
            WaitKind::Archived,
            WaitKind::Promotion,
            WaitKind::Divergence,
            WaitKind::Deletion,
            WaitKind::DeletionHeld,
            WaitKind::Fault,
            WaitKind::Unknown,
        ] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        assert_eq!(serde_json::from_str::<WaitKind>("\"tape\"").unwrap(), WaitKind::Unknown);
    }
}
