//! What a mirror's status says, again and again: its changes to the log, and itself to the mirrors database, coalesced,
//! numbered, and only when it says something new.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join;
use lakemirror_journal::command::MirrorCommand;

use crate::conditions::{Condition, ConditionKind};
use crate::mirror::{Ended, MirrorContext};
use crate::report::{Line, Reporter};
use crate::status::{self, MirrorStatus, Problem, RuntimeStatus, Topic};
use crate::ticker::Ticker;

/// Changes that follow each other within this time are published as one.
const COALESCE: Duration = Duration::from_secs(1);

/// How soon it is looked whether there is something to say that no fact tells: that a file has not come, or that what a
/// branch waits for is overdue.
const LOOK: Duration = Duration::from_secs(10);

/// The mirror's status now; `None` once it is gone.
///
/// # Errors
/// [`Ended::Journal`].
pub async fn status_now(context: &MirrorContext) -> Result<Option<MirrorStatus>, Ended> {
    let id = context.definition.incarnation;
    context.is_leased();
    let verify = context.verify.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let runtime = RuntimeStatus { notes: notes(context), verify, now_ms: context.clock.wall_ms() };
    let look = context.recorder.read_with_head(move |state, head| {
        state.mirror(&id).map(|mirror| status::of(mirror, &state.policy, &runtime, head))
    });
    look.await.map_err(|_| Ended::Journal)
}

/// The notes about this mirror, and those about what it shares with others: of the mirrors database only one.
fn notes(context: &MirrorContext) -> BTreeMap<ConditionKind, Condition> {
    let (mut notes, mut shared) = (context.conditions.notes(), context.shared.notes());
    let definition = &context.definition;
    let database = [ConditionKind::Heartbeat, ConditionKind::Registry, ConditionKind::Lease];
    if let Some(note) = database.iter().find_map(|about| shared.remove(about)) {
        notes.insert(ConditionKind::Registry, note);
    }
    let needed = |about: &ConditionKind| match about {
        ConditionKind::Lakefs(region) => *region == definition.source_region || *region == definition.region,
        ConditionKind::Bucket { region, bucket } => {
            *region == definition.region && context.bucket.as_ref() == Some(bucket)
        }
        _ => false,
    };
    notes.extend(shared.into_iter().filter(|(about, _)| needed(about)));
    notes
}

/// Looks and publishes until stopped.
///
/// # Errors
/// [`Ended`].
pub async fn run(context: &MirrorContext) -> Result<(), Ended> {
    let latest = Latest::default();
    try_join(look(context, &latest), push(context, &latest)).await.map(drop)
}

/// Looks until stopped, and publishes nothing: for a mirror that is being deleted.
///
/// # Errors
/// [`Ended`].
pub async fn watch(context: &MirrorContext) -> Result<(), Ended> {
    look(context, &Latest::default()).await
}

/// The last status, on its way to the mirrors database.
#[derive(Default)]
struct Latest {
    status: Mutex<Option<MirrorStatus>>,
    changed: Ticker,
}

impl Latest {
    fn put(&self, status: MirrorStatus) {
        let mut latest = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let news = latest.as_ref().is_none_or(|last| differs(last, &status));
        *latest = Some(status);
        drop(latest);
        if news {
            self.changed.tick();
        }
    }

    fn get(&self) -> Option<MirrorStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Looks at the status when something may have changed, and says in the log what has.
async fn look(context: &MirrorContext, latest: &Latest) -> Result<(), Ended> {
    let mut changes = context.recorder.changes(context.definition.incarnation);
    let (mut notes, mut shared) = (context.conditions.changes(), context.shared.changes());
    let mut reporter = Reporter::default();
    loop {
        changes.mark_unchanged();
        notes.mark_unchanged();
        shared.mark_unchanged();
        if let Some(status) = status_now(context).await? {
            let problems: Vec<(Topic, String)> = status.problems.iter().map(told).collect();
            for line in reporter.look(context.clock.monotonic(), &problems) {
                say(context.name(), &line);
            }
            latest.put(status);
        }
        tokio::select! {
            biased;
            () = context.stop.cancelled() => return Err(Ended::Stopped),
            () = changes.changed() => {}
            () = notes.changed() => {}
            () = shared.changed() => {}
            () = context.clock.sleep(LOOK) => {}
        }
        context.pause(COALESCE).await?;
    }
}

fn told(problem: &Problem) -> (Topic, String) {
    (problem.topic.clone(), problem.to_string())
}

fn say(mirror: &str, line: &Line<Topic>) {
    match line {
        Line::Began { topic, text } => match topic.branch() {
            Some(branch) => tracing::warn!(mirror, branch, "{text}"),
            None => tracing::warn!(mirror, "{text}"),
        },
        Line::Over { topic, text, lasted } => {
            let seconds = lasted.as_secs();
            match topic.branch() {
                Some(branch) => tracing::info!(mirror, branch, "over after {seconds} s: {text}"),
                None => tracing::info!(mirror, "over after {seconds} s: {text}"),
            }
        }
        Line::More(more) => tracing::warn!(mirror, "{more} more problems began: the API lists them"),
    }
}

/// Publishes what was looked at last, whenever it says something new.
async fn push(context: &MirrorContext, latest: &Latest) -> Result<(), Ended> {
    let mut changes = latest.changed.ticks();
    let mut last: Option<(u64, MirrorStatus)> = None;
    loop {
        changes.mark_unchanged();
        let epoch = context.leased().await?;
        let number = context.look(|mirror| mirror.published + 1).await?.unwrap_or(1);
        if lakemirror_core::mutant::is_on("never_published") {
            context.stop.cancelled().await;
        }
        if let Some(status) = latest.get()
            && last.as_ref().is_none_or(|(of, last)| *of != epoch || differs(last, &status))
        {
            let call = || context.registry.publish(&context.definition, epoch, number, &status);
            context.insist(&ConditionKind::Registry, call).await?;
            context.ask(MirrorCommand::Published(number)).await?;
            last = Some((epoch, status));
        }
        tokio::select! {
            biased;
            () = context.stop.cancelled() => return Err(Ended::Stopped),
            () = changes.changed() => {}
            // The lease may be another one.
            () = context.clock.sleep(LOOK) => {}
        }
    }
}

/// Whether a status says something new; the journal's head alone does not.
fn differs(last: &MirrorStatus, now: &MirrorStatus) -> bool {
    let bare = |status: &MirrorStatus| MirrorStatus { journal_seq: 0, journal_hash: [0; 32], ..status.clone() };
    bare(last) != bare(now)
}
