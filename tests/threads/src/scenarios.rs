//! The scenarios that are run under many schedules. A scenario fails by a panic, or by a deadlock.

mod durable;
mod lease;
mod order;
mod pressure;
mod shutdown;
mod syncs;
mod wakeups;

/// One scenario.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) run: fn(),
    /// The mutations that it has to detect.
    pub(crate) breaks: &'static [&'static str],
}

/// All scenarios.
pub(crate) const ALL: &[Scenario] = &[
    Scenario {
        name: "answers-and-reads-are-durable",
        run: durable::answers_and_reads,
        breaks: &["answer_before_durable", "read_before_durable"],
    },
    Scenario {
        name: "ticks-are-not-lost",
        run: wakeups::ticks,
        breaks: &["tick_before_count", "count_before_waiting", "one_watcher_woken"],
    },
    Scenario { name: "facts-wake-watchers", run: wakeups::facts, breaks: &["tick_before_count", "one_watcher_woken"] },
    Scenario { name: "all-recorders-dropped", run: shutdown::dropped, breaks: &["queue_never_ends"] },
    Scenario {
        name: "stopped-for-good",
        run: shutdown::stopped,
        breaks: &["stop_forgets_waiting", "stop_before_durable"],
    },
    Scenario {
        name: "a-write-fails",
        run: shutdown::failed,
        breaks: &["stop_forgets_waiting", "failed_write_forgotten", "answer_before_durable"],
    },
    Scenario { name: "more-askers-than-room", run: pressure::crowd, breaks: &["group_waits_until_full"] },
    Scenario { name: "commands-keep-their-order", run: order::kept, breaks: &["answers_swapped", "entries_reversed"] },
    Scenario {
        name: "syncs-behind-the-writer",
        run: syncs::covered,
        breaks: &["begun_sync_forgotten", "write_beside_sync"],
    },
    Scenario { name: "leases-of-one-pulse", run: lease::of_one_pulse, breaks: &["pulse_looked_at_twice"] },
];
