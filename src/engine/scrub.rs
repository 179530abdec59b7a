//! Looking again at what the mirror shows: heads whose proof has grown old are verified anew, a few ranges at a time.
//!
//! What was there and is gone is an alarm, never a silent step back: the branch stays where it is.

use std::time::Duration;

use lakemirror_journal::command::Ask;
use lakemirror_journal::state::tree::Grade;

use crate::engine::mirror::{Ended, Site};

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
        for (branch, open) in open_heads(site).await? {
            tracing::error!(
                mirror = site.name(),
                branch,
                ranges = open,
                "what the mirror shows was proven once and is not whole now: see what the branch waits for"
            );
        }
        site.ask(Ask::Scrub).await?;
    }
}

/// Branches whose head was proven and has open ranges since before this turn.
async fn open_heads(site: &Site) -> Result<Vec<(String, u32)>, Ended> {
    let look = site.look(|mirror| {
        let heads = mirror.branches.iter().filter_map(|(name, branch)| branch.mirror.map(|head| (name, head)));
        let trees = heads.filter_map(|(name, head)| Some((name, mirror.graph.get(&head)?.metarange?)));
        let open = trees.filter_map(|(name, tree)| Some((name, mirror.trees.metaranges.get(&tree)?)));
        open.filter(|(_, tree)| tree.is_read() && tree.grade() == Grade::Open)
            .map(|(name, tree)| (name.clone(), tree.open))
            .collect()
    });
    Ok(look.await?.unwrap_or_default())
}
