//! The startup state of the process: starting, ready, or unable to answer, with the reason.
//!
//! This module owns the answers of `/_health`, `/livez` and `/readyz`. A component that finds that the API cannot
//! answer reports it with [`Startup::report`] and withdraws it with [`Startup::resolve`]. The router only queries.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::Service;
use crate::error::{ApiError, ErrorCode};
use crate::types::{Health, HealthState};

/// Why a started process cannot answer at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unready {
    /// The process is ending.
    Stopping,
    /// The journal cannot be written: its volume is full or fails.
    Journal,
    /// The embedded mirrors database cannot be written: its volume is full or fails.
    Database,
}

/// The startup state. The router serves from the beginning: the probes answer, and everything else is 503 until
/// [`Startup::ready`].
pub struct Startup {
    service: OnceLock<Arc<dyn Service>>,
    doing: RwLock<String>,
    unready: RwLock<BTreeMap<Unready, String>>,
}

impl Default for Startup {
    fn default() -> Self {
        Self { service: OnceLock::new(), doing: RwLock::new("starting".to_owned()), unready: RwLock::default() }
    }
}

impl Startup {
    /// A process that is still starting.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what the start is doing, such as `replaying the journal`.
    pub fn doing(&self, what: &str) {
        what.clone_into(&mut self.doing.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Opens the API. Only the first call has an effect.
    pub fn ready(&self, service: Arc<dyn Service>) {
        drop(self.service.set(service));
    }

    /// Reports a reason, for people, why the process cannot answer from now on.
    pub fn report(&self, why: Unready, what: &str) {
        self.unready.write().unwrap_or_else(PoisonError::into_inner).insert(why, what.to_owned());
    }

    /// Withdraws a report.
    pub fn resolve(&self, why: Unready) {
        self.unready.write().unwrap_or_else(PoisonError::into_inner).remove(&why);
    }

    pub(super) fn service(&self) -> Result<&Arc<dyn Service>, ApiError> {
        self.service.get().ok_or_else(|| {
            let doing = self.health().message;
            ApiError::new(ErrorCode::Starting, format!("lakemirror is starting ({doing}); try again in a moment"))
        })
    }

    /// The answer of the liveness probe: the process runs.
    pub(super) fn health(&self) -> Health {
        if self.service.get().is_some() {
            return Health { state: HealthState::Ready, message: "ready".to_owned() };
        }
        let message = self.doing.read().unwrap_or_else(PoisonError::into_inner).clone();
        Health { state: HealthState::Starting, message }
    }

    /// The answer of the readiness probe: whether the API can answer.
    pub(super) async fn readiness(&self) -> Health {
        let unready = |message| Health { state: HealthState::Unready, message };
        let reported = self.unready.read().unwrap_or_else(PoisonError::into_inner).values().next().cloned();
        if let Some(reason) = reported {
            return unready(reason);
        }
        match self.service.get() {
            None => self.health(),
            Some(service) => match service.ready().await {
                Ok(()) => self.health(),
                Err(reason) => unready(reason),
            },
        }
    }
}
