//! The journal's thread: commands in, durable facts out. The only writer of the state.
//!
//! Commands that wait are decided one after another, their facts become as few frames as fit, and nobody hears of any
//! of them before the last frame is durable (I3). Reads run on the same thread between groups, so they never see a
//! fact that is not durable. The first failed write ends everything: the journal cannot vouch for what follows.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use lakemirror_core::ids::Incarnation;
use lakemirror_core::mutant;
use lakemirror_journal::codec::{self, Payload};
use lakemirror_journal::command::{Command, MirrorCommand, UpkeepStep};
use lakemirror_journal::decide::{Refused, decide};
use lakemirror_journal::event::Event;
use lakemirror_journal::log::RECORD_BYTES_LIMIT;
use lakemirror_journal::state::image;
use lakemirror_journal::state::lifecycle::SegmentLifecycle;
use lakemirror_journal::state::transition::Change;
use lakemirror_journal::state::{State, checks_of};
use lakemirror_ports::clock::Clock;
use tokio::sync::{mpsc, oneshot};

use crate::threads::thread::{self, JoinHandle};
use crate::threads::{GROUP_MAX, Mutex, QUEUE_MAX};
use crate::ticker::{Ticker, Ticks};

/// A fact's bytes, and how many arrival checks it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The bytes.
    pub payload: Payload,
    /// Arrival checks in it.
    pub checks: u64,
}

/// The digest of the state as it is after the entries that are committed; computed when a checkpoint needs it.
pub type Digest<'a> = &'a dyn Fn() -> Result<[u8; 32], String>;

/// Why the journal cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Halt {
    /// Its volume is full or fails. The journal is sound: a start with space goes on.
    #[error("{0}")]
    Volume(String),
    /// Anything else.
    #[error("{0}")]
    Fault(String),
}

impl From<String> for Halt {
    fn from(why: String) -> Self {
        Self::Fault(why)
    }
}

/// Where facts become durable: the journal's log, or a test's.
pub trait JournalWriter: Send {
    /// Makes the entries durable, in order, in frames of its own choosing, the last of which may be a checkpoint. What
    /// comes back is a segment that was ended with it: to be told as a fact, with the next commit.
    ///
    /// # Errors
    /// What failed. Nothing may be written after an error.
    fn commit(&mut self, entries: &[Entry], wall_ms: u64, digest: Digest<'_>) -> Result<Option<UpkeepStep>, Halt>;
    /// Nothing may have been committed for a while: ends a segment that is old enough, as [`JournalWriter::commit`] would.
    ///
    /// # Errors
    /// What failed. Nothing may be written after an error.
    fn rest(&mut self, _wall_ms: u64) -> Result<Option<UpkeepStep>, Halt> {
        Ok(None)
    }
    /// The number of the last durable record, and its frame's hash.
    fn head(&self) -> (u64, [u8; 32]);
    /// Segments that were ended and of which the lifecycle does not know, in their order.
    ///
    /// # Errors
    /// Why they cannot be read. It may be asked again after the next start.
    fn unrecorded(&self, _ladder: &SegmentLifecycle) -> Result<Vec<UpkeepStep>, String> {
        Ok(Vec::new())
    }
}

/// Why a command has no facts.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The command does not fit the state.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The journal has stopped; its reason was logged by the thread itself.
    #[error("the journal has stopped")]
    Stopped,
}

/// What was decided, and its facts as entries.
type Applied = (Result<Vec<Event>, Refused>, Vec<Entry>);

/// What a command came to.
type Facts = Result<Vec<Event>, RecordError>;

type Read = Box<dyn FnOnce(&State, (u64, [u8; 32])) + Send>;

type Stop = Box<dyn FnOnce(&State, (u64, [u8; 32])) -> String + Send>;

enum Request {
    Command(Command, oneshot::Sender<Facts>),
    Read(Read),
    Stop(Stop),
    Rest,
}

type Watchers = Arc<Mutex<BTreeMap<Incarnation, Ticker>>>;

/// A handle to the journal's thread.
#[derive(Clone)]
pub struct Recorder {
    requests: mpsc::Sender<Request>,
    watchers: Watchers,
    clock: Arc<dyn Clock>,
}

