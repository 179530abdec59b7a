//! The end of a run: faults end, every branch that can be in sync becomes so, and the summaries say so (I5, I8, I11).
//!
//! Some runs try one more thing before that. Either one file or object stays away: nothing else waits for it (I9), and
//! the branch that does says for what (I11). Or the source is lost: what was observed of it is shown nevertheless
//! (I10).

use std::collections::BTreeSet;

use lakemirror::mirrors::records::Summary;
use lakemirror_journal::ids::{CommitId, Incarnation};
use lakemirror_journal::log::fault::Survival;

use crate::agenda::{Micros, SECOND, Sim};
use crate::bucket;
use crate::database::now;
use crate::judge::Id;
use crate::others;
use crate::run::Run;
use crate::users::{self, Stuck};
use crate::world::{Place, Weather};

/// Time after the last fault in which everything must be in sync.
pub(crate) const CALM_MAX: Micros = 1800 * SECOND;
/// How long a summary may take to become true.
const SAYING_MAX: Micros = 300 * SECOND;
/// How long a source is observed before it is lost; what was not observed until then is not required.
const WATCH_MAX: Micros = 120 * SECOND;

/// What is tried before all faults end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Plain,
    /// A file or object of one commit does not arrive.
    Stuck,
    /// The source does not respond any more.
    SourceLost,
}

impl Run {
    /// See the module. At the end, every journal is compared with the live state.
    pub(crate) fn end(&mut self, ending: Ending) {
        self.calm = true;
        let sim = self.sim.clone();
        sim.world().weather = Weather::default();
        sim.world().drowsy = None;
        sim.world().note(|| "calm".to_owned());
        if self.dice.chance(500) {
            others::unmeddle(&sim, &self.summaries());
        }
        others::unrob(&sim);
        release(&sim);
        restore_objects(&sim);
        for process in &mut self.processes {
            process.faults.set_capacity(None);
            process.paused = false;
            sim.wake(process.index);
        }
        let goes_on = match ending {
            Ending::Plain => true,
            Ending::Stuck => self.one_thing_stays_away(),
            Ending::SourceLost => self.the_source_is_lost(),
        };
        if goes_on && self.becomes_level(None) && self.summaries_say(&|run| run.untold_level()) {
            self.replay();
        }
    }

    /// Waits until everything except `hopeless` is in sync. Returns false if it does not happen, or if something else
    /// is wrong.
    fn becomes_level(&mut self, hopeless: Option<Id>) -> bool {
        let unlevel = |run: &Self| run.sim.world().judge.unlevel(&|head| hopeless.as_ref() == Some(head));
        self.comes_true(CALM_MAX, &unlevel, "liveness")
    }

    /// Advances time until `open` returns nothing more.
    fn comes_true(&mut self, within: Micros, open: &dyn Fn(&Self) -> Option<String>, invariant: &'static str) -> bool {
        let deadline = self.sim.now() + within;
        loop {
            if !self.until(self.sim.now() + SECOND) {
                return false;
            }
            // What other writers restored according to an outdated summary, they correct with the next one.
            others::put_right(&self.sim, &|| self.summaries());
            let Some(what) = open(self) else { return true };
            if self.sim.now() >= deadline {
                let status = self.status();
                self.broken(invariant, format!("{what}, {} s after the last trouble; {status}", within / SECOND));
                return false;
            }
        }
    }

    fn summaries_say(&mut self, open: &dyn Fn(&Self) -> Option<String>) -> bool {
        self.comes_true(SAYING_MAX, open, "I11")
    }

    /// Checks I9 and I11.
    fn one_thing_stays_away(&mut self) -> bool {
        let mut dice = self.dice.clone();
        let Some(stuck) = users::stick(&self.sim, &mut dice) else { return true };
        if !self.becomes_level(Some(stuck.commit.0)) || !self.summaries_say(&|run| run.unsaid(&stuck)) {
            return false;
        }
        release(&self.sim);
        true
    }

