//! Checks a mirror from outside, for the demo and the tests; it is independent of the engine.
//!
//! ```text
//! source lakeFS ──► history (every head that a branch had) ─┐
//! mirror lakeFS ──► moves of its branches ──────────────────┼─► watch ─► moves with what was found, violations
//! destination bucket ──► bucket (trees and objects) ────────┘
//! both lakeFS ──► compare (object by object, at the end) ─────► report
//! ```
//!
//! It answers two questions at each move of a mirror's branch. I1: are all objects of the new head in the destination
//! bucket, and are the records of all its ancestors on the mirror? I2: is the head one that the source's branch had,
//! and do the heads come in the order of the source? The checker reads the bucket directly and uses plain HTTP. From
//! the rest of the crate it uses only the decoding of lakeFS files and the clock.

pub mod bucket;
pub mod compare;
pub mod history;
pub mod http;
pub mod lake;
mod watch;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lakemirror_ports::clock::Clock;
use tokio_util::sync::CancellationToken;

use self::bucket::{Bucket, Tree};
use self::history::History;
use self::http::{Access, HttpError};
use self::lake::{Commit, Lake};

/// Maximum number of moves and violations that are kept; later ones are only counted.
const KEPT_MAX: usize = 100_000;

/// What to check.
#[derive(Debug, Clone)]
pub struct Setup {
    /// URL of the source's lakeFS, without `/api/v1`.
    pub source: String,
    /// The source repository.
    pub source_repository: String,
    /// URL of the mirror's lakeFS, without `/api/v1`.
    pub mirror: String,
    /// The mirror repository. It need not exist yet.
    pub mirror_repository: String,
    /// A key pair that both accept.
    pub access: Access,
    /// The directory of the mirror's storage namespace.
    pub bucket: PathBuf,
    /// Time between two scans of the branches.
    pub every: Duration,
    /// Whether all objects of a new head's ancestors must be there as well (`promotion.history: complete` where
    /// nothing has expired).
    pub ancestors_complete: bool,
}

/// The rule that is violated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Complete before visible.
    I1,
    /// Only heads that the source had, in order.
    I2,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::I1 => "I1 (complete before visible)",
            Self::I2 => "I2 (a past of the source)",
        })
    }
}

/// A violation of a rule by the mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// When it was detected, milliseconds since 1970.
    pub at_ms: u64,
    /// Which rule.
    pub rule: Rule,
    /// The mirror's branch.
    pub branch: String,
    /// The commit it pointed to; `None` if it did not exist.
    pub commit: Option<String>,
    /// What is wrong, in full.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let commit = self.commit.as_deref().unwrap_or("nothing");
        write!(f, "{} at {} ms: branch {} at {commit}: {}", self.rule, self.at_ms, self.branch, self.text)
    }
}

/// A move of a mirror's branch, and what the bucket contained at that time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// When it was detected, milliseconds since 1970.
    pub at_ms: u64,
    /// The branch.
    pub branch: String,
    /// The commit it pointed to before; `None` if it did not exist.
    pub from: Option<String>,
    /// The commit it points to now; `None` if it does not exist.
    pub to: Option<String>,
    /// The new head's message.
    pub message: String,
    /// The new head's files and objects in the bucket.
    pub tree: Tree,
    /// When the source's branch was first observed at this commit, milliseconds since 1970.
    pub at_source_ms: Option<u64>,
    /// Whether the branch was already there when the checker started.
    pub found: bool,
}

