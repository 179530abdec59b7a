//! What all stages of one mirror share: its definition, its ports, the journal's handle, its conditions.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lakemirror_journal::command::MirrorCommand;
use lakemirror_journal::event::Event;
use lakemirror_journal::state::mirror::Mirror;
use lakemirror_ports::clock::{Clock, Entropy};
use tokio_util::sync::CancellationToken;

use crate::conditions::{ConditionKind, Conditions};
use crate::lease::Lease;
use crate::ports::{Destination, Fault, FaultKind, Lakefs, MirrorDefinition, Registry, StoreIdentity};
use crate::recorder::{RecordError, Recorder};
use crate::ticker::Ticker;
use crate::verify::status::VerifyStatus;

/// How soon it is looked again whether the lease is live.
const LEASE_AGAIN: Duration = Duration::from_millis(250);

/// How the engine goes about its work; nothing here changes what may be promoted.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How often a source's branches are listed.
    pub scan_interval: Duration,
    /// How often the mirrors database is asked for mirrors of other processes.
    pub definitions_interval: Duration,
    /// How often missing objects are looked for, where the configuration says so; else a back-off of our own.
    pub recheck: Option<Duration>,
    /// When the source is asked about an object of a head that does not come.
    pub diagnose_after: Duration,
    /// lakeFS's `committed.block_storage_prefix`, with its trailing slash.
    pub metadata_prefix: String,
    /// Verification jobs of one mirror at a time.
    pub workers: usize,
    /// Branches of one mirror that move at a time, and source calls of one mirror at a time.
    pub branch_concurrency: usize,
}

/// One mirror at work.
#[derive(Clone)]
pub struct MirrorContext {
    /// What was asked for.
    pub definition: Arc<MirrorDefinition>,
    /// The source's lakeFS.
    pub source: Arc<dyn Lakefs>,
    /// The mirror's lakeFS, changed only while the lease is live.
    pub mirror: Arc<dyn Lakefs>,
    /// The mirror's blockstore.
    pub destination: Arc<dyn Destination>,
    /// Which blockstore that is.
    pub store: StoreIdentity,
    /// The mirrors database.
    pub registry: Arc<dyn Registry>,
    /// The journal.
    pub recorder: Recorder,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// How to go about it.
    pub settings: Arc<Settings>,
    /// What is going on.
    pub conditions: Conditions,
    /// What is going on with what it shares with other mirrors.
    pub shared: Conditions,
    /// The bucket of its namespace; none where that cannot be read.
    pub bucket: Option<String>,
    /// What the verifier waits for.
    pub verify: Arc<Mutex<VerifyStatus>>,
    /// Ticks when a branch was found to have another visibility at the source than before.
    pub visibility: Ticker,
    /// Whether this process drives the mirror.
    pub lease: Arc<Lease>,
    /// Ends the mirror's work.
    pub stop: CancellationToken,
}

/// How long is waited before the next try of a call.
#[derive(Debug, Clone, Copy)]
pub struct Patience(Duration);

impl Default for Patience {
    fn default() -> Self {
        Self(Duration::from_millis(200))
    }
}

/// How one call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt<T> {
    /// It was answered; none where what it is about is not there.
    Answered(Option<T>),
    /// It failed: it may be made again after a wait.
    Failed(FaultKind),
}

/// A fault in words. What the destination refuses of one branch is that branch's own condition: it says so, and where
/// an operator has to look.
fn told(about: &ConditionKind, fault: &Fault) -> String {
    let what = match (about, fault.kind) {
        (ConditionKind::Branch(_), FaultKind::Denied) => {
            "look at the branch protection rules there, and at the credentials and permissions of lakemirror"
        }
        (ConditionKind::Branch(_), FaultKind::Refused) => "it is not taken there as it is",
        _ => return fault.to_string(),
    };
    format!("{fault}; {what}; this branch is tried again, the others go on without it")
}

/// Why a stage of a mirror ended early.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The journal stopped: the process ends.
    #[error("the journal has stopped")]
    Journal,
    /// The mirror's work was stopped.
    #[error("stopped")]
    Stopped,
}

impl MirrorContext {
    /// The mirror's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// Asks the journal; a refusal is logged as the defect that it is, and counts as no facts.
    ///
    /// # Errors
    /// [`Ended::Journal`] when the journal has stopped.
    pub async fn ask(&self, ask: MirrorCommand) -> Result<Vec<Event>, Ended> {
        match self.recorder.ask(self.definition.incarnation, ask).await {
            Ok(facts) => Ok(facts),
            Err(RecordError::Refused(refused)) => {
                tracing::warn!(mirror = self.name(), "the journal refused: {refused}");
                Ok(Vec::new())
            }
            Err(RecordError::Stopped) => Err(Ended::Journal),
        }
    }

