//! How a story is played: the run's own loop, with acts instead of drawn steps, and one injected fault.
//!
//! The next act starts when the mirror is in sync again, or at once, never at a fixed time, so all runs of a story have
//! the same commits however long a process was down. Also collects what a user sees at the end.

use lakemirror::mirrors::records::{BranchStatus, Status};
use lakemirror_journal::log::fault::Survival;

use super::{Report, Run, prepare};
use crate::agenda::{MS, Micros, SECOND};
use crate::database::now;
use crate::ending::{CALM_MAX, Ending, release};
use crate::plan::Plan;
use crate::process::{Process, Rules};
use crate::story::{Act, REPOSITORY, Stage};
use crate::trap::Trouble;
use crate::users;

/// How soon a supervisor restarts a process.
const START_AGAIN: Micros = SECOND;
/// How long to wait until the same is visible.
const SETTLES_MAX: Micros = 90 * SECOND;
/// A run without faults is finished when nothing has changed for this time.
const QUIET: Micros = 15 * SECOND;

/// What a user sees, at each observation.
pub(crate) type Looks = Vec<Vec<String>>;

/// One life of a process, and its calls to disk and hot store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) process: usize,
    pub(crate) run: u64,
    pub(crate) calls: u64,
}

/// A disk call: its life, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) process: usize,
    pub(crate) run: u64,
    pub(crate) call: u64,
}

/// What is to happen in a run.
#[derive(Debug, Default)]
pub(crate) struct Trial {
    /// The fault at a disk call.
    at_disk: Option<(Trouble, Point)>,
    /// What remains when a machine stops; everything by default.
    survival: Option<Survival>,
    /// What was observed, and what is expected.
    looks: Looks,
    same: Option<Looks>,
    lives: Vec<Life>,
    start_again: Option<Micros>,
    /// The disk call that failed.
    struck: Option<String>,
}

impl Trial {
    /// A process has ended: what remains of its writes, and when it starts again.
    pub(super) fn death(&mut self, process: &Process) -> (Survival, Micros) {
        self.lived(process);
        let survival = self.survival.filter(|_| process.faults.crashed()).unwrap_or(Survival::Everything);
        (survival, self.start_again.take().unwrap_or(START_AGAIN))
    }

    fn lived(&mut self, process: &Process) {
        self.lives.push(Life { process: process.index, run: process.runs, calls: process.faults.calls() });
        self.struck = self.struck.take().or_else(|| process.faults.struck());
    }

    /// A process starts: if it is the chosen life, its disk is armed.
    pub(super) fn arm(&self, process: &Process) {
        let Some((trouble, point)) = self.at_disk else { return };
        if (point.process, point.run) != (process.index, process.runs) {
            return;
        }
        match trouble {
            Trouble::Fail => process.faults.fail_at(point.call, std::io::ErrorKind::Other),
            _ => process.faults.crash_at(point.call),
        }
    }
}

/// Where the fault is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    Disk(Point),
    /// A call to the outside.
    Call(u64),
}

/// The result of a story.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) report: Report,
    pub(crate) lives: Vec<Life>,
    /// Calls to the outside, and those of them that may be executed twice.
    pub(crate) calls: u64,
    pub(crate) changes: u64,
    /// The call at which the fault was injected.
    pub(crate) struck: Option<String>,
    pub(crate) looks: Looks,
}

/// Plays a story; with `same`, waits until the same is observed.
pub(crate) fn play(
    (processes, acts): (usize, &[Act]),
    wrong: Option<(Trouble, At)>,
    same: Option<&Looks>,
    traced: bool,
) -> Played {
    let plan = Plan {
        seed: 1,
        repositories: 0,
        processes,
        held_up_max: Some(90 * SECOND),
        prompt: false,
        steps: Vec::new(),
        ending: Ending::Plain,
    };
    let mut run = prepare(&plan, traced);
    run.rules = Rules::default();
    run.rules.policy.deletion_grace_ms = 2_000;
    let mut trial = Trial { same: same.cloned(), ..Trial::default() };
    match wrong {
        Some((trouble, At::Disk(point))) => trial.at_disk = Some((trouble, point)),
        Some((trouble, At::Call(call))) => run.sim.world().trap.set = Some((trouble, call)),
        None => {}
    }
    trial.survival = match wrong {
        Some((Trouble::Stop(survival), _)) => Some(survival),
        Some((Trouble::After, _)) => Some(Survival::Nothing),
        _ => None,
    };
    run.trial = Some(trial);
    (run.sim.world().judge.history_complete, run.sim.world().judge.restores) = (true, false);
    run.sim.world().judge.evidence_age = Some(run.rules.policy.evidence_age_ms_max * MS + 90 * SECOND);
    run.acts(acts);
    if run.is_right() {
        run.end_of_story();
    }
    run.played()
}

impl Run {
    fn acts(&mut self, acts: &[Act]) {
        users::create_repository(&self.sim, REPOSITORY);
        let first = self.sim.world().source.repositories[REPOSITORY].branches["main"].head;
        let mut commits = vec![first];
        for index in 0..self.processes.len() {
            self.start(index);
        }
        for (number, act) in (1..).zip(acts) {
            if !self.is_right() {
                return;
            }
            self.sim.world().note(|| format!("{act:?}"));
            self.act(*act);
            Stage { sim: &self.sim, number, commits: &mut commits }.act(*act);
        }
    }

