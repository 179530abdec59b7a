//! One mirror's work: its stages side by side, or its end.

use std::sync::Arc;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use lakemirror_journal::state::mirror::Phase;

use super::mirror::{Ended, Site};
use super::{keeper, observe, promote, publish, scrub, verify};

/// One mirror's work, to its end.
pub(super) async fn run(site: Site) -> Result<(), Ended> {
    if site.look(|mirror| mirror.phase == Phase::Deleting).await? == Some(true) {
        return tokio::select! {
            biased;
            ended = keeper::dismantle(&site) => ended,
            ended = publish::watch(&site) => ended,
        };
    }
    // Only what is woken is looked at: a stage that waits costs the others nothing.
    let mut stages = FuturesUnordered::from_iter([
        observe::run(&site).boxed(),
        verify_until_stopped(&site).boxed(),
        promote::run(&site).boxed(),
        publish::run(&site).boxed(),
        scrub::run(&site).boxed(),
        keeper::ensure(&site).boxed(),
    ]);
    while let Some(ended) = stages.next().await {
        if ended.is_err() {
            site.stop.cancel();
            return ended;
        }
    }
    Ok(())
}

async fn verify_until_stopped(site: &Site) -> Result<(), Ended> {
    let verifier = verify::Verifier {
        mirror: site.definition.incarnation,
        recorder: site.recorder.clone(),
        destination: Arc::clone(&site.destination),
        source: Arc::clone(&site.source),
        clock: Arc::clone(&site.clock),
        entropy: Arc::clone(&site.entropy),
        settings: verify::Settings {
            metadata_prefix: site.settings.metadata_prefix.clone(),
            recheck: site.settings.recheck,
            diagnose_after: site.settings.diagnose_after,
            workers: site.settings.workers.max(2),
        },
        status: Arc::clone(&site.verify),
    };
    verifier.run(site.stop.clone()).await;
    // It ends early where the namespace cannot be used, and says so in its status; the other stages go on.
    site.stop.cancelled().await;
    Err(Ended::Stopped)
}
