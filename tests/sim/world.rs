//! Everything outside the processes: two lakeFS, the destination's bucket, the mirrors database, the faults between
//! them, and the judge. Plain data; calls come in through `wire`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lakemirror::mirrors::Memory;
use lakemirror_journal::ids::CommitId;

use crate::agenda::{MS, Micros, SECOND};
use crate::bucket::Bucket;
use crate::dice::Dice;
use crate::judge::Judge;
use crate::lake::{Branch, Lake};
use crate::trap::Trap;

/// The destination's bucket.
pub(crate) const BUCKET: &str = "west";

/// The target of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// The source's lakeFS.
    Source,
    /// The mirror's lakeFS.
    Mirror,
    /// The destination's bucket.
    Bucket,
    /// The mirrors database.
    Database,
}

pub(crate) const PLACES: [Place; 4] = [Place::Source, Place::Mirror, Place::Bucket, Place::Database];

/// The branches of a repository, and since when they are so.
pub(crate) type Then = (Micros, BTreeMap<String, Branch>);

/// Probabilities of faults, in thousandths.
#[derive(Debug, Clone, Default)]
pub(crate) struct Weather {
    pub(crate) lost_requests: u64,
    pub(crate) lost_answers: u64,
    pub(crate) repeated: u64,
    pub(crate) failed: u64,
    pub(crate) slow: u64,
    pub(crate) contradictions: u64,
    pub(crate) stale_listings: u64,
    pub(crate) short_listings: u64,
    pub(crate) unknown: u64,
    pub(crate) forbidden: u64,
    pub(crate) late_keys: u64,
    pub(crate) held: u64,
    pub(crate) stragglers: u64,
    pub(crate) wrong_first: u64,
    pub(crate) damaged_first: u64,
    /// Queries of single objects at the source that fail, and that are answered wrongly once.
    pub(crate) probes_failed: u64,
    pub(crate) lies: u64,
    /// Which process cannot reach what.
    pub(crate) cut: BTreeSet<(usize, Place)>,
}

impl Weather {
    /// With the wrong answers of another one, which have steps of their own.
    pub(crate) fn with_answers_of(self, other: &Self) -> Self {
        Self {
            stale_listings: other.stale_listings,
            short_listings: other.short_listings,
            probes_failed: other.probes_failed,
            lies: other.lies,
            ..self
        }
    }
}

/// What happens to one call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// Executed after `to`, answered `back` later.
    Answered { to: Micros, back: Micros },
    /// Never executed, never answered.
    Lost,
    /// Executed after `to`, never answered.
    Unanswered { to: Micros },
    /// Executed after `to` and again after `again`; the second answer comes `back` later.
    Twice { to: Micros, again: Micros, back: Micros },
    /// Refused by a server with an error.
    Failed { back: Micros },
}

/// Maximum time between sending and executing a request. Less than the time between the end of a lease for its holder
/// and its start for another process: a call that is in flight for longer cannot be fenced (design, 6).
pub(crate) const TO_MAX: Micros = 1_900 * MS;

/// How late a drowsy process's database responds, and for how long; then it does not respond until the second time.
const DROWSY: Micros = 7_900 * MS;
const ASLEEP: Micros = 25 * SECOND;

/// The world.
pub(crate) struct World {
    pub(crate) now: Micros,
    pub(crate) dice: Dice,
    pub(crate) weather: Weather,
    pub(crate) judge: Judge,
    pub(crate) source: Lake,
    pub(crate) mirror: Lake,
    pub(crate) bucket: Bucket,
    pub(crate) database: Arc<Memory>,
    /// Former branches of the source's repositories, and since when.
    pub(crate) past: BTreeMap<String, Vec<Then>>,
    /// Repositories of the source that are being deleted: they show no branches and then disappear.
    pub(crate) vanishing: BTreeSet<String>,
    /// Keys that the source reported once, wrongly, as nonexistent.
    pub(crate) accused: BTreeSet<String>,
    /// A process whose calls to the mirrors database are answered late, since when, and then not at all.
    pub(crate) drowsy: Option<(usize, Micros)>,
    /// The events, if a trace is requested.
    pub(crate) trace: Option<Vec<String>>,
    /// A running hash of the events, whether or not they are traced.
    pub(crate) calls: u64,
    /// Where mirrors report that diverged branches should be, and since when.
    pub(crate) said: BTreeMap<(String, String), (CommitId, Micros)>,
    /// Number of external events for the processes.
    pub(crate) happened: u64,
    /// The fault to inject at a call, if calls are enumerated.
    pub(crate) trap: Trap,
    /// The creation date of commits, if it is not the current time: commits of a script have the same ids whenever they
    /// are created.
    pub(crate) date: Option<i64>,
}

impl World {
    pub(crate) fn new(seed: u64, traced: bool) -> Self {
        Self {
            now: 0,
            dice: Dice::new(seed, 2),
            weather: Weather::default(),
            judge: Judge::default(),
            source: Lake::default(),
            mirror: Lake::default(),
            bucket: Bucket::default(),
            database: Arc::new(Memory::new()),
            past: BTreeMap::new(),
            vanishing: BTreeSet::new(),
            accused: BTreeSet::new(),
            drowsy: None,
            trace: traced.then(Vec::new),
            calls: 0,
            happened: 0,
            said: BTreeMap::new(),
            trap: Trap::default(),
            date: None,
        }
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>9.3}  {}", self.now as f64 / SECOND as f64, line()));
        }
    }

    /// What happens to a call that a process sends now.
    pub(crate) fn fate(&mut self, process: usize, place: Place, repeatable: bool) -> Fate {
        self.calls += 1;
        if let Some(fate) = self.drowsy_fate(process, place) {
            return fate;
        }
        let weather = &self.weather;
        let dice = &mut self.dice;
        if weather.cut.contains(&(process, place)) {
            return Fate::Lost;
        }
        let (mut to, mut back) = (dice.between(MS, 15 * MS), dice.between(MS, 15 * MS));
        if dice.chance(weather.slow) {
            (to, back) = (dice.between(MS, TO_MAX), dice.between(MS, 6 * SECOND));
        }
        if dice.chance(weather.lost_requests) {
            Fate::Lost
        } else if dice.chance(weather.lost_answers) {
            Fate::Unanswered { to }
        } else if repeatable && dice.chance(weather.repeated) {
            Fate::Twice { to, again: dice.between(to, TO_MAX), back }
        } else if dice.chance(weather.failed) {
            Fate::Failed { back: to + back }
        } else {
            Fate::Answered { to, back }
        }
    }

    /// A process whose calls to the mirrors database are answered late, and then not at all, must not count its lease
    /// from the answer.
    fn drowsy_fate(&mut self, process: usize, place: Place) -> Option<Fate> {
        let (_, since) = self.drowsy.filter(|(drowsy, _)| *drowsy == process && place == Place::Database)?;
        match self.now - since {
            0..DROWSY => Some(Fate::Answered { to: MS, back: DROWSY }),
            DROWSY..ASLEEP => Some(Fate::Lost),
            _ => {
                self.drowsy = None;
                None
            }
        }
    }

    /// Reports to everyone that a branch of the source changed.
    pub(crate) fn source_changed(&mut self, repository: &str, branch: &str, head: Option<CommitId>) {
        self.judge.source_branch(repository, branch, head.map(|id| id.0));
        let Some(known) = self.source.repositories.get(repository) else { return };
        let past = self.past.entry(repository.to_owned()).or_default();
        past.push((self.now, known.branches.clone()));
        if past.len() > 8 {
            past.remove(0);
        }
    }
}
