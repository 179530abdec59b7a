//! Polls the processes of all regions, so that a read can tell how old its answer is.
//!
//! This module decides when to read what from the mirrors database; [`drivers`](super::drivers) interprets it.

use std::collections::BTreeMap;
use std::time::Duration;

use lakemirror_engine::report::{Line, Reporter};
use lakemirror_mirrors::records::{Definition, Summary};
use lakemirror_ports::Incarnation;
use tokio_util::sync::CancellationToken;

use super::MirrorService;
use super::drivers::{Drivers, Heard, Reading};

/// How often heartbeats are read.
const LOOK: Duration = Duration::from_secs(3);

/// How often definitions and the owners of mirrors with live drivers are read.
const DEFINITIONS: Duration = Duration::from_secs(10);

/// How often summaries are read, so that they are known during an outage of the database.
const SUMMARIES: Duration = Duration::from_secs(60);

/// What is kept from one poll to the next.
#[derive(Default)]
pub struct Watch {
    mirrors: BTreeMap<String, Vec<Incarnation>>,
    definitions_at: Option<Duration>,
    summaries_at: Option<Duration>,
    reporter: Reporter<(String, String)>,
}

impl MirrorService {
    /// Polls until stopped.
    pub async fn watch(&self, stop: CancellationToken) {
        let mut watch = Watch::default();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.look(&mut watch) => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.parts.clock.sleep(LOOK) => {}
            }
        }
    }

    /// Polls once.
    pub async fn look(&self, watch: &mut Watch) {
        let clock = &self.parts.clock;
        let due =
            |last: Option<Duration>, every| last.is_none_or(|last| clock.monotonic().saturating_sub(last) >= every);
        if due(watch.definitions_at, DEFINITIONS)
            && let Ok(listing) = self.known.definitions().await
        {
            watch.mirrors.clear();
            for one in listing.all_active() {
                watch.mirrors.entry(one.region.clone()).or_default().push(one.incarnation);
            }
            watch.definitions_at = Some(clock.monotonic());
        }
        if due(watch.summaries_at, SUMMARIES) {
            self.known.summaries().await;
            watch.summaries_at = Some(clock.monotonic());
        }
        if self.parts.records.is_shared() {
            for (region, mirrors) in &watch.mirrors {
                self.look_at(region, mirrors).await;
            }
            self.drivers().retain(|region| watch.mirrors.contains_key(region));
            self.tell(watch);
        }
    }

    async fn look_at(&self, region: &str, mirrors: &[Incarnation]) {
        let (records, clock) = (&self.parts.records, &self.parts.clock);
        let mut reading = Reading { sent: clock.monotonic(), ..Reading::default() };
        // Owners are read before heartbeats, as for leases.
        let wanted = self.drivers().wants_owners(region, reading.sent, DEFINITIONS);
        if wanted {
            let Ok(owners) = self.known.read(records.owners(region)).await else { return };
            reading.owners = Some(owners);
            reading.sent = clock.monotonic();
        }
        let Ok(beats) = self.known.read(records.dated_heartbeats(region)).await else { return };
        (reading.beats, reading.answered) = (beats, clock.monotonic());
        let mut drivers = self.drivers();
        let answered = reading.answered;
        drivers.take(region, reading);
        drivers.note_unowned(region, mirrors, answered);
    }

    /// Logs which drivers are silent, and when they answer again.
    fn tell(&self, watch: &mut Watch) {
        let now = self.parts.clock.monotonic();
        let silent = self.drivers().silent(now).into_iter().map(|(region, about)| {
            let text = format!("a process that drives mirrors of region {region} does not answer: {about}");
            ((region, about), text)
        });
        let silent: Vec<_> = silent.collect();
        for line in watch.reporter.look(now, &silent) {
            match line {
                Line::Began { topic: (region, _), text } => tracing::warn!(region, "{text}"),
                Line::Over { topic: (region, _), text, lasted } => {
                    tracing::info!(region, "over after {} s: {text}", lasted.as_secs());
                }
                Line::More(more) => tracing::warn!("{more} more processes that drive mirrors do not answer"),
            }
        }
    }

    /// What is known of a mirror's driver.
    pub(super) fn heard(&self, definition: &Definition, summary: Option<&Summary>) -> Heard {
        if self.parts.records.is_shared() {
            return self.drivers().heard(&definition.region, definition.incarnation, self.parts.clock.monotonic());
        }
        // This process wrote both times, so they are of one clock.
        let now_ms = self.parts.clock.wall_ms();
        let age = summary.map(|summary| Duration::from_millis(now_ms.saturating_sub(summary.written_at_ms)));
        Heard { age, their_now_ms: Some(now_ms), silence: None }
    }

    pub(super) fn drivers(&self) -> std::sync::MutexGuard<'_, Drivers> {
        // Each reading is applied as a whole.
        self.drivers.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
