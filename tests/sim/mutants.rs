//! Whether the simulation detects the mutations. Each is switched on in its own process, which runs seeds until one
//! fails, and if none does, the enumerations. A seed that a mutation makes spin forever counts as detected; seeds that
//! merely take too long together do not.

use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lakemirror::clock::Clock;
use lakemirror::clock::system::SystemClock;
use lakemirror_journal::mutant;

use crate::enumerate;
use crate::plan::Plan;
use crate::run::run;

/// Maximum time for the seeds of one mutation, and for its enumeration.
const TIME_MAX: Duration = Duration::from_secs(900);
/// Maximum time of one seed: a thousand times the usual.
const SEED_MAX: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_millis(50);

/// Mutations that no seed of a minute detects, each with the reason and the unit test that detects it.
pub(crate) const SURVIVORS: &[(&str, &str)] = &[
    (
        "beat_counts_from_its_answer",
        "needs a move between another one's taking and the late answer's end; \
         lease/tests.rs: a_heartbeat_counts_from_when_it_was_sent",
    ),
    (
        "moved_meanwhile_compared",
        "a listing seconds late, a move meanwhile, and a source that returns; \
         audit.rs: a_branch_that_moved_while_it_was_listed_is_not_compared",
    ),
    (
        "old_definitions_trusted",
        "needs a deletion that another process carries out just before it dies; \
         engine/tests.rs: what_another_process_deleted_before_it_was_taken_is_not_made_again",
    ),
    (
        "one_answer_expires",
        "needs a source that says wrongly, and once, of a needed object that it is gone; \
         rules.rs: only_two_answers_of_the_source_make_an_object_expired",
    ),
    (
        "passed_heads_shown",
        "needs somebody who moves a branch between its move and the look at it, and puts it back; \
         rules.rs: nothing_before_what_may_have_been_shown_is_moved_to",
    ),
    (
        "removal_unproven",
        "the two misses of one run, which come before, are proven as strictly; \
         rules.rs: a_branch_goes_after_two_misses_of_one_run_and_its_grace",
    ),
];

/// Mutations that one seed in hundreds or thousands detects, with such a seed: their runs begin shortly before it.
const RARE: &[(&str, u64)] = &[
    ("divergence_ignored", 696),
    ("earlier_heads_unasked", 2_147),
    ("expired_head", 416),
    ("let_go_counts_as_young", 405),
    ("new_source_followed", 622),
    ("open_move_never_too_old", 554),
    ("source_asked_anew", 49_239),
    ("taken_as_resumed", 664),
];

/// Switches one on and runs seeds until one fails; prints which, and the violation.
pub(crate) fn one(name: &str, from: u64, seeds: u64, steps: usize) -> ExitCode {
    if !mutant::ALL.contains(&name) {
        println!("there is no mutation {name:?}; there are: {}", mutant::ALL.join(", "));
        return ExitCode::from(2);
    }
    mutant::switch_on(Some(name));
    let watch = Watch::over(from);
    for seed in from..from + seeds {
        watch.begin(seed);
        let found = std::panic::catch_unwind(|| run(&Plan::of(seed, steps), false).violation);
        match found {
            Ok(None) => {}
            Ok(Some(violation)) => {
                let what: String = violation.what.chars().take(100).collect();
                println!("{} seeds: {}: {}", seed - from + 1, violation.invariant, what.replace('\n', " "));
                return ExitCode::SUCCESS;
            }
            Err(_) => {
                println!("{} seeds: a panic", seed - from + 1);
                return ExitCode::SUCCESS;
            }
        }
    }
    println!("not noticed in {seeds} seeds");
    ExitCode::FAILURE
}

/// The seed that is running, and since when.
struct Watch {
    clock: SystemClock,
    begun: Mutex<(u64, Duration)>,
}

