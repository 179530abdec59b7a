//! A stand-in for a bucket's replication: copies what is new in one blockstore's folder into another, late, out of
//! order, and with losses, as real replication does.
//!
//! [`scan`] finds what is new; this file decides when each file's copy is due, holds what it is told to hold, and
//! copies. A copy appears whole. Nothing is remembered across restarts: the folders are compared again. It knows
//! nothing of lakeFS but that files are written once: a file that is there is not copied again.
//!
//! Delays are drawn from the entropy given, time is the clock's, so a run with fixed ones repeats exactly.

mod scan;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lakemirror_ports::clock::{Clock, Entropy};
use tokio_util::sync::CancellationToken;

use self::scan::{Found, Scan};
use super::pattern;

/// What one turn does at most, so that it neither holds the lock nor puts off an end for long.
const EVENTS_PER_TURN_MAX: usize = 1000;

/// How replication behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behaviour {
    /// Time between two looks at the source.
    pub scan_every: Duration,
    /// A copy comes no sooner than this after its file was seen.
    pub delay_min: Duration,
    /// A copy comes no later than this after its file was seen, stragglers aside.
    pub delay_max: Duration,
    /// One file in so many is a straggler; 0 for none.
    pub straggler_one_in: u64,
    /// How much later a straggler comes.
    pub straggler_delay: Duration,
    /// One file in so many is lost, until it is released; 0 for none.
    pub lost_one_in: u64,
    /// Whether what is deleted at the source is deleted at the destination.
    pub deletes: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            scan_every: Duration::from_millis(100),
            delay_min: Duration::from_millis(100),
            delay_max: Duration::from_millis(1500),
            straggler_one_in: 0,
            straggler_delay: Duration::from_secs(5),
            lost_one_in: 0,
            deletes: false,
        }
    }
}

/// What happened to a file. Keys are relative to the folders, with `/`: `bucket/prefix/data/…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It is at the destination now.
    Copied {
        /// Its key.
        key: String,
        /// Its size.
        bytes: u64,
    },
    /// Its copy was due and is held.
    Held {
        /// Its key.
        key: String,
    },
    /// It was deleted at the destination.
    Deleted {
        /// Its key.
        key: String,
    },
    /// It could not be copied or deleted; it will be tried again.
    Failed {
        /// Its key.
        key: String,
        /// What the system said.
        error: String,
    },
}

/// How much is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// Files seen whose copy is not due yet.
    pub waiting: usize,
    /// Files that are held or lost.
    pub held: usize,
    /// Files copied since the start.
    pub copied: u64,
}

/// One direction of replication between two folders.
pub struct Replication {
    from: PathBuf,
    to: PathBuf,
    temporary: PathBuf,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    behaviour: Behaviour,
    scan: Scan,
    due: BinaryHeap<Reverse<(Duration, String, Action)>>,
    holds: Vec<String>,
    parked: BTreeSet<String>,
    copied: u64,
    sequence: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Copy,
    Delete,
}

impl Replication {
    /// From one blockstore's folder into another's. `temporary` takes half-written copies: on the destination's file
    /// system, outside of its folder.
    ///
    /// # Errors
    /// What making the folders says.
    pub fn new(
        from: impl Into<PathBuf>,
        to: impl Into<PathBuf>,
        temporary: impl Into<PathBuf>,
        behaviour: Behaviour,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> io::Result<Self> {
        let (from, to, temporary) = (from.into(), to.into(), temporary.into());
        for folder in [&from, &to, &temporary] {
            fs::create_dir_all(folder)?;
        }
        let state = State {
            behaviour,
            scan: Scan::default(),
            due: BinaryHeap::new(),
            holds: Vec::new(),
            parked: BTreeSet::new(),
            copied: 0,
            sequence: 0,
        };
        Ok(Self { from, to, temporary, clock, entropy, state: Mutex::new(state) })
    }

    /// Changes how it behaves, for files seen from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        super::lock(&self.state).behaviour = behaviour;
    }

    /// Holds back files whose key matches (`*` and `?` as wildcards), from now on until they are released.
    pub fn hold(&self, pattern: impl Into<String>) {
        super::lock(&self.state).holds.push(pattern.into());
    }

    /// Ends all holds of exactly this pattern, and lets the held and lost files go whose key matches it. Files that
    /// another hold still matches stay.
    pub fn release(&self, wanted: &str) {
        let mut state = super::lock(&self.state);
        let now = self.clock.monotonic();
        state.holds.retain(|hold| hold != wanted);
        let (free, parked) = std::mem::take(&mut state.parked)
            .into_iter()
            .partition(|key| pattern::matches(wanted, key) && !state.is_held(key));
        state.parked = parked;
        let free: BTreeSet<String> = free;
        state.due.extend(free.into_iter().map(|key| Reverse((now, key, Action::Copy))));
    }

    /// Ends all holds and lets all held and lost files go.
    pub fn release_all(&self) {
        super::lock(&self.state).holds.clear();
        self.release("*");
    }

