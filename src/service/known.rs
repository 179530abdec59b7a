//! What was last read from the mirrors database, for the time when it does not answer.
//!
//! Every call reads the database; only where that fails is the answer what was known before, with what this process
//! created and deleted since. Changes are never decided by it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::engine::ports::Incarnation;
use crate::mirrors::records::{Definition, Listing, Records, RecordsError, Summary};

/// Published status by incarnation.
pub type Summaries = BTreeMap<Incarnation, Summary>;

/// The database with a memory.
pub struct Known {
    records: Arc<Records>,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    listing: Option<Listing>,
    summaries: Summaries,
}

impl Known {
    pub(super) fn new(records: Arc<Records>) -> Self {
        Self { records, last: Mutex::default() }
    }

    /// All definitions, of now or of before.
    ///
    /// # Errors
    /// The database's, if it was never read.
    pub async fn definitions(&self) -> Result<Listing, RecordsError> {
        match self.records.list_definitions().await {
            Ok(listing) => {
                self.last().listing = Some(listing.clone());
                Ok(listing)
            }
            Err(error) => self.last().listing.clone().ok_or(error),
        }
    }

    /// All summaries, of now or of before; their own age tells.
    pub async fn summaries(&self) -> Summaries {
        match self.records.summaries().await {
            Ok(summaries) => {
                self.last().summaries.clone_from(&summaries);
                summaries
            }
            Err(error) => {
                tracing::debug!(%error, "summaries are answered as last known");
                self.last().summaries.clone()
            }
        }
    }

    /// The summary of one mirror, of now or of before.
    pub async fn summary(&self, of: &Definition) -> Option<Summary> {
        let read = self.records.summary(&of.region, of.incarnation).await;
        let mut last = self.last();
        match read {
            Ok(summary) => {
                if let Some(summary) = &summary {
                    last.summaries.insert(of.incarnation, summary.clone());
                }
                summary
            }
            Err(error) => {
                tracing::debug!(%error, "a summary is answered as last known");
                last.summaries.get(&of.incarnation).cloned()
            }
        }
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
