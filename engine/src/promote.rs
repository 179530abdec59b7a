//! Moving the mirror's branches: records of commits, parents first, then the branch. No choices are left here.
//!
//! The plan comes from the journal and is durable before anything is sent (I3). Every step can be repeated: a record
//! that is there answers 409, a branch is read before and after it is moved, and a move that was cut short stands in
//! the journal until it is finished (I5), or given up because its evidence has become too old ([`evidence_guard`]). lakeFS has
//! no compare-and-set, so a head that is not where the journal left it is reported and left alone, unless the policy
//! says to put it back.

mod evidence_guard;
mod slots;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lakemirror_core::ids::CommitId;
use lakemirror_core::mutant;
use lakemirror_journal::command::MirrorCommand;
use lakemirror_journal::event::Event;
use lakemirror_journal::state::branch::{Branch, Move};
use lakemirror_journal::state::policy::DivergenceRule;
use lakemirror_journal::state::transition::{BranchChange, Change};
use tokio::task::JoinSet;

use crate::audit;
use crate::conditions::ConditionKind;
use crate::mirror::{Attempt, Ended, MirrorContext, Patience};
use crate::ownership::Ownership;
use crate::ports::{CommitRecord, CreateOutcome, FaultKind};
use evidence_guard::{Done, EvidenceGuard};
use slots::{Slot, Slots};

/// Commit records that are journaled as written together.
const RECORDS_PER_COMMAND: usize = 256;

/// Plans and drives moves until stopped.
///
/// # Errors
/// [`Ended`].
pub async fn run(context: &MirrorContext) -> Result<(), Ended> {
    let mut changes = context.recorder.changes(context.definition.incarnation);
    let slots = Arc::new(Slots::new(context.settings.branch_concurrency));
    let mut tasks: JoinSet<Result<(), Ended>> = JoinSet::new();
    let removing = Removing::default();
    let ownership = Arc::new(Ownership::default());
    for job in unfinished(context).await? {
        spawn(context, job, &slots, &removing, &ownership, &mut tasks);
    }
    // On its own: a destination or a source that answers it slowly holds up no move.
    let (auditor, known) = (context.clone(), Arc::clone(&ownership));
    tasks.spawn(async move { audit::run(&auditor, &known).await });
    loop {
        changes.mark_unchanged();
        match context.leased().await {
            Ok(_) => {}
            Err(Ended::Stopped) => break,
            Err(ended) => return Err(ended),
        }
        for job in context.ask(MirrorCommand::PlanMoves).await?.iter().filter_map(job_of) {
            spawn(context, job, &slots, &removing, &ownership, &mut tasks);
        }
        for job in unfinished_removals(context).await? {
            spawn(context, job, &slots, &removing, &ownership, &mut tasks);
        }
        tokio::select! {
            biased;
            () = context.stop.cancelled() => break,
            Some(done) = tasks.join_next(), if !tasks.is_empty() => match done {
                Ok(Err(Ended::Journal)) => return Err(Ended::Journal),
                Ok(Ok(()) | Err(Ended::Stopped)) => {}
                Err(crash) => tracing::error!(mirror = context.name(), "a move ended with a panic: {crash}"),
            },
            () = changes.changed() => {}
        }
    }
    while tasks.join_next().await.is_some() {}
    Err(Ended::Stopped)
}

enum Job {
    Move(String),
    Remove(String),
}

fn job_of(event: &Event) -> Option<Job> {
    match event.change() {
        Change::Branch { name, change: BranchChange::MoveStarted(_) } => Some(Job::Move(name.to_owned())),
        _ => None,
    }
}

/// What an earlier run, or a crash, left open.
async fn unfinished(context: &MirrorContext) -> Result<Vec<Job>, Ended> {
    if mutant::is_on("open_moves_forgotten") {
        return Ok(Vec::new());
    }
    let moving = context.look(|mirror| {
        let open = mirror.branches.iter().filter(|(_, branch)| branch.moving.is_some());
        open.map(|(name, _)| Job::Move(name.clone())).collect()
    });
    Ok(moving.await?.unwrap_or_default())
}

/// Removals are planned by the observer; what it left open is driven here.
async fn unfinished_removals(context: &MirrorContext) -> Result<Vec<Job>, Ended> {
    if mutant::is_on("open_removals_forgotten") {
        return Ok(Vec::new());
    }
    let removing = context.look(|mirror| {
        let open = mirror.branches.iter().filter(|(_, branch)| branch.removing);
        open.map(|(name, _)| Job::Remove(name.clone())).collect()
    });
    Ok(removing.await?.unwrap_or_default())
}

/// Removals that are being driven: a removal stays open in the journal until it is done.
type Removing = Arc<Mutex<BTreeSet<String>>>;