/// The thread itself; ends when every [`Recorder`] is gone, or with what stopped it.
pub struct RecorderThread(JoinHandle<Result<(), Halt>>);

impl RecorderThread {
    /// Waits for the thread's end.
    ///
    /// # Errors
    /// What stopped the journal.
    pub fn join(self) -> Result<(), Halt> {
        self.0.join().unwrap_or_else(|_| Err(Halt::Fault("the journal's thread panicked".to_owned())))
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

/// Starts the thread over a state that was replayed and the ledger that it goes on in.
///
/// # Errors
/// When the system gives no thread.
pub fn start(
    state: State,
    ledger: Box<dyn JournalWriter>,
    clock: Arc<dyn Clock>,
) -> std::io::Result<(Recorder, RecorderThread)> {
    let (recorder, desk) = open(state, ledger, clock);
    let thread = thread::Builder::new().name("journal".to_owned()).spawn(move || desk.serve())?;
    Ok((recorder, RecorderThread(thread)))
}

/// As [`start`], for who runs the desk himself.
#[must_use]
pub fn open(state: State, ledger: Box<dyn JournalWriter>, clock: Arc<dyn Clock>) -> (Recorder, JournalActor) {
    let (requests, queue) = mpsc::channel(QUEUE_MAX);
    if mutant::is_on("queue_never_ends") {
        std::mem::forget(requests.clone());
    }
    let watchers = Watchers::default();
    let desk = JournalActor { state, ledger, queue, watchers: Arc::clone(&watchers), clock: Arc::clone(&clock) };
    (Recorder { requests, watchers, clock }, desk)
}

impl Recorder {
    /// Decides a command and returns its facts once they are durable.
    ///
    /// # Errors
    /// [`RecordError::Refused`] changes nothing; [`RecordError::Stopped`] is final.
    pub async fn command(&self, command: Command) -> Result<Vec<Event>, RecordError> {
        let (answer, facts) = oneshot::channel();
        self.requests.send(Request::Command(command, answer)).await.map_err(|_| RecordError::Stopped)?;
        facts.await.map_err(|_| RecordError::Stopped)?
    }

    /// Asks something about one mirror, stamped with the clock's time.
    ///
    /// # Errors
    /// As [`Recorder::command`].
    pub async fn ask(&self, mirror: Incarnation, ask: MirrorCommand) -> Result<Vec<Event>, RecordError> {
        self.command(Command::Mirror { mirror, ask, at_ms: self.clock.wall_ms() }).await
    }

    /// Looks at the durable state.
    ///
    /// # Errors
    /// [`RecordError::Stopped`].
    pub async fn read<R: Send + 'static>(
        &self,
        look: impl FnOnce(&State) -> R + Send + 'static,
    ) -> Result<R, RecordError> {
        self.read_with_head(move |state, _| look(state)).await
    }

    /// Looks at the durable state and at the journal's head: the last record's number and its frame's hash.
    ///
    /// # Errors
    /// [`RecordError::Stopped`].
    pub async fn read_with_head<R: Send + 'static>(
        &self,
        look: impl FnOnce(&State, (u64, [u8; 32])) -> R + Send + 'static,
    ) -> Result<R, RecordError> {
        let (answer, result) = oneshot::channel();
        let read: Read = Box::new(move |state, head| drop(answer.send(look(state, head))));
        self.requests.send(Request::Read(read)).await.map_err(|_| RecordError::Stopped)?;
        result.await.map_err(|_| RecordError::Stopped)
    }

    /// Gives the journal a moment for what is due by age alone.
    ///
    /// # Errors
    /// [`RecordError::Stopped`].
    pub async fn rest(&self) -> Result<(), RecordError> {
        self.requests.send(Request::Rest).await.map_err(|_| RecordError::Stopped)
    }

    /// Ends the journal's thread for good, with what `why` says of the durable state and the journal's head. Nothing is
    /// recorded after that. Returns when the thread takes no more requests.
    pub async fn stop_with(&self, why: impl FnOnce(&State, (u64, [u8; 32])) -> String + Send + 'static) {
        // If it has stopped already, it has a reason already.
        drop(self.requests.send(Request::Stop(Box::new(why))).await);
        self.requests.closed().await;
    }

