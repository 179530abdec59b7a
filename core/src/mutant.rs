//! Mutations: deliberate faults that the tests have to detect.
//!
//! Each mutation has a name and a fault injection point that calls [`is_on`]. Without the feature `mutants`, `is_on` is
//! a constant `false` and no mutation is compiled. With the feature, a release build fails to compile. `docs/proof.md`
//! lists which test detects which mutation.

#[cfg(all(feature = "mutants", not(debug_assertions)))]
compile_error!("the feature `mutants` breaks lakemirror on purpose: it is for tests only and never in a release build");

/// The names of all mutations that the simulation has to detect.
pub const ALL: [&str; 60] = [
    "absent_read_as_present",
    "acknowledged_before_gone",
    "ancestors_unchecked",
    "answer_before_durable",
    "any_repository_deleted",
    "anything_adopted",
    "beat_counts_from_its_answer",
    "children_before_parents",
    "commits_unread",
    "deleted_read_as_present",
    "divergence_ignored",
    "earlier_heads_unasked",
    "epoch_kept",
    "evidence_never_old",
    "expired_head",
    "fact_unwritten",
    "fault_read_as_branch_gone",
    "fault_read_as_object_gone",
    "fence_open",
    "forbidden_read_as_present",
    "foreign_head_overwritten",
    "foreign_repository_taken",
    "frame_unsynced",
    "head_before_frame",
    "head_not_whole",
    "head_unsynced",
    "inherited_age_forgotten",
    "lapse_ignored",
    "let_go_counts_as_young",
    "listing_proves_absence",
    "listing_without_default_believed",
    "living_taken_for_dead",
    "misses_of_an_earlier_run",
    "moved_branch_removed",
    "moved_meanwhile_compared",
    "never_looked_again",
    "never_published",
    "new_source_followed",
    "old_definitions_trusted",
    "one_answer_expires",
    "one_miss_buries",
    "open_move_never_too_old",
    "open_moves_forgotten",
    "open_removals_forgotten",
    "other_object_inherited",
    "ownership_unasked",
    "passed_heads_shown",
    "quiet_too_early",
    "recorded_before_written",
    "records_unwritten",
    "removal_unproven",
    "source_asked_anew",
    "taken_as_resumed",
    "taken_unconditionally",
    "two_moves_at_once",
    "unknown_read_as_present",
    "unproven_inherited",
    "waits_for_nothing",
    "wrong_size_read_as_present",
    "wrong_sizes_unasked",
];

/// Mutations that show only with several threads. `tests/threads` has to detect them, because the simulation has one
/// thread.
pub const OF_THREADS: [&str; 14] = [
    "answers_swapped",
    "begun_sync_forgotten",
    "count_before_waiting",
    "entries_reversed",
    "failed_write_forgotten",
    "group_waits_until_full",
    "one_watcher_woken",
    "pulse_looked_at_twice",
    "queue_never_ends",
    "read_before_durable",
    "stop_before_durable",
    "stop_forgets_waiting",
    "tick_before_count",
    "write_beside_sync",
];

#[cfg(feature = "mutants")]
mod switch {
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Position in [`super::ALL`] followed by [`super::OF_THREADS`], counted from 1; 0 means none.
    static ON: AtomicUsize = AtomicUsize::new(0);

    /// Switches one mutation on for the whole process, and all others off.
    pub fn switch_on(name: Option<&str>) {
        let place = name.and_then(|name| names().position(|other| other == name));
        ON.store(place.map_or(0, |place| place + 1), Ordering::SeqCst);
    }

    /// Whether a mutation is switched on.
    #[must_use]
    pub fn is_on(name: &str) -> bool {
        let on = ON.load(Ordering::Relaxed);
        on != 0 && names().nth(on - 1) == Some(name)
    }

    fn names() -> impl Iterator<Item = &'static str> {
        super::ALL.into_iter().chain(super::OF_THREADS)
    }
}

#[cfg(feature = "mutants")]
pub use switch::{is_on, switch_on};

/// Whether a mutation is switched on: never, without the feature.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
#[must_use]
pub const fn is_on(_name: &str) -> bool {
    false
}
