//! Watching the source: its branches once an interval, and the records of commits that are new.
//!
//! A quiet source costs one listing a turn and nothing else: the journal is asked only when the listing differs from
//! the last one, or something is open. A failed listing changes nothing, and one with which something is wrong proves
//! nothing to be gone (I6): what it says of branches that are there is followed all the same.

mod history;
mod refusals;

mod grace;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lakemirror_core::ids::CommitId;
use lakemirror_core::limits::clipped;
use lakemirror_core::mutant;
use lakemirror_journal::command::MirrorCommand;
use lakemirror_journal::state::branch::{Branch, Presence};
use lakemirror_journal::state::mirror::Source;
use lakemirror_journal::state::transition::{BranchChange, Change};

use self::history::{is_read, read_commits};
use self::refusals::Refusals;
use crate::conditions::ConditionKind;
use crate::holds;
use crate::mirror::{Ended, MirrorContext};
use crate::ports::{BranchHead, Fault, FaultKind, Listing, NAME_BYTES_MAX};
use grace::Graves;

/// Branches that are asked about singly in one turn, at most; the others wait for the next.
const CONFIRMATIONS_MAX: usize = 200;

/// The longest wait after listings that a lakeFS refuses, or that are longer than any may be.
const REFUSED_WAIT_MAX: Duration = Duration::from_secs(30);

/// Branches with names that are too long and that are shown as conditions, at most.
const LEFT_OUT_MAX: usize = 16;

/// How much of such a name is shown, in bytes.
const LEFT_OUT_BYTES: usize = 64;

