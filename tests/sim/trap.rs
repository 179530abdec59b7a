//! One thing that goes wrong, at one call that was chosen beforehand: what an enumeration puts into a run.
//!
//! Owns the count of the calls to the outside, and what becomes of the chosen one. Calls to the disk are counted by
//! `Faults`, where they are made.

use lakemirror_journal::log::fault::{Faults, Survival};

use crate::agenda::MS;
use crate::wire::Call;
use crate::world::Fate;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The machine stops at a call to its disk or hot store, and so much is left.
    Stop(Survival),
    /// A call to the disk or hot store fails.
    Fail,
    /// The process dies just before a call to the outside is sent.
    Before,
    /// The machine loses its power when the call was carried out and not answered yet.
    After,
    /// The call is carried out and never answered.
    Unanswered,
    /// The call is never carried out.
    Lost,
    /// The call, one that changes something, is carried out twice.
    Twice,
}

/// Counts calls to the outside, and waits for one.
#[derive(Debug, Default)]
pub(crate) struct Trap {
    /// Calls so far, and those of them that a client may send twice and that change something.
    pub(crate) calls: u64,
    pub(crate) changes: u64,
    pub(crate) set: Option<(Trouble, u64)>,
    /// The call that it was.
    pub(crate) sprung: Option<String>,
}

impl Trap {
    /// What becomes of a call, and whether its sender's machine stops once it was carried out.
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
