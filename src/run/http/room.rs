//! The places that connections have, and who gives his up when all are taken.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lakemirror_ports::clock::Clock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::Limits;

/// A connection that has been silent for less is not made to give up its place: its request may be on its way.
const SILENT_MIN: Duration = Duration::from_millis(200);

/// What part of the places is made free at once: a crowd that says nothing is gone through in a second or two, and a
/// probe behind it is answered.
const EVICTED_PART: usize = 8;

/// How often it is looked for a place while there is none.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What a connection does, with the monotonic time since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing has come yet.
    New(Duration),
    /// A head has begun to come.
    Head(Duration),
    /// A request is being answered.
    Busy,
    /// It was answered, and the next may come. Each byte that the peer takes counts anew.
    Idle(Duration),
}

impl Phase {
    /// When the connection has had its time; none while a request is being answered.
    pub(super) fn deadline(self, limits: &Limits) -> Option<Duration> {
        match self {
            Self::New(since) | Self::Head(since) => Some(since.saturating_add(limits.head)),
            Self::Busy => None,
            Self::Idle(since) => Some(since.saturating_add(limits.idle)),
        }
    }

    /// Since when the peer is waited for.
    fn silent_since(self) -> Option<Duration> {
        match self {
            Self::New(since) | Self::Head(since) | Self::Idle(since) => Some(since),
            Self::Busy => None,
        }
    }
}

/// One connection's phase, shared by its socket, its requests and the room.
pub(super) struct Course {
    phase: Mutex<Phase>,
    clock: Arc<dyn Clock>,
    /// Asks the connection to end at once.
    pub(super) evicted: CancellationToken,
}

impl Course {
    fn new(clock: Arc<dyn Clock>) -> Self {
        let phase = Mutex::new(Phase::New(clock.monotonic()));
        Self { phase, clock, evicted: CancellationToken::new() }
    }

    pub(super) fn phase(&self) -> Phase {
        *self.lock()
    }

    /// Bytes came.
    pub(super) fn received(&self) {
        let mut phase = self.lock();
        match *phase {
            // A head's time counts from the connection on for the first, so that a byte now and then wins nothing.
            Phase::New(since) => *phase = Phase::Head(since),
            Phase::Idle(_) => *phase = Phase::Head(self.clock.monotonic()),
            Phase::Head(_) | Phase::Busy => {}
        }
    }

    /// The peer took bytes.
    pub(super) fn sent(&self) {
        let mut phase = self.lock();
        if let Phase::Idle(since) = &mut *phase {
            *since = self.clock.monotonic();
        }
    }

    /// A request's head is complete.
    pub(super) fn begun(&self) {
        *self.lock() = Phase::Busy;
    }

    /// Its answer is there.
    pub(super) fn answered(&self) {
        *self.lock() = Phase::Idle(self.clock.monotonic());
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All places.
pub(super) struct Room {
    limits: Limits,
    clock: Arc<dyn Clock>,
    permits: Arc<Semaphore>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    courses: BTreeMap<u64, Arc<Course>>,
}

impl Room {
    pub(super) fn new(limits: Limits, clock: Arc<dyn Clock>) -> Self {
        let permits = Arc::new(Semaphore::new(limits.connections.max(1)));
        Self { limits, clock, permits, open: Mutex::default() }
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// A place, once there is one.
    pub(super) async fn enter(self: &Arc<Self>) -> Place {
        loop {
            if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
                return self.place(permit);
            }
            self.evict();
            self.clock.sleep(LOOK_AGAIN).await;
        }
    }

    fn place(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Place {
        let course = Arc::new(Course::new(Arc::clone(&self.clock)));
        let mut open = self.lock();
        open.next = open.next.wrapping_add(1);
        let id = open.next;
        open.courses.insert(id, Arc::clone(&course));
        drop(open);
        Place { room: Arc::clone(self), id, course, _permit: permit }
    }

    /// Ends the connections that have been silent longest.
    fn evict(&self) {
        let now = self.clock.monotonic();
        let open = self.lock();
        let left = open.courses.values().filter(|course| !course.evicted.is_cancelled());
        let silent = left.filter_map(|course| Some((course.phase().silent_since()?, course)));
        let mut silent: Vec<_> = silent.filter(|(since, _)| now.saturating_sub(*since) >= SILENT_MIN).collect();
        silent.sort_by_key(|(since, _)| *since);
        for (_, course) in silent.into_iter().take(self.limits.connections.div_ceil(EVICTED_PART)) {
            course.evicted.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place; free again when it is dropped.
pub(super) struct Place {
    room: Arc<Room>,
    id: u64,
    pub(super) course: Arc<Course>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// Waits until the connection has had its time.
    pub(super) async fn overdue(&self) {
        /// A phase may be followed by one that ends sooner.
        const LOOK: Duration = Duration::from_secs(1);
        loop {
            let now = self.room.clock.monotonic();
            let left = self.course.phase().deadline(&self.room.limits).map(|end| end.saturating_sub(now));
            if left == Some(Duration::ZERO) {
                return;
            }
            self.room.clock.sleep(left.map_or(LOOK, |left| left.min(LOOK))).await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.lock().courses.remove(&self.id);
    }
}
