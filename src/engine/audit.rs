//! The mirror's branches compared with where the journal left them: what somebody else moved, and what nobody knows.
//!
//! It only reads the mirror and journals or notes what it finds; putting back is a move like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lakemirror_journal::command::Ask;
use lakemirror_journal::ids::CommitId;
use lakemirror_journal::state::branch::Divergence;
use lakemirror_journal::state::mirror::Phase;

use crate::engine::board::Subject;
use crate::engine::mirror::{Ended, Site};
use crate::engine::ownership::Ownership;

/// How often the branches are compared while all is well.
pub const QUIET: Duration = Duration::from_secs(600);

/// How soon they are after a start, and how often while one has diverged.
pub const SOON: Duration = Duration::from_secs(15);

/// Compares the mirror's branches with where the journal left them.
///
/// # Errors
/// [`Ended`].
pub async fn audit(site: &Site, ownership: &Ownership, strangers: &mut BTreeSet<String>) -> Result<(), Ended> {
    let ready = site.look(|mirror| mirror.phase == Phase::Ready).await?;
    if ready != Some(true) || !ownership.look(site).await? {
        return Ok(());
    }
    let Ok(listed) = site.mirror.branches(site.name(), true).await else { return Ok(()) };
    let listed: BTreeMap<String, CommitId> = listed.into_iter().map(|branch| (branch.name, branch.head)).collect();
    note_strangers(site, &listed, strangers).await?;
    let ours = site.look(move |mirror| {
        let resting = mirror.branches.iter().filter(|(_, branch)| branch.moving.is_none() && !branch.removing);
        let known = resting.filter(|(_, branch)| branch.mirror.is_some() || branch.divergence.is_some());
        known
            .map(|(name, branch)| {
                let found = listed.get(name).copied();
                // Where this journal has made nothing, an earlier one may have made what stands at a commit of the source.
                let adoptable = branch.mirror.is_none() && found.is_some_and(|head| mirror.graph.get(&head).is_some());
                let ours = if adoptable { found } else { branch.mirror };
                (name.clone(), found, ours, branch.divergence)
            })
            .collect::<Vec<_>>()
    });
    for (branch, found, head, divergence) in ours.await?.unwrap_or_default() {
        match (found, divergence) {
            (Some(found), Some(Divergence { .. })) if Some(found) == head => {
                drop(site.ask(Ask::Adopt { branch, found }).await?)
            }
            // Also that what others made where nothing of ours is has gone again.
            (found, divergence) if found != head || divergence.is_some() => {
                drop(site.ask(Ask::Diverged { branch, found }).await?)
            }
            _ => {}
        }
    }
    Ok(())
}

/// Says which branches are on the mirror that neither the source nor the journal knows: somebody else made them, or an
/// earlier journal that is lost. They are left alone.
async fn note_strangers(
    site: &Site,
    listed: &BTreeMap<String, CommitId>,
    strangers: &mut BTreeSet<String>,
) -> Result<(), Ended> {
    let Some(known) = site.look(|mirror| mirror.branches.keys().cloned().collect::<BTreeSet<_>>()).await? else {
        return Ok(());
    };
    let now: BTreeSet<String> = listed.keys().filter(|name| !known.contains(*name)).cloned().collect();
    for gone in strangers.difference(&now) {
        site.board.clear(site.name(), &Subject::Branch(gone.clone()));
    }
    for name in &now {
        let text = format!(
            "branch {name} of the mirror is none of the source's and not known to this journal: it is left alone; \
             delete it if nobody needs it"
        );
        site.board.note(site.name(), Subject::Branch(name.clone()), text);
    }
    *strangers = now;
    Ok(())
}
