//! What nobody needs any more goes from the mirrors database: tombstones that both sides have acknowledged, heartbeats of
//! processes that are gone, owners of mirrors that are gone.
//!
//! Owns when that is done; what may go is `mirrors::records`' decision. Every process does it for the regions that it
//! serves, at hours of its own; doing it twice is harmless, and a failure waits for the next hour.

use std::sync::Arc;
use std::time::Duration;

use lakemirror_core::causes::chain;
use lakemirror_ports::clock::{Clock, Entropy};
use tokio_util::sync::CancellationToken;

use lakemirror_mirrors::records::{Records, RecordsError};

/// How often it is done, the first time within this.
const HOUR: Duration = Duration::from_secs(3600);
/// How long a tombstone stays: replication between regions may be late by days, and bring older writes after newer ones.
const TOMBSTONES_STAY: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long the heartbeat of a process that is gone stays, and the owner of a mirror that is gone.
const LEASES_STAY: Duration = Duration::from_secs(24 * 3600);

/// Keeps house for `regions` until stopped.
pub(super) async fn run(
    records: Arc<Records>,
    regions: Vec<String>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    stop: CancellationToken,
) {
    // Processes that start together do not do it together.
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
