//! Caches the last reading of the mirrors database for the time when it does not answer.
//!
//! Every call reads the database. If that fails or takes too long, the call gets the cached state, with what this process
//! created and deleted since, and the time since which reads fail. Changes are never decided by the cache.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use lakemirror_mirrors::records::{Definition, Listing, Records, RecordsError, Summary};
use lakemirror_ports::clock::Clock;
use lakemirror_ports::{Fault, FaultKind, Incarnation};

use super::present::Outage;

/// How long to wait for a read before the cached state is used.
const PATIENCE: Duration = Duration::from_secs(3);

/// Published status by incarnation.
pub type Summaries = BTreeMap<Incarnation, Summary>;

/// The mirrors database with a cache.
pub struct Known {
    records: Arc<Records>,
    clock: Arc<dyn Clock>,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    listing: Option<Listing>,
    summaries: Summaries,
    /// The error of the last read, and since when reads fail, monotonic.
    failing: Option<(String, Duration)>,
}

impl Known {
    pub(super) fn new(records: Arc<Records>, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock, last: Mutex::default() }
    }

    /// All definitions, current or cached.
    ///
    /// # Errors
    /// The database's error, if it was never read.
    pub async fn definitions(&self) -> Result<Listing, RecordsError> {
        match self.read(self.records.list_definitions()).await {
            Ok(listing) => {
                self.last().listing = Some(listing.clone());
                Ok(listing)
            }
            Err(error) => self.last().listing.clone().ok_or(error),
        }
    }

    /// All summaries, current or cached. The database is not read if it has just failed.
    pub async fn summaries(&self) -> Summaries {
        if self.outage().is_none()
            && let Ok(summaries) = self.read(self.records.summaries()).await
        {
            self.last().summaries.clone_from(&summaries);
            return summaries;
        }
        self.last().summaries.clone()
    }

    /// The summary of one mirror, current or cached. The database is not read if it has just failed.
    pub async fn summary(&self, of: &Definition) -> Option<Summary> {
        if self.outage().is_none()
            && let Ok(summary) = self.read(self.records.summary(&of.region, of.incarnation)).await
        {
            if let Some(summary) = &summary {
                self.last().summaries.insert(of.incarnation, summary.clone());
            }
            return summary;
        }
        self.last().summaries.get(&of.incarnation).cloned()
    }

    /// The current outage of the database; `None` while it answers.
    pub fn outage(&self) -> Option<Outage> {
        let failing = self.last().failing.clone();
        let now = self.clock.monotonic();
        failing.map(|(text, since)| Outage { text, lasting: now.saturating_sub(since) })
    }

    /// A read with a time limit. Its outcome is remembered.
    ///
    /// # Errors
    /// The database's error, or that it did not answer in time.
    pub async fn read<T>(&self, call: impl Future<Output = Result<T, RecordsError>>) -> Result<T, RecordsError> {
        let (call, late) = (pin!(call), pin!(self.clock.sleep(PATIENCE)));
        let answer = match select(call, late).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(RecordsError::Fault(Fault {
                kind: FaultKind::Retry,
                call: format!("read the mirrors database at {}", self.records.place()),
                status: None,
                message: format!("no answer within {PATIENCE:?}"),
            })),
        };
        let now = self.clock.monotonic();
        let mut last = self.last();
        match &answer {
            Err(RecordsError::Fault(fault)) => {
                let since = last.failing.as_ref().map_or(now, |(_, since)| *since);
                last.failing = Some((fault.to_string(), since));
            }
            // The database answered, although with an item that cannot be used.
            Ok(_) | Err(_) => last.failing = None,
        }
        drop(last);
        answer
    }

    pub(super) fn created(&self, definition: &Definition) {
        if let Some(listing) = &mut self.last().listing {
            listing.definitions.push(definition.clone());
        }
    }

    pub(super) fn deleted(&self, incarnation: Incarnation) {
        if let Some(listing) = &mut self.last().listing {
            listing.definitions.retain(|definition| definition.incarnation != incarnation);
        }
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        // Each change is a single assignment.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
