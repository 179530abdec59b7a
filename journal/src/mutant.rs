//! Deliberate faults, switched on one at a time by the simulation's test that it would find each of them.
//!
//! They exist only with the feature `mutants`, which no build without debug assertions takes. Without it every question
//! is a constant `false`.

#[cfg(all(feature = "mutants", not(debug_assertions)))]
compile_error!("the feature `mutants` makes lakemirror wrong on purpose: it is for the simulation only");

/// Every fault: its name, and what it does.
pub const ALL: &[(&str, &str)] = &[
    ("segment-not-synced", "a commit is acknowledged without a sync of the segment"),
    ("hot-not-flushed", "a commit is acknowledged without a flush of the hot store"),
    ("nothing-committed", "facts are acknowledged and not written at all"),
    ("evidence-never-old", "the age of evidence is not looked at"),
    ("head-not-whole", "a head is promoted whatever is missing of it"),
    ("ancestors-not-whole", "a head is promoted whatever is missing of its ancestors"),
    ("one-miss-buries", "a branch is gone after one miss"),
    ("forbidden-is-present", "an object that the store refuses to speak of counts as there"),
    ("size-not-compared", "an object of another size counts as there"),
    ("absent-is-present", "an object that is not there counts as there"),
    ("lease-not-asked", "calls that change a mirror are made without a live lease"),
    ("children-first", "commit records are written newest first"),
    ("taking-forgets-nothing", "a mirror that another process drove is gone on with as this one left it"),
    ("fault-is-absence", "a branch that cannot be asked about is gone"),
    ("first-seen-goes", "a takeover before the repository is ready keeps the heads that were seen"),
];

#[cfg(feature = "mutants")]
mod switched {
    use std::cell::Cell;

    thread_local! {
        static ON: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    /// Switches a fault on, on this thread, or all of them off.
    pub fn switch(name: Option<&'static str>) {
        ON.set(name);
    }

    /// Whether a fault is on, on this thread.
    #[must_use]
    pub fn is_on(name: &str) -> bool {
        ON.get() == Some(name)
    }
}

#[cfg(feature = "mutants")]
pub use switched::{is_on, switch};

/// Whether a fault is on: never.
#[cfg(not(feature = "mutants"))]
#[must_use]
#[inline(always)]
pub const fn is_on(_name: &str) -> bool {
    false
}
