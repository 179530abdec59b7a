//! Histories of an engine that issues valid and invalid commands in any order, drawn from the input. The state machine
//! must keep the invariants of the tests' own model, and its events must replay to the same state.

#![no_main]

use libfuzzer_sys::fuzz_target;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// The journal's own tests of the state machine.
#[allow(dead_code, unused_imports, unreachable_pub, missing_docs, reason = "tests of another package")]
#[path = "../../journal/tests/state"]
mod state {
    pub mod drive;
    pub mod model;
    pub mod model_files;
    pub mod properties;
    pub mod recount;
    pub mod world;
}

use lakemirror_journal::state::State;
use state::properties::{histories, replay, run};

fuzz_target!(|data: &[u8]| {
    // Draws directly from the input would end with it, and some are repeated forever at its end.
    let seed = blake3::hash(data);
    let config = Config { failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, seed.as_bytes()));
    let Ok(tree) = histories().new_tree(&mut runner) else { return };
    let (world, steps, policy) = tree.current();
    let (reducer, _) = run(&world, &steps, &policy);
    assert_eq!(replay(State::default(), &reducer.journal), reducer.state);
});
