//! The simulation: the production engine, journal and reducer in a simulated world, driven by a seed, on one thread.
//!
//! `cargo test --test sim` runs some hundred seeds; `cargo test --test sim -- --seed 42` repeats one and prints its
//! events. `--seeds N` and `--from N` run others, `--steps N` longer ones. After the seeds, two stories are played once
//! for each of their calls, with one fault injected exactly there; `--enumerate` plays all of them and nothing else,
//! `--enumerate 2/e:213` one. Environment: `LAKEMIRROR_SEEDS`, `LAKEMIRROR_SEED`. `cargo test --features mutants --test
//! sim -- --mutants ''` runs with each of the mutations of `core/src/mutant.rs`, to see whether it is detected. A
//! failing seed is run again with ever fewer steps, and printed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_macros,
    reason = "a test ends where it fails, and says so on the terminal"
)]

#[path = "sim/agenda.rs"]
mod agenda;
#[path = "sim/bucket.rs"]
mod bucket;
#[path = "sim/command.rs"]
mod command;
#[path = "sim/database.rs"]
mod database;
#[path = "sim/dice.rs"]
mod dice;
#[path = "sim/ending.rs"]
mod ending;
#[path = "sim/enumerate.rs"]
mod enumerate;
#[path = "sim/judge.rs"]
mod judge;
#[path = "sim/lake.rs"]
mod lake;
#[path = "sim/lakefs.rs"]
mod lakefs;
#[cfg(feature = "mutants")]
#[path = "sim/mutants.rs"]
mod mutants;
#[path = "sim/others.rs"]
mod others;
#[path = "sim/plan.rs"]
mod plan;
#[path = "sim/process.rs"]
mod process;
#[path = "sim/run.rs"]
mod run;
#[path = "sim/shrink.rs"]
mod shrink;
#[path = "sim/story.rs"]
mod story;
#[path = "sim/trap.rs"]
mod trap;
#[path = "sim/users.rs"]
mod users;
#[path = "sim/wire.rs"]
mod wire;
#[path = "sim/world.rs"]
mod world;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    command::main()
}