/// Watches until stopped.
///
/// # Errors
/// [`Ended`].
pub async fn run(context: &MirrorContext) -> Result<(), Ended> {
    let mut watch = Watch::default();
    let mut wait = context.settings.scan_interval;
    loop {
        let started = context.clock.monotonic();
        let turn = watch.turn(context).await;
        wait = match &turn {
            // The same answer is likely, and a listing may have been long.
            Err(Turn::Fault(fault)) if fault.kind == FaultKind::Refused => {
                (wait * 2).min(REFUSED_WAIT_MAX.max(context.settings.scan_interval))
            }
            _ => context.settings.scan_interval,
        };
        match turn {
            Ok(()) => context.conditions.clear(context.name(), &ConditionKind::Source),
            Err(Turn::Ended(ended)) => return Err(ended),
            Err(Turn::Fault(fault)) => {
                context.conditions.note(context.name(), ConditionKind::Source, fault.to_string())
            }
        }
        let spent = context.clock.monotonic().saturating_sub(started);
        context.pause(wait.saturating_sub(spent)).await?;
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

/// How often a quiet source is asked which of its branches are hidden, at most: a branch that was deleted and created
/// again between two listings, at the same head, is found by that alone.
const VISIBILITY_INTERVAL_MIN: Duration = Duration::from_secs(15);

/// And in how many listings once, so that the question adds a quarter to what a quiet source is asked.
const VISIBILITY_LISTINGS: u32 = 4;

#[derive(Default)]
struct Watch {
    /// The last listing that was recorded whole, while nothing is open.
    quiet: Option<Quiet>,
    /// For how long tombstones are known.
    graves: Graves,
    refusals: Refusals,
    /// The last missing branch that was asked about singly: the next turn goes on behind it.
    asked_about: String,
    /// Branches that are shown as left out.
    left_out: BTreeSet<String>,
    /// When the plain listing was last compared, on the monotonic clock.
    compared: Option<Duration>,
    /// Branches whose visibility was another one at the last look, and whether they were hidden: the two listings are not
    /// of one moment, so that only what is found twice in succession counts.
    flipped: BTreeMap<String, bool>,
}

/// A listing that tells nothing new when it comes again.
struct Quiet {
    heads: Vec<BranchHead>,
    /// When a commit that was refused is to be asked for again, by the monotonic clock.
    until: Option<Duration>,
}

impl Watch {
    async fn turn(&mut self, context: &MirrorContext) -> Result<(), Turn> {
        let repository = &context.definition.source_repository;
        let Listing { mut heads, flaw } = tokio::select! {
            biased;
            () = context.stop.cancelled() => return Err(Ended::Stopped.into()),
            listed = context.source.listing(repository, true) => listed?,
        };
        self.leave_out(context, &mut heads);
        let now = context.clock.monotonic();
        let same = |quiet: &Quiet| quiet.heads == heads && quiet.until.is_none_or(|until| now < until);
        let every = VISIBILITY_INTERVAL_MIN.max(context.settings.scan_interval * VISIBILITY_LISTINGS);
        let overdue = self.compared.is_none_or(|at| now.saturating_sub(at) >= every);
        if overdue || !self.quiet.as_ref().is_some_and(same) {
            self.quiet = None;
            self.follow(context, heads, flaw.is_none(), overdue).await?;
        }
        flaw.map_or(Ok(()), |flaw| Err(flaw.into()))
    }

    /// Takes what a listing shows; whether it may also prove branches to be gone.
    async fn follow(
        &mut self,
        context: &MirrorContext,
        mut listed: Vec<BranchHead>,
        proves: bool,
        overdue: bool,
    ) -> Result<(), Turn> {
        let Some(known) = known_branches(context).await? else { return Ok(()) };
        let default_branch = identify(context).await?;
        let back = |branch: &BranchHead| known.get(&branch.name).is_none_or(|known| !known.there);
        let plain = if overdue || !self.flipped.is_empty() || listed.iter().any(back) {
            Some(context.source.listing(&context.definition.source_repository, false).await?)
        } else {
            None
        };
        let missing = missing_branches(&listed, &known);
        let (hidden, unsure) = new_hidden(&listed, &known, plain.as_ref());
        listed.retain(|branch| !unsure.contains(&branch.name));
        let whole = listed.iter().any(|branch| branch.name == default_branch);
        let Confirmed { gone, there, fault } =
            if proves { self.confirm_gone(context, &missing).await } else { Confirmed::default() };
        let pairs: Vec<(String, CommitId)> =
            listed.iter().map(|branch| (branch.name.clone(), branch.head)).chain(there).collect();
        let heads: BTreeSet<CommitId> = pairs.iter().map(|(_, head)| *head).collect();
        let gone_now: BTreeSet<String> = gone.iter().cloned().collect();
        let facts = context.ask(MirrorCommand::ObserveBranches { listed: pairs, hidden, proven_gone: gone }).await?;
        holds::follow(context, &facts).await?;
        // Absence from a listing with which something is wrong says nothing of a branch.
        if let Some(plain) = plain.filter(|plain| proves && plain.flaw.is_none()) {
            self.compare_visibility(context, &listed, &known, &names(&plain)).await?;
        }
        if !gone_now.is_empty() {
            let mut waited = self.graves.waited(tombstones(context).await?, context.clock.monotonic());
            waited.retain(|name, _| gone_now.contains(name));
            context.ask(MirrorCommand::PlanRemovals { proven_gone: waited }).await?;
        }
        read_commits(context, heads, &mut self.refusals).await?;
        if let Some(fault) = fault {
            return Err(fault.into());
        }
        if proves && !whole && known.contains_key(&default_branch) {
            let call = format!("list the branches of repository {}", context.definition.source_repository);
            let message =
                format!("the answer lacks the default branch {default_branch}: alone it proves no branch to be gone");
            return Err(Fault { kind: FaultKind::Retry, call, status: None, message }.into());
        }
        let held = known.iter().any(|(name, known)| known.held && !listed.iter().any(|branch| branch.name == *name));
        let settled = missing.is_empty() && unsure.is_empty() && !held && self.flipped.is_empty();
        if settled && is_read(context, &self.refusals).await? || mutant::is_on("quiet_too_early") {
            self.quiet = Some(Quiet { heads: listed, until: self.refusals.next() });
        }
        Ok(())
    }

    /// Takes branches out of a listing whose names no fact can hold, and shows them. They were never known: that they are
    /// left out makes nobody else's absence doubtful.
    fn leave_out(&mut self, context: &MirrorContext, heads: &mut Vec<BranchHead>) {
        let long = heads.extract_if(.., |head| head.name.len() > NAME_BYTES_MAX);
        let long = long.map(|head| (clipped(head.name.clone(), LEFT_OUT_BYTES), head.name.len()));
        let shown: BTreeMap<String, usize> = long.collect();
        let over: Vec<String> = self.left_out.iter().filter(|name| !shown.contains_key(*name)).cloned().collect();
        for name in over {
            self.left_out.remove(&name);
            context.conditions.clear(context.name(), &ConditionKind::Branch(name));
        }
        for (name, bytes) in shown.into_iter().take(LEFT_OUT_MAX) {
            let text = format!(
                "branch {name} of the source has a name of {bytes} bytes, more than {NAME_BYTES_MAX}: it is not mirrored"
            );
            context.conditions.note(context.name(), ConditionKind::Branch(name.clone()), text);
            self.left_out.insert(name);
        }
    }

    /// Asks missing branches themselves, some in each turn, and all of them in time.
    async fn confirm_gone(&mut self, context: &MirrorContext, missing: &[String]) -> Confirmed {
        let mut confirmed = Confirmed::default();
        if mutant::is_on("listing_proves_absence") {
            confirmed.gone = missing.to_vec();
            return confirmed;
        }
        let first = missing.partition_point(|name| *name <= self.asked_about);
        let (before, behind) = missing.split_at_checked(first).unwrap_or((&[], missing));
        for name in behind.iter().chain(before).take(CONFIRMATIONS_MAX) {
            self.asked_about.clone_from(name);
            match context.source.branch(&context.definition.source_repository, name).await {
                Ok(head) => confirmed.there.push((name.clone(), head)),
                Err(fault) if fault.kind == FaultKind::Absent || mutant::is_on("fault_read_as_branch_gone") => {
                    confirmed.gone.push(name.clone());
                }
                Err(fault) => {
                    // One that may pass is the source's, and the next one would fare no better.
                    let passing = matches!(fault.kind, FaultKind::Retry | FaultKind::Denied);
                    confirmed.fault.get_or_insert(fault);
                    if passing {
                        break;
                    }
                }
            }
        }
        confirmed
    }
}

/// The branches that are tombstones, and when each was buried, milliseconds since 1970.
async fn tombstones(context: &MirrorContext) -> Result<Vec<(String, u64)>, Ended> {
    let buried = context.look(|mirror| {
        let buried = |(name, branch): (&String, &Branch)| Some((name.clone(), branch.tombstone_ms?));
        mirror.branches.iter().filter_map(buried).collect()
    });
    Ok(buried.await?.unwrap_or_default())
}

impl Watch {
    /// Journals which branches were found twice in succession with another visibility than the journal's.
    async fn compare_visibility(
        &mut self,
        context: &MirrorContext,
        listed: &[BranchHead],
        known: &BTreeMap<String, Known>,
        plain: &BTreeSet<String>,
    ) -> Result<(), Turn> {
        self.compared = Some(context.clock.monotonic());
        let mut now = flipped(listed, known, plain);
        let twice: BTreeMap<String, bool> =
            now.iter().filter(|(name, hidden)| self.flipped.get(*name) == Some(hidden)).map(owned).collect();
        now.retain(|name, _| !twice.contains_key(name));
        self.flipped = now;
        if twice.is_empty() {
            return Ok(());
        }
        for fact in context.ask(MirrorCommand::ObserveVisibility(twice)).await? {
            if let Change::Branch { name: branch, change: BranchChange::VisibilityChanged { hidden } } = fact.change() {
                tracing::info!(
                    mirror = context.name(),
                    branch,
                    hidden,
                    "made again at the source with another visibility"
                );
            }
        }
        context.visibility.tick();
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
async fn known_branches(context: &MirrorContext) -> Result<Option<BTreeMap<String, Known>>, Ended> {
    context
        .look(|mirror| {
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
async fn identify(context: &MirrorContext) -> Result<String, Turn> {
    let repository = context.source.repository(&context.definition.source_repository).await?;
    let default_branch = repository.default_branch.clone();
    let source = Source {
        storage_namespace: repository.storage_namespace,
        default_branch: repository.default_branch,
        creation_date: repository.creation_date,
    };
    context.ask(MirrorCommand::IdentifySource(source)).await?;
    Ok(default_branch)
}

fn names(listing: &Listing) -> BTreeSet<String> {
    listing.heads.iter().map(|branch| branch.name.clone()).collect()
}

/// Which of the branches that are new are hidden: no field says so, only their absence from the plain listing. Where
/// something is wrong with that one, absence from it proves nothing: then they are not followed yet, and come out second.
fn new_hidden(
    listed: &[BranchHead],
    known: &BTreeMap<String, Known>,
    plain: Option<&Listing>,
) -> (BTreeSet<String>, BTreeSet<String>) {
    let Some(plain) = plain else { return Default::default() };
    let shown = names(plain);
    let new = listed.iter().filter(|branch| !known.contains_key(&branch.name));
    let absent = new.map(|branch| branch.name.clone()).filter(|name| !shown.contains(name)).collect();
    if plain.flaw.is_none() { (absent, BTreeSet::new()) } else { (BTreeSet::new(), absent) }
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

#[cfg(test)]
mod tests;
