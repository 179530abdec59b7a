//! Held deletions in words: at the branch, and among the mirror's problems.

use lakemirror_api::types::WaitKind;
use lakemirror_journal::state::hold::{Hold, HoldReason};
use lakemirror_journal::state::mirror::Mirror;

use super::Waiting;
use super::problems::{Problem, Topic};
use crate::holds::{how_to_approve, names, reason};

/// One problem for each reason.
pub(super) fn problems(mirror: &Mirror) -> Vec<Problem> {
    let line = |why: HoldReason| {
        let held = || mirror.holds.iter().filter(move |(_, hold)| !hold.approved && hold.reason == why);
        let count = held().count();
        let text = || {
            format!(
                "{count} branches that are gone at the source stay on the mirror ({}): {}; {}",
                names(held().map(|(name, _)| name)),
                reason(why),
                how(mirror)
            )
        };
        let since_ms = held().map(|(_, hold)| hold.since_ms).min();
        (count > 0).then(|| Problem { topic: Topic::DeletionsHeld(why), text: text(), since_ms })
    };
    [HoldReason::NoDefaultBranch, HoldReason::TooMany].into_iter().filter_map(line).collect()
}

/// What the branch waits for.
pub(super) fn waiting(mirror: &Mirror, hold: &Hold) -> Waiting {
    let what = format!(
        "an operator: the branch is gone at the source, and its deletion is held because {}; {}",
        reason(hold.reason),
        how(mirror)
    );
    Waiting::new(WaitKind::DeletionHeld, what, hold.since_ms)
}

fn how(mirror: &Mirror) -> String {
    how_to_approve(&mirror.definition.source_repository, &mirror.definition.name)
}
