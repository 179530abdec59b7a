//! Enumerations: a story is played once for each of its calls, to disks and to the outside, with one fault injected
//! exactly there. Each time, everything must end as it does without the fault.
//!
//! Defines the cases and the output. A case has a name, `1/e:213`: the story, the kind of fault, and the number of the
//! call.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use lakemirror::clock::Clock;
use lakemirror::clock::system::SystemClock;
use lakemirror_journal::log::fault::Survival;

use crate::run::script::{At, Life, Looks, Played, Point, play};
use crate::story::{self, Act};
use crate::trap::Trouble;

/// Maximum number of lines that are printed of a failing run.
const TRACE_LINES_MAX: usize = 250;
/// Number of failing cases after which no others are started.
const FAILURES_MAX: usize = 3;

/// In a run without options, the cases about unsynced data that survives are played at every N-th disk
/// call.
const SURVIVORS_EVERY: u64 = if cfg!(debug_assertions) { 8 } else { 1 };

const STORIES: [(&str, usize, &[Act]); 2] = [("1", 1, story::ONE), ("2", 2, story::TWO)];

/// The kind of fault, as in a case's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nothing,
    Everything,
    Cut,
    Sectors,
    Fail,
    Before,
    After,
    Unanswered,
    Lost,
    Twice,
}

/// Each kind with its letter and its description.
const KINDS: [(Kind, &str, &str); 10] = [
    (Kind::Nothing, "a1", "the machine stops at a call to its disk, nothing unsynced is left"),
    (Kind::Everything, "a2", "the machine stops at a call to its disk, everything is left"),
    (Kind::Cut, "a3", "the machine stops at a call to its disk, the last write is cut"),
    (Kind::Sectors, "a4", "the machine stops at a call to its disk, some sectors are left"),
    (Kind::Fail, "b", "a call to the disk fails"),
    (Kind::Before, "c", "the process dies before a call is sent"),
    (Kind::After, "d", "the power goes when a call was carried out and not answered"),
    (Kind::Unanswered, "e", "an answer is lost"),
    (Kind::Lost, "f", "a request is lost"),
    (Kind::Twice, "g", "a changing call is carried out twice"),
];

/// A story without faults, and the number of its calls.
struct Base {
    story: usize,
    looks: Looks,
    lives: Vec<Life>,
    disk: u64,
    calls: u64,
    changes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Case {
    story: usize,
    kind: Kind,
    number: u64,
}

impl Case {
    fn name(&self) -> String {
        let letter = KINDS.iter().find(|(kind, ..)| *kind == self.kind).map_or("?", |(_, letter, _)| letter);
        format!("{}/{letter}:{}", STORIES[self.story].0, self.number)
    }

    /// Whether a plain run includes it.
    fn is_due(&self) -> bool {
        let survives = matches!(self.kind, Kind::Everything | Kind::Cut | Kind::Sectors);
        !survives || self.number.is_multiple_of(SURVIVORS_EVERY)
    }

    /// Whether a filter selects it: a story, a kind, a number, in that order, each optional; the default story is the
    /// first.
    fn is_meant(&self, filter: &str) -> bool {
        let (story, rest) = filter.split_once('/').unwrap_or(("", filter));
        let (letter, number) = rest.split_once(':').unwrap_or((rest, ""));
        let name = self.name();
        let (of, tail) = name.split_once('/').unwrap_or_default();
        let (its, at) = tail.split_once(':').unwrap_or_default();
        let meant = if story.is_empty() && !number.is_empty() { of == "1" } else { story.is_empty() || story == of };
        meant && its.starts_with(letter) && (number.is_empty() || number == at)
    }

    fn wrong(&self, base: &Base) -> (Trouble, At) {
        let number = self.number;
        let trouble = match self.kind {
            Kind::Nothing => Trouble::Stop(Survival::Nothing),
            Kind::Everything => Trouble::Stop(Survival::Everything),
            Kind::Cut => Trouble::Stop(Survival::LastWriteCutAt((number * 37 % 160) as usize)),
            Kind::Sectors => Trouble::Stop(Survival::Sectors(number)),
            Kind::Fail => Trouble::Fail,
            Kind::Before => Trouble::Before,
            Kind::After => Trouble::After,
            Kind::Unanswered => Trouble::Unanswered,
            Kind::Lost => Trouble::Lost,
            Kind::Twice => Trouble::Twice,
        };
        let at_disk = matches!(trouble, Trouble::Stop(_) | Trouble::Fail);
        (trouble, if at_disk { At::Disk(base.point(number)) } else { At::Call(number) })
    }
}

impl Base {
    /// Plays the story twice: once to see how it ends, and once to count the calls until then.
    fn of(story: usize, same: Option<&Looks>) -> Result<Self, Box<Played>> {
        let first = tell(story, None, same, false);
        if first.report.violation.is_some() {
            return Err(Box::new(first));
        }
        let played = tell(story, None, Some(&first.looks), false);
        if played.report.violation.is_some() {
            return Err(Box::new(played));
        }
        let Played { lives, calls, changes, looks, .. } = played;
        let disk = lives.iter().map(|life| life.calls).sum();
        Ok(Self { story, looks, lives, disk, calls, changes })
    }

    /// The disk call with this number, counted over all lives.
    fn point(&self, number: u64) -> Point {
        let mut call = number;
        for life in &self.lives {
            if call < life.calls {
                return Point { process: life.process, run: life.run, call };
            }
            call -= life.calls;
        }
        // No such call is made.
        Point { process: usize::MAX, run: 0, call }
    }

    fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for (kind, ..) in KINDS {
            let last = match kind {
                Kind::Nothing | Kind::Everything | Kind::Cut | Kind::Sectors | Kind::Fail => self.disk,
                Kind::Twice => self.changes,
                Kind::Before | Kind::After | Kind::Unanswered | Kind::Lost => self.calls,
            };
            cases.extend((0..last).map(|number| Case { story: self.story, kind, number }));
        }
        cases
    }
}

fn tell(story: usize, wrong: Option<(Trouble, At)>, same: Option<&Looks>, traced: bool) -> Played {
    let (_, processes, acts) = STORIES[story];
    play((processes, acts), wrong, same, traced)
}

/// What went wrong in a case; `None` if it ended as it should.
fn fault(played: &Played) -> Option<String> {
    if let Some(violation) = &played.report.violation {
        return Some(format!("{}: {}", violation.invariant, violation.what));
    }
    played.struck.is_none().then(|| "the call at which it was to go wrong was never made".to_owned())
}

/// Plays the cases that a filter selects and prints the results; without a filter, a sample of them.
pub(crate) fn enumerate(filter: Option<&str>, threads: usize) -> ExitCode {
    let clock = SystemClock::new();
    let begun = clock.monotonic();
    let mut bases = Vec::new();
    for (story, (name, ..)) in STORIES.iter().enumerate() {
        match Base::of(story, None) {
            Ok(base) => bases.push(base),
            Err(played) => {
                println!("story {name} fails without trouble: {}", fault(&played).unwrap_or_default());
                explain(&tell(story, None, None, true));
                return ExitCode::FAILURE;
            }
        }
    }
    let cases: Vec<Case> = bases
        .iter()
        .flat_map(Base::cases)
        .filter(|case| filter.map_or(case.is_due(), |of| case.is_meant(of)))
        .collect();
    if let [case] = cases.as_slice() {
        return one(case, &bases[case.story]);
    }
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let base = &bases[case.story];
                    let played = tell(case.story, Some(case.wrong(base)), Some(&base.looks), false);
                    let mut failed = failed.lock().unwrap();
                    failed.extend(fault(&played).map(|fault| (*case, fault)));
                    if failed.len() >= FAILURES_MAX {
                        return;
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    let done = next.load(Ordering::Relaxed).min(cases.len());
    if filter.is_none() && SURVIVORS_EVERY > 1 {
        println!("  a2, a3 and a4 at one call to disk in {SURVIVORS_EVERY} only; at every one: --enumerate");
    }
    say(&bases, done, failed.len(), clock.monotonic().saturating_sub(begun).as_secs_f64());
    for (case, fault) in &failed {
        println!("case {} fails: {}", case.name(), fault.chars().take(400).collect::<String>());
    }
    match failed.first() {
        Some((case, _)) => one(case, &bases[case.story]),
        None => ExitCode::SUCCESS,
    }
}

/// Plays the cases that a filter selects, with a mutation that is switched on after the reference runs. Returns the
/// first case that ends differently, and how.
#[cfg(feature = "mutants")]
pub(crate) fn first_fault(filter: &str, switch_on: impl FnOnce()) -> Option<(String, String)> {
    let whole: Vec<Base> = (0..STORIES.len()).filter_map(|story| Base::of(story, None).ok()).collect();
    switch_on();
    for Base { story, looks, .. } in whole {
        let base = match std::panic::catch_unwind(|| Base::of(story, Some(&looks))) {
            Ok(Ok(base)) => base,
            Ok(Err(played)) => return Some(("without trouble".to_owned(), fault(&played)?)),
            Err(_) => return Some(("without trouble".to_owned(), "a panic".to_owned())),
        };
        // The last kinds have the fewest cases and find the most.
        for case in base.cases().into_iter().rev().filter(|case| case.is_meant(filter)) {
            let told = std::panic::catch_unwind(|| fault(&tell(story, Some(case.wrong(&base)), Some(&looks), false)));
            if let Some(fault) = told.unwrap_or_else(|_| Some("a panic".to_owned())) {
                return Some((case.name(), fault));
            }
        }
    }
    None
}

fn say(bases: &[Base], cases: usize, failed: usize, took: f64) {
    for base in bases {
        let Base { disk, calls, changes, .. } = base;
        let processes = STORIES[base.story].1;
        println!(
            "  {processes} process(es): {disk} calls to disk x 5, {calls} calls to the outside x 4, {changes} of them twice"
        );
    }
    let end = if failed == 0 { "the same end".to_owned() } else { format!("{failed} with another end") };
    println!("enumeration: {cases} runs in {took:.1} s, {end}");
}

/// Plays one case and prints all its events.
fn one(case: &Case, base: &Base) -> ExitCode {
    let played = tell(case.story, Some(case.wrong(base)), Some(&base.looks), true);
    explain(&played);
    let what = KINDS.iter().find(|(kind, ..)| *kind == case.kind).map_or("", |(.., what)| what);
    let name = case.name();
    println!("case {name}: {what}: {}", played.struck.as_deref().unwrap_or("no such call"));
    println!("again: cargo test --test sim -- --enumerate {name}");
    match fault(&played) {
        Some(fault) => {
            println!("case {name} breaks {fault}");
            ExitCode::FAILURE
        }
        None => {
            println!("case {name} has the same end");
            ExitCode::SUCCESS
        }
    }
}

fn explain(played: &Played) {
    let skipped = played.report.trace.len().saturating_sub(TRACE_LINES_MAX);
    if skipped > 0 {
        println!("  ({skipped} lines before)");
    }
    played.report.trace.iter().skip(skipped).for_each(|line| println!("{line}"));
}
