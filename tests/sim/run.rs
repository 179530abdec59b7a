//! One run: the world, the processes, the planned steps, and a calm phase at the end in which everything must get in
//! sync. Contains the loop and what the steps do to processes; everything happens on the calling thread.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;

use lakemirror::clock::{Clock, Entropy};
use lakemirror::mirrors::records::{NewMirror, Records};
use lakemirror_journal::ids::Incarnation;
use lakemirror_journal::log::fault::Survival;
use lakemirror_journal::state::policy::{DivergenceRule, HistoryRule, Policy};

use crate::agenda::{MS, Micros, ProcessClock, ProcessEntropy, SECOND, Sim};
use crate::bucket;
use crate::database::now;
use crate::dice::Dice;
use crate::ending::release;
use crate::judge::Violation;
use crate::others;
use crate::plan::{Plan, Planned, Step};
use crate::process::{Process, Rules};
use crate::users;
use crate::world::{PLACES, Weather, World};

#[path = "script.rs"]
pub(crate) mod script;

/// Maximum number of events of one run: more of them indicate a loop.
const EVENTS_MAX: u64 = 400_000;

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) violation: Option<Violation>,
    pub(crate) trace: Vec<String>,
    pub(crate) fingerprint: [u8; 32],
    /// Number of external events for the processes: drawn steps, arrivals, starts, failed calls.
    pub(crate) happened: u64,
    pub(crate) events: u64,
    pub(crate) moves: u64,
    pub(crate) records: u64,
    pub(crate) removals: u64,
    pub(crate) starts: u64,
    pub(crate) simulated: Micros,
}

/// A run in progress.
pub(crate) struct Run {
    pub(crate) sim: Sim,
    rules: Rules,
    pub(crate) processes: Vec<Process>,
    /// When which process starts again.
    starts: BTreeMap<usize, Micros>,
    /// The API's side of the mirrors database.
    pub(crate) records: Records,
    entropy: ProcessEntropy,
    pub(crate) dice: Dice,
    events: u64,
    pub(crate) calm: bool,
    /// The script, if this is a script's run.
    trial: Option<script::Trial>,
}

/// Runs a plan.
pub(crate) fn run(plan: &Plan, traced: bool) -> Report {
    prepare(plan, traced).run(plan)
}

fn prepare(plan: &Plan, traced: bool) -> Run {
    let sim = Sim::new(World::new(plan.seed, traced));
    let mut rules = Rules::default();
    let mut dice = Dice::new(plan.seed, 3);
    if dice.chance(400) {
        rules.policy.evidence_age_ms_max = 20_000;
    }
    if dice.chance(120) {
        rules.policy.history = HistoryRule::Head;
    }
    if dice.chance(300) {
        rules.policy.on_divergence = DivergenceRule::Restore;
    }
    {
        let mut world = sim.world();
        let database = Arc::clone(&world.database);
        let age = rules.policy.evidence_age_ms_max * MS;
        world.judge.evidence_age = plan.held_up_max.map(|max| age + max);
        world.judge.history_complete = rules.policy.history == HistoryRule::Complete;
        world.judge.restores = rules.policy.on_divergence == DivergenceRule::Restore;
        world.judge.removal_late_max = plan.prompt.then_some(10 * SECOND);
        world.note(|| {
            let Policy { history, on_divergence, evidence_age_ms_max, .. } = &rules.policy;
            let (seed, processes, ending) = (plan.seed, plan.processes, plan.ending);
            format!(
                "seed {seed}: {processes} processes, history {history:?}, on divergence {on_divergence:?}, evidence counts \
                 {evidence_age_ms_max} ms, the end {ending:?}"
            )
        });
        drop(world);
        let offset_ms = Arc::default();
        let clock = Arc::new(ProcessClock { sim: sim.clone(), process: usize::MAX, started: 0, offset_ms });
        let records = Records::new(database, clock as Arc<dyn Clock>);
        let processes = (0..plan.processes).map(|index| Process::new(plan.seed, index)).collect();
        let entropy = ProcessEntropy(std::sync::Mutex::new(Dice::new(plan.seed, 4)));
        let (starts, events, calm) = (BTreeMap::new(), 0, false);
        Run { sim, rules, processes, starts, records, entropy, dice, events, calm, trial: None }
    }
}

