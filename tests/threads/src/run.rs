//! The command: every scenario, unchanged and with each of its mutations, each in its own process, as many at a time as
//! there are processors.

use std::process::{Command, ExitCode, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::explore::{again, explore};
use crate::mutant;
use crate::scenarios::{ALL, Scenario};

const USAGE: &str = "tests/threads/run [SCHEDULES, 20000] [SEED, 0]: every scenario, whole and with its breaks
tests/threads/run one SCENARIO BREAK|- SCHEDULES SEED: one of them
tests/threads/run again SCENARIO BREAK|- SCHEDULE: one schedule again, as it was printed when it failed";
const SCHEDULES: usize = 20_000;
/// Exit code of a process whose scenario failed.
const FAILED: u8 = 1;

pub(crate) fn main(words: &[String]) -> ExitCode {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["one", scenario, broken, schedules, seed] => one(scenario, broken, schedules, seed),
        ["again", scenario, broken, schedule] => once_more(scenario, broken, schedule),
        [] => all(SCHEDULES, 0),
        [schedules] => schedules.parse().ok().and_then(|schedules| all(schedules, 0)),
        [schedules, seed] => {
            schedules.parse().ok().zip(seed.parse().ok()).and_then(|(schedules, seed)| all(schedules, seed))
        }
        _ => None,
    };
    done.unwrap_or_else(|| {
        eprintln!("{USAGE}");
        ExitCode::from(2)
    })
}

/// The scenario of that name, with the mutation switched on; `-` is none.
fn set_up(scenario: &str, broken: &str) -> Option<&'static Scenario> {
    if broken != "-" {
        mutant::switch_on(Some(mutant::ALL.iter().chain(&mutant::OF_THREADS).find(|name| **name == broken)?));
    }
    ALL.iter().find(|known| known.name == scenario)
}

fn verdict(failed: bool) -> ExitCode {
    if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS }
}

fn one(name: &str, broken: &str, schedules: &str, seed: &str) -> Option<ExitCode> {
    let scenario = set_up(name, broken)?;
    let (ran, failed) = explore(scenario, schedules.parse().ok()?, seed.parse().ok()?);
    println!("{ran}");
    if failed {
        eprintln!("again, with the schedule between the quotes: tests/threads/run again {name} {broken} SCHEDULE");
    }
    Some(verdict(failed))
}

fn once_more(name: &str, broken: &str, schedule: &str) -> Option<ExitCode> {
    Some(verdict(again(set_up(name, broken)?, schedule.trim().trim_matches('"').trim())))
}

/// The work of one process, and its result.
struct Job {
    scenario: &'static Scenario,
    broken: Option<&'static str>,
}

impl Job {
    fn run(&self, schedules: usize, seed: u64) -> std::io::Result<Output> {
        let (schedules, seed) = (schedules.to_string(), seed.to_string());
        let words = ["one", self.scenario.name, self.broken.unwrap_or("-"), &schedules, &seed];
        // The output of a detected mutation is of no interest.
        Command::new(std::env::current_exe()?).args(words).env("RUST_BACKTRACE", "0").output()
    }

    /// The report, and the number of schedules if the result is as it should be.
    fn judge(&self, output: &Output) -> (String, Option<usize>) {
        let said = String::from_utf8_lossy(&output.stdout);
        let ran = said.trim().parse().unwrap_or(0);
        let failed = output.status.code() == Some(i32::from(FAILED));
        let name = self.scenario.name;
        let why = String::from_utf8_lossy(&output.stderr);
        match self.broken {
            Some(broken) if failed => (format!("  {broken:<24} noticed by {name}, schedule {ran}"), Some(ran)),
            Some(broken) => (format!("  {broken:<24} NOT NOTICED by {name} in {ran} schedules\n{why}"), None),
            None if output.status.success() => (format!("{name:<32} {ran:>7} schedules"), Some(ran)),
            None => (format!("{name:<32} FAILED at schedule {ran}\n{why}"), None),
        }
    }
}

fn all(schedules: usize, seed: u64) -> Option<ExitCode> {
    let whole = ALL.iter().map(|scenario| Job { scenario, broken: None });
    let broken = ALL
        .iter()
        .flat_map(|scenario| scenario.breaks.iter().map(move |broken| Job { scenario, broken: Some(broken) }));
    let jobs: Vec<Job> = whole.chain(broken).collect();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (said, ran) =
                        job.run(schedules, seed).map_or_else(|e| (e.to_string(), None), |o| job.judge(&o));
                    println!("{said}");
                    results.lock().unwrap().push((job.broken.is_none(), ran));
                }
            });
        }
    });
    let results = results.into_inner().unwrap();
    let bad = results.iter().filter(|(_, ran)| ran.is_none()).count();
    let ran: usize = results.iter().filter(|(whole, _)| *whole).filter_map(|(_, ran)| *ran).sum();
    let breaks = results.iter().filter(|(whole, ran)| !whole && ran.is_some()).count();
    println!("threads: {ran} schedules, {breaks} breaks noticed, {bad} bad, {} s", begun.elapsed().as_secs());
    Some(verdict(bad > 0))
}
