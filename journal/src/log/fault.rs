//! Faults for the simulated disk and hot store. Both share one counter of mutating calls, so that "crash at call n"
//! means one instant of the whole machine.
//!
//! Test support. This module owns the counter, the plan, and a small pseudo-random generator that chooses which
//! unsynced bytes survive.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What survives of the unsynced writes when the machine stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survival {
    /// Nothing.
    Nothing,
    /// Everything, as when only the process dies. It stays unsynced, so a later crash can lose it.
    Everything,
    /// All writes; of the last one only this many bytes.
    LastWriteCutAt(usize),
    /// Each 512-byte piece of a write, each cut and each name survives or not, as a generator with this seed decides.
    Sectors(u64),
}

#[derive(Debug, Default)]
struct Plan {
    calls: u64,
    crash_at: Option<u64>,
    fail_at: Option<(u64, io::ErrorKind)>,
    crashed: bool,
    failures: u64,
    capacity: Option<u64>,
    struck: Option<String>,
}

/// The shared counter and plan. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

impl Faults {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Mutating calls so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.plan().calls
    }

    /// The machine stops just before the mutating call with this number (the first is 0) has its effect.
    pub fn crash_at(&self, call: u64) {
        self.plan().crash_at = Some(call);
    }

    /// The mutating call with this number has no effect (a write: half of it) and fails with `kind`.
    pub fn fail_at(&self, call: u64, kind: io::ErrorKind) {
        self.plan().fail_at = Some((call, kind));
    }

    /// Limits the bytes of all files together.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.plan().capacity = bytes;
    }

    /// How often a call failed by plan or for lack of space.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.plan().failures
    }

    pub(super) fn count_failure(&self) {
        self.plan().failures += 1;
    }

    pub(super) fn capacity(&self) -> Option<u64> {
        self.plan().capacity
    }

    /// The machine stops now, between two calls.
    pub fn stop(&self) {
        self.plan().crashed = true;
    }

    /// The call at which the machine stopped or that failed by plan, and its operation.
    #[must_use]
    pub fn struck(&self) -> Option<String> {
        self.plan().struck.clone()
    }

    /// Whether the machine has stopped.
    #[must_use]
    pub fn crashed(&self) -> bool {
        self.plan().crashed
    }

    /// Resets the counter to 0 on a running machine, without a plan.
    pub fn reset(&self) {
        let capacity = self.capacity();
        *self.plan() = Plan { capacity, ..Plan::default() };
    }

    /// Counts a mutating call, `name` on `path`. After an error the call has no effect; a write may have a partial one.
    pub(super) fn step(&self, name: &str, path: &str) -> io::Result<()> {
        let mut plan = self.plan();
        let call = plan.calls;
        plan.calls += 1;
        if plan.crash_at == Some(call) {
            plan.crashed = true;
            plan.struck = Some(format!("{name} {path}"));
        }
        if plan.crashed {
            return Err(stopped());
        }
        match plan.fail_at {
            Some((at, kind)) if at == call => {
                plan.failures += 1;
                plan.struck = Some(format!("{name} {path}"));
                Err(io::Error::from(kind))
            }
            _ => Ok(()),
        }
    }

    /// A call that changes nothing. It fails only on a stopped machine.
    pub(super) fn look(&self) -> io::Result<()> {
        if self.crashed() { Err(stopped()) } else { Ok(()) }
    }
}

fn stopped() -> io::Error {
    io::Error::other("the simulated machine has stopped")
}

/// SplitMix64, which chooses the pieces that survive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn coin(&mut self) -> bool {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) & 1 == 1
    }
}
