//! Reading the records of commits that are new, until every ancestor is known.
//!
//! A commit that cannot be had, or that no journal record can hold, is left out for a while ([`Refusals`]) and said: its
//! branch waits for it, the others go on (I9).

use std::collections::BTreeSet;

use futures_util::StreamExt;
use lakemirror_core::ids::CommitId;
use lakemirror_core::limits::{COMMIT_BYTES_MAX, text_bytes};
use lakemirror_core::mutant;
use lakemirror_journal::command::MirrorCommand;
use lakemirror_journal::state::mirror::Mirror;

use super::Turn;
use super::refusals::{Lasting, Refusals};
use crate::conditions::ConditionKind;
use crate::mirror::{Ended, MirrorContext};
use crate::ports::{CommitRecord, Fault, FaultKind};

/// Commits recorded with one command.
const COMMITS_PER_COMMAND: usize = 500;

/// The longest stretch of a log that is read at once.
const STRETCH_MAX: usize = 1000;

/// The commits whose records are to be read, but for `skip`: those that a branch or a known commit still needs.
fn wanted(mirror: &Mirror, skip: &BTreeSet<CommitId>, limit: usize) -> Vec<CommitId> {
    let open = mirror.graph.frontier.iter().filter(|id| !skip.contains(id));
    let mut heads: Option<BTreeSet<CommitId>> = None;
    let needed = |id: &&CommitId| {
        mirror.graph.is_awaited(id) || heads.get_or_insert_with(|| mirror.live_heads().collect()).contains(id)
    };
    open.filter(needed).take(limit).copied().collect()
}

/// Whether nothing is to be read now.
pub(super) async fn is_read(context: &MirrorContext, refusals: &Refusals) -> Result<bool, Ended> {
    let skip = refusals.waiting(context.clock.monotonic());
    Ok(context.look(move |mirror| wanted(mirror, &skip, 1).is_empty()).await?.unwrap_or(true))
}

/// Reads records until every ancestor is known: single commits for what has just moved, ever longer stretches of the
/// log for a history that is new. No commit is asked for twice in one turn.
pub(super) async fn read_commits(
    context: &MirrorContext,
    heads: BTreeSet<CommitId>,
    refusals: &mut Refusals,
) -> Result<(), Turn> {
    if mutant::is_on("commits_unread") {
        return Ok(());
    }
    let mut round = Round { context, refusals, fault: None };
    let mut skip = round.refusals.waiting(context.clock.monotonic());
    let width = context.settings.branch_concurrency.max(1);
    let mut amount = 1usize;
    loop {
        let skipped = skip.clone();
        let looked = context.look(move |mirror| wanted(mirror, &skipped, width * 4)).await?;
        let mut asked = looked.unwrap_or_default();
        if asked.is_empty() {
            break;
        }
        // Long stretches overlap where histories join: then one at a time.
        if amount > 10 {
            asked.sort_by_key(|id| !heads.contains(id));
            asked.truncate(1);
        }
        skip.extend(&asked);
        let answers = asked.into_iter().map(|id| async move { (id, read_stretch(context, id, amount).await) });
        let mut answers = futures_util::stream::iter(answers).buffer_unordered(width);
        let (mut records, mut hopeless) = (Vec::new(), false);
        while let Some((id, answer)) = answers.next().await {
            match answer {
                Ok(stretch) if stretch.iter().any(|record| record.id == id) => records.extend(stretch),
                Ok(_) => round.refuse(id, Lasting::Lasting, || format!("the source's log from commit {id} lacks it")),
                Err(fault) => {
                    hopeless |= is_of_all(&fault);
                    round.failed(id, fault);
                }
            }
        }
        drop(answers);
        round.record(records).await?;
        if context.stop.is_cancelled() {
            return Err(Ended::Stopped.into());
        }
        if hopeless {
            break;
        }
        amount = (amount * 10).min(STRETCH_MAX);
    }
    let fault = round.fault;
    forget_past(context, refusals).await?;
    fault.map_or(Ok(()), |fault| Err(fault.into()))
}

/// Whether the fault is not about the commit that was asked for: the others would fare no better.
fn is_of_all(fault: &Fault) -> bool {
    fault.kind == FaultKind::Denied || matches!(fault.status, Some(429 | 503))
}

/// Refusals of commits that were read since, or that no branch needs any more, are over.
async fn forget_past(context: &MirrorContext, refusals: &mut Refusals) -> Result<(), Ended> {
    if refusals.is_empty() {
        return Ok(());
    }
    let ids = refusals.ids();
    let open = move |mirror: &Mirror| {
        let open: BTreeSet<CommitId> = wanted(mirror, &BTreeSet::new(), usize::MAX).into_iter().collect();
        ids.intersection(&open).copied().collect()
    };
    let still = context.look(open).await?.unwrap_or_default();
    for id in refusals.keep(&still) {
        context.conditions.clear(context.name(), &ConditionKind::Commit(id));
    }
    Ok(())
}

/// One commit, or a stretch of the log. What stands in the way of a stretch may be one commit of it: its record is
/// missing, or it is longer than anything that can be mirrored. Single commits still tell what there is.
async fn read_stretch(context: &MirrorContext, from: CommitId, amount: usize) -> Result<Vec<CommitRecord>, Fault> {
    let repository = &context.definition.source_repository;
    let mut amount = amount;
    while amount > 1 {
        match context.source.log(repository, &from, amount).await {
            Err(fault) if matches!(fault.kind, FaultKind::Absent | FaultKind::Refused | FaultKind::Contradiction) => {
                amount /= 10;
            }
            other => return other,
        }
    }
    context.source.commit(repository, &from).await.map(|record| vec![record])
}

/// What comes of the answers of one turn.
struct Round<'a> {
    context: &'a MirrorContext,
    refusals: &'a mut Refusals,
    /// A fault that may pass by itself: the turn ends with it, after everything else.
    fault: Option<Fault>,
}

impl Round<'_> {
    fn refuse(&mut self, id: CommitId, how: Lasting, why: impl FnOnce() -> String) {
        let MirrorContext { clock, entropy, conditions, .. } = self.context;
        if self.refusals.refuse(id, how, clock.monotonic(), &**entropy) {
            conditions.note(self.context.name(), ConditionKind::Commit(id), why());
        }
    }

    fn failed(&mut self, id: CommitId, fault: Fault) {
        match fault.kind {
            FaultKind::Retry | FaultKind::Denied => {
                self.refuse(id, Lasting::Passing, String::new);
                self.fault = Some(fault);
            }
            FaultKind::Absent | FaultKind::Refused | FaultKind::Contradiction => {
                self.refuse(id, Lasting::Lasting, || fault.to_string());
            }
        }
    }

    /// Journals what was read. A commit with a message or metadata beyond what a journal record can hold is left out.
    async fn record(&mut self, mut records: Vec<CommitRecord>) -> Result<(), Ended> {
        let large: Vec<CommitId> =
            records.extract_if(.., |record| text_bytes(record) > COMMIT_BYTES_MAX).map(|record| record.id).collect();
        for id in large {
            self.refuse(id, Lasting::Lasting, || {
                format!(
                    "commit {id} has more than {COMMIT_BYTES_MAX} bytes of message and metadata: it cannot be mirrored"
                )
            });
        }
        while !records.is_empty() {
            let rest = records.split_off(records.len().min(COMMITS_PER_COMMAND));
            self.context.ask(MirrorCommand::ObserveCommits(records)).await?;
            records = rest;
        }
        Ok(())
    }
}