fn spawn(
    context: &MirrorContext,
    job: Job,
    slots: &Arc<Slots>,
    removing: &Removing,
    ownership: &Arc<Ownership>,
    tasks: &mut JoinSet<Result<(), Ended>>,
) {
    if let Job::Remove(branch) = &job
        && !removing.lock().unwrap_or_else(PoisonError::into_inner).insert(branch.clone())
    {
        return;
    }
    let (context, slot) = (context.clone(), Slot::new(slots));
    let (removing, ownership) = (Arc::clone(removing), Arc::clone(ownership));
    tasks.spawn(async move {
        match job {
            Job::Move(branch) => drive_move(&context, &branch, &ownership, slot).await,
            Job::Remove(branch) => {
                let done = drive_removal(&context, &branch, &ownership, slot).await;
                removing.lock().unwrap_or_else(PoisonError::into_inner).remove(&branch);
                done
            }
        }
    });
}

async fn branch_state(context: &MirrorContext, name: &str) -> Result<Option<Branch>, Ended> {
    let name = name.to_owned();
    Ok(context.look(move |mirror| mirror.branches.get(&name).cloned()).await?.flatten())
}

/// Drives one move to its end, or until the branch turns out to be in other hands.
async fn drive_move(context: &MirrorContext, name: &str, ownership: &Ownership, mut slot: Slot) -> Result<(), Ended> {
    slot.take(context).await?;
    let Some(branch) = branch_state(context, name).await? else { return Ok(()) };
    let Some(under_way) = branch.moving else { return Ok(()) };
    let mut evidence_guard = EvidenceGuard::new(context, name, under_way, ownership, slot);
    evidence_guard.assure().await?;
    loop {
        match write_records(context, name, &under_way.to, &mut evidence_guard).await? {
            Done::Answered(Some(())) => break,
            Done::Answered(None) => {}
            Done::GivenUp => return Ok(()),
        }
        ownership.forget();
        evidence_guard.assure().await?;
        evidence_guard.pause(Duration::from_secs(1)).await?;
    }
    let about = ConditionKind::Branch(name.to_owned());
    let before = evidence_guard.read_head().await?;
    if !may_move(context, name, &branch, &under_way, before).await? {
        return Ok(());
    }
    match before {
        Some(head) if head == under_way.to => {}
        Some(_) => {
            let call = || context.mirror.reset_branch(context.name(), name, &under_way.to);
            match evidence_guard.insist(&about, call).await? {
                Done::Answered(Some(())) => {}
                Done::Answered(None) => {
                    context.ask(MirrorCommand::Diverged { branch: name.to_owned(), found: None }).await?;
                    return Ok(());
                }
                Done::GivenUp => return Ok(()),
            }
        }
        None => {
            let call = || context.mirror.create_branch(context.name(), name, &under_way.to, branch.hidden);
            let made: Done<CreateOutcome> = evidence_guard.insist(&about, call).await?;
            if matches!(made, Done::GivenUp) {
                return Ok(());
            }
        }
    }
    match evidence_guard.read_head().await? {
        Some(head) if head == under_way.to => {
            context.ask(MirrorCommand::FinishMove { branch: name.to_owned() }).await?;
            let from = under_way.from.map_or("nothing".to_owned(), |from| from.to_string());
            let took_ms = context.clock.wall_ms().saturating_sub(under_way.at_ms);
            tracing::info!(mirror = context.name(), branch = name, from, to = %under_way.to, took_ms, "promoted");
        }
        found => drop(context.ask(MirrorCommand::Diverged { branch: name.to_owned(), found }).await?),
    }
    Ok(())
}

/// Whether the head found is one that this move may replace. What nobody else can have put there is: nothing where
/// nothing was, the head that the journal left, the move's own goal. A branch of ours that the journal forgot is
/// adopted where it stands at a commit of the source.
async fn may_move(
    context: &MirrorContext,
    name: &str,
    branch: &Branch,
    under_way: &Move,
    found: Option<CommitId>,
) -> Result<bool, Ended> {
    if mutant::is_on("foreign_head_overwritten") {
        return Ok(true);
    }
    let restoring = branch.diverged().is_some() && restores(context).await?;
    if found == Some(under_way.to) || found == under_way.from || restoring {
        return Ok(true);
    }
    if let (None, Some(found)) = (under_way.from, found)
        && adopts(context, name, found).await?
    {
        return Ok(true);
    }
    let text = match found {
        Some(found) => format!("branch {name} of the mirror was moved to {found} by somebody else: it is left alone"),
        None => format!("branch {name} of the mirror was deleted by somebody else: it is left alone"),
    };
    tracing::warn!(mirror = context.name(), "{text}; promotion.on_divergence: restore would put it back");
    context.ask(MirrorCommand::Diverged { branch: name.to_owned(), found }).await?;
    Ok(false)
}

/// Adopts a branch that this journal did not make where it stands at a commit of the source: an earlier journal made it.
async fn adopts(context: &MirrorContext, name: &str, found: CommitId) -> Result<bool, Ended> {
    let known = context.look(move |mirror| mirror.graph.get(&found).is_some()).await?;
    if known != Some(true) && !mutant::is_on("anything_adopted") && !learn(context, name, &found).await? {
        return Ok(false);
    }
    context.ask(MirrorCommand::Adopt { branch: name.to_owned(), found }).await?;
    Ok(true)
}

