//! From the configuration's words to the rules that the journal keeps.

use lakemirror_journal::state::policy::{ArchivedRule, DivergenceRule, HistoryRule, ImportsRule, Policy, SizeRule};

use crate::config::{
    ArchivedRule as ConfiguredArchived, Config, History, Imports, OnDivergence, SizeRule as ConfiguredSize,
};

/// The rules of a configuration.
#[must_use]
pub fn of(config: &Config) -> Policy {
    let ms = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Policy {
        history: match config.promotion.history {
            History::Complete => HistoryRule::Complete,
            History::Head => HistoryRule::Head,
        },
        size: match config.verification.size {
            ConfiguredSize::Strict => SizeRule::Strict,
            ConfiguredSize::Report => SizeRule::Report,
        },
        archived: match config.verification.archived {
            ConfiguredArchived::Block => ArchivedRule::Block,
            ConfiguredArchived::Report => ArchivedRule::Report,
        },
        imports: match config.imports {
            Imports::Check => ImportsRule::Check,
            Imports::Ignore => ImportsRule::Ignore,
            Imports::Block => ImportsRule::Block,
        },
        on_divergence: match config.promotion.on_divergence {
            OnDivergence::Report => DivergenceRule::Report,
            OnDivergence::Restore => DivergenceRule::Restore,
        },
        evidence_age_ms_max: ms(config.verification.evidence_max_age),
        deletion_grace_ms: ms(config.deletion.grace),
        deletion_permille_max: permille(config.deletion.max_fraction),
    }
}

/// A fraction of 0 to 1 in thousandths.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is brought between 0 and 1000 first"
)]
fn permille(fraction: f64) -> u16 {
    (fraction * 1000.0).round().clamp(0.0, 1000.0) as u16
}
