//! Everything outside of the processes: two lakeFS, the destination's bucket, the mirrors database, the weather between
//! them, and the judge. Plain data; calls come in by `wire`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lakemirror::mirrors::Memory;
use lakemirror_journal::ids::CommitId;

use crate::agenda::{MS, Micros, SECOND};
use crate::bucket::Bucket;
use crate::dice::Dice;
use crate::judge::Judge;
use crate::lake::{Branch, Lake};

/// The destination's bucket.
pub(crate) const BUCKET: &str = "west";

/// What a call goes to.
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

/// The branches of a repository, since when they were so.
pub(crate) type Then = (Micros, BTreeMap<String, Branch>);

/// How often what goes wrong, in thousandths.
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
    /// Which process reaches what not at all.
    pub(crate) cut: BTreeSet<(usize, Place)>,
}

/// What becomes of one call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// Carried out after `to`, answered `back` later.
    Answered { to: Micros, back: Micros },
    /// Never carried out, never answered.
    Lost,
    /// Carried out after `to`, never answered.
    Unanswered { to: Micros },
    /// Carried out after `to` and again after `again`, the second answer comes `back` later.
    Twice { to: Micros, again: Micros, back: Micros },
    /// Refused by a server that has trouble.
    Failed { back: Micros },
}

/// The latest that a request is carried out after it was sent. Less than what lies between the end of a lease for its
/// holder and its beginning for another: a call that is under way for longer cannot be fenced (design, 6).
pub(crate) const TO_MAX: Micros = 1_900 * MS;

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
    /// How the branches of a repository of the source were, since when.
    pub(crate) past: BTreeMap<String, Vec<Then>>,
    /// What happened, where somebody wants to read it.
    pub(crate) trace: Option<Vec<String>>,
    /// A running hash of what happened, whether or not it is written down.
    pub(crate) calls: u64,
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
            trace: traced.then(Vec::new),
            calls: 0,
        }
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>9.3}  {}", self.now as f64 / SECOND as f64, line()));
        }
    }

    /// What becomes of a call that a process sends now.
    pub(crate) fn fate(&mut self, process: usize, place: Place, repeatable: bool) -> Fate {
        self.calls += 1;
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

    /// Tells everybody that a branch of the source is now so.
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
