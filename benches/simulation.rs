//! Measures how many seeds of the simulation run per second: `cargo bench --bench simulation [-- --seeds 2000]`.
//!
//! The simulation is a separate test (`tests/sim.rs`); it is run from a separate build (profile `prove`), which also
//! reports the numbers of events, starts and moves. There is nothing to compare it with; the bench ensures that it
//! runs.
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