impl Watch {
    /// Ends the process as if the mutation was detected, if one seed after `from` takes longer than any seed does.
    fn over(from: u64) -> Arc<Self> {
        let clock = SystemClock::new();
        let watch = Arc::new(Self { begun: Mutex::new((from, clock.monotonic())), clock });
        let watched = Arc::clone(&watch);
        std::thread::spawn(move || {
            loop {
                std::thread::park_timeout(EVERY);
                let (seed, at) = *watched.begun.lock().unwrap();
                if watched.clock.monotonic().saturating_sub(at) > SEED_MAX {
                    println!("{} seeds: it never ends", seed - from + 1);
                    std::process::exit(0);
                }
            }
        });
        watch
    }

    fn begin(&self, seed: u64) {
        *self.begun.lock().unwrap() = (seed, self.clock.monotonic());
    }
}

/// Switches one on and plays the enumerated cases until one fails; prints which, and the violation.
pub(crate) fn enumerated(name: &str, filter: &str) -> ExitCode {
    match enumerate::first_fault(filter, || mutant::switch_on(Some(name))) {
        Some((case, fault)) => {
            let what: String = fault.chars().take(100).collect();
            println!("enumeration, {case}: {}", what.replace('\n', " "));
            ExitCode::SUCCESS
        }
        None => {
            println!("not noticed by the enumerations");
            ExitCode::FAILURE
        }
    }
}

/// All of them, or those whose names contain `filter`; fails if one survives that is not among the known ones.
pub(crate) fn all(filter: &str, from: u64, seeds: u64, steps: usize, threads: usize) -> ExitCode {
    let names: Vec<&str> = mutant::ALL.into_iter().filter(|name| name.contains(filter)).collect();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let said = by_seeds(name, from, seeds, steps).or_else(|| by_enumeration(name));
                    println!("{name:<32} {}", said.as_deref().unwrap_or("NOT NOTICED"));
                    results.lock().unwrap().push((*name, said.is_some()));
                }
            });
        }
    });
    let results = results.into_inner().unwrap();
    let survivors: Vec<&str> = results.iter().filter(|(_, noticed)| !noticed).map(|(name, _)| *name).collect();
    println!(
        "mutants: {} of {} noticed, within {seeds} seeds each or by the enumerations",
        results.len() - survivors.len(),
        results.len()
    );
    let mut good = true;
    for name in survivors {
        match SURVIVORS.iter().find(|(known, _)| *known == name) {
            Some((_, why)) => println!("known: {name}: {why}"),
            None => {
                println!("{name} survives: an open hole");
                good = false;
            }
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn by_seeds(name: &str, from: u64, seeds: u64, steps: usize) -> Option<String> {
    let rare = RARE.iter().find(|(rare, _)| *rare == name);
    let from = rare.map_or(from, |(_, seed)| seed.saturating_sub(seeds / 2));
    let (from, seeds, steps) = (from.to_string(), seeds.to_string(), steps.to_string());
    in_a_process(&["--mutant", name, "--from", &from, "--seeds", &seeds, "--steps", &steps])
}

fn by_enumeration(name: &str) -> Option<String> {
    in_a_process(&["--mutant", name, "--enumerate"])
}

/// The output of the process; `None` if nothing was detected.
fn in_a_process(words: &[&str]) -> Option<String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(words).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    if !ends(&mut child, TIME_MAX) {
        child.kill().unwrap();
        child.wait().unwrap();
        println!("not done within {} s, and stopped: {}", TIME_MAX.as_secs(), words.join(" "));
        return None;
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match output.status.code() {
        Some(0) => Some(said),
        Some(1) => None,
        // Out of memory or stack.
        _ => Some("the process dies".to_owned()),
    }
}

fn ends(child: &mut Child, most: Duration) -> bool {
    let clock = SystemClock::new();
    let begun = clock.monotonic();
    while clock.monotonic().saturating_sub(begun) < most {
        if child.try_wait().unwrap().is_some() {
            return true;
        }
        std::thread::park_timeout(EVERY);
    }
    false
}