impl Run {
    fn run(mut self, plan: &Plan) -> Report {
        for number in 0..plan.repositories {
            users::create_repository(&self.sim, &format!("r{number}"));
            self.create_mirror(&format!("r{number}"));
        }
        for index in 0..self.processes.len() {
            self.start(index);
        }
        for (number, planned) in plan.steps.iter().enumerate() {
            if self.until(planned.at) {
                self.step(planned, number as u64 + 1);
            }
        }
        if self.is_right() {
            self.end(plan.ending);
        }
        self.report()
    }

    fn is_right(&self) -> bool {
        self.sim.world().judge.violations.is_empty()
    }

    pub(crate) fn broken(&self, invariant: &'static str, what: String) {
        self.sim.world().judge.broken(invariant, what);
    }

    /// Runs all events before `at`. Returns false once something is wrong.
    pub(crate) fn until(&mut self, at: Micros) -> bool {
        loop {
            if !self.is_right() {
                return false;
            }
            self.settle();
            let start = self.starts.iter().map(|(index, at)| (*at, *index)).min();
            let next = self.sim.next_at();
            match (start, next) {
                (Some((start, index)), next) if start <= at && next.is_none_or(|next| start <= next) => {
                    self.sim.advance(start);
                    self.start(index);
                }
                (_, Some(next)) if next <= at => {
                    self.sim.step();
                    self.events += 1;
                    if self.events > EVENTS_MAX {
                        self.broken("liveness", "it goes round in circles".to_owned());
                        return false;
                    }
                }
                _ => {
                    self.sim.advance(at);
                    return self.is_right();
                }
            }
        }
    }

    /// Lets every process do what it can do now.
    fn settle(&mut self) {
        for index in self.sim.take_awake() {
            let Some(process) = self.processes.get_mut(index).filter(|process| !process.paused) else { continue };
            let ended = process.step();
            let crashed = process.faults.crashed();
            let Some(ended) = ended.or_else(|| crashed.then(|| Err("the machine stopped".to_owned()))) else {
                continue;
            };
            let name = process.name();
            self.sim.world().note(|| format!("{name} ends: {ended:?}"));
            // The journal's error names its cause: an injected fault, or an error of its own.
            if let Err(why) = &ended
                && !crashed
                && self.processes[index].faults.failures() == 0
                && why.contains("does not open")
            {
                self.broken("I5", format!("{name}: {why}"));
            }
            self.down(index, None);
        }
    }

    /// A process has ended; what remains of unsynced data is drawn.
    fn down(&mut self, index: usize, survival: Option<Survival>) {
        let dice = &mut self.dice;
        let crashed = self.processes[index].faults.crashed();
        let survival = survival.unwrap_or_else(|| match (crashed, dice.below(4)) {
            (_, 0) => Survival::Nothing,
            (true, 1) => Survival::LastWriteCutAt(dice.below(3000) as usize),
            (_, 2) => Survival::Sectors(dice.next()),
            _ => Survival::Everything,
        });
        let wait = if self.calm { SECOND } else { dice.between(100 * MS, 8 * SECOND) };
        let (survival, wait) = match &mut self.trial {
            Some(trial) => trial.death(&self.processes[index]),
            None => (survival, wait),
        };
        let name = self.processes[index].name();
        self.sim.world().note(|| format!("{name} is down: {survival:?}"));
        self.sim.world().judge.process_ended(&name);
        self.processes[index].kill(survival);
        // Full disks are enlarged before the next start.
        self.processes[index].faults.set_capacity(None);
        self.starts.insert(index, self.sim.now() + wait);
    }

    fn start(&mut self, index: usize) {
        self.starts.remove(&index);
        let process = &mut self.processes[index];
        process.start(&self.sim, &self.rules);
        if let Some(trial) = &self.trial {
            trial.arm(process);
        }
        let name = process.name();
        self.sim.world().happened += 1;
        self.sim.world().note(|| format!("{name} starts"));
        self.settle();
    }

