//! A process of the destination's region: the production journal, recorder, records and engine on a single-threaded
//! runtime that runs only when it is stepped. Includes its machine (disk and hot store), its starts, stops and deaths.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use lakemirror::clock::{Clock, Entropy};
use lakemirror::engine::lease::manager;
use lakemirror::engine::mirror::Settings;
use lakemirror::engine::ports::{Registry, StoreIdentity};
use lakemirror::engine::recorder::{self, Recorder};
use lakemirror::engine::{Engine, Parts, Region};
use lakemirror::mirrors::records::Records;
use lakemirror::run::journal_writer::{Journal, SealPolicy};
use lakemirror::run::registry::SharedRegistry;
use lakemirror_journal::command::Command;
use lakemirror_journal::ids::Incarnation;
use lakemirror_journal::log::Ports;
use lakemirror_journal::log::disk::sim::SimDisk;
use lakemirror_journal::log::fault::{Faults, Survival};
use lakemirror_journal::log::hot::memory::MemoryHot;
use lakemirror_journal::state::mirror::Mirror;
use lakemirror_journal::state::policy::Policy;
use lakemirror_journal::state::{State, image};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::agenda::{ProcessClock, ProcessEntropy, Sim};
use crate::dice::Dice;
use crate::judge::Who;
use crate::wire::Wire;
use crate::world::Place;
use crate::{bucket, database, lakefs};

/// What is the same for all processes of a run.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) policy: Policy,
    pub(crate) seal_policy: SealPolicy,
    pub(crate) settings: Settings,
}

/// Whether a runtime is idle, as reported by the runtime just before it would wait.
#[derive(Default)]
struct Idle(Mutex<(bool, Option<Waker>)>);

impl Idle {
    fn reached(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = true;
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    }

    fn poll(&self, waker: &Waker) -> Poll<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut state.0) {
            return Poll::Ready(());
        }
        state.1 = Some(waker.clone());
        Poll::Pending
    }
}

struct Running {
    runtime: Runtime,
    idle: Arc<Idle>,
    main: JoinHandle<Result<(), String>>,
    recorder: Arc<Mutex<Option<Recorder>>>,
    stop: CancellationToken,
}

/// A process and its machine.
pub(crate) struct Process {
    pub(crate) index: usize,
    pub(crate) runs: u64,
    pub(crate) disk: SimDisk,
    pub(crate) hot: MemoryHot,
    pub(crate) faults: Faults,
    pub(crate) paused: bool,
    pub(crate) offset_ms: Arc<Mutex<i64>>,
    dice: Dice,
    running: Option<Running>,
}