    /// Returns when the journal's thread takes no more requests: it has stopped.
    pub async fn stopped(&self) {
        self.requests.closed().await;
    }

    /// Ticks whenever there are new facts about the mirror (but for published summaries).
    #[must_use]
    pub fn changes(&self, mirror: Incarnation) -> Ticks {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.entry(mirror).or_default().ticks()
    }
}

/// The facts as entries, if the journal can hold each of them. What comes from outside is bounded where it enters; should
/// something be forgotten there, its command is refused, and the journal goes on for everybody else.
fn entries_of(facts: &[Event]) -> Result<Result<Vec<Entry>, Refused>, String> {
    let mut entries = Vec::with_capacity(facts.len());
    for event in facts {
        let payload = codec::encode(event).map_err(|error| error.to_string())?;
        let (bytes, max) = (payload.bytes.len(), RECORD_BYTES_LIMIT);
        if bytes > max {
            return Ok(Err(Refused::TooLarge { fact: event.name(), bytes, max }));
        }
        let checks = if let Change::ArrivalsChecked(batch) = event.change() { checks_of(batch) } else { 0 };
        entries.push(Entry { payload, checks });
    }
    Ok(Ok(entries))
}

/// Where requests become durable facts, one group after another.
pub struct JournalActor {
    state: State,
    ledger: Box<dyn JournalWriter>,
    queue: mpsc::Receiver<Request>,
    watchers: Watchers,
    clock: Arc<dyn Clock>,
}

/// What a group of commands came to, before it is durable.
#[derive(Default)]
struct Group {
    entries: Vec<Entry>,
    touched: Vec<Incarnation>,
    answers: Vec<(oneshot::Sender<Facts>, Facts)>,
    reads: Vec<Read>,
    rest: bool,
    stop: Option<Stop>,
}

impl JournalActor {
    /// On a thread of its own.
    fn serve(mut self) -> Result<(), Halt> {
        let ended = self.serve_all();
        self.turn_away();
        ended
    }

    fn serve_all(&mut self) -> Result<(), Halt> {
        self.tell_untold()?;
        while let Some(first) = self.queue.blocking_recv() {
            self.serve_group(first)?;
        }
        Ok(())
    }

    /// Nothing is served any more: who waits for an answer hears so by its end. A sender may have got its place in the
    /// queue and not yet used it: what comes to a queue that is gone stays in it, with its answer, until every other
    /// [`Recorder`] is gone, so it is waited for.
    fn turn_away(&mut self) {
        if mutant::is_on("stop_forgets_waiting") {
            return;
        }
        self.queue.close();
        while self.queue.blocking_recv().is_some() {}
    }

    /// Serves as a task among those who ask, which all wait meanwhile: for a simulation, where everything is on one
    /// thread. Ends when every [`Recorder`] is gone.
    ///
    /// # Errors
    /// What stopped the journal.
    pub async fn serve_here(mut self) -> Result<(), Halt> {
        self.tell_untold()?;
        while let Some(first) = self.queue.recv().await {
            self.serve_group(first)?;
        }
        Ok(())
    }

    fn serve_group(&mut self, first: Request) -> Result<(), Halt> {
        let mut group = Group::default();
        self.take(first, &mut group)?;
        while group.answers.len() < GROUP_MAX
            && group.stop.is_none()
            && let Some(next) = self.next_in_queue()
        {
            self.take(next, &mut group)?;
        }
        self.settle(group)
    }

    /// What waits already: a group is never held up for more.
    fn next_in_queue(&mut self) -> Option<Request> {
        if mutant::is_on("group_waits_until_full") {
            return self.queue.blocking_recv();
        }
        self.queue.try_recv().ok()
    }

    fn take(&mut self, request: Request, group: &mut Group) -> Result<(), Halt> {
        let (command, answer) = match request {
            Request::Read(read) => {
                group.reads.push(read);
                return Ok(());
            }
            Request::Rest => {
                group.rest = true;
                return Ok(());
            }
            Request::Stop(stop) => {
                group.stop = Some(stop);
                return Ok(());
            }
            Request::Command(command, answer) => (command, answer),
        };
        let decided = decide(&self.state, command);
        let (facts, entries) = self.apply(decided)?;
        group.entries.extend(entries);
        for event in facts.iter().flatten() {
            if event.change() != Change::Published {
                group.touched.extend(event.mirror());
            }
        }
        group.answers.push((answer, facts.map_err(RecordError::from)));
        Ok(())
    }

