//! What a mirror's status says, again and again: its changes to the log, and itself to the mirrors database, coalesced,
//! numbered, and only when it says something new.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join;
use lakemirror_journal::command::Ask;

use crate::board::{Note, Subject};
use crate::mirror::{Ended, Site};
use crate::report::{Line, Reporter};
use crate::status::{self, Goings, MirrorStatus, Problem, Topic};
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
pub async fn status_now(site: &Site) -> Result<Option<MirrorStatus>, Ended> {
    let id = site.definition.incarnation;
    site.is_leased();
    let verify = site.verify.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let goings = Goings { notes: notes(site), verify, now_ms: site.clock.wall_ms() };
    let look = site.recorder.read_with_head(move |state, head| {
        state.mirror(&id).map(|mirror| status::of(mirror, &state.policy, &goings, head))
    });
    look.await.map_err(|_| Ended::Journal)
}

/// The notes about this mirror, and those about what it shares with others: of the mirrors database only one.
fn notes(site: &Site) -> BTreeMap<Subject, Note> {
    let (mut notes, mut shared) = (site.board.notes(), site.shared.notes());
    let definition = &site.definition;
    let database = [Subject::Heartbeat, Subject::Registry, Subject::Lease];
    if let Some(note) = database.iter().find_map(|subject| shared.remove(subject)) {
        notes.insert(Subject::Registry, note);
    }
    let needed = |subject: &Subject| match subject {
        Subject::Lakefs(region) => *region == definition.source_region || *region == definition.region,
        Subject::Bucket { region, bucket } => *region == definition.region && site.bucket.as_ref() == Some(bucket),
        _ => false,
    };
    notes.extend(shared.into_iter().filter(|(subject, _)| needed(subject)));
    notes
}

/// Looks and publishes until stopped.
///
/// # Errors
/// [`Ended`].
pub async fn run(site: &Site) -> Result<(), Ended> {
    let latest = Latest::default();
    try_join(look(site, &latest), push(site, &latest)).await.map(drop)
}

/// Looks until stopped, and publishes nothing: for a mirror that is being deleted.
///
/// # Errors
/// [`Ended`].
pub async fn watch(site: &Site) -> Result<(), Ended> {
    look(site, &Latest::default()).await
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
async fn look(site: &Site, latest: &Latest) -> Result<(), Ended> {
    let mut changes = site.recorder.changes(site.definition.incarnation);
    let (mut notes, mut shared) = (site.board.changes(), site.shared.changes());
    let mut reporter = Reporter::default();
    loop {
        changes.mark_unchanged();
        notes.mark_unchanged();
        shared.mark_unchanged();
        if let Some(status) = status_now(site).await? {
            let problems: Vec<(Topic, String)> = status.problems.iter().map(told).collect();
            for line in reporter.look(site.clock.monotonic(), &problems) {
                say(site.name(), &line);
            }
            latest.put(status);
        }
        tokio::select! {
            biased;
            () = site.stop.cancelled() => return Err(Ended::Stopped),
            () = changes.changed() => {}
            () = notes.changed() => {}
            () = shared.changed() => {}
            () = site.clock.sleep(LOOK) => {}
        }
        site.pause(COALESCE).await?;
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
async fn push(site: &Site, latest: &Latest) -> Result<(), Ended> {
    let mut changes = latest.changed.ticks();
    let mut last: Option<(u64, MirrorStatus)> = None;
    loop {
        changes.mark_unchanged();
        let epoch = site.leased().await?;
        let number = site.look(|mirror| mirror.published + 1).await?.unwrap_or(1);
        if lakemirror_core::mutant::is_on("never_published") {
            site.stop.cancelled().await;
        }
        if let Some(status) = latest.get()
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
            // The lease may be another one.
            () = site.clock.sleep(LOOK) => {}
        }
    }
}

/// Whether a status says something new; the journal's head alone does not.
fn differs(last: &MirrorStatus, now: &MirrorStatus) -> bool {
    let bare = |status: &MirrorStatus| MirrorStatus { journal_seq: 0, journal_hash: [0; 32], ..status.clone() };
    bare(last) != bare(now)
}