impl Process {
    pub(crate) fn new(seed: u64, index: usize) -> Self {
        let faults = Faults::default();
        Self {
            index,
            runs: 0,
            disk: SimDisk::new(&faults),
            hot: MemoryHot::new(&faults),
            faults,
            paused: false,
            offset_ms: Arc::default(),
            dice: Dice::new(seed, 100 + index as u64),
            running: None,
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Its name in this run.
    pub(crate) fn name(&self) -> String {
        format!("w{}.{}", self.index, self.runs)
    }

    /// The volume is lost: an empty one replaces it.
    pub(crate) fn lose_volume(&mut self) {
        self.disk = SimDisk::new(&self.faults);
        self.hot = MemoryHot::new(&self.faults);
    }

    pub(crate) fn start(&mut self, sim: &Sim, rules: &Rules) {
        self.runs += 1;
        self.paused = false;
        let idle = Arc::new(Idle::default());
        let told = Arc::clone(&idle);
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.on_thread_park(move || told.reached()).build().unwrap();
        let (recorder, stop) = (Arc::default(), CancellationToken::new());
        let start = Start {
            sim: sim.clone(),
            process: self.index,
            name: self.name(),
            run: self.runs,
            disk: self.disk.clone(),
            hot: self.hot.clone(),
            faults: self.faults.clone(),
            clock: Arc::new(ProcessClock {
                sim: sim.clone(),
                process: self.index,
                started: sim.now(),
                offset_ms: Arc::clone(&self.offset_ms),
            }),
            entropy: Arc::new(ProcessEntropy(Mutex::new(Dice::new(self.dice.next(), self.runs)))),
            rules: rules.clone(),
            recorder: Arc::clone(&recorder),
            stop: stop.clone(),
        };
        let main = runtime.spawn(start.main());
        self.running = Some(Running { runtime, idle, main, recorder, stop });
        sim.wake(self.index);
    }

    /// Runs until there is nothing to do. Returns its result, if it has ended.
    pub(crate) fn step(&mut self) -> Option<Result<(), String>> {
        let running = self.running.as_mut()?;
        running.runtime.block_on(poll_fn(|cx| running.idle.poll(cx.waker())));
        if !running.main.is_finished() {
            return None;
        }
        let ended = running.runtime.block_on(&mut running.main);
        Some(ended.unwrap_or_else(|crash| Err(format!("it panicked: {crash}"))))
    }

    pub(crate) fn ask_to_stop(&self, sim: &Sim) {
        if let Some(running) = &self.running {
            running.stop.cancel();
            sim.wake(self.index);
        }
    }

    /// Stops it at once; of what was written and not synced, `survival` remains.
    pub(crate) fn kill(&mut self, survival: Survival) {
        self.running = None;
        self.disk.reboot(survival);
        // A flush of the hot store is atomic.
        let all = match survival {
            Survival::Nothing => false,
            Survival::Everything => true,
            Survival::LastWriteCutAt(cut) => cut % 2 == 0,
            Survival::Sectors(seed) => seed % 2 == 0,
        };
        self.hot.reboot(if all { Survival::Everything } else { Survival::Nothing });
        self.faults.reset();
    }

    /// The digest of the live state; `None` if the journal does not respond.
    pub(crate) fn digest(&mut self) -> Option<[u8; 32]> {
        self.read(|state| image::digest(state).ok()).flatten()
    }

    /// The mirrors of the live state and their phases.
    pub(crate) fn phases(&mut self) -> Option<Vec<String>> {
        let phase = |(id, mirror): (&Incarnation, &Mirror)| format!("{:.8} {:?}", id.to_string(), mirror.phase);
        self.read(move |state| state.mirrors.iter().map(phase).collect())
    }

    fn read<R: Send + 'static>(&mut self, look: impl FnOnce(&State) -> R + Send + 'static) -> Option<R> {
        let running = self.running.as_mut()?;
        let recorder = running.recorder.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let answer = running.runtime.spawn(async move { recorder.read(look).await.ok() });
        self.step();
        let running = self.running.as_mut()?;
        answer.is_finished().then(|| running.runtime.block_on(answer).ok().flatten()).flatten()
    }

    /// The digest of the state after a replay of the files; the process must have ended.
    pub(crate) fn replayed(&self) -> Result<[u8; 32], String> {
        let opened = Journal::open_on(self.ports(), [7; 16], 0);
        let (_, state, _) = opened.map_err(|error| format!("the journal does not open: {error:?}"))?;
        image::digest(&state).map_err(|error| error.to_string())
    }

    fn ports(&self) -> Ports {
        Ports { disk: Box::new(self.disk.clone()), hot: Box::new(self.hot.clone()) }
    }

    /// Hashes all files.
    pub(crate) fn fingerprint(&self, hasher: &mut blake3::Hasher) {
        for path in self.disk.paths() {
            hasher.update(path.as_bytes());
            hasher.update(&self.disk.bytes(&path).unwrap_or_default());
        }
    }
}

/// The parameters of a start.
struct Start {
    sim: Sim,
    process: usize,
    name: String,
    run: u64,
    disk: SimDisk,
    hot: MemoryHot,
    faults: Faults,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    rules: Rules,
    recorder: Arc<Mutex<Option<Recorder>>>,
    stop: CancellationToken,
}

impl Start {
    /// As `run::serve` does it, without the API: journal, recorder, records, engine.
    async fn main(self) -> Result<(), String> {
        let mut uuid = [0; 16];
        for half in uuid.chunks_exact_mut(8) {
            half.copy_from_slice(&self.entropy.random_u64().to_le_bytes());
        }
        let ports = Ports { disk: Box::new(self.disk.clone()), hot: Box::new(self.hot.clone()) };
        let opened = Journal::open_on(ports, uuid, self.clock.wall_ms());
        let (journal, state, recovery) = opened.map_err(|error| format!("the journal does not open: {error:?}"))?;
        let mended: Vec<String> = recovery.actions.iter().map(ToString::to_string).collect();
        let mended = mended.join("; ");
        let node: String = recovery.uuid.iter().map(|byte| format!("{byte:02x}")).collect();
        self.sim.world().note(|| format!("{} has its journal {:.8} open: {mended}", self.name, node));
        let journal = journal.with_seal_policy(self.rules.seal_policy);
        let writer_epoch = journal.writer_epoch();
        let (recorder, reducer) = recorder::open(state, Box::new(journal), Arc::clone(&self.clock));
        let reducer = tokio::spawn(reducer.serve_here());
        *self.recorder.lock().unwrap_or_else(PoisonError::into_inner) = Some(recorder.clone());
        let start = Command::Start {
            writer_epoch,
            software: "simulated".to_owned(),
            policy: self.rules.policy.clone(),
            recovery: mended,
            at_ms: self.clock.wall_ms(),
        };
        let number = u64::from_le_bytes(recovery.uuid[..8].try_into().unwrap_or_default());
        let who = Who { name: self.name.clone(), run: self.run, node: number };
        {
            let mut world = self.sim.world();
            world.judge.now = world.now;
            world.judge.process_started(&who);
        }
        let wire = Wire {
            sim: self.sim.clone(),
            process: self.process,
            who,
            disk: self.disk.clone(),
            hot: self.hot.clone(),
            faults: self.faults.clone(),
        };
        let ended = match recorder.command(start).await {
            Ok(_) => self.engine(&wire, recorder, node).run(self.stop.clone()).await.map_err(|end| end.to_string()),
            Err(error) => Err(error.to_string()),
        };
        *self.recorder.lock().unwrap_or_else(PoisonError::into_inner) = None;
        match ended {
            Err(_) => Err(reducer
                .await
                .map_or_else(|end| end.to_string(), |end| end.err().map(|halt| halt.to_string()).unwrap_or_default())),
            Ok(()) => Ok(()),
        }
    }

