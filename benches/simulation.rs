//! How many seeds of the simulation there are in a second: `cargo bench --bench simulation [-- --seeds 2000]`.
//!
//! The simulation is a test of its own (`tests/sim.rs`); it is run from a build of its own (profile `prove`), which also says what was done
//! in the time: events, starts, moves. There is no peer to compare it with; what counts is that it is run.
#![allow(missing_docs, reason = "a bench has no items that anybody uses")]

use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let words = ["test", "--quiet", "--profile", "prove", "--locked", "--test", "sim", "--", "--bench"];
    let wanted = std::env::args().skip(1).filter(|word| word != "--bench");
    match Command::new(env!("CARGO")).args(words).args(wanted).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) | Err(_) => ExitCode::FAILURE,
    }
}
