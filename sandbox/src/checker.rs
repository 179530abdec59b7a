//! Judges a mirror from outside, for the demo and the tests: it knows nothing of the engine.
//!
//! ```text
//! source lakeFS ──► history (every head that a branch had) ─┐
//! mirror lakeFS ──► moves of its branches ──────────────────┼─► watch ─► moves with what was found, violations
//! destination bucket ──► bucket (trees and objects) ────────┘
//! both lakeFS ──► compare (object by object, at the end) ─────► report
//! ```
//!
//! It owns two questions, asked at each move of a mirror's branch. I1: is everything of the new head in the
//! destination bucket, and are the records of all its ancestors on the mirror? I2: is the head one that the source's
//! branch had, in the order in which it had them? It reads the bucket by itself and talks plain HTTP; of the rest of
//! the crate it uses the decoding of lakeFS's files and the clock.

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

/// Moves and violations that are kept at most; later ones are only counted.
const KEPT_MAX: usize = 100_000;

/// What to judge.
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
    /// A key pair that both take.
    pub access: Access,
    /// The directory of the mirror's storage namespace.
    pub bucket: PathBuf,
    /// Time between two looks at the branches.
    pub every: Duration,
    /// Whether all objects of a new head's ancestors must be there as well (`promotion.history: complete` where
    /// nothing has expired).
    pub ancestors_complete: bool,
}

/// Which rule is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Complete before visible.
    I1,
    /// A past of the source, in order.
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

/// A rule that the mirror broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// When it was seen, milliseconds since 1970.
    pub at_ms: u64,
    /// Which rule.
    pub rule: Rule,
    /// The mirror's branch.
    pub branch: String,
    /// Where it pointed to; none where it was gone.
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

/// A move of a mirror's branch, and what was found in the bucket for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// When it was seen, milliseconds since 1970.
    pub at_ms: u64,
    /// The branch.
    pub branch: String,
    /// Where it pointed to before; none where it was not there.
    pub from: Option<String>,
    /// Where it points to now; none where it is gone.
    pub to: Option<String>,
    /// The new head's message.
    pub message: String,
    /// What is in the bucket of the new head.
    pub tree: Tree,
    /// When the source's branch was first seen there, milliseconds since 1970.
    pub at_source_ms: Option<u64>,
    /// It was already so when the judge came.
    pub found: bool,
}

/// Why the judge cannot judge.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// A lakeFS does not answer as it should.
    #[error("the checker cannot ask lakeFS")]
    Http(#[from] HttpError),
    /// Reading files was given up.
    #[error("the checker's reading of the bucket ended early")]
    Reading(#[from] tokio::task::JoinError),
}

/// The judge. Cheap to clone; all clones are the same one.
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
    /// Held while the source is changed or looked at, so that heads are recorded in their order.
    gate: tokio::sync::Mutex<()>,
    /// Held during a look: two at once would judge one move twice.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

/// Where a mirror's branch stands in the history of the source's.
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
    /// A judge that has seen nothing yet.
    ///
    /// # Errors
    /// No HTTP client can be made.
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

    /// Judges until cancelled. A lakeFS that does not answer is asked again at the next look.
    pub async fn run(&self, cancel: CancellationToken) {
        loop {
            if let Err(error) = self.look().await {
                tracing::debug!("a look of the checker failed: {error}");
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = self.inner.clock.sleep(self.inner.every) => {}
            }
        }
    }

    /// Makes one change at the source. Nobody looks while it is made, and its outcome is recorded before anybody does,
    /// so that no head is missed however short it lived. A change moves each branch at most once.
    ///
    /// # Errors
    /// The source cannot be read after the change.
    pub async fn around<T>(&self, change: impl Future<Output = T>) -> Result<T, CheckError> {
        Self::around_all(std::slice::from_ref(self), change).await
    }

    /// [`Self::around`] for all judges of mirrors of one source.
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

    /// The moves from the one with this number on, counted from 0.
    pub fn moves(&self, from: usize) -> Vec<Move> {
        self.state().moves.get(from..).unwrap_or_default().to_vec()
    }

    /// What the mirror did wrong so far.
    pub fn violations(&self) -> Vec<Violation> {
        self.state().violations.clone()
    }

    /// Completed looks so far.
    pub fn turns(&self) -> u64 {
        self.state().turns
    }

    /// Whether both have the same branches with the same heads at this moment.
    ///
    /// # Errors
    /// One of them does not answer.
    pub async fn is_in_sync(&self) -> Result<bool, CheckError> {
        let mirror = self.inner.mirror.branches().await?;
        Ok(!mirror.is_empty() && mirror == self.inner.source.branches().await?)
    }

    /// Compares the whole mirror with the whole source. To be asked when nothing changes.
    ///
    /// # Errors
    /// One of them does not answer; what differs is in the report.
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
