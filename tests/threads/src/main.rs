//! lakemirror's threads under a scheduler that tries the orders in which they can happen.
//!
//! The files that share something between threads are compiled here as they are, with a scheduler's threads, locks and
//! atomics for std's, and tokio's own channels with room for other threads between their steps. Each scenario is run under
//! thousands of schedules, and again with each break that is its own: those it has to notice.
//!
//! `tests/threads/run` is the command; `docs/proof.md` says what is held.

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
    /// What the recorder knows of the log: how large a record may be, as in the log itself.
    pub mod log {
        /// Bytes of a record.
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
