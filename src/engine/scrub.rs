//! Looking again at what the mirror shows: heads whose proof has grown old are verified anew, a few ranges at a time.
//!
//! The verifier looks for what is opened again. What was there and is gone is an alarm, in the status and in the log, for
//! as long as it is gone; never a silent step back: the branch stays where it is.

use std::sync::PoisonError;
use std::time::Duration;

use lakemirror_journal::command::Ask;

use crate::engine::mirror::{Ended, Site};
use crate::engine::status::losses;

/// Between turns, whatever the age of evidence is.
const TURN_MIN: Duration = Duration::from_secs(1);
const TURN_MAX: Duration = Duration::from_secs(600);

/// Scrubs until stopped.
///
/// # Errors
/// [`Ended`].
pub async fn run(site: &Site) -> Result<(), Ended> {
    let age_ms = site.recorder.read(|state| state.policy.evidence_age_ms_max).await.map_err(|_| Ended::Journal)?;
    let turn = (Duration::from_millis(age_ms) / 20).clamp(TURN_MIN, TURN_MAX);
    loop {
        site.pause(turn).await?;
        for loss in lost(site).await? {
            tracing::error!(mirror = site.name(), "{loss}");
        }
        site.ask(Ask::Scrub).await?;
    }
}

/// What the mirror shows and is not there: opened again, really looked for since, and not found.
async fn lost(site: &Site) -> Result<Vec<String>, Ended> {
    let lost = site.verify.lock().unwrap_or_else(PoisonError::into_inner).lost.clone();
    Ok(site.look(move |mirror| losses(mirror, &lost)).await?.unwrap_or_default())
}
