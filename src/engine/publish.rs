//! Publishing a mirror's summary to the mirrors database: coalesced, numbered, and only when it says something new.

use std::time::Duration;

use lakemirror_journal::command::Ask;

use crate::engine::board::Subject;
use crate::engine::mirror::{Ended, Site};
use crate::engine::status::{self, Goings, MirrorStatus};

/// Changes that follow each other within this time are published as one.
const COALESCE: Duration = Duration::from_secs(1);

/// How soon it is looked whether there is something to say that no fact tells: that a file has not come, or that a source
/// does not answer.
const LOOK: Duration = Duration::from_secs(15);

/// The mirror's status now; `None` once it is gone.
///
/// # Errors
/// [`Ended::Journal`].
pub async fn status_now(site: &Site) -> Result<Option<MirrorStatus>, Ended> {
    let id = site.definition.incarnation;
    let verify = site.verify.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    let goings = Goings { notes: site.board.notes(), verify };
    let look = site.recorder.read_with_head(move |state, head| {
        state.mirror(&id).map(|mirror| status::of(mirror, &state.policy, &goings, head))
    });
    look.await.map_err(|_| Ended::Journal)
}

/// Publishes until stopped.
///
/// # Errors
/// [`Ended`].
pub async fn run(site: &Site) -> Result<(), Ended> {
    let mut changes = site.recorder.changes(site.definition.incarnation);
    let mut last: Option<(u64, MirrorStatus)> = None;
    loop {
        changes.mark_unchanged();
        let epoch = site.leased().await?;
        let number = site.look(|mirror| mirror.published + 1).await?.unwrap_or(1);
        if lakemirror_journal::mutant::is_on("never_published") {
            site.stop.cancelled().await;
        }
        if let Some(status) = status_now(site).await?
            && last.as_ref().is_none_or(|(of, last)| *of != epoch || differs(last, &status))
        {
            let call = || site.registry.publish(&site.definition, epoch, number, &status);
            site.insist(&Subject::Registry, call).await?;
            site.ask(Ask::Published(number)).await?;
            last = Some((epoch, status));
        }
        tokio::select! {
            biased;
            () = site.stop.cancelled() => return Err(Ended::Stopped),
            () = changes.changed() => {}
            () = site.clock.sleep(LOOK) => {}
        }
        site.pause(COALESCE).await?;
    }
}

/// Whether a status says something new; the journal's head alone does not.
fn differs(last: &MirrorStatus, now: &MirrorStatus) -> bool {
    let bare = |status: &MirrorStatus| MirrorStatus { journal_seq: 0, journal_hash: [0; 32], ..status.clone() };
    bare(last) != bare(now)
}
