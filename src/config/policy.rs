//! `promotion`, `verification`, `imports` and `deletion`: lakemirror's own settings. What they decide is in the
//! engine; here are the choices and their defaults.

use std::time::Duration;

use super::limits::ANY_DURATION;
use super::reader::Section;

/// `promotion`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promotion {
    /// `promotion.history`. Default `complete`.
    pub history: History,
    /// `promotion.on_divergence`. Default `report`.
    pub on_divergence: OnDivergence,
}

/// What must be at the destination before a branch moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// The commit and all of its ancestors.
    Complete,
    /// The commit itself; its ancestors are verified in the background.
    Head,
}

/// What happens when somebody else has moved a mirror's branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDivergence {
    /// It is reported.
    Report,
    /// It is put back.
    Restore,
}

/// `verification`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verification {
    /// `verification.size`. Default `strict`.
    pub size: SizeRule,
    /// `verification.archived`. Default `block`.
    pub archived: ArchivedRule,
    /// `verification.evidence_max_age`, how long a positive check counts. Default the vendor's
    /// `validator.object_presence_cache.expiry`, else 24 h.
    pub evidence_max_age: Duration,
    /// `verification.diagnose_after`, when to ask the source about an object of a head. Default 10 min.
    pub diagnose_after: Duration,
}

/// What an object of another size than its entry's is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeRule {
    /// Not there.
    Strict,
    /// There, and reported.
    Report,
}

/// What an object in an archive class is, which has to be restored before it can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchivedRule {
    /// Keeps a commit from being promoted.
    Block,
    /// There, and reported.
    Report,
}

/// `imports`: entries with a full address outside the namespace. Default `check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imports {
    /// Looked for where they say.
    Check,
    /// Taken to be there.
    Ignore,
    /// Keep their commit from being promoted.
    Block,
}

/// `deletion`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deletion {
    /// `deletion.grace`, how long a deleted branch stays. Default 10 min.
    pub grace: Duration,
    /// `deletion.max_fraction`, 0..=1: more than this part of a mirror's branches (and more than 3) at once waits for
    /// an operator. Default 0.5.
    pub max_fraction: f64,
}

const HISTORIES: [(&str, History); 2] = [("complete", History::Complete), ("head", History::Head)];
const DIVERGENCES: [(&str, OnDivergence); 2] = [("report", OnDivergence::Report), ("restore", OnDivergence::Restore)];
const SIZE_RULES: [(&str, SizeRule); 2] = [("strict", SizeRule::Strict), ("report", SizeRule::Report)];
const ARCHIVED_RULES: [(&str, ArchivedRule); 2] = [("block", ArchivedRule::Block), ("report", ArchivedRule::Report)];
const IMPORTS: [(&str, Imports); 3] =
    [("check", Imports::Check), ("ignore", Imports::Ignore), ("block", Imports::Block)];

const TEN_MINUTES: Duration = Duration::from_secs(10 * 60);
const ONE_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads the section `promotion`.
pub(super) fn read_promotion(section: &Section<'_>) -> Promotion {
    Promotion {
        history: section.choice("history", &HISTORIES).unwrap_or(History::Complete),
        on_divergence: section.choice("on_divergence", &DIVERGENCES).unwrap_or(OnDivergence::Report),
    }
}

/// Reads the section `verification`; `object_expiry` is the vendor's setting for the age of evidence.
pub(super) fn read_verification(section: &Section<'_>, object_expiry: Option<Duration>) -> Verification {
    let evidence_max_age = section.duration("evidence_max_age", ANY_DURATION).or(object_expiry).unwrap_or(ONE_DAY);
    Verification {
        size: section.choice("size", &SIZE_RULES).unwrap_or(SizeRule::Strict),
        archived: section.choice("archived", &ARCHIVED_RULES).unwrap_or(ArchivedRule::Block),
        evidence_max_age,
        diagnose_after: section.duration("diagnose_after", ANY_DURATION).unwrap_or(TEN_MINUTES),
    }
}

/// Reads `imports` of the document.
pub(super) fn read_imports(root: &Section<'_>) -> Imports {
    root.choice("imports", &IMPORTS).unwrap_or(Imports::Check)
}

/// Reads the section `deletion`.
pub(super) fn read_deletion(section: &Section<'_>) -> Deletion {
    Deletion {
        grace: section.duration("grace", ANY_DURATION).unwrap_or(TEN_MINUTES),
        max_fraction: section.fraction("max_fraction").unwrap_or(0.5),
    }
}
