//! Removes obsolete items from the mirrors database: tombstones that both sides have acknowledged, heartbeats of ended
//! processes, and owners of deleted mirrors.
//!
//! This module decides when to clean up; `mirrors::records` decides what may be removed. Every process does it for the
//! regions that it serves, at random times. Doing it twice is harmless, and a failure is retried an hour later.
//! serves, at hours of its own; doing it twice is harmless, and a failure waits for the next hour.

use std::sync::Arc;
use std::time::Duration;

use lakemirror_core::causes::chain;
use lakemirror_ports::clock::{Clock, Entropy};
use tokio_util::sync::CancellationToken;

use lakemirror_mirrors::records::{Records, RecordsError};

/// The interval. The first run is within this time.
const HOUR: Duration = Duration::from_secs(3600);
/// How long a tombstone is kept. Replication between regions may be days late and apply older writes after newer ones.
const TOMBSTONES_STAY: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long the heartbeat of an ended process and the owner of a deleted mirror are kept.
const LEASES_STAY: Duration = Duration::from_secs(24 * 3600);

/// Cleans up `regions` until stopped.
pub(super) async fn run(
    records: Arc<Records>,
    regions: Vec<String>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    stop: CancellationToken,
) {
    // Spread the runs of processes that start together.
    let part = u32::try_from(entropy.random_u64() % 1024).unwrap_or(0);
    let mut wait = HOUR * part / 1024;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = clock.sleep(wait) => {}
        }
        for region in &regions {
            match sweep(&records, region).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(region, removed, "old items were removed from the mirrors database"),
                Err(error) => tracing::warn!(region, "old items stay for now: {}", chain(&error)),
            }
        }
        wait = HOUR;
    }
}

async fn sweep(records: &Records, region: &str) -> Result<u64, RecordsError> {
    let tombstones = records.remove_tombstones(region, TOMBSTONES_STAY).await?;
    Ok(tombstones + records.remove_leases(region, LEASES_STAY).await?)
}
