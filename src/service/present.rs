//! Combines a published status with the current liveness of its driver.
//!
//! Pure. A status that its driver does not confirm becomes `unknown`; its message has the last known state.

use std::time::Duration;

use super::drivers::{Heard, SILENT_AFTER, Silence, Who, millis};
use lakemirror_engine::status::{STUCK_AFTER_MS, time};
use lakemirror_mirrors::records::{BranchState, MirrorState, Status};

/// The status to answer with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// The status as of now.
    pub status: Status,
    /// How far the mirror is behind, in whole seconds.
    pub lag_seconds: u64,
    /// Whole seconds since the driver last confirmed it; `None` if unknown.
    pub age_seconds: Option<u64>,
}

/// The last error of the mirrors database, and how long it has lasted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// The fault.
    pub text: String,
    /// How long it has lasted.
    pub lasting: Duration,
}

impl Outage {
    fn problem(&self, now_ms: u64) -> String {
        let since = time(now_ms.saturating_sub(millis(self.lasting)));
        format!("the mirrors database does not answer, this is what was known before: {} (since {since})", self.text)
    }
}

/// A published status as it is answered at `now_ms`, this process's wall clock, which is used only for dates.
#[must_use]
pub fn published(status: Status, heard: &Heard, outage: Option<&Outage>, region: &str, now_ms: u64) -> Present {
    let mut status = status;
    let lag_ms = match (status.behind_since_ms, heard.their_now_ms) {
        (Some(since_ms), Some(their_now_ms)) => their_now_ms.saturating_sub(since_ms),
        _ => 0,
    };
    let mut lag_seconds = status.lag_seconds.max(lag_ms / 1000);
    if status.behind_since_ms.is_none() && status.state == MirrorState::Synced {
        lag_seconds = 0;
    }
    if let Some(their_now_ms) = heard.their_now_ms {
        overdue(&mut status, their_now_ms);
    }
    if let Some(silence) = &heard.silence {
        // It is known until when the mirror was in sync, but not what the source has had since.
        lag_seconds = lag_seconds.max(silence.lasting.as_secs());
        let why = match outage {
            Some(outage) => outage.problem(now_ms),
            None => silence.text(region, now_ms),
        };
        unconfirmed(&mut status, why);
    } else if let Some(outage) = outage {
        match outage.lasting >= SILENT_AFTER {
            // Nobody can confirm it, even if its driver was never heard.
            true => unconfirmed(&mut status, outage.problem(now_ms)),
            false => status.problems.insert(0, outage.problem(now_ms)),
        }
    }
    let age_seconds = heard.age.or(heard.silence.as_ref().map(|silence| silence.lasting)).map(|age| age.as_secs());
    Present { status, lag_seconds, age_seconds }
}

/// The status from this process's own engine, with the outage of the mirrors database.
#[must_use]
pub fn own(status: Status, outage: Option<&Outage>, now_ms: u64) -> Present {
    let mut status = status;
    if let Some(outage) = outage {
        status.problems.insert(0, outage.problem(now_ms));
        if matches!(status.state, MirrorState::Synced | MirrorState::Syncing) {
            status.state = MirrorState::Stuck;
            status.state_message = status.problems.first().cloned();
        }
    }
    Present { lag_seconds: status.lag_seconds, status, age_seconds: None }
}

/// Marks what has become overdue since it was published.
fn overdue(status: &mut Status, their_now_ms: u64) {
    for branch in &mut status.branches {
        let since = branch.behind_since_ms.filter(|since| their_now_ms.saturating_sub(*since) > STUCK_AFTER_MS);
        if since.is_some() && matches!(branch.state, BranchState::Waiting | BranchState::Promoting) {
            branch.state = BranchState::Stuck;
            if status.state == MirrorState::Syncing {
                status.state = MirrorState::Stuck;
            }
        }
    }
}

/// Marks the status as unconfirmed. A state that an operator has to repair is kept.
fn unconfirmed(status: &mut Status, why: String) {
    if status.state != MirrorState::Failed {
        let before = match (name(status.state), &status.state_message) {
            (name, Some(message)) => format!("{name}: {message}"),
            (name, None) => name.to_owned(),
        };
        status.state = MirrorState::Unknown;
        status.state_message = Some(format!("{why}; the last known state is {before}"));
    }
    status.problems.insert(0, why);
}

fn name(state: MirrorState) -> &'static str {
    match state {
        MirrorState::Creating => "creating",
        MirrorState::Syncing => "syncing",
        MirrorState::Synced => "synced",
        MirrorState::Stuck => "stuck",
        MirrorState::Failed => "failed",
        MirrorState::Deleting => "deleting",
        MirrorState::Unknown => "unknown",
    }
}

impl Silence {
    fn text(&self, region: &str, now_ms: u64) -> String {
        let since = time(now_ms.saturating_sub(millis(self.lasting)));
        match &self.who {
            Who::Driver(about) => {
                format!(
                    "the process of region {region} that drives this mirror ({about}) does not answer (since {since})"
                )
            }
            Who::Ended(about) => format!(
                "the process of region {region} that drove this mirror ({about}) has ended, and no other has taken it \
                 over (since {since})"
            ),
            Who::Nobody => format!("no process of region {region} drives this mirror (since {since})"),
            Who::Region => {
                format!("no lakemirror process of region {region} answers: nothing is mirrored there (since {since})")
            }
        }
    }
}

#[cfg(test)]
mod tests;
