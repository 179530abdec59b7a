//! Checks whether the region of a mirror's source still answers, before the mirror is force-deleted without it.
//!
//! A region answers if its lakeFS does, with any status, or if one of its processes is alive by its heartbeats. These
//! are polled for as long as it takes until a process counts as dead, by this process's own clock alone.

use std::collections::BTreeMap;

use lakemirror_engine::lease::{FAILURE_TIMEOUT, LOOK};
use lakemirror_mirrors::records::{Definition, RecordsError};
use lakemirror_ports::{Fault, FaultKind, Heartbeat};

use super::Parts;

/// What still answers in a region, for people; `None` if nothing does.
pub(super) async fn what_answers(parts: &Parts, mirror: &Definition) -> Result<Option<String>, RecordsError> {
    if let Some(lakefs) = parts.sources.get(&mirror.source_region)
        && let Some(status) = answer_of(lakefs.repository(&mirror.source_repository).await.err())
    {
        return Ok(Some(format!("its lakeFS at {} answers ({status})", lakefs.endpoint())));
    }
    let alive = first_alive(parts, &mirror.source_region).await?;
    Ok(alive.map(|about| format!("its lakemirror is alive ({about})")))
}

/// What a lakeFS answered, if it answered.
fn answer_of(fault: Option<Fault>) -> Option<String> {
    let Some(fault) = fault else { return Some("the source repository is there".to_owned()) };
    let silent = fault.kind == FaultKind::Retry && fault.status.is_none_or(|status| status >= 500);
    (!silent).then(|| fault.status.map_or_else(|| fault.message.clone(), |status| format!("status {status}")))
}

/// A process of the region whose heartbeat changes while it is polled.
async fn first_alive(parts: &Parts, region: &str) -> Result<Option<String>, RecordsError> {
    let mut before = beats(parts.records.heartbeats(region).await?);
    let looks = FAILURE_TIMEOUT.as_millis().div_ceil(LOOK.as_millis().max(1)) + 1;
    for _ in 0..looks {
        if before.is_empty() {
            return Ok(None);
        }
        parts.clock.sleep(LOOK).await;
        let now = beats(parts.records.heartbeats(region).await?);
        if let Some((_, (_, about))) = now.iter().find(|(process, beat)| before.get(*process) != Some(beat)) {
            return Ok(Some(about.clone()));
        }
        before = now;
    }
    Ok(None)
}

/// The processes that have not reported their end.
fn beats(heartbeats: Vec<Heartbeat>) -> BTreeMap<String, (u64, String)> {
    let running = heartbeats.into_iter().filter(|beat| !beat.ended);
    running.map(|beat| (beat.process, (beat.count, beat.about))).collect()
}