    fn engine(&self, wire: &Wire, recorder: Recorder, node: String) -> Engine {
        let records = Records::new(Arc::new(database::Port(wire.clone())), Arc::clone(&self.clock));
        let registry = Arc::new(SharedRegistry::new(Arc::new(records), Arc::clone(&self.clock)));
        let lake = |place| Arc::new(lakefs::Port { wire: wire.clone(), place });
        let region = Region {
            lakefs: lake(Place::Mirror),
            destination: Arc::new(bucket::Port(wire.clone())),
            scheme: "s3",
            store: StoreIdentity::Aws { partition: "aws".to_owned() },
        };
        Engine::new(Parts {
            sources: BTreeMap::from([
                ("east".to_owned(), lake(Place::Source) as _),
                ("west".to_owned(), lake(Place::Mirror) as _),
            ]),
            regions: BTreeMap::from([("west".to_owned(), region)]),
            registry: Arc::clone(&registry) as Arc<dyn Registry>,
            table: registry,
            process: manager::Process { id: self.name.clone(), node, about: self.name.clone() },
            recorder,
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            settings: Arc::new(self.rules.settings.clone()),
        })
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            policy: Policy {
                evidence_age_ms_max: 120_000,
                deletion_grace_ms: 8_000,
                deletion_permille_max: 1000,
                ..Policy::default()
            },
            seal_policy: SealPolicy {
                seal_bytes_max: 64 << 10,
                checkpoint_bytes_max: 24 << 10,
                ..SealPolicy::default()
            },
            settings: Settings {
                scan_interval: Duration::from_secs(2),
                definitions_interval: Duration::from_secs(5),
                recheck: None,
                diagnose_after: Duration::from_secs(30),
                metadata_prefix: "_lakefs/".to_owned(),
                workers: 3,
                branch_concurrency: 4,
            },
        }
    }
}