    /// How much is under way.
    pub fn status(&self) -> Status {
        let state = super::lock(&self.state);
        Status { waiting: state.due.len(), held: state.parked.len(), copied: state.copied }
    }

    /// The keys that are held or lost.
    pub fn held(&self) -> Vec<String> {
        super::lock(&self.state).parked.iter().cloned().collect()
    }

    /// Looks at the source once and does what is due, up to a thousand files. Blocks on files.
    ///
    /// # Errors
    /// What reading the source's folders says; single files that fail are an event.
    pub fn turn(&self) -> io::Result<Vec<Event>> {
        let now = self.clock.monotonic();
        let mut state = super::lock(&self.state);
        let found = state.scan.look(&self.from, &self.to, now)?;
        for found in found {
            self.plan(&mut state, found, now);
        }
        let mut events = Vec::new();
        while events.len() < EVENTS_PER_TURN_MAX
            && let Some(Reverse((_, key, action))) = state.next_due(now)
        {
            let event = match action {
                Action::Copy if state.is_held(&key) => {
                    state.parked.insert(key.clone());
                    Event::Held { key }
                }
                Action::Copy => self.copy(&mut state, key, now),
                Action::Delete => self.delete(&mut state, key, now),
            };
            events.push(event);
        }
        Ok(events)
    }

    fn plan(&self, state: &mut State, found: Found, now: Duration) {
        let behaviour = state.behaviour;
        let spread = behaviour.delay_max.saturating_sub(behaviour.delay_min);
        let mut due = now + behaviour.delay_min + self.random_below(spread);
        match found {
            Found::New(key) => {
                if self.one_in(behaviour.lost_one_in) {
                    state.parked.insert(key);
                    return;
                }
                if self.one_in(behaviour.straggler_one_in) {
                    due += behaviour.straggler_delay;
                }
                state.due.push(Reverse((due, key, Action::Copy)));
            }
            Found::Gone(key) => {
                state.parked.remove(&key);
                if behaviour.deletes {
                    state.due.push(Reverse((due, key, Action::Delete)));
                }
            }
        }
    }

    fn one_in(&self, count: u64) -> bool {
        count > 0 && self.entropy.random_u64().is_multiple_of(count)
    }

    fn random_below(&self, spread: Duration) -> Duration {
        let micros = u64::try_from(spread.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.entropy.random_u64() % micros.max(1))
    }

    fn copy(&self, state: &mut State, key: String, now: Duration) -> Event {
        state.sequence += 1;
        let pending = self.temporary.join(format!("copy-{}", state.sequence));
        match copy_whole(&self.from.join(&key), &pending, &self.to.join(&key)) {
            Ok(bytes) => {
                state.copied += 1;
                Event::Copied { key, bytes }
            }
            // Deleted at the source before its copy was due.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Event::Failed { key, error: error.to_string() },
            Err(error) => state.again(key, Action::Copy, now, &error),
        }
    }

    fn delete(&self, state: &mut State, key: String, now: Duration) -> Event {
        match fs::remove_file(self.to.join(&key)) {
            Ok(()) => Event::Deleted { key },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Event::Deleted { key },
            Err(error) => state.again(key, Action::Delete, now, &error),
        }
    }

    /// Replicates until `cancel` is cancelled, and shows each event.
    ///
    /// # Errors
    /// What reading the source's folders says.
    pub async fn run(self: Arc<Self>, cancel: CancellationToken, mut show: impl FnMut(Event) + Send) -> io::Result<()> {
        loop {
            let this = Arc::clone(&self);
            let events = tokio::task::spawn_blocking(move || this.turn()).await.map_err(io::Error::other)??;
            let more = events.len() >= EVENTS_PER_TURN_MAX;
            events.into_iter().for_each(&mut show);
            let scan_every = super::lock(&self.state).behaviour.scan_every;
            let pause = if more { Duration::ZERO } else { scan_every };
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = self.clock.sleep(pause) => {}
            }
        }
    }
}

impl State {
    fn is_held(&self, key: &str) -> bool {
        self.holds.iter().any(|hold| pattern::matches(hold, key))
    }

    fn next_due(&mut self, now: Duration) -> Option<Reverse<(Duration, String, Action)>> {
        let Reverse((due, _, _)) = self.due.peek()?;
        if *due <= now { self.due.pop() } else { None }
    }

    fn again(&mut self, key: String, action: Action, now: Duration, error: &io::Error) -> Event {
        self.due.push(Reverse((now + self.behaviour.delay_max, key.clone(), action)));
        Event::Failed { key, error: error.to_string() }
    }
}

#[expect(clippy::disallowed_methods, reason = "a copy that is lost is made again")]
fn copy_whole(from: &Path, pending: &Path, to: &Path) -> io::Result<u64> {
    let bytes = fs::copy(from, pending)?;
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::rename(pending, to)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