    fn create_mirror(&mut self, repository: &str) {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.entropy.random_u64().to_le_bytes());
        id[8..].copy_from_slice(&self.entropy.random_u64().to_le_bytes());
        let new = NewMirror {
            name: format!("m-{repository}"),
            incarnation: Incarnation(id),
            source_repository: repository.to_owned(),
            source_region: "east".to_owned(),
            region: "west".to_owned(),
            storage_namespace: format!("s3://west/{repository}"),
            created_by: String::new(),
            source_store: lakemirror::engine::ports::StoreIdentity::Unknown,
        };
        if now(self.records.create(&new)).is_ok() {
            let mut world = self.sim.world();
            world.note(|| format!("mirror {} is created as {:.8}", new.name, new.incarnation.to_string()));
            world.judge.mirror_defined(&new.incarnation.to_string(), &new.name, repository);
        }
    }

    fn delete_mirror(&mut self, dice: &mut Dice) {
        let active = self.sim.world().judge.active();
        let Some((id, name, _)) = dice.pick(&active).cloned() else { return };
        let Ok(incarnation) = Incarnation::parse(&id) else { return };
        // Before the deletion: a fast process must not surprise the judge.
        self.sim.world().judge.mirror_undefined(&id);
        let deleted = now(self.records.mark_deleted("east", &name, incarnation));
        self.sim.world().note(|| format!("mirror {name} ({id:.8}) is deleted: {deleted:?}"));
    }

    fn step(&mut self, planned: &Planned, number: u64) {
        let mut dice = Dice::new(planned.draw, 0);
        let now = self.sim.now();
        let mut world = self.sim.world();
        (world.judge.now, world.happened) = (now, world.happened + 1);
        drop(world);
        let sim = self.sim.clone();
        match planned.what {
            Step::Commit => users::change(&sim, &mut dice, number),
            Step::CreateBranch => users::create_branch(&sim, &mut dice, number),
            Step::DeleteBranch => users::delete_branch(&sim, &mut dice),
            Step::Merge => users::merge(&sim, &mut dice, number),
            Step::Reset => users::reset(&sim, &mut dice),
            Step::CollectGarbage => users::collect_garbage(&sim, &mut dice),
            Step::CreateMirror => {
                let names: Vec<String> = sim.world().source.repositories.keys().cloned().collect();
                if let Some(name) = dice.pick(&names) {
                    self.create_mirror(name);
                }
            }
            Step::DeleteMirror => self.delete_mirror(&mut dice),
            Step::Release => release(&sim),
            Step::LoseObject => lose_object(&sim, &mut dice),
            Step::Weather => {
                let kept = sim.world().weather.clone();
                let new = weather(&mut dice, &sim).with_answers_of(&kept);
                sim.world().weather = new;
            }
            Step::Clear => {
                let cut = std::mem::take(&mut sim.world().weather.cut);
                let kept = std::mem::take(&mut sim.world().weather);
                sim.world().weather = Weather { cut, ..Weather::default() }.with_answers_of(&kept);
            }
            Step::Mend => sim.world().weather.cut.clear(),
            Step::Listings => listings(&mut sim.world().weather, &mut dice),
            Step::Doubt => doubt(&mut sim.world().weather, &mut dice),
            Step::Meddle => others::meddle(&sim, &mut dice, number),
            Step::Unmeddle => others::unmeddle(&sim, &self.summaries()),
            Step::Rob => others::rob(&sim, &mut dice, number),
            Step::Vanish => others::vanish(&sim, &mut dice),
            _ => self.trouble(planned.what, &mut dice),
        }
        self.settle();
    }

    /// Steps that concern one process.
    fn trouble(&mut self, what: Step, dice: &mut Dice) {
        let index = dice.below(self.processes.len() as u64) as usize;
        let sim = self.sim.clone();
        let process = &mut self.processes[index];
        if !process.is_running() {
            return;
        }
        let name = process.name();
        sim.world().note(|| format!("{what:?} of {name}"));
        match what {
            Step::Kill => self.down(index, None),
            Step::CrashInWrite => process.faults.crash_at(process.faults.calls() + dice.below(12)),
            Step::FailWrite => {
                let kind = *dice
                    .pick(&[ErrorKind::Other, ErrorKind::StorageFull, ErrorKind::TimedOut])
                    .unwrap_or(&ErrorKind::Other);
                process.faults.fail_at(process.faults.calls() + dice.below(12), kind);
            }
            Step::FillDisk => {
                let used: usize = process
                    .disk
                    .paths()
                    .iter()
                    .filter_map(|path| process.disk.bytes(path))
                    .map(|file| file.len())
                    .sum();
                process.faults.set_capacity(Some(used as u64 + dice.below(4000)));
            }
            Step::Stop => process.ask_to_stop(&sim),
            Step::Pause => process.paused = true,
            Step::Wake => {
                process.paused = false;
                sim.wake(index);
            }
            Step::Cut => {
                let place = *dice.pick(&PLACES).unwrap_or(&PLACES[0]);
                sim.world().weather.cut.insert((index, place));
            }
            Step::JumpClock => {
                // Less than the calm phase may take, because what waits for a time of day waits for it again.
                let jump = dice.below(1_200_000).cast_signed() - 600_000;
                *process.offset_ms.lock().unwrap() += jump;
            }
            Step::Drowse => {
                let now = sim.now();
                sim.world().drowsy = Some((index, now));
            }
            Step::LoseVolume => {
                self.down(index, Some(Survival::Nothing));
                self.processes[index].lose_volume();
            }
            _ => {}
        }
    }

    fn report(self) -> Report {
        let mut hasher = blake3::Hasher::new();
        self.processes.iter().for_each(|process| process.fingerprint(&mut hasher));
        let mut world = self.sim.world();
        hasher.update(&world.calls.to_le_bytes());
        Report {
            violation: world.judge.violations.first().cloned(),
            trace: world.trace.take().unwrap_or_default(),
            fingerprint: *hasher.finalize().as_bytes(),
            happened: world.happened,
            events: self.events,
            moves: world.judge.moves,
            records: world.judge.records,
            removals: world.judge.removals,
            starts: self.processes.iter().map(|process| process.runs).sum(),
            simulated: world.now,
        }
    }
}

