//! Logs an identical warning or error once in five minutes, however often its cause repeats.
//!
//! Two records are identical if they come from the same place in the code and all their fields are equal. A record about
//! one request has the request's id among its fields and so is never suppressed. Lasting states are reported when they
//! begin and end (`engine::report`); this is the safety net for every other loop.

use std::collections::HashMap;
use std::fmt::{Debug, Write as _};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata};
use tracing_subscriber::layer::{Context, Filter};

use lakemirror_ports::clock::Clock;

/// How long an identical record is suppressed.
const QUIET: Duration = Duration::from_secs(300);

/// The maximum number of remembered records. Beyond that, a record is logged even if it is a repeat.
const REMEMBERED_MAX: usize = 4096;

/// Suppresses repeats.
pub(super) struct Repeats {
    clock: Arc<dyn Clock>,
    /// When each record was last logged, monotonic.
    logged: Mutex<HashMap<u64, Duration>>,
}

impl Repeats {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, logged: Mutex::default() }
    }

    fn is_new(&self, event: &Event<'_>) -> bool {
        let mut record = Record::of(event.metadata());
        event.record(&mut record);
        let now = self.clock.monotonic();
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let key = record.key();
        if logged.get(&key).is_some_and(|at| now.saturating_sub(*at) < QUIET) {
            return false;
        }
        if logged.len() >= REMEMBERED_MAX {
            logged.retain(|_, at| now.saturating_sub(*at) < QUIET);
        }
        if logged.len() < REMEMBERED_MAX || logged.contains_key(&key) {
            logged.insert(key, now);
        }
        true
    }
}

impl<S> Filter<S> for Repeats {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        *event.metadata().level() > Level::WARN || self.is_new(event)
    }
}

/// The identity of a record.
struct Record {
    hasher: DefaultHasher,
    value: String,
}

impl Record {
    fn of(metadata: &Metadata<'_>) -> Self {
        let mut hasher = DefaultHasher::new();
        (metadata.target(), metadata.file(), metadata.line()).hash(&mut hasher);
        Self { hasher, value: String::new() }
    }

    fn key(&self) -> u64 {
        self.hasher.finish()
    }
}

impl Visit for Record {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.value.clear();
        // A `String` takes everything.
        let _infallible = write!(self.value, "{value:?}");
        (field.name(), &self.value).hash(&mut self.hasher);
    }
}