/// Why the checker cannot decide.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// A lakeFS does not answer as it should.
    #[error("a request of the checker to lakeFS failed")]
    Http(#[from] HttpError),
    /// The task that reads files ended early.
    #[error("the checker's reading of the bucket ended early")]
    Reading(#[from] tokio::task::JoinError),
}

/// The checker. Cheap to clone; all clones share their state.
#[derive(Clone)]
pub struct Checker {
    inner: Arc<Inner>,
}

struct Inner {
    source: Lake,
    mirror: Lake,
    bucket: Arc<Bucket>,
    every: Duration,
    ancestors_complete: bool,
    clock: Arc<dyn Clock>,
    /// Held while the source is changed or observed, so that heads are recorded in order.
    gate: tokio::sync::Mutex<()>,
    /// Held during a scan: two concurrent scans would check one move twice.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

/// The position of a mirror's branch in the history of the source's branch.
#[derive(Debug, Clone, Default)]
struct Standing {
    head: Option<String>,
    position: usize,
}

#[derive(Debug, Default)]
struct State {
    attached: bool,
    histories: BTreeMap<String, History>,
    standings: BTreeMap<String, Standing>,
    commits: HashMap<String, Arc<Commit>>,
    recorded: HashSet<String>,
    whole: HashSet<String>,
    moves: Vec<Move>,
    violations: Vec<Violation>,
    turns: u64,
}

impl Checker {
    /// A checker that has not observed anything yet.
    ///
    /// # Errors
    /// The HTTP client cannot be created.
    pub fn new(setup: Setup, clock: Arc<dyn Clock>) -> Result<Self, CheckError> {
        let inner = Inner {
            source: Lake::new(&setup.source, &setup.source_repository, &setup.access)?,
            mirror: Lake::new(&setup.mirror, &setup.mirror_repository, &setup.access)?,
            bucket: Arc::new(Bucket::new(setup.bucket)),
            every: setup.every,
            ancestors_complete: setup.ancestors_complete,
            clock,
            gate: tokio::sync::Mutex::new(()),
            turn: tokio::sync::Mutex::new(()),
            state: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Checks until cancelled. If a lakeFS does not respond, the next scan tries again.
    pub async fn run(&self, cancel: CancellationToken) {
        loop {
            if let Err(error) = self.look().await {
                tracing::debug!("a scan of the checker failed: {error}");
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = self.inner.clock.sleep(self.inner.every) => {}
            }
        }
    }

    /// Runs one change at the source. No scan runs during the change, and its result is recorded before the next one,
    /// so no head is missed, however short-lived. A change moves each branch at most once.
    ///
    /// # Errors
    /// The source cannot be read after the change.
    pub async fn around<T>(&self, change: impl Future<Output = T>) -> Result<T, CheckError> {
        Self::around_all(std::slice::from_ref(self), change).await
    }

    /// [`Self::around`] for the checkers of all mirrors of one source.
    ///
    /// # Errors
    /// The source cannot be read after the change.
    pub async fn around_all<T>(judges: &[Self], change: impl Future<Output = T>) -> Result<T, CheckError> {
        let mut gates = Vec::with_capacity(judges.len());
        for judge in judges {
            gates.push(judge.inner.gate.lock().await);
        }
        let outcome = change.await;
        for judge in judges {
            judge.record_source().await?;
        }
        drop(gates);
        Ok(outcome)
    }

    /// The moves from this number on, counted from 0.
    pub fn moves(&self, from: usize) -> Vec<Move> {
        self.state().moves.get(from..).unwrap_or_default().to_vec()
    }

    /// The violations so far.
    pub fn violations(&self) -> Vec<Violation> {
        self.state().violations.clone()
    }

    /// Number of completed scans.
    pub fn turns(&self) -> u64 {
        self.state().turns
    }

    /// Whether source and mirror have the same branches with the same heads now.
    ///
    /// # Errors
    /// One of them does not respond.
    pub async fn is_in_sync(&self) -> Result<bool, CheckError> {
        let mirror = self.inner.mirror.branches().await?;
        Ok(!mirror.is_empty() && mirror == self.inner.source.branches().await?)
    }

    /// Compares the whole mirror with the whole source. Call it while nothing changes.
    ///
    /// # Errors
    /// One of them does not respond; differences are in the report.
    pub async fn final_check(&self) -> Result<compare::Report, CheckError> {
        self.look().await?;
        let mut report = compare::compare(&self.inner.source, &self.inner.mirror).await?;
        let state = self.state();
        report.moves = state.moves.len();
        report.violations.clone_from(&state.violations);
        Ok(report)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
