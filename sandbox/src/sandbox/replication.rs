//! Simulates bucket replication: copies new files from one blockstore's directory to another one, late, out of order,
//! and with losses, as real replication does.
//!
//! [`scan`] finds new files. This module decides when each copy is due, holds files back on request, and copies. A copy
//! appears atomically. Nothing is persisted: after a restart the directories are compared again. It depends on one
//! property of lakeFS: files are written once, so a file that exists is not copied again.
//!
//! Delays are drawn from the given entropy and time is read from the given clock, so runs can be repeated exactly.

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

/// Maximum number of events of one turn, so that it neither holds the lock nor delays the end for long.
const EVENTS_PER_TURN_MAX: usize = 1000;

/// The behaviour of a replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behaviour {
    /// Time between two scans of the source.
    pub scan_every: Duration,
    /// Minimum delay of a copy after its file was found.
    pub delay_min: Duration,
    /// Maximum delay of a copy after its file was found, except for stragglers.
    pub delay_max: Duration,
    /// One in this many files is a straggler; 0 for none.
    pub straggler_one_in: u64,
    /// Additional delay of a straggler.
    pub straggler_delay: Duration,
    /// One in this many files is lost until it is released; 0 for none.
    pub lost_one_in: u64,
    /// Whether deletions at the source are replicated.
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

/// What happened to a file. Keys are relative to the directories, with `/`: `bucket/prefix/data/…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It was copied to the destination.
    Copied {
        /// Its key.
        key: String,
        /// Its size.
        bytes: u64,
    },
    /// Its copy is due, but held.
    Held {
        /// Its key.
        key: String,
    },
    /// It was deleted at the destination.
    Deleted {
        /// Its key.
        key: String,
    },
    /// It could not be copied or deleted; this is retried.
    Failed {
        /// Its key.
        key: String,
        /// The error of the operating system.
        error: String,
    },
}

/// The progress of a replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// Number of files whose copy is not due yet.
    pub waiting: usize,
    /// Number of files that are held or lost.
    pub held: usize,
    /// Number of files that were copied since the start.
    pub copied: u64,
}

/// One direction of replication between two directories.
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
    /// Replicates from one blockstore's directory to another one's. Incomplete copies are kept in `temporary`, which
    /// must be on the destination's file system and outside its directory.
    ///
    /// # Errors
    /// Errors of creating the directories.
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

    /// Changes the behaviour for files that are found from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        super::lock(&self.state).behaviour = behaviour;
    }

    /// Holds files whose key matches (`*` and `?` as wildcards), from now on until they are released.
    pub fn hold(&self, pattern: impl Into<String>) {
        super::lock(&self.state).holds.push(pattern.into());
    }

    /// Ends all holds with exactly this pattern, and releases the held and lost files whose key matches it. Files that
    /// match another hold stay held.
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

    /// Ends all holds and releases all held and lost files.
    pub fn release_all(&self) {
        super::lock(&self.state).holds.clear();
        self.release("*");
    }

    /// The progress.
    pub fn status(&self) -> Status {
        let state = super::lock(&self.state);
        Status { waiting: state.due.len(), held: state.parked.len(), copied: state.copied }
    }

    /// The keys that are held or lost.
    pub fn held(&self) -> Vec<String> {
        super::lock(&self.state).parked.iter().cloned().collect()
    }

    /// Scans the source once and does what is due, up to a thousand files. Blocks on files.
    ///
    /// # Errors
    /// Errors of reading the source's directories; a failure of a single file is an event.
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

    /// Replicates until `cancel` is cancelled, and reports each event.
    ///
    /// # Errors
    /// Errors of reading the source's directories.
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
