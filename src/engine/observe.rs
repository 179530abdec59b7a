//! Watching the source: its branches once an interval, and the records of commits that are new.
//!
//! A quiet source costs one listing a turn and nothing else: the journal is asked only when the listing differs from
//! the last one, or something is open. A failed listing changes nothing (I6).

mod grace;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt;
use lakemirror_journal::command::Ask;
use lakemirror_journal::ids::CommitId;
use lakemirror_journal::mutant;
use lakemirror_journal::state::branch::{Branch, Presence};
use lakemirror_journal::state::mirror::Source;

use crate::engine::board::Subject;
use crate::engine::mirror::{Ended, Site};
use crate::engine::ports::{BranchHead, CommitRecord, Fault, FaultKind};
use grace::Graves;

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

#[derive(Default)]
struct Watch {
    /// The last listing that was recorded whole, while nothing is open.
    quiet: Option<Vec<BranchHead>>,
    /// For how long tombstones are known.
    graves: Graves,
}

impl Watch {
    async fn turn(&mut self, site: &Site) -> Result<(), Turn> {
        let repository = &site.definition.source_repository;
        let listed = tokio::select! {
            biased;
            () = site.stop.cancelled() => return Err(Ended::Stopped.into()),
            listed = site.source.branches(repository, true) => listed?,
        };
        if self.quiet.as_ref() == Some(&listed) {
            return Ok(());
        }
        self.quiet = None;
        let Some(known) = known_branches(site).await? else { return Ok(()) };
        let default_branch = identify(site).await?;
        let hidden = find_hidden(site, &listed, &known).await?;
        let missing = missing_branches(&listed, &known);
        let whole = mutant::is_on("listing_without_default_believed")
            || listed.iter().any(|branch| branch.name == default_branch);
        let Confirmed { gone, there, fault } =
            if whole { confirm_gone(site, &missing).await } else { Confirmed::default() };
        let pairs: Vec<(String, CommitId)> =
            listed.iter().map(|branch| (branch.name.clone(), branch.head)).chain(there).collect();
        let heads: BTreeSet<CommitId> = pairs.iter().map(|(_, head)| *head).collect();
        let gone_now: BTreeSet<String> = gone.iter().cloned().collect();
        site.ask(Ask::ObserveBranches { listed: pairs, hidden, proven_gone: gone }).await?;
        if !gone_now.is_empty() {
            let mut waited = self.graves.waited(tombstones(site).await?, site.clock.monotonic());
            waited.retain(|name, _| gone_now.contains(name));
            site.ask(Ask::PlanRemovals { proven_gone: waited }).await?;
        }
        read_commits(site, heads).await?;
        if let Some(fault) = fault {
            return Err(fault.into());
        }
        if !whole && !missing.is_empty() {
            let call = format!("list the branches of repository {repository}");
            let message =
                format!("the answer lacks the default branch {default_branch}: it proves no branch to be gone");
            return Err(Fault { kind: FaultKind::Retry, call, status: None, message }.into());
        }
        if missing.is_empty() && frontier(site, 1).await?.is_empty() || mutant::is_on("quiet_too_early") {
            self.quiet = Some(listed);
        }
        Ok(())
    }
}

/// The branches that are tombstones, and when each was buried, milliseconds since 1970.
async fn tombstones(site: &Site) -> Result<Vec<(String, u64)>, Ended> {
    let buried = site.look(|mirror| {
        let buried = |(name, branch): (&String, &Branch)| Some((name.clone(), branch.tombstone_ms?));
        mirror.branches.iter().filter_map(buried).collect()
    });
    Ok(buried.await?.unwrap_or_default())
}

/// Whether each known branch was there at the last look; none when the mirror is gone.
async fn known_branches(site: &Site) -> Result<Option<BTreeMap<String, bool>>, Ended> {
    site.look(|mirror| {
        mirror.branches.iter().map(|(name, branch)| (name.clone(), branch.presence == Presence::There)).collect()
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

/// Which of the branches that are new are hidden: no field says so, only their absence from the plain listing.
async fn find_hidden(
    site: &Site,
    listed: &[BranchHead],
    known: &BTreeMap<String, bool>,
) -> Result<BTreeSet<String>, Turn> {
    let mut new: BTreeSet<String> =
        listed.iter().filter(|branch| !known.contains_key(&branch.name)).map(|branch| branch.name.clone()).collect();
    if !new.is_empty() {
        for plain in site.source.branches(&site.definition.source_repository, false).await? {
            new.remove(&plain.name);
        }
    }
    Ok(new)
}

fn missing_branches(listed: &[BranchHead], known: &BTreeMap<String, bool>) -> Vec<String> {
    let listed: BTreeSet<&str> = listed.iter().map(|branch| branch.name.as_str()).collect();
    known.keys().filter(|name| !listed.contains(name.as_str())).cloned().collect()
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
