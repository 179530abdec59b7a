//! Conditions of a mirror as a whole: why it cannot go on until an operator does something.
//!
//! Each is raised and resolved by its kind, so that no stage ends or overwrites what another one found. Texts are for
//! people: nothing depends on them but the reading of `TroubleNoted`, the one event that earlier versions had for all
//! conditions.

use super::mirror::Mirror;

/// What is wrong with a mirror as a whole, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MirrorCondition {
    /// The source repository is not the one that was mirrored: it was deleted and created again under its name (I2).
    SourceReplaced,
    /// The mirror repository was deleted by another writer.
    RepositoryMissing,
    /// The mirror repository was replaced by another one of its name.
    RepositoryReplaced,
    /// A repository of the mirror's name was there before, and is not the mirror's.
    RepositoryForeign,
    /// The storage namespace overlaps the source's own, or another mirror's.
    NamespaceConflict,
    /// Deletions are held, by an earlier version of lakemirror.
    MassDeletion,
    /// A condition that this version does not know, by its number.
    Other(u8),
}

impl MirrorCondition {
    /// Its number in an event. 0 is none.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::SourceReplaced => 1,
            Self::RepositoryMissing => 2,
            Self::RepositoryReplaced => 3,
            Self::RepositoryForeign => 4,
            Self::NamespaceConflict => 5,
            Self::MassDeletion => 6,
            Self::Other(number) => number,
        }
    }

    /// The condition with this number.
    #[must_use]
    pub fn of(number: u8) -> Self {
        match number {
            1 => Self::SourceReplaced,
            2 => Self::RepositoryMissing,
            3 => Self::RepositoryReplaced,
            4 => Self::RepositoryForeign,
            5 => Self::NamespaceConflict,
            6 => Self::MassDeletion,
            other => Self::Other(other),
        }
    }

    /// The condition that an earlier version noted with this text.
    fn of_earlier_text(text: &str) -> Self {
        match text {
            text if text.starts_with("the source repository was deleted and made again") => Self::SourceReplaced,
            text if text.starts_with("the mirror repository was replaced") => Self::RepositoryReplaced,
            text if text.starts_with("the mirror repository") => Self::RepositoryMissing,
            text if text.starts_with("the source lost") => Self::MassDeletion,
            text if text.starts_with("the storage namespace cannot be used") => Self::NamespaceConflict,
            text if text.starts_with("a repository of this name is already there") => Self::RepositoryForeign,
            _ => Self::Other(0),
        }
    }
}

/// A condition that holds.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Raised {
    /// What is wrong and what to do, for people.
    pub text: String,
    /// Since when, milliseconds since 1970.
    pub since_ms: u64,
}

impl Mirror {
    /// The conditions that hold, the gravest first.
    pub fn conditions(&self) -> impl Iterator<Item = (MirrorCondition, &Raised)> {
        let mut all: Vec<(MirrorCondition, &Raised)> =
            self.raised.iter().map(|(number, raised)| (MirrorCondition::of(*number), raised)).collect();
        // What an earlier version noted, unless it was raised again since.
        all.extend(self.earlier_condition().filter(|(condition, _)| !self.raised.contains_key(&condition.number())));
        all.sort_by_key(|(condition, _)| *condition);
        all.into_iter()
    }

    /// The condition, if it holds.
    #[must_use]
    pub fn condition(&self, condition: MirrorCondition) -> Option<&Raised> {
        self.raised.get(&condition.number()).or_else(|| self.earlier(condition))
    }

    /// The condition, if an earlier version noted it.
    pub(crate) fn earlier(&self, condition: MirrorCondition) -> Option<&Raised> {
        self.earlier_condition().filter(|(noted, _)| *noted == condition).map(|(_, raised)| raised)
    }

    fn earlier_condition(&self) -> Option<(MirrorCondition, &Raised)> {
        let noted = self.trouble.as_ref()?;
        Some((MirrorCondition::of_earlier_text(&noted.text), noted))
    }
}
