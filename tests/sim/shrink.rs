//! Reduces a failing run: steps are left out as long as the same invariant is violated.

use crate::plan::{Plan, Planned};
use crate::run::{Report, run};

/// Maximum number of runs for this.
const RUNS_MAX: u32 = 300;

/// A plan with as few steps as could be found, and its result.
pub(crate) fn shrink(plan: &Plan, invariant: &str) -> (Plan, Report) {
    let mut best = plan.clone();
    let mut spent = 0;
    let fails = |steps: &[Planned], spent: &mut u32| {
        *spent += 1;
        let report = run(&Plan { steps: steps.to_vec(), ..plan.clone() }, false);
        report.violation.is_some_and(|violation| violation.invariant == invariant)
    };
    // First a shorter run, then one without ever smaller pieces.
    let mut size = best.steps.len() / 2;
    while size > 0 && spent < RUNS_MAX {
        let mut end = best.steps.len();
        while end > 0 && spent < RUNS_MAX {
            let start = end.saturating_sub(size);
            let mut fewer = best.steps.clone();
            fewer.drain(start..end);
            if fails(&fewer, &mut spent) {
                best.steps = fewer;
            }
            end = start;
        }
        size /= 2;
    }
    let report = run(&best, true);
    (best, report)
}
