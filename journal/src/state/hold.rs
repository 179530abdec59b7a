//! Deletions that wait for an operator: branches that are gone at the source and stay on the mirror until somebody says
//! that this is meant.
//!
//! A hold ends with an approval, with the branch's return, or when the reason for it is over. While some are not approved,
//! those that are stay counted among what vanished together: that an operator approves some does not let the others go.

use std::collections::BTreeMap;

use super::mirror::Mirror;
use crate::event::Event;

/// Why a deletion is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum HoldReason {
    /// The source's listing lacks its default branch, which lakeFS never deletes.
    NoDefaultBranch,
    /// More branches vanished at once than `deletion.max_fraction` allows.
    TooMany,
}

impl HoldReason {
    /// Its number in a fact.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::NoDefaultBranch => 0,
            Self::TooMany => 1,
        }
    }

    /// The reason with this number; what only a later version knows counts as the stricter one.
    #[must_use]
    pub fn of(number: u8) -> Self {
        if number == 1 { Self::TooMany } else { Self::NoDefaultBranch }
    }
}

/// One held deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Hold {
    /// Since when, milliseconds since 1970.
    pub since_ms: u64,
    /// Why.
    pub reason: HoldReason,
    /// Whether an operator lets it go on.
    pub approved: bool,
}

/// The deletions of one mirror that are held, and those that were approved meanwhile, by branch.
pub type Holds = BTreeMap<String, Hold>;

impl Mirror {
    /// Whether the branch stays on the mirror until an operator approves its deletion.
    #[must_use]
    pub fn is_held(&self, branch: &str) -> bool {
        self.holds.get(branch).is_some_and(|hold| !hold.approved)
    }

    /// Adds a fact about holds; false where it is none.
    pub(crate) fn apply_about_holds(&mut self, event: &Event) -> bool {
        match event {
            Event::DeletionsHeld(e) => {
                let hold = Hold { since_ms: e.at_ms, reason: HoldReason::of(e.reason), approved: false };
                for name in e.branches.iter().filter(|name| self.branches.contains_key(*name)) {
                    self.holds.entry(name.clone()).or_insert(hold);
                }
            }
            Event::DeletionsApproved(e) => {
                for name in &e.branches {
                    if let Some(hold) = self.holds.get_mut(name) {
                        hold.approved = true;
                    }
                }
            }
            Event::DeletionsReleased(e) => self.holds.retain(|name, _| !e.branches.contains(name)),
            _ => return false,
        }
        self.settle_holds();
        true
    }

    /// The branch is there: nothing of it is to be deleted.
    pub(crate) fn end_hold(&mut self, branch: &str) {
        if self.holds.remove(branch).is_some() {
            self.settle_holds();
        }
    }

    /// Once none waits for an operator, what was approved and is gone counts no longer.
    pub(crate) fn settle_holds(&mut self) {
        if self.holds.values().all(|hold| hold.approved) {
            let branches = &self.branches;
            self.holds.retain(|name, _| branches.contains_key(name));
        }
    }
}
