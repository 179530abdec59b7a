//! Calls of a process to the world: sent, perhaps lost, executed, perhaps twice, perhaps answered.
//!
//! A call that was sent is executed whatever happens to its sender.

use std::sync::Arc;

use lakemirror::engine::ports::{Fault, FaultKind};
use lakemirror_journal::log::disk::sim::SimDisk;
use lakemirror_journal::log::fault::Faults;
use lakemirror_journal::log::hot::memory::MemoryHot;
use tokio::sync::oneshot;

use crate::agenda::{Micros, SECOND, Sim};
use crate::judge::Who;
use crate::world::{Fate, Place, World};

/// Timeout of a call without an answer.
const TIMEOUT: Micros = 4 * SECOND;

pub(crate) fn fault(kind: FaultKind, call: &str, message: &str) -> Fault {
    Fault { kind, call: call.to_owned(), status: None, message: message.to_owned() }
}

/// The connection of a process to the world.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) sim: Sim,
    pub(crate) process: usize,
    pub(crate) who: Who,
    pub(crate) disk: SimDisk,
    pub(crate) hot: MemoryHot,
    pub(crate) faults: Faults,
}

/// A kind of call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) place: Place,
    pub(crate) name: &'static str,
    /// Whether it changes something on the mirror.
    pub(crate) changes: bool,
    /// Whether a client that misses the answer may resend it on its own.
    pub(crate) repeatable: bool,
}

impl Call {
    pub(crate) fn read(place: Place, name: &'static str) -> Self {
        Self { place, name, changes: false, repeatable: true }
    }

    pub(crate) fn change(place: Place, name: &'static str) -> Self {
        Self { place, name, changes: true, repeatable: true }
    }
}

impl Wire {
    /// Reports that a call is sent. Returns what happens to it, and whether the sender's machine stops after it was
    /// executed.
    fn send(&self, call: Call, of: &str) -> (Fate, bool) {
        let mut world = self.sim.world();
        if call.changes {
            // After a failure, what was written stays in doubt. It justifies nothing new, and what was justified before
            // may still be sent.
            let synced = self.faults.failures() > 0 || self.disk.is_synced() && self.hot.is_flushed();
            world.judge.sent(&self.who, call.name, synced);
        }
        let fate = world.fate(self.process, call.place, call.repeatable);
        let (fate, stops) = world.trap.spring(call, of, fate, &self.faults);
        if call.changes || !matches!(fate, Fate::Answered { .. }) {
            world.note(|| format!("{} {} {of}: {fate:?}", self.who.name, call.name));
        }
        (fate, stops)
    }

    /// Makes a call. `work` runs where it is executed.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        call: Call,
        of: &str,
        work: impl Fn(&Sim, &mut World) -> Result<T, Fault> + Send + Sync + 'static,
    ) -> Result<T, Fault> {
        // A machine that has stopped sends nothing more.
        if self.faults.crashed() {
            return std::future::pending().await;
        }
        let (fate, stops) = self.send(call, of);
        let lost = || fault(FaultKind::Retry, call.name, "no answer in time");
        let work = Arc::new(work);
        let run = {
            let work = Arc::clone(&work);
            move |sim: &Sim| {
                let mut world = sim.world();
                let now = world.now;
                world.judge.now = now;
                work(sim, &mut world)
            }
        };
        let (to, back) = match fate {
            Fate::Lost => {
                self.sim.pass(self.process, TIMEOUT).await;
                return Err(lost());
            }
            Fate::Unanswered { to } => {
                let (faults, process) = (self.faults.clone(), self.process);
                let carry_out = move |sim: &Sim| {
                    drop(run(sim));
                    if stops {
                        faults.stop();
                        sim.wake(process);
                    }
                };
                self.sim.after(to, Box::new(carry_out));
                self.sim.pass(self.process, TIMEOUT).await;
                return Err(lost());
            }
            Fate::Failed { back } => {
                self.sim.pass(self.process, back).await;
                return Err(fault(FaultKind::Retry, call.name, "500: trouble"));
            }
            Fate::Twice { to, again, back } => {
                let first = run.clone();
                self.sim.after(to, Box::new(move |sim| drop(first(sim))));
                (again, back)
            }
            Fate::Answered { to, back } => (to, back),
        };
        let (sender, answer) = oneshot::channel();
        let process = self.process;
        let carry_out = move |sim: &Sim| {
            let result = run(sim);
            let deliver = move |sim: &Sim| {
                if !sender.is_closed() {
                    sim.wake(process);
                    drop(sender.send(result));
                }
            };
            sim.after(back, Box::new(deliver));
        };
        self.sim.after(to, Box::new(carry_out));
        match answer.await {
            Ok(result) => result,
            Err(_) => std::future::pending().await,
        }
    }
}
