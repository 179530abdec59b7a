//! Runs one scenario under many schedules, in this process.

use std::panic::catch_unwind;

use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::{Config, Runner};

use crate::scenarios::Scenario;

/// Our threads need more stack than the scheduler's default.
const STACK_BYTES: usize = 512 * 1024;
/// Far more steps than any schedule of a scenario has; reaching it indicates a loop.
const STEPS_MAX: usize = 100_000;
/// How often a schedule of the second kind preempts the thread that should continue.
const PREEMPTIONS: usize = 3;

/// Two kinds of schedules: any thread may continue at every step, each with the same probability; or one thread
/// continues as long as it can, except for a few preemptions. Returns how many were run until one failed, and whether
/// one did.
pub(crate) fn explore(scenario: &Scenario, schedules: usize, seed: u64) -> (usize, bool) {
    let mut ran = 0;
    let random = RandomScheduler::new_from_seed(seed, schedules);
    let few = PctScheduler::new_from_seed(seed, PREEMPTIONS, schedules / 4);
    let failed = !(run(scenario, random, &mut ran) && run(scenario, few, &mut ran));
    (ran, failed)
}

/// Runs a printed schedule again. Returns whether it failed.
pub(crate) fn again(scenario: &Scenario, schedule: &str) -> bool {
    !run(scenario, ReplayScheduler::new_from_encoded(schedule), &mut 0)
}

fn run(scenario: &Scenario, scheduler: impl Scheduler + 'static, ran: &mut usize) -> bool {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = shuttle::MaxSteps::FailAfter(STEPS_MAX);
    config.silence_warnings = true;
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (counted, body) = (std::sync::Arc::clone(&count), scenario.run);
    let all = move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        body();
    };
    let whole = catch_unwind(std::panic::AssertUnwindSafe(|| Runner::new(scheduler, config).run(all))).is_ok();
    *ran += count.load(std::sync::atomic::Ordering::Relaxed);
    whole
}