fn lose_object(sim: &Sim, dice: &mut Dice) {
    let mut world = sim.world();
    let keys: Vec<String> = world.bucket.objects.keys().cloned().collect();
    let Some(key) = dice.pick(&keys).cloned() else { return };
    world.bucket.objects.remove(&key);
    if dice.chance(500) {
        world.bucket.markers.insert(key.clone());
    }
    world.note(|| format!("{key} is lost at the destination"));
    let again = dice.between(SECOND, 60 * SECOND);
    sim.after(again, Box::new(move |sim| bucket::send(sim, &mut sim.world(), &key)));
}

/// Listings that are stale or incomplete, about every other time.
fn listings(weather: &mut Weather, dice: &mut Dice) {
    let often = if dice.chance(500) { dice.below(500) } else { 0 };
    (weather.stale_listings, weather.short_listings) = (dice.below(often + 1), often);
}

/// Queries of single objects that fail or are answered wrongly, about every other time.
fn doubt(weather: &mut Weather, dice: &mut Dice) {
    let often = if dice.chance(500) { dice.below(1000) } else { 0 };
    (weather.probes_failed, weather.lies) = (often, dice.below(often + 1));
}

/// Some of the possible faults of calls, more or less often.
fn weather(dice: &mut Dice, sim: &Sim) -> Weather {
    let cut = sim.world().weather.cut.clone();
    let mut some = |most: u64| if dice.chance(300) { dice.below(most) } else { 0 };
    let weather = Weather {
        lost_requests: some(150),
        lost_answers: some(150),
        repeated: some(150),
        failed: some(300),
        slow: some(300),
        contradictions: some(200),
        unknown: some(300),
        forbidden: some(200),
        late_keys: some(300),
        held: some(250),
        stragglers: some(200),
        wrong_first: some(100),
        damaged_first: some(100),
        cut,
        ..Weather::default()
    };
    sim.world().note(|| format!("{weather:?}"));
    weather
}
