//! The rules that decisions follow, as the journal has them: part of the state, so that a replay decides alike.

use crate::event::{PolicySetV1, PolicySetV2};

/// What must be complete before a commit is promoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum HistoryRule {
    /// The commit and all of its ancestors that are not yet on the mirror.
    Complete,
    /// The commit only; ancestors are verified afterwards.
    Head,
}

/// What an object of another size than its entry's counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum SizeRule {
    /// Not there.
    Strict,
    /// There, and reported.
    Report,
}

/// What an object in an archive class counts as, which cannot be read before it is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ArchivedRule {
    /// It keeps a commit from being promoted that the mirror does not show already.
    Block,
    /// There, and reported. What every object that was there counted as before there was this rule.
    #[default]
    Report,
}

/// What is done about entries with a full address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum ImportsRule {
    /// Their objects are looked for where the address says.
    Check,
    /// They count as there.
    Ignore,
    /// A commit that has one is never promoted.
    Block,
}

/// What is done about a mirror's branch that somebody else moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum DivergenceRule {
    /// It is reported and left alone.
    Report,
    /// It is put back.
    Restore,
}

/// All rules. Those before any was set are the ones that version 1 had without being told.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Policy {
    /// `promotion.history`.
    pub history: HistoryRule,
    /// `verification.size`.
    pub size: SizeRule,
    /// `verification.archived`. Not in the state image's struct: an entry of its own has it.
    #[rkyv(with = rkyv::with::Skip)]
    pub archived: ArchivedRule,
    /// `imports`.
    pub imports: ImportsRule,
    /// `promotion.on_divergence`.
    pub on_divergence: DivergenceRule,
    /// `verification.evidence_max_age`, milliseconds.
    pub evidence_age_ms_max: u64,
    /// `deletion.grace`, milliseconds.
    pub deletion_grace_ms: u64,
    /// `deletion.max_fraction`, in thousandths.
    pub deletion_permille_max: u16,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            history: HistoryRule::Complete,
            size: SizeRule::Strict,
            archived: ArchivedRule::Report,
            imports: ImportsRule::Check,
            on_divergence: DivergenceRule::Report,
            evidence_age_ms_max: 24 * 60 * 60 * 1000,
            deletion_grace_ms: 10 * 60 * 1000,
            deletion_permille_max: 500,
        }
    }
}

impl Policy {
    /// The fact that this policy holds from here on.
    #[must_use]
    pub fn event(&self) -> PolicySetV2 {
        PolicySetV2 {
            history: u8::from(self.history == HistoryRule::Head),
            size: u8::from(self.size == SizeRule::Report),
            archived: u8::from(self.archived == ArchivedRule::Report),
            imports: match self.imports {
                ImportsRule::Check => 0,
                ImportsRule::Ignore => 1,
                ImportsRule::Block => 2,
            },
            on_divergence: u8::from(self.on_divergence == DivergenceRule::Restore),
            evidence_age_ms_max: self.evidence_age_ms_max,
            deletion_grace_ms: self.deletion_grace_ms,
            deletion_permille_max: self.deletion_permille_max,
        }
    }

    /// The policy that a fact sets. An unknown number is the strictest rule.
    #[must_use]
    pub fn from_event(event: &PolicySetV2) -> Self {
        let archived = if event.archived == 1 { ArchivedRule::Report } else { ArchivedRule::Block };
        Self { archived, ..Self::from_version_1(&event.version_1()) }
    }

    /// The policy that a fact of version 1 sets. It knew of no archive classes: what was there counted as there.
    #[must_use]
    pub fn from_version_1(event: &PolicySetV1) -> Self {
        Self {
            history: if event.history == 1 { HistoryRule::Head } else { HistoryRule::Complete },
            size: if event.size == 1 { SizeRule::Report } else { SizeRule::Strict },
            archived: ArchivedRule::Report,
            imports: match event.imports {
                0 => ImportsRule::Check,
                1 => ImportsRule::Ignore,
                _ => ImportsRule::Block,
            },
            on_divergence: if event.on_divergence == 1 { DivergenceRule::Restore } else { DivergenceRule::Report },
            evidence_age_ms_max: event.evidence_age_ms_max,
            deletion_grace_ms: event.deletion_grace_ms,
            deletion_permille_max: event.deletion_permille_max,
        }
    }
}
