//! The command line: which seeds are run, on how many threads, and what is printed.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use lakemirror::clock::Clock;
use lakemirror::clock::system::SystemClock;

use crate::agenda::SECOND;
use crate::enumerate::enumerate;
use crate::plan::Plan;
use crate::run::{Report, run};
use crate::shrink::shrink;

/// Number of seeds of a plain run.
const SEEDS: u64 = if cfg!(debug_assertions) { 200 } else { 2000 };
/// Number of steps of most seeds; some have four times as many.
const STEPS: usize = 70;
/// Maximum number of lines that are printed of a failing run.
const TRACE_LINES_MAX: usize = 250;
/// One seed in this many is run twice and compared.
const TWICE_EVERY: u64 = 20;

struct Wanted {
    seed: Option<u64>,
    from: u64,
    seeds: u64,
    steps: usize,
    threads: usize,
    /// Number of failing seeds after which no others are started.
    failures: usize,
    /// A mutation to run with.
    mutant: Option<String>,
    /// All mutations whose names contain this.
    mutants: Option<String>,
    /// Only the enumerated cases that this name selects.
    enumerate: Option<String>,
    /// Only seeds, none of them twice, to measure seeds per second.
    bench: bool,
    /// Another test was requested.
    other: bool,
}

fn wanted() -> Wanted {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut wanted = Wanted {
        seed: number("LAKEMIRROR_SEED"),
        from: 0,
        seeds: number("LAKEMIRROR_SEEDS").unwrap_or(SEEDS),
        steps: STEPS,
        threads,
        failures: 3,
        mutant: None,
        mutants: None,
        enumerate: None,
        bench: false,
        other: false,
    };
    let mut words = std::env::args().skip(1).peekable();
    while let Some(word) = words.next() {
        if word == "--mutant" || word == "--mutants" {
            let name = words.next();
            match word.as_str() {
                "--mutant" => wanted.mutant = name,
                _ => wanted.mutants = Some(name.unwrap_or_default()),
            }
            continue;
        }
        if word == "--enumerate" {
            wanted.enumerate = Some(words.next_if(|next| !next.starts_with('-')).unwrap_or_default());
            continue;
        }
        let mut value = || words.next().and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
        match word.as_str() {
            "--seed" => wanted.seed = Some(value()),
            "--seeds" => wanted.seeds = value(),
            "--from" => wanted.from = value(),
            "--steps" => wanted.steps = value() as usize,
            "--failures" => wanted.failures = value() as usize,
            "--threads" => wanted.threads = value() as usize,
            // Arguments that cargo passes to every bench and every test binary.
            "--bench" => wanted.bench = true,
            "--list" | "--ignored" => wanted.other = true,
            _ if word.starts_with('-') => {}
            filter => wanted.other |= !"simulation".contains(filter),
        }
    }
    wanted
}

/// Runs what the command line requests.
pub(crate) fn main() -> ExitCode {
    let wanted = wanted();
    if wanted.other {
        return ExitCode::SUCCESS;
    }
    let breaks = wanted.mutant.is_some() || wanted.mutants.is_some();
    #[cfg(feature = "mutants")]
    if let (Some(name), Some(filter)) = (&wanted.mutant, &wanted.enumerate) {
        return crate::mutants::enumerated(name, filter);
    } else if let Some(name) = &wanted.mutant {
        return crate::mutants::one(name, wanted.from, wanted.seeds, wanted.steps);
    } else if let Some(filter) = &wanted.mutants {
        return crate::mutants::all(filter, wanted.from, wanted.seeds, wanted.steps, wanted.threads);
    }
    if breaks {
        println!("mutations need `--features mutants`");
        return ExitCode::from(2);
    }
    match (wanted.seed, &wanted.enumerate) {
        (_, Some(filter)) => enumerate(Some(filter), wanted.threads),
        (Some(seed), None) => one(seed, wanted.steps),
        (None, None) if wanted.bench => many(&wanted),
        (None, None) => match many(&wanted) {
            good if good == ExitCode::SUCCESS => enumerate(None, wanted.threads),
            bad => bad,
        },
    }
}

