//! Simulated time: the queue of events, and the clocks that processes read.
//!
//! Defines the order of events: by time, then by creation. Everything runs on the thread that takes events from here;
//! the locks are never contended and never held while an event runs.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lakemirror::clock::{Clock, Entropy};
use tokio::sync::oneshot;

use crate::dice::Dice;
use crate::world::World;

/// Microseconds of simulated time.
pub(crate) type Micros = u64;
pub(crate) const MS: Micros = 1_000;
pub(crate) const SECOND: Micros = 1_000_000;

/// Wall time at the start, milliseconds since 1970.
pub(crate) const EPOCH_MS: u64 = 1_700_000_000_000;

/// What an event does.
pub(crate) type Action = Box<dyn FnOnce(&Sim) + Send>;

struct Event {
    at: Micros,
    number: u64,
    action: Action,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

#[derive(Default)]
struct Agenda {
    now: Micros,
    made: u64,
    events: BinaryHeap<Reverse<Event>>,
    /// Processes that have work now, one bit each.
    awake: u64,
}

/// The simulation as its parts see it. Clones share their state.
#[derive(Clone)]
pub(crate) struct Sim {
    agenda: Arc<Mutex<Agenda>>,
    world: Arc<Mutex<World>>,
}

impl Sim {
    pub(crate) fn new(world: World) -> Self {
        Self { agenda: Arc::default(), world: Arc::new(Mutex::new(world)) }
    }

    fn agenda(&self) -> MutexGuard<'_, Agenda> {
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The world; the guard must be dropped before anything else of the simulation runs.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Micros {
        self.agenda().now
    }

    pub(crate) fn after(&self, delay: Micros, action: Action) {
        let mut agenda = self.agenda();
        let (at, number) = (agenda.now + delay, agenda.made);
        agenda.made += 1;
        agenda.events.push(Reverse(Event { at, number, action }));
    }

    /// The time of the next event.
    pub(crate) fn next_at(&self) -> Option<Micros> {
        self.agenda().events.peek().map(|Reverse(event)| event.at)
    }

    /// Runs the next event.
    pub(crate) fn step(&self) {
        let mut agenda = self.agenda();
        let Some(Reverse(event)) = agenda.events.pop() else { return };
        agenda.now = agenda.now.max(event.at);
        self.world().now = agenda.now;
        drop(agenda);
        (event.action)(self);
    }

    /// Advances time to `at`.
    pub(crate) fn advance(&self, at: Micros) {
        let mut agenda = self.agenda();
        agenda.now = agenda.now.max(at);
        let now = agenda.now;
        drop(agenda);
        self.world().now = now;
    }

    pub(crate) fn wake(&self, process: usize) {
        // A task that is not a process of the simulation has no bit.
        self.agenda().awake |= u32::try_from(process).ok().and_then(|bit| 1_u64.checked_shl(bit)).unwrap_or(0);
    }

    /// Takes the processes that have work now, in order.
    pub(crate) fn take_awake(&self) -> impl Iterator<Item = usize> + use<> {
        let awake = std::mem::take(&mut self.agenda().awake);
        (0..u64::BITS as usize).filter(move |process| awake >> process & 1 == 1)
    }

    /// Waits in simulated time, independent of process clocks.
    pub(crate) async fn pass(&self, process: usize, delay: Micros) {
        let (sender, done) = oneshot::channel();
        self.after(
            delay,
            Box::new(move |sim| {
                // If the receiver is gone, there is nobody to wake.
                if !sender.is_closed() {
                    sim.wake(process);
                    let _ = sender.send(());
                }
            }),
        );
        if done.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// A process's clocks: the monotonic one starts with each run, the wall clock may jump.
pub(crate) struct ProcessClock {
    pub(crate) sim: Sim,
    pub(crate) process: usize,
    pub(crate) started: Micros,
    /// Offset from true wall time.
    pub(crate) offset_ms: Arc<Mutex<i64>>,
}

#[async_trait]
impl Clock for ProcessClock {
    fn wall_ms(&self) -> u64 {
        let offset = *self.offset_ms.lock().unwrap_or_else(PoisonError::into_inner);
        (EPOCH_MS + self.sim.now() / MS).saturating_add_signed(offset)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.sim.now() - self.started)
    }

    async fn sleep(&self, duration: Duration) {
        let micros = duration.as_nanos().div_ceil(1000);
        self.sim.pass(self.process, u64::try_from(micros).unwrap_or(u64::MAX / 4).min(u64::MAX / 4)).await;
    }
}

/// A process's randomness.
pub(crate) struct ProcessEntropy(pub(crate) Mutex<Dice>);

impl Entropy for ProcessEntropy {
    fn random_u64(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next()
    }
}
