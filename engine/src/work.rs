//! One mirror's work: its stages side by side, or its end.

use std::sync::Arc;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use lakemirror_journal::state::mirror::Phase;

use super::mirror::{Ended, MirrorContext};
use super::{observe, promote, publish, repository, scrub, verify};

/// One mirror's work, to its end.
pub(super) async fn run(context: MirrorContext) -> Result<(), Ended> {
    if context.look(|mirror| mirror.phase == Phase::Deleting).await? == Some(true) {
        return tokio::select! {
            biased;
            ended = repository::dismantle(&context) => ended,
            ended = publish::watch(&context) => ended,
        };
    }
    // Only what is woken is looked at: a stage that waits costs the others nothing.
    let mut stages = FuturesUnordered::from_iter([
        observe::run(&context).boxed(),
        verify_until_stopped(&context).boxed(),
        promote::run(&context).boxed(),
        publish::run(&context).boxed(),
        scrub::run(&context).boxed(),
        repository::ensure(&context).boxed(),
    ]);
    while let Some(ended) = stages.next().await {
        if ended.is_err() {
            context.stop.cancel();
            return ended;
        }
    }
    Ok(())
}

async fn verify_until_stopped(context: &MirrorContext) -> Result<(), Ended> {
    let verifier = verify::Verifier {
        mirror: context.definition.incarnation,
        recorder: context.recorder.clone(),
        destination: Arc::clone(&context.destination),
        source: Arc::clone(&context.source),
        clock: Arc::clone(&context.clock),
        entropy: Arc::clone(&context.entropy),
        settings: verify::Settings {
            metadata_prefix: context.settings.metadata_prefix.clone(),
            recheck: context.settings.recheck,
            diagnose_after: context.settings.diagnose_after,
            workers: context.settings.workers.max(2),
        },
        status: Arc::clone(&context.verify),
    };
    verifier.run(context.stop.clone()).await;
    // It ends early where the namespace cannot be used, and says so in its status; the other stages go on.
    context.stop.cancelled().await;
    Err(Ended::Stopped)
}
