//! Watching the source: its branches once an interval, and the records of commits that are new.
//!
//! A quiet source costs one listing a turn and nothing else: the journal is asked only when the listing differs from
//! the last one, or something is open. A failed listing changes nothing (I6).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt;
use lakemirror_journal::command::Ask;
use lakemirror_journal::event::Event;
use lakemirror_journal::ids::CommitId;
use lakemirror_journal::mutant;
use lakemirror_journal::state::branch::{Branch, Presence};
use lakemirror_journal::state::mirror::Source;

use crate::engine::board::Subject;
use crate::engine::holds;
use crate::engine::mirror::{Ended, Site};
use crate::engine::ports::{BranchHead, CommitRecord, Fault, FaultKind};

/// Branches that are asked about singly in one turn, at most; the others wait for the next.
const CONFIRMATIONS_MAX: usize = 200;

/// Rounds of reading commits in one turn, at most.
const ROUNDS_MAX: usize = 100_000;

/// Commits recorded with one command.
const COMMITS_PER_COMMAND: usize = 500;

/// Bytes of message and metadata that one commit may have.
const COMMIT_BYTES_MAX: usize = 128 * 1024;

fn text_bytes(record: &CommitRecord) -> usize {
    let metadata: usize = record.metadata.iter().map(|(key, value)| key.len() + value.len() + 16).sum();
    metadata + record.message.len() + record.committer.len() + 32 * record.parents.len()
}

/// Watches until stopped.
///
/// # Errors
/// [`Ended`].
pub async fn run(site: &Site) -> Result<(), Ended> {
    let mut watch = Watch::default();
    loop {
        let started = site.clock.monotonic();
        match watch.turn(site).await {
            Ok(()) => site.board.clear(site.name(), &Subject::Source),
            Err(Turn::Ended(ended)) => return Err(ended),
            Err(Turn::Fault(fault)) => site.board.note(site.name(), Subject::Source, fault.to_string()),
        }
        let spent = site.clock.monotonic().saturating_sub(started);
        site.pause(site.settings.scan_interval.saturating_sub(spent)).await?;
    }
}

/// Why a turn was cut short.
enum Turn {
    Fault(Fault),
    Ended(Ended),
}