/// Runs one seed and prints all its events.
fn one(seed: u64, steps: usize) -> ExitCode {
    let report = run(&Plan::of(seed, steps), true);
    for line in &report.trace {
        println!("{line}");
    }
    say(seed, &report);
    if report.violation.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn say(seed: u64, report: &Report) {
    let Report { happened, events, moves, records, removals, starts, simulated, fingerprint, .. } = report;
    println!(
        "seed {seed}: {happened} steps, {events} events in {} s of its time, {starts} starts, {records} records, {moves} moves, {removals} removals; {}",
        simulated / SECOND,
        fingerprint.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>()
    );
    if let Some(violation) = &report.violation {
        println!("seed {seed} breaks {}: {}", violation.invariant, violation.what);
    }
}

#[derive(Default)]
struct Sums {
    happened: u64,
    events: u64,
    moves: u64,
    records: u64,
    removals: u64,
    starts: u64,
    simulated: u64,
}

fn many(wanted: &Wanted) -> ExitCode {
    let clock = SystemClock::new();
    let begun = clock.monotonic();
    let (next, failed) = (AtomicU64::new(wanted.from), Mutex::new(Vec::new()));
    let sums = Mutex::new(Sums::default());
    let end = wanted.from + wanted.seeds;
    std::thread::scope(|scope| {
        for _ in 0..wanted.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || failed.lock().unwrap().len() >= wanted.failures {
                        return;
                    }
                    let plan = Plan::of(seed, wanted.steps);
                    let report = run(&plan, false);
                    let twice = seed.is_multiple_of(TWICE_EVERY) && !wanted.bench;
                    let again = twice.then(|| run(&plan, false));
                    if again.is_some_and(|again| again.fingerprint != report.fingerprint) {
                        failed.lock().unwrap().push((seed, "two runs differ".to_owned()));
                    }
                    if let Some(violation) = &report.violation {
                        println!("seed {seed} breaks {}", violation.invariant);
                        failed.lock().unwrap().push((seed, format!("{}: {}", violation.invariant, violation.what)));
                    }
                    let mut sums = sums.lock().unwrap();
                    sums.happened += report.happened;
                    sums.events += report.events;
                    sums.moves += report.moves;
                    sums.records += report.records;
                    sums.removals += report.removals;
                    sums.starts += report.starts;
                    sums.simulated += report.simulated;
                }
            });
        }
    });
    let took = clock.monotonic().saturating_sub(begun).as_secs_f64();
    let Sums { happened, events, moves, records, removals, starts, simulated } = sums.into_inner().unwrap();
    let done = next.load(Ordering::Relaxed).min(end) - wanted.from;
    println!(
        "simulation: {done} seeds in {took:.1} s ({:.0} a second), {:.0} steps a seed: {} h of simulated time, {events} events, {starts} starts, {records} records, {moves} moves, {removals} removals",
        done as f64 / took,
        happened as f64 / done as f64,
        simulated / SECOND / 3600
    );
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    for (seed, why) in &failed {
        println!("seed {seed} fails: {}", why.chars().take(400).collect::<String>());
    }
    if let Some((seed, _)) = failed.first() {
        explain(*seed, wanted.steps);
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints the events of a failing seed, reduced to as few steps as possible.
fn explain(seed: u64, steps: usize) {
    let plan = Plan::of(seed, steps);
    let Some(violation) = run(&plan, false).violation else { return };
    let (small, report) = shrink(&plan, violation.invariant);
    println!("seed {seed} with {} of its {} steps:", small.steps.len(), plan.steps.len());
    let skipped = report.trace.len().saturating_sub(TRACE_LINES_MAX);
    if skipped > 0 {
        println!("  ({skipped} lines before)");
    }
    for line in report.trace.iter().skip(skipped) {
        println!("{line}");
    }
    say(seed, &report);
    println!("all of it: cargo test --test sim -- --seed {seed} --steps {steps}");
}