/// Where the journal began after the mirror repository, an earlier one may have left a branch at a commit that no branch
/// of the source leads to any more. The source still has its record: then it is a past of the source, and learnt.
async fn learn(context: &MirrorContext, name: &str, found: &CommitId) -> Result<bool, Ended> {
    if context.look(|mirror| mirror.adopted_ms.is_some()).await? != Some(true) {
        return Ok(false);
    }
    let about = ConditionKind::Branch(name.to_owned());
    let repository = &context.definition.source_repository;
    let Some(record) = context.insist(&about, || context.source.commit(repository, found)).await? else {
        return Ok(false);
    };
    context.ask(MirrorCommand::ObserveCommits(vec![record])).await?;
    Ok(true)
}

async fn restores(context: &MirrorContext) -> Result<bool, Ended> {
    let rule = context.recorder.read(|state| state.policy.on_divergence).await.map_err(|_| Ended::Journal)?;
    Ok(rule == DivergenceRule::Restore)
}

/// Writes the records of `head` and of its ancestors that are not on the mirror, parents first. Always by POST:
/// that `getCommit` on the mirror answers proves nothing.
///
/// No answer when the repository did not take one: then it is not there.
async fn write_records(
    context: &MirrorContext,
    branch: &str,
    head: &CommitId,
    evidence_guard: &mut EvidenceGuard<'_>,
) -> Result<Done<()>, Ended> {
    let about = ConditionKind::Branch(branch.to_owned());
    loop {
        let head = *head;
        let next = context.look(move |mirror| -> Vec<CommitRecord> {
            let ids = mirror.graph.unrecorded(&head, RECORDS_PER_COMMAND);
            ids.iter()
                .filter_map(|id| mirror.graph.get(id))
                .filter_map(|commit| commit.record.as_deref().cloned())
                .collect()
        });
        let mut records = next.await?.unwrap_or_default();
        if mutant::is_on("children_before_parents") {
            records.reverse();
        }
        if mutant::is_on("recorded_before_written") {
            context.ask(MirrorCommand::RecordsWritten(records.iter().map(|record| record.id).collect())).await?;
        }
        if records.is_empty() || mutant::is_on("records_unwritten") {
            return Ok(Done::Answered(Some(())));
        }
        let mut ended = None;
        let mut written = Vec::with_capacity(records.len());
        for record in &records {
            match evidence_guard.insist(&about, || context.mirror.put_commit(context.name(), record)).await? {
                Done::Answered(Some(_)) => written.push(record.id),
                Done::Answered(None) => ended = Some(Done::Answered(None)),
                Done::GivenUp => ended = Some(Done::GivenUp),
            }
            if ended.is_some() {
                break;
            }
        }
        context.ask(MirrorCommand::RecordsWritten(written)).await?;
        if let Some(ended) = ended {
            return Ok(ended);
        }
    }
}

/// Deletes a branch whose time of grace is over, if it is still where the journal left it. What the destination refuses
/// is tried again ever more slowly, and meanwhile holds nothing that others wait for.
async fn drive_removal(
    context: &MirrorContext,
    name: &str,
    ownership: &Ownership,
    mut slot: Slot,
) -> Result<(), Ended> {
    let mut patience = Patience::default();
    loop {
        slot.take(context).await?;
        let Some(branch) = branch_state(context, name).await?.filter(|branch| branch.removing) else { return Ok(()) };
        slot.assure(context, ownership).await?;
        match remove(context, name, &branch, &mut slot).await? {
            None => return Ok(()),
            Some(kind) => slot.back_off(context, kind, &mut patience).await?,
        }
    }
}

/// One attempt; none when it has come to an end, else how it failed.
async fn remove(
    context: &MirrorContext,
    name: &str,
    branch: &Branch,
    slot: &mut Slot,
) -> Result<Option<FaultKind>, Ended> {
    let about = ConditionKind::Branch(name.to_owned());
    let found = slot.insist(context, &about, || context.mirror.branch(context.name(), name)).await?;
    let forgotten = match (branch.mirror, found) {
        (None, Some(found)) => adopts(context, name, found).await?,
        _ => false,
    };
    if found.is_some() && found != branch.mirror && !forgotten && !mutant::is_on("moved_branch_removed") {
        context.ask(MirrorCommand::Diverged { branch: name.to_owned(), found }).await?;
        return Ok(None);
    }
    if found.is_some()
        && let Attempt::Failed(kind) =
            context.attempt(&about, context.mirror.delete_branch(context.name(), name)).await?
    {
        return Ok(Some(kind));
    }
    if branch_state(context, name).await?.is_some_and(|branch| branch.removing) {
        context.ask(MirrorCommand::FinishRemoval { branch: name.to_owned() }).await?;
    }
    Ok(None)
}