impl From<Fault> for Turn {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Ended> for Turn {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

/// How often a quiet source is asked which of its branches are hidden: a branch that was deleted and made again between
/// two listings, at the same head, is found by that alone.
const VISIBILITY_INTERVAL: Duration = Duration::from_secs(300);

#[derive(Default)]
struct Watch {
    /// The last listing that was recorded whole, while nothing is open.
    quiet: Option<Vec<BranchHead>>,
    /// When the plain listing was last compared, on the monotonic clock.
    compared: Option<Duration>,
    /// Branches whose visibility was another one at the last look, and whether they were hidden: the two listings are not
    /// of one moment, so that only what is found twice in succession counts.
    flipped: BTreeMap<String, bool>,
}

impl Watch {
    async fn turn(&mut self, site: &Site) -> Result<(), Turn> {
        let repository = &site.definition.source_repository;
        let listed = tokio::select! {
            biased;
            () = site.stop.cancelled() => return Err(Ended::Stopped.into()),
            listed = site.source.branches(repository, true) => listed?,
        };
        let compared_ago = self.compared.map(|at| site.clock.monotonic().saturating_sub(at));
        let overdue = compared_ago.is_none_or(|ago| ago >= VISIBILITY_INTERVAL);
        if self.quiet.as_ref() == Some(&listed) && !overdue {
            return Ok(());
        }
        self.quiet = None;
        let Some(known) = known_branches(site).await? else { return Ok(()) };
        let default_branch = identify(site).await?;
        let back = |branch: &BranchHead| known.get(&branch.name).is_none_or(|known| !known.there);
        let plain = if overdue || !self.flipped.is_empty() || listed.iter().any(back) {
            Some(plain_branches(site).await?)
        } else {
            None
        };
        let hidden = new_hidden(&listed, &known, plain.as_ref());
        let missing = missing_branches(&listed, &known);
        let whole = listed.iter().any(|branch| branch.name == default_branch);
        let Confirmed { gone, there, fault } = confirm_gone(site, &missing).await;
        let pairs: Vec<(String, CommitId)> =
            listed.iter().map(|branch| (branch.name.clone(), branch.head)).chain(there).collect();
        let heads: BTreeSet<CommitId> = pairs.iter().map(|(_, head)| *head).collect();
        let gone_now: BTreeSet<String> = gone.iter().cloned().collect();
        let facts = site.ask(Ask::ObserveBranches { listed: pairs, hidden, proven_gone: gone }).await?;
        holds::follow(site, &facts).await?;
        if let Some(plain) = plain {
            self.compare_visibility(site, &listed, &known, &plain).await?;
        }
        if !gone_now.is_empty() {
            site.ask(Ask::PlanRemovals { proven_gone: gone_now }).await?;
        }
        read_commits(site, heads).await?;
        if let Some(fault) = fault {
            return Err(fault.into());
        }
        if !whole && known.contains_key(&default_branch) {
            let call = format!("list the branches of repository {repository}");
            let message =
                format!("the answer lacks the default branch {default_branch}: alone it proves no branch to be gone");
            return Err(Fault { kind: FaultKind::Retry, call, status: None, message }.into());
        }
        let held = known.iter().any(|(name, known)| known.held && !listed.iter().any(|branch| branch.name == *name));
        if missing.is_empty() && !held && self.flipped.is_empty() && frontier(site, 1).await?.is_empty()
            || mutant::is_on("quiet_too_early")
        {
            self.quiet = Some(listed);
        }
        Ok(())
    }
}

impl Watch {
    /// Journals which branches were found twice in succession with another visibility than the journal's.
    async fn compare_visibility(
        &mut self,
        site: &Site,
        listed: &[BranchHead],
        known: &BTreeMap<String, Known>,
        plain: &BTreeSet<String>,
    ) -> Result<(), Turn> {
        self.compared = Some(site.clock.monotonic());
        let mut now = flipped(listed, known, plain);
        let twice: BTreeMap<String, bool> =
            now.iter().filter(|(name, hidden)| self.flipped.get(*name) == Some(hidden)).map(owned).collect();
        now.retain(|name, _| !twice.contains_key(name));
        self.flipped = now;
        if twice.is_empty() {
            return Ok(());
        }
        for fact in site.ask(Ask::ObserveVisibility(twice)).await? {
            if let Event::BranchVisibilityChanged(fact) = fact {
                let (branch, hidden) = (fact.branch, fact.hidden);
                tracing::info!(
                    mirror = site.name(),
                    branch,
                    hidden,
                    "made again at the source with another visibility"
                );
            }
        }
        site.visibility.tick();
        Ok(())
    }
}

fn owned((name, hidden): (&String, &bool)) -> (String, bool) {
    (name.clone(), *hidden)
}

/// What is known of a branch before a look.
struct Known {
    /// Whether it was there at the last look.
    there: bool,
    /// Whether it is hidden.
    hidden: bool,
    /// Whether its deletion waits for an operator.
    held: bool,
}

/// Every known branch; none when the mirror is gone.
async fn known_branches(site: &Site) -> Result<Option<BTreeMap<String, Known>>, Ended> {
    site.look(|mirror| {
        let known = |(name, branch): (&String, &Branch)| {
            let (there, hidden, held) = (branch.presence == Presence::There, branch.hidden, mirror.is_held(name));
            (name.clone(), Known { there, hidden, held })
        };
        mirror.branches.iter().map(known).collect()
    })
    .await
}

/// Asks who the source is. Before anything that changed is believed: a repository that was deleted and made again
/// under its name must not be followed.
/// Returns its default branch.
async fn identify(site: &Site) -> Result<String, Turn> {
    let repository = site.source.repository(&site.definition.source_repository).await?;
    let default_branch = repository.default_branch.clone();
    let source = Source {
        storage_namespace: repository.storage_namespace,
        default_branch: repository.default_branch,
        creation_date: repository.creation_date,
    };
    site.ask(Ask::IdentifySource(source)).await?;
    Ok(default_branch)
}

/// The branches that are not hidden: no field says which are, only their absence from this listing.
async fn plain_branches(site: &Site) -> Result<BTreeSet<String>, Turn> {
    let plain = site.source.branches(&site.definition.source_repository, false).await?;
    Ok(plain.into_iter().map(|branch| branch.name).collect())
}

/// Which of the branches that are new are hidden.
fn new_hidden(
    listed: &[BranchHead],
    known: &BTreeMap<String, Known>,
    plain: Option<&BTreeSet<String>>,
) -> BTreeSet<String> {
    let Some(plain) = plain else { return BTreeSet::new() };
    let new = listed.iter().filter(|branch| !known.contains_key(&branch.name));
    new.map(|branch| branch.name.clone()).filter(|name| !plain.contains(name)).collect()
}

/// The known branches that are listed with another visibility than the known one, and whether they are hidden.
fn flipped(listed: &[BranchHead], known: &BTreeMap<String, Known>, plain: &BTreeSet<String>) -> BTreeMap<String, bool> {
    let hidden = |name: &String| !plain.contains(name);
    let known = |name: &String| known.get(name).map(|known| known.hidden);
    let listed = listed.iter().map(|branch| &branch.name);
    let other = listed.filter(|name| known(name).is_some_and(|known| known != hidden(name)));
    other.map(|name| (name.clone(), hidden(name))).collect()
}

/// What is to be asked about singly; not what waits for an operator, so that a long list of those keeps nobody waiting.
fn missing_branches(listed: &[BranchHead], known: &BTreeMap<String, Known>) -> Vec<String> {
    let listed: BTreeSet<&str> = listed.iter().map(|branch| branch.name.as_str()).collect();
    let missing = known.iter().filter(|(name, known)| !known.held && !listed.contains(name.as_str()));
    missing.map(|(name, _)| name.clone()).collect()
}

/// What the missing branches answer themselves, after the repository itself answered.
#[derive(Default)]
struct Confirmed {
    /// Those that answer 404.
    gone: Vec<String>,
    /// Those that are there after all, and their heads.
    there: Vec<(String, CommitId)>,
    /// What another one answered; it and those behind it prove nothing, and hold up nobody else (I9).
    fault: Option<Fault>,
}

async fn confirm_gone(site: &Site, missing: &[String]) -> Confirmed {
    let mut confirmed = Confirmed::default();
    if mutant::is_on("listing_proves_absence") {
        confirmed.gone = missing.to_vec();
        return confirmed;
    }
    for name in missing.iter().take(CONFIRMATIONS_MAX) {
        match site.source.branch(&site.definition.source_repository, name).await {
            Ok(head) => confirmed.there.push((name.clone(), head)),
            Err(fault) if fault.kind == FaultKind::Absent || mutant::is_on("fault_read_as_branch_gone") => {
                confirmed.gone.push(name.clone())
            }
            Err(fault) => {
                confirmed.fault = Some(fault);
                break;
            }
        }
    }
    confirmed
}

async fn frontier(site: &Site, limit: usize) -> Result<Vec<CommitId>, Ended> {
    Ok(site.look(move |mirror| mirror.graph.frontier.iter().take(limit).copied().collect()).await?.unwrap_or_default())
}

/// Reads records until every ancestor is known: single commits for what has just moved, ever longer stretches of the
/// log for a history that is new.
async fn read_commits(site: &Site, heads: BTreeSet<CommitId>) -> Result<(), Turn> {
    if mutant::is_on("commits_unread") {
        return Ok(());
    }
    let mut amount = 1usize;
    for _ in 0..ROUNDS_MAX {
        let mut wanted = frontier(site, site.settings.branch_concurrency.max(1) * 4).await?;
        if wanted.is_empty() {
            return Ok(());
        }
        // Long stretches overlap where histories join: then one at a time.
        if amount > 10 {
            wanted.sort_by_key(|id| !heads.contains(id));
            wanted.truncate(1);
        }
        let mut answers = futures_util::stream::iter(wanted.into_iter().map(|id| read_stretch(site, id, amount)))
            .buffer_unordered(site.settings.branch_concurrency.max(1));
        let (mut records, mut fault) = (Vec::new(), None);
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(stretch) => records.extend(stretch),
                Err(failed) => fault = Some(failed),
            }
        }
        drop(answers);
        let some = record_commits(site, records).await?;
        if let Some(fault) = fault.filter(|fault| !some || fault.kind == FaultKind::Contradiction) {
            return Err(fault.into());
        }
        // What was read cannot be recorded: reading it again at once would go on for ever.
        if !some {
            return Ok(());
        }
        if site.stop.is_cancelled() {
            return Err(Ended::Stopped.into());
        }
        amount = (amount * 10).min(1000);
    }
    Ok(())
}

