//! Looking again at what the mirror shows: heads whose proof has grown old are verified anew, a few ranges at a time.
//!
//! The verifier looks for what is opened again. What was there and is gone is an alarm in the status, for as long as it is
//! gone, and [`super::publish`] logs it; never a silent step back: the branch stays where it is.

use std::time::Duration;

use lakemirror_journal::command::MirrorCommand;

use crate::mirror::{Ended, MirrorContext};

/// Between turns, whatever the age of evidence is.
const TURN_MIN: Duration = Duration::from_secs(1);
const TURN_MAX: Duration = Duration::from_secs(600);

/// Scrubs until stopped.
///
/// # Errors
/// [`Ended`].
pub async fn run(context: &MirrorContext) -> Result<(), Ended> {
    let age_ms = context.recorder.read(|state| state.policy.evidence_age_ms_max).await.map_err(|_| Ended::Journal)?;
    let turn = (Duration::from_millis(age_ms) / 20).clamp(TURN_MIN, TURN_MAX);
    loop {
        context.pause(turn).await?;
        context.ask(MirrorCommand::Scrub).await?;
    }
}
