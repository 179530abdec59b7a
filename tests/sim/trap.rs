//! One fault at one call that was chosen beforehand: what an enumeration injects into a run.
//!
//! Counts the calls to the outside and decides about the chosen one. `Faults` counts disk calls.

use lakemirror_journal::log::fault::{Faults, Survival};

use crate::agenda::MS;
use crate::wire::Call;
use crate::world::Fate;

/// The kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The machine stops at a call to its disk or hot store; this much of unsynced data survives.
    Stop(Survival),
    /// A call to the disk or hot store fails.
    Fail,
    /// The process dies just before a call to the outside is sent.
    Before,
    /// The machine loses power when the call was executed and not answered yet.
    After,
    /// The call is executed and never answered.
    Unanswered,
    /// The call is never executed.
    Lost,
    /// The call, a changing one, is executed twice.
    Twice,
}

/// Counts calls to the outside, and waits for one.
#[derive(Debug, Default)]
pub(crate) struct Trap {
    /// Number of calls so far, and of those that change something and that a client may send twice.
    pub(crate) calls: u64,
    pub(crate) changes: u64,
    pub(crate) set: Option<(Trouble, u64)>,
    /// The call at which it happened.
    pub(crate) sprung: Option<String>,
}

impl Trap {
    /// What happens to a call, and whether its sender's machine stops after it was executed.
    pub(crate) fn spring(&mut self, call: Call, of: &str, fate: Fate, faults: &Faults) -> (Fate, bool) {
        let twice = call.changes && call.repeatable;
        let (number, change) = (self.calls, self.changes);
        self.calls += 1;
        self.changes += u64::from(twice);
        let Some((trouble, at)) = self.set else { return (fate, false) };
        let here = if trouble == Trouble::Twice { twice && change == at } else { number == at };
        let Fate::Answered { to, back } = fate else { return (fate, false) };
        if !here || matches!(trouble, Trouble::Stop(_) | Trouble::Fail) {
            return (fate, false);
        }
        self.sprung = Some(format!("{:?}: {} {of}", call.place, call.name));
        match trouble {
            Trouble::Before => {
                faults.stop();
                (Fate::Lost, false)
            }
            Trouble::After => (Fate::Unanswered { to }, true),
            Trouble::Unanswered => (Fate::Unanswered { to }, false),
            Trouble::Lost => (Fate::Lost, false),
            _ => (Fate::Twice { to, again: to + 100 * MS, back }, false),
        }
    }
}
