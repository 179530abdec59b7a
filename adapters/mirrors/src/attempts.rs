//! What calls to a database server have in common: the kinds of failure, bounded repeats, and the first contact.
//!
//! Owns when a call is made again and when its failure goes to the caller, and who prepares the table while many ask at
//! once. Knows no protocol: the adapters say of each failure what it means. Only what the server is known not to have
//! done is repeated, reads excepted: a write whose outcome is unknown is the caller's to look up.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use lakemirror_ports::backoff::{Again, Backoff, Budget, Tries};
use lakemirror_ports::clock::{Clock, Entropy};
use lakemirror_ports::{Fault, FaultKind};

/// How long the service waits at its start for the database's first good answer before it goes on without.
const START_WAIT: Duration = Duration::from_secs(4);
/// The pause between tries at the start.
const START_PAUSE: Duration = Duration::from_millis(200);
/// Repeats of one call end with this, so that a caller with a lease to keep gets its answer in time.
const CALL_WITHIN: Duration = Duration::from_secs(4);
/// After so many throttled answers in a row no call is repeated until one succeeds.
const THROTTLED_MIN: u32 = 12;
const BACKOFF: Backoff = Backoff { base: Duration::from_millis(25), cap: Duration::from_secs(1) };

/// What is known of a call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// The server did nothing and asks for another try: throttling, a serialization failure, a deadlock.
    NoneTryAgain,
    /// Nothing was done, and trying at once would not help.
    None,
    /// It may have been done: a timeout, a lost connection, an error inside the server.
    Unknown,
    /// The table or its columns are not what this program works with; nothing was done, or ever will be.
    WrongTable,
}

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) kind: FaultKind,
    pub(super) effect: Effect,
    pub(super) status: Option<u16>,
    /// What happened and what to do. Never a secret.
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(kind: FaultKind, effect: Effect, message: impl Into<String>) -> Self {
        Self { kind, effect, status: None, message: message.into() }
    }

    pub(super) fn into_fault(self, call: String) -> Fault {
        Fault { kind: self.kind, call, status: self.status, message: self.message }
    }
}

/// Whether a call changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// Makes calls, again where that is right.
pub(super) struct Attempts {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    budget: Budget,
    table: Readiness,
    /// Answers in a row by which the server asked for fewer calls, whoever made them.
    throttled: AtomicU32,
}

impl Attempts {
    /// `tries`: the most for one call, the first included.
    pub(super) fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>, tries: u32) -> Self {
        let budget = Budget { tries, within: CALL_WITHIN, backoff: BACKOFF };
        Self { clock, entropy, budget, table: Readiness::default(), throttled: AtomicU32::new(0) }
    }

    /// A version that no item had before. Random, so that it is another one even in a table of another region, and after
    /// an item was deleted and made anew. 63 bits: SQL's integers have a sign.
    pub(super) fn new_version(&self) -> u64 {
        self.entropy.random_u64() >> 1
    }

    /// Sees to the table unless that is done, then makes the call.
    pub(super) async fn call<'a, T>(
        &self,
        access: Access,
        prepare: impl Fn() -> BoxFuture<'a, Result<(), Failure>> + Send,
        mut attempt: impl FnMut() -> BoxFuture<'a, Result<T, Failure>> + Send,
    ) -> Result<T, Failure> {
        let mut tries = Tries::start(self.budget, self.clock.monotonic());
        loop {
            let failure = match self.table.ensure(&*self.clock, prepare()).await {
                Ok(()) => match attempt().await {
                    Ok(value) => {
                        self.throttled.store(0, Ordering::Relaxed);
                        return Ok(value);
                    }
                    Err(failure) => failure,
                },
                Err(failure) => failure,
            };
            let again = match (failure.effect, access) {
                // Who calls will call again by itself: repeats on top of that keep a table throttled.
                (Effect::NoneTryAgain, _) if self.is_throttled(&failure) => Again::No,
                (Effect::NoneTryAgain, _) => Again::Yes,
                // A connection that broke while it was idle is found out by the first call over it.
                (Effect::Unknown, Access::Read) if tries.failures() == 0 => Again::Yes,
                _ => Again::No,
            };
            match tries.next_delay(again, self.clock.monotonic(), &*self.entropy) {
                Some(delay) => self.clock.sleep(delay).await,
                None => return Err(failure),
            }
        }
    }

    /// Counts a throttled answer; whether there were too many in a row for any call to be repeated. A server that only
    /// asks to repeat a transaction (SQL's serialization failures have no status) is not throttling.
    fn is_throttled(&self, failure: &Failure) -> bool {
        failure.status.is_some() && self.throttled.fetch_add(1, Ordering::Relaxed) >= THROTTLED_MIN
    }

    /// The first contact. A database that does not answer, or not to us, is said in the log once; calls go on trying.
    ///
    /// # Errors
    /// What is wrong with the table, where it is of another shape than this program's.
    pub(super) async fn first_contact<'a>(
        &self,
        place: &str,
        prepare: impl Fn() -> BoxFuture<'a, Result<(), Failure>> + Send,
    ) -> Result<(), String> {
        let mut last = None;
        let tried = tokio::time::timeout(START_WAIT, async {
            loop {
                match self.table.ensure(&*self.clock, prepare()).await {
                    Err(failure) if failure.kind == FaultKind::Retry => last = Some(failure),
                    ended => return ended,
                }
                self.clock.sleep(START_PAUSE).await;
            }
        });
        match tried.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) if failure.effect == Effect::WrongTable => Err(failure.message),
            Ok(Err(failure)) => {
                tracing::error!(place, "the mirrors database refuses us, nothing can be mirrored: {}", failure.message);
                Ok(())
            }
            Err(_) => {
                let why = last.map_or_else(|| "no answer".to_owned(), |failure| failure.message);
                tracing::warn!(place, "the mirrors database does not answer yet, going on without: {why}");
                Ok(())
            }
        }
    }
}

/// Whether the table has been seen to. One task does it, the others that wait get its outcome.
#[derive(Default)]
struct Readiness {
    done: AtomicBool,
    /// When the last try ended, and how.
    last: Mutex<Option<(Duration, Failure)>>,
}

impl Readiness {
    async fn ensure(&self, clock: &dyn Clock, prepare: BoxFuture<'_, Result<(), Failure>>) -> Result<(), Failure> {
        if self.done.load(Ordering::Acquire) {
            return Ok(());
        }
        let came = clock.monotonic();
        let mut last = self.last.lock().await;
        if self.done.load(Ordering::Acquire) {
            return Ok(());
        }
        if let Some((ended, failure)) = &*last
            && *ended > came
        {
            return Err(failure.clone());
        }
        match prepare.await {
            Ok(()) => {
                self.done.store(true, Ordering::Release);
                Ok(())
            }
            Err(failure) => {
                *last = Some((clock.monotonic(), failure.clone()));
                Err(failure)
            }
        }
    }
}

/// The name of a call to one item, for messages.
pub(super) fn on_item(verb: &str, key: &str, place: &dyn Display) -> String {
    format!("{verb} item {key} of the mirrors database at {place}")
}

#[cfg(test)]
mod tests;