async fn read_stretch(site: &Site, from: CommitId, amount: usize) -> Result<Vec<CommitRecord>, Fault> {
    let repository = &site.definition.source_repository;
    if amount == 1 {
        return site.source.commit(repository, &from).await.map(|record| vec![record]);
    }
    match site.source.log(repository, &from, amount).await {
        // An ancestor whose record is missing ends the log; single commits still tell what there is.
        Err(fault) if fault.kind == FaultKind::Absent => {
            site.source.commit(repository, &from).await.map(|record| vec![record])
        }
        other => other,
    }
}

/// Journals what was read. A commit with a message or metadata beyond what a journal record can hold is left out and
/// said: its branch waits for it, the others go on. Says whether anything was new.
async fn record_commits(site: &Site, mut records: Vec<CommitRecord>) -> Result<bool, Ended> {
    let mut some = false;
    records.retain(|record| {
        let fits = text_bytes(record) <= COMMIT_BYTES_MAX;
        if !fits {
            let text = format!(
                "commit {} has more than {COMMIT_BYTES_MAX} bytes of message and metadata: it cannot be mirrored",
                record.id
            );
            site.board.note(site.name(), Subject::Commit(record.id), text);
        }
        fits
    });
    while !records.is_empty() {
        let rest = records.split_off(records.len().min(COMMITS_PER_COMMAND));
        some |= !site.ask(Ask::ObserveCommits(records)).await?.is_empty();
        records = rest;
    }
    Ok(some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::Loop;

    #[tokio::test]
    async fn a_fault_proves_no_branch_gone() {
        let site = Loop::that_has_read().await.site();
        let asked = site.source.branch("s", "a").await.unwrap_err();
        assert_eq!(asked.kind, FaultKind::Refused, "what this source answers to each question");
        let Confirmed { gone, there, fault } = confirm_gone(&site, &["a".into(), "b".into()]).await;
        assert!(gone.is_empty() && there.is_empty() && fault.is_some());
    }
}
