//! Verification: finds out when every file and object of the trees that are needed has arrived.
//!
//! One loop a mirror: a look at the durable state says what is needed, an agenda says when each of it is looked for
//! next, and jobs do the asking, a few at a time, so that nothing waits for something else's object (I9). While nothing
//! is needed the loop sleeps without a timer.

mod agenda;
mod check;
mod files;
mod inherit;
mod job;
mod needs;
mod pace;
mod probe;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::engine::mirror::{Ended, Site};
use crate::graveler::address::Namespace;

use agenda::Agenda;
use files::Files;
use job::Report;
pub use needs::Subject;

/// Changes that follow each other within this time are looked at as one.
const COALESCE: Duration = Duration::from_millis(10);

/// The verification of one mirror.
pub struct Verifier<'a> {
    site: &'a Site,
}

impl<'a> Verifier<'a> {
    /// For a mirror at work.
    #[must_use]
    pub fn new(site: &'a Site) -> Self {
        Self { site }
    }

    /// Verifies until stopped.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn run(&self) -> Result<(), Ended> {
        let site = self.site;
        let namespace = match Namespace::parse(&site.definition.storage_namespace) {
            Ok(namespace) => namespace,
            Err(error) => {
                let text = format!(
                    "the storage namespace of the mirror cannot be used: {error}; delete the mirror and create it with another"
                );
                site.ask(lakemirror_journal::command::Ask::NoteTrouble(text)).await?;
                site.stop.cancelled().await;
                return Err(Ended::Stopped);
            }
        };
        let files = Arc::new(Files::new(namespace));
        let mut changes = site.recorder.changes(site.definition.incarnation);
        let mut agenda = Agenda::default();
        let mut jobs: JoinSet<Result<Report, Ended>> = JoinSet::new();
        let mut stale = true;
        loop {
            if stale {
                changes.borrow_and_update();
                let needs = site.look(needs::needs).await?.unwrap_or_default();
                for forgotten in agenda.refresh(needs, site.clock.monotonic()) {
                    site.board.forget(forgotten);
                }
                stale = false;
            }
            while jobs.len() < site.settings.workers + 1 {
                let Some(work) = agenda.next(site.clock.monotonic()) else { break };
                jobs.spawn(job::run(site.clone(), Arc::clone(&files), work));
            }
            let due = agenda.due().filter(|_| jobs.len() < site.settings.workers + 1);
            let nap = due.map(|due| due.saturating_sub(site.clock.monotonic()));
            tokio::select! {
                () = site.stop.cancelled() => return Err(Ended::Stopped),
                changed = changes.changed() => {
                    if changed.is_err() {
                        return Err(Ended::Journal);
                    }
                    site.pause(COALESCE).await?;
                    stale = true;
                }
                Some(done) = jobs.join_next(), if !jobs.is_empty() => match done {
                    Ok(Ok(report)) => agenda.settle(report, site),
                    Ok(Err(ended)) => return Err(ended),
                    Err(crash) => {
                        tracing::error!(mirror = site.name(), "a verification job ended with a panic: {crash}");
                        agenda.release_all(site.clock.monotonic());
                    }
                },
                () = sleep(site, nap), if nap.is_some() => {}
            }
        }
    }
}

async fn sleep(site: &Site, nap: Option<Duration>) {
    if let Some(nap) = nap {
        site.clock.sleep(nap).await;
    }
}