    /// Looks at the mirror's durable state; `None` once it is gone.
    ///
    /// # Errors
    /// [`Ended::Journal`] when the journal has stopped.
    pub async fn look<R: Send + 'static>(
        &self,
        look: impl FnOnce(&Mirror) -> R + Send + 'static,
    ) -> Result<Option<R>, Ended> {
        let id = self.definition.incarnation;
        self.recorder.read(move |state| state.mirror(&id).map(look)).await.map_err(|_| Ended::Journal)
    }

    /// Waits, unless the work is stopped first.
    ///
    /// # Errors
    /// [`Ended::Stopped`].
    pub async fn pause(&self, duration: Duration) -> Result<(), Ended> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Ended::Stopped),
            () = self.clock.sleep(duration) => Ok(()),
        }
    }

    /// Returns the lease's epoch once it is live; says so while it is not.
    ///
    /// # Errors
    /// [`Ended::Stopped`].
    pub async fn leased(&self) -> Result<u64, Ended> {
        loop {
            if self.is_leased()
                && let Some(epoch) = self.lease.epoch()
            {
                return Ok(epoch);
            }
            self.pause(LEASE_AGAIN).await?;
        }
    }

    /// Whether the lease is live; notes it while it is not.
    pub fn is_leased(&self) -> bool {
        let is_live = self.lease.is_live(self.clock.monotonic());
        if is_live {
            self.conditions.clear(self.name(), &ConditionKind::Lease);
        } else {
            let text = "nothing is changed on the mirror: this process does not hold its lease in the mirrors database";
            self.conditions.note(self.name(), ConditionKind::Lease, text.to_owned());
        }
        is_live
    }

    /// Repeats a call until it is answered with something other than a passing fault, ever more slowly up to half a
    /// minute, noting the fault on the conditions meanwhile. `Absent` is an answer.
    ///
    /// # Errors
    /// [`Ended::Stopped`] when the work is stopped meanwhile.
    pub async fn insist<T, F>(&self, about: &ConditionKind, mut call: impl FnMut() -> F) -> Result<Option<T>, Ended>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let mut patience = Patience::default();
        loop {
            if let Some(answer) = self.try_once(about, call(), &mut patience).await? {
                return Ok(answer);
            }
        }
    }

    /// One try of [`MirrorContext::insist`]: the answer; or none, after the wait that comes before the next try.
    ///
    /// # Errors
    /// [`Ended::Stopped`] when the work is stopped meanwhile.
    pub async fn try_once<T>(
        &self,
        about: &ConditionKind,
        call: impl Future<Output = Result<T, Fault>>,
        patience: &mut Patience,
    ) -> Result<Option<Option<T>>, Ended> {
        match self.attempt(about, call).await? {
            Attempt::Answered(answer) => Ok(Some(answer)),
            Attempt::Failed(kind) => {
                self.wait_after(kind, patience).await?;
                Ok(None)
            }
        }
    }

    /// One call, with its fault on the conditions. Who holds something that others wait for gives it back before
    /// [`MirrorContext::wait_after`].
    ///
    /// # Errors
    /// [`Ended::Stopped`] when the work is stopped meanwhile.
    pub async fn attempt<T>(
        &self,
        about: &ConditionKind,
        call: impl Future<Output = Result<T, Fault>>,
    ) -> Result<Attempt<T>, Ended> {
        let answer = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(Ended::Stopped),
            answer = call => answer,
        };
        match answer {
            Ok(value) => {
                self.conditions.clear(self.name(), about);
                Ok(Attempt::Answered(Some(value)))
            }
            Err(fault) if fault.kind == FaultKind::Absent => {
                self.conditions.clear(self.name(), about);
                Ok(Attempt::Answered(None))
            }
            Err(fault) => {
                self.conditions.note(self.name(), about.clone(), told(about, &fault));
                Ok(Attempt::Failed(fault.kind))
            }
        }
    }

    /// The wait before the next try of a call that failed: longer each time, and long from the start where only an
    /// operator can help.
    ///
    /// # Errors
    /// [`Ended::Stopped`] when the work is stopped meanwhile.
    pub async fn wait_after(&self, kind: FaultKind, patience: &mut Patience) -> Result<(), Ended> {
        if kind != FaultKind::Retry {
            patience.0 = patience.0.max(Duration::from_secs(5));
        }
        self.pause(self.jittered(patience.0)).await?;
        patience.0 = (patience.0 * 2).min(Duration::from_secs(30));
        Ok(())
    }

    /// Between half of the duration and all of it.
    fn jittered(&self, duration: Duration) -> Duration {
        let part = u32::try_from(self.entropy.random_u64() % 512).unwrap_or(0) + 512;
        duration * part / 1024
    }
}