    /// Checks I10. Nothing is tried if something was not observed when the source is lost.
    fn the_source_is_lost(&mut self) -> bool {
        let mut dice = self.dice.clone();
        self.sim.world().weather.held = 1000;
        for number in 0..3 {
            users::change(&self.sim, &mut dice, 1000 + number);
        }
        self.sim.world().weather.held = 0;
        let deadline = self.sim.now() + WATCH_MAX;
        while !self.sim.world().judge.all_observed() {
            if !self.until(self.sim.now() + SECOND) {
                return false;
            }
            if self.sim.now() >= deadline {
                release(&self.sim);
                return true;
            }
        }
        // Lets observed facts become durable.
        if !self.until(self.sim.now() + 2 * SECOND) {
            return false;
        }
        let cut: BTreeSet<_> = (0..self.processes.len()).map(|process| (process, Place::Source)).collect();
        self.sim.world().note(|| "the source is lost".to_owned());
        self.sim.world().weather.cut = cut;
        release(&self.sim);
        let unlevel = |run: &Self| run.sim.world().judge.unshown();
        let level = self.comes_true(CALM_MAX, &unlevel, "I10");
        self.sim.world().weather.cut.clear();
        level
    }

    pub(crate) fn summaries(&self) -> Vec<Summary> {
        now(self.records.summaries()).unwrap_or_default().into_values().collect()
    }

    /// The status of the mirrors, according to themselves.
    pub(crate) fn status(&self) -> String {
        let said = self.summaries();
        let said = said.iter().map(|one| format!("{} ({:?}): {:?}", one.name, one.status.state, one.status));
        said.collect::<Vec<_>>().join("\n")
    }

    /// A summary that does not say yet that a branch of its mirror is in sync.
    fn untold_level(&self) -> Option<String> {
        let summaries = self.summaries();
        let expected = self.sim.world().judge.level_branches();
        expected.into_iter().find_map(|(incarnation, branch, head)| {
            let id = Incarnation::parse(&incarnation).ok()?;
            let summary = summaries.iter().find(|summary| summary.incarnation == id);
            let said = summary.and_then(|summary| summary.status.branches.iter().find(|said| said.name == branch));
            let head = Some(CommitId(head));
            let level = said.is_some_and(|said| {
                (said.source_commit, said.promoted_commit) == (head, head) && said.waiting.is_empty()
            });
            (!level).then(|| format!("{branch} of {incarnation:.8} is in sync, its summary does not say so: {said:?}"))
        })
    }

    /// A mirror's summary that does not name what its branch waits for.
    fn unsaid(&self, stuck: &Stuck) -> Option<String> {
        let summaries = self.summaries();
        let mirrors = self.sim.world().judge.mirrors_of(&stuck.repository, &stuck.branch);
        mirrors.into_iter().find_map(|incarnation| {
            let id = Incarnation::parse(&incarnation).ok()?;
            let summary = summaries.iter().find(|summary| summary.incarnation == id);
            let said =
                summary.and_then(|summary| summary.status.branches.iter().find(|said| said.name == stuck.branch));
            let named = |what: &str| stuck.names.iter().any(|name| what.contains(name.as_str()));
            let good = said.is_some_and(|said| {
                let waits = said.waiting.iter().find(|wait| named(&wait.what));
                said.source_commit == Some(stuck.commit)
                    && said.promoted_commit != said.source_commit
                    && waits.is_some_and(|wait| wait.since_ms > 0 && wait.checked_at_ms.is_some())
            });
            (!good).then(|| format!("{} waits for {:?} and does not say so: {said:?}", stuck.branch, stuck.names))
        })
    }

    /// Checks I4: a replay of the files leads to the live state.
    pub(crate) fn replay(&mut self) {
        for index in 0..self.processes.len() {
            let process = &mut self.processes[index];
            let Some(live) = process.digest() else { continue };
            process.kill(Survival::Nothing);
            let name = process.name();
            match process.replayed() {
                Ok(replayed) if replayed == live => {}
                Ok(_) => self.broken("I4", format!("the journal of {name} replays to another state than was live")),
                Err(why) => self.broken("I4", format!("the journal of {name}: {why}")),
            }
        }
    }
}

/// Releases everything that is held.
pub(crate) fn release(sim: &Sim) {
    let mut world = sim.world();
    for key in std::mem::take(&mut world.bucket.held) {
        bucket::send(sim, &mut world, &key);
    }
}

/// Replicates everything that the source still has.
fn restore_objects(sim: &Sim) {
    let mut world = sim.world();
    let missing: Vec<String> =
        world.bucket.written.keys().filter(|key| !world.bucket.objects.contains_key(*key)).cloned().collect();
    for key in missing {
        bucket::send(sim, &mut world, &key);
    }
}