    /// Applies what was decided, all of it or nothing.
    fn apply(&mut self, decided: Result<Vec<Event>, Refused>) -> Result<Applied, String> {
        let facts = match decided {
            Ok(facts) => facts,
            Err(refused) => return Ok((Err(refused), Vec::new())),
        };
        match entries_of(&facts)? {
            Ok(entries) => {
                facts.iter().for_each(|event| self.state.apply(event));
                Ok((Ok(facts), entries))
            }
            Err(refused) => Ok((Err(refused), Vec::new())),
        }
    }

    /// Segments that an earlier process ended, and of which it could not tell any more.
    fn tell_untold(&mut self) -> Result<(), Halt> {
        let steps = self.ledger.unrecorded(&self.state.lifecycle).unwrap_or_else(|why| {
            tracing::warn!("the journal's sealed segments cannot be entered, the next start tries again: {why}");
            Vec::new()
        });
        for step in steps {
            self.tell(step)?;
        }
        Ok(())
    }

    /// Commits a step of the journal's own upkeep, and what follows from that.
    fn tell(&mut self, step: UpkeepStep) -> Result<(), Halt> {
        let mut next = Some(step);
        while let Some(step) = next.take() {
            let decided = decide(&self.state, Command::Upkeep { step, at_ms: self.clock.wall_ms() });
            let (facts, entries) = self.apply(decided)?;
            if let Err(refused) = facts {
                tracing::warn!("the journal's upkeep does not fit what it says of itself: {refused}");
            }
            if !entries.is_empty() {
                next = self.commit(&entries)?;
            }
        }
        Ok(())
    }

    fn commit(&mut self, entries: &[Entry]) -> Result<Option<UpkeepStep>, Halt> {
        let state = &self.state;
        let digest = || image::digest(state).map_err(|error| error.to_string());
        let committed = self.ledger.commit(entries, self.clock.wall_ms(), &digest);
        if mutant::is_on("failed_write_forgotten") { Ok(committed.unwrap_or(None)) } else { committed }
    }

    fn settle(&mut self, mut group: Group) -> Result<(), Halt> {
        self.break_on_purpose(&mut group)?;
        if !group.entries.is_empty()
            && let Some(sealed) = self.commit(&group.entries)?
        {
            self.tell(sealed)?;
        }
        if group.rest
            && let Some(sealed) = self.ledger.rest(self.clock.wall_ms())?
        {
            self.tell(sealed)?;
        }
        for (answer, facts) in group.answers {
            drop(answer.send(facts));
        }
        self.tick(group.touched);
        let head = self.ledger.head();
        for read in group.reads {
            read(&self.state, head);
        }
        group.stop.map_or(Ok(()), |stop| Err(Halt::Fault(stop(&self.state, head))))
    }

    /// The breaks of [`mutant`] that a group can have.
    fn break_on_purpose(&self, group: &mut Group) -> Result<(), Halt> {
        if mutant::is_on("answer_before_durable") {
            group.answers.drain(..).for_each(|(answer, facts)| drop(answer.send(facts)));
        }
        if mutant::is_on("fact_unwritten") && group.entries.len() > 1 {
            group.entries.pop();
        }
        if mutant::is_on("entries_reversed") {
            group.entries.reverse();
        }
        if mutant::is_on("answers_swapped")
            && let [(_, first), .., (_, last)] = &mut *group.answers
        {
            std::mem::swap(first, last);
        }
        if mutant::is_on("read_before_durable") {
            group.reads.drain(..).for_each(|read| read(&self.state, self.ledger.head()));
        }
        let stop = group.stop.take_if(|_| mutant::is_on("stop_before_durable"));
        stop.map_or(Ok(()), |stop| Err(Halt::Fault(stop(&self.state, self.ledger.head()))))
    }

    fn tick(&self, mut touched: Vec<Incarnation>) {
        touched.sort_unstable();
        touched.dedup();
        let watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        for ticker in touched.iter().filter_map(|mirror| watchers.get(mirror)) {
            ticker.tick();
        }
    }
}
