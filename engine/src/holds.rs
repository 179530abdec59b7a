//! Deletions that wait for an operator: said when they begin to wait and when that is over, and let go on once an approval
//! stands in the mirrors database.
//!
//! Which are held, and which of them an approval reaches, the journal decides. The approval is made durable there before
//! anything follows from it, so that it survives a start; another process that takes the mirror over reads it again.

use std::collections::BTreeMap;

use lakemirror_journal::command::MirrorCommand;
use lakemirror_journal::event::Event;
use lakemirror_journal::state::hold::HoldReason;
use lakemirror_journal::state::transition::Change;

use super::conditions::ConditionKind;
use super::mirror::{Ended, MirrorContext};
use super::ports::MirrorDefinition;

/// Names that one line of the log has, at most.
const NAMES_MAX: usize = 10;

/// How an operator lets held deletions of this mirror go on.
#[must_use]
pub fn how_to_approve(source: &str, mirror: &str) -> String {
    format!(
        "if this is meant, let them go on with POST /service/replication/v1/repositories/{source}/mirrors/{mirror}/deletions/approve \
         and {{\"branches\": [\"…\"]}}, or {{}} for all that are held; a branch that comes back at the source needs nothing"
    )
}

/// Why deletions are held, in words.
#[must_use]
pub fn reason(reason: HoldReason) -> &'static str {
    match reason {
        HoldReason::NoDefaultBranch => {
            "the source's listing lacks its default branch, as that of a repository does that is coming or going"
        }
        HoldReason::TooMany => "the source lost more branches at once than deletion.max_fraction allows",
    }
}

/// The first names, and how many more there are.
#[must_use]
pub fn names<'a>(all: impl Iterator<Item = &'a String>) -> String {
    let mut all = all.peekable();
    let mut text = String::new();
    for name in all.by_ref().take(NAMES_MAX) {
        let separator = if text.is_empty() { "" } else { ", " };
        text.push_str(separator);
        text.push_str(name);
    }
    let more = all.count();
    if more > 0 { format!("{text} and {more} more") } else { text }
}

/// Says what a look at the source has changed about held deletions, and takes up what was approved of those that wait.
///
/// # Errors
/// [`Ended`].
pub async fn follow(context: &MirrorContext, facts: &[Event]) -> Result<(), Ended> {
    facts.iter().for_each(|fact| told(&context.definition, fact));
    let held = context.look(|mirror| mirror.holds.values().any(|hold| !hold.approved)).await?;
    if held != Some(true) {
        return Ok(());
    }
    let approved = match context.registry.approved_deletions(&context.definition).await {
        Ok(approved) => approved,
        Err(fault) => {
            context.conditions.note(context.name(), ConditionKind::Registry, fault.to_string());
            return Ok(());
        }
    };
    let mut by_whom: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for one in approved {
        by_whom.entry(one.by).or_default().push((one.branch, one.head));
    }
    for (by, branches) in by_whom {
        context
            .ask(MirrorCommand::ApproveDeletions { branches, by })
            .await?
            .iter()
            .for_each(|fact| told(&context.definition, fact));
    }
    Ok(())
}

fn told(definition: &MirrorDefinition, fact: &Event) {
    let mirror = &definition.name;
    match fact.change() {
        Change::DeletionsHeld(fact) => {
            let why = reason(HoldReason::of(fact.reason));
            let how = how_to_approve(&definition.source_repository, mirror);
            tracing::warn!(
                mirror,
                branches = names(fact.branches.iter()),
                vanished = fact.vanished,
                of = fact.live,
                "deletions are held, nothing is removed on the mirror: {why}; {how}"
            );
        }
        Change::DeletionsReleased(fact) => {
            tracing::info!(
                mirror,
                branches = names(fact.branches.iter()),
                "deletions are not held any more: why they were is over"
            );
        }
        Change::DeletionsApproved(fact) => {
            tracing::info!(
                mirror,
                branches = names(fact.branches.iter()),
                by = fact.by,
                "held deletions go on: an operator approved them; they are removed after deletion.grace"
            );
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_of_names_is_cut_and_counted() {
        let all: Vec<String> = (0..12).map(|number| format!("b{number}")).collect();
        assert_eq!(names(all.iter().take(2)), "b0, b1");
        assert!(names(all.iter()).ends_with("b9 and 2 more"));
    }
}