    fn act(&mut self, act: Act) {
        let sim = self.sim.clone();
        sim.world().judge.now = sim.now();
        match act {
            Act::Level => self.become_level(),
            Act::Look => self.look(),
            Act::Wait(time) => drop(self.until(sim.now() + time)),
            Act::Release => release(&sim),
            Act::CreateMirror => self.create_mirror(REPOSITORY),
            Act::DeleteMirror => self.delete_mirror(&mut crate::dice::Dice::new(0, 0)),
            Act::StopDriver => {
                if let Some(index) = self.driver() {
                    self.processes[index].ask_to_stop(&sim);
                }
            }
            Act::KillDriver(wait) => {
                if let Some(index) = self.driver() {
                    self.trial.iter_mut().for_each(|trial| trial.start_again = Some(wait));
                    self.down(index, None);
                }
            }
            _ => {}
        }
    }

    /// The process that drives the mirror, if it is running.
    fn driver(&self) -> Option<usize> {
        let driver = self.sim.world().judge.driver().map(str::to_owned)?;
        self.processes.iter().position(|process| process.is_running() && process.name() == driver)
    }

    fn become_level(&mut self) {
        let deadline = self.sim.now() + CALM_MAX;
        while self.until(self.sim.now() + SECOND / 2) {
            let unlevel = self.sim.world().judge.unlevel(&|_| false);
            let Some(unlevel) = unlevel else { return };
            if self.sim.now() >= deadline {
                let status = self.status();
                self.broken("liveness", format!("{unlevel}, {} s after the last act; {status}", CALM_MAX / SECOND));
            }
        }
    }

    /// Waits for the same observations as without faults; without a reference, until nothing changes any more.
    fn look(&mut self) {
        let trial = self.trial.as_ref();
        let same = trial.and_then(|trial| trial.same.as_ref()?.get(trial.looks.len()).cloned());
        if same.is_none() {
            self.until(self.sim.now() + QUIET);
        }
        let deadline = self.sim.now() + SETTLES_MAX;
        let mut seen = self.seen();
        while let Some(same) = same.as_ref().filter(|same| **same != seen) {
            if self.sim.now() >= deadline {
                self.broken("the same end", differences(same, &seen));
            }
            if !self.until(self.sim.now() + SECOND / 2) {
                return;
            }
            seen = self.seen();
        }
        self.trial.iter_mut().for_each(|trial| trial.looks.push(seen.clone()));
    }

    /// Every journal is compared with the live state.
    fn end_of_story(&mut self) {
        let trial = self.trial.as_mut();
        trial.into_iter().for_each(|trial| self.processes.iter().for_each(|process| trial.lived(process)));
        self.replay();
    }

    /// What a user sees: the mirror repositories and the mirrors database, without times, epochs and write counts.
    fn seen(&mut self) -> Vec<String> {
        let mut seen = Vec::new();
        // Each of several journals has a part of the history, and the final driver may differ.
        let alone = self.processes.len() == 1;
        for process in self.processes.iter_mut().filter(|_| alone) {
            seen.push(format!("the journal has {:?}", process.phases()));
        }
        let world = self.sim.world();
        for (name, repository) in &world.mirror.repositories {
            let (default, namespace, marks) = (&repository.default_branch, &repository.namespace, &repository.metadata);
            seen.push(format!("repository {name} {default} {namespace} {} {marks:?}", repository.read_only));
            let branches = repository.branches.iter();
            seen.extend(
                branches.map(|(of, branch)| format!("branch {of} of {name} {} {}", branch.head, branch.hidden)),
            );
            seen.extend(repository.commits.keys().map(|id| format!("commit {id} of {name}")));
        }
        drop(world);
        let mut deleted_ones = Vec::new();
        for one in now(self.records.list_definitions()).unwrap_or_default().definitions {
            deleted_ones.extend(one.deleted_at_ms.map(|_| one.incarnation));
            let (name, id, deleted) = (&one.name, one.incarnation, one.deleted_at_ms.is_some());
            let what = (&one.source_region, &one.source_repository, &one.region, &one.storage_namespace);
            seen.push(format!("mirror {name} {id:.8} deleted: {deleted} {what:?}", id = id.to_string()));
        }
        for id in now(self.records.acknowledged()).unwrap_or_default() {
            seen.push(format!("deletion of {:.8} acknowledged", id.to_string()));
        }
        // The last summary of a deleted mirror is not shown to users.
        let summaries = now(self.records.summaries()).unwrap_or_default();
        for (id, one) in summaries.into_iter().filter(|(id, _)| !deleted_ones.contains(id)) {
            seen.extend(said(&id.to_string(), &one.status, alone));
        }
        seen
    }

    fn played(mut self) -> Played {
        let trial = self.trial.take().unwrap_or_default();
        let trap = std::mem::take(&mut self.sim.world().trap);
        let struck = trap.sprung.or(trial.struck);
        let report = self.report();
        Played { report, lives: trial.lives, calls: trap.calls, changes: trap.changes, struck, looks: trial.looks }
    }
}

fn said(id: &str, status: &Status, history: bool) -> Vec<String> {
    let Status { state, state_message, branches, counts, problems, .. } = status;
    let mut said = vec![format!("status {id:.8} {state:?} {problems:?}")];
    if history {
        said.push(format!("status {id:.8} {state_message:?} {counts:?}"));
    }
    for BranchStatus { name, source_commit, promoted_commit, state, waiting, .. } in branches {
        let waiting: Vec<(&str, &String)> = waiting.iter().map(|one| (one.kind.name(), &one.what)).collect();
        let (source, shown) = (source_commit.map(|id| id.to_string()), promoted_commit.map(|id| id.to_string()));
        said.push(format!("status {id:.8} {name} {source:?} {shown:?} {state:?} {waiting:?}"));
    }
    said
}

fn differences(wanted: &[String], found: &[String]) -> String {
    let lacks = wanted.iter().filter(|line| !found.contains(line)).map(|line| format!("\n  lacks {line}"));
    let has = found.iter().filter(|line| !wanted.contains(line)).map(|line| format!("\n  has   {line}"));
    lacks.chain(has).collect()
}
