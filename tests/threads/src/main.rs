//! lakemirror's threads under a scheduler that tries different interleavings.
//!
//! The files with state shared between threads are compiled here unchanged, with the scheduler's threads, locks and
//! atomics instead of std's, and with tokio's channels extended by yield points between their steps. Each scenario is
//! run under thousands of schedules, and again with each of its mutations, which it has to detect.
//!
//! `tests/threads/run` is the command; `docs/proof.md` describes what is proven.

extern crate self as lakemirror_journal;
extern crate self as lakemirror_ports;
extern crate self as tokio;

/// The journal's state machine, without its log.
#[path = "../../../journal/src"]
mod journal {
    pub mod bits;
    pub mod codec;
    pub mod command;
    pub mod decide;
    pub mod event;
    /// The only part of the log that the recorder uses: the maximum size of a record, as in the log itself.
    pub mod log {
        /// Maximum size of a record in bytes.
        pub const RECORD_BYTES_LIMIT: usize = 192 * 1024;
    }
    pub mod state;

    pub use lakemirror_core::{commit, ids, limits, mutant};
}
pub use engine::{threads, ticker};
pub use journal::*;

pub mod clock;
mod disk;
pub mod engine;
mod explore;
mod journal_writer;
mod run;
mod scenarios;
pub mod sync;

fn main() -> std::process::ExitCode {
    run::main(&std::env::args().skip(1).collect::<Vec<_>>())
}
