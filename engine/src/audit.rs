//! The mirror's branches compared with where the journal left them: what somebody else moved, and what nobody knows.
//!
//! It reads the mirror, asks the source about heads that it cannot tell, and journals or notes what it finds; putting back
//! is a move like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lakemirror_core::ids::CommitId;
use lakemirror_core::mutant;
use lakemirror_journal::command::MirrorCommand;
use lakemirror_journal::event::Event;
use lakemirror_journal::state::branch::{Branch, Divergence};
use lakemirror_journal::state::mirror::{Mirror, Phase};
use lakemirror_journal::state::transition::{BranchChange, Change};

use crate::conditions::ConditionKind;
use crate::mirror::{Attempt, Ended, MirrorContext};
use crate::ownership::Ownership;

/// How often the branches are compared while all is well: what somebody else moves on a quiet mirror is found within a
/// minute, the time that the listing itself takes included.
pub const QUIET: Duration = Duration::from_secs(50);

/// How soon they are after a start, and how often while one has diverged.
pub const SOON: Duration = Duration::from_secs(15);

/// Every so many comparisons ask which branches are hidden, also where nothing says that one changed.
const VISIBILITY_EVERY: u32 = 10;

/// Compares again and again until stopped: soon after the start, once the source was listed, and then counted from the
/// last comparison, so that a busy mirror is compared as often as a quiet one.
///
/// # Errors
/// [`Ended`].
pub async fn run(context: &MirrorContext, ownership: &Ownership) -> Result<(), Ended> {
    let mut audit = Audit::default();
    let mut changes = context.visibility.ticks();
    let mut interval = SOON;
    loop {
        tokio::select! {
            biased;
            () = context.stop.cancelled() => return Err(Ended::Stopped),
            () = changes.changed() => audit.since_visibility = None,
            () = context.clock.sleep(interval) => {}
        }
        context.leased().await?;
        audit.compare(context, ownership).await?;
        let diverged =
            context.look(|mirror| mirror.branches.values().any(|branch| branch.diverged().is_some())).await?;
        interval = if diverged == Some(true) || audit.since_visibility.is_none() { SOON } else { QUIET };
    }
}

/// What one comparison leaves to the next.
#[derive(Default)]
struct Audit {
    /// Branches that neither the source nor the journal knows.
    strangers: BTreeSet<String>,
    /// Comparisons since that which looked at visibility, too; none where the next one is to.
    since_visibility: Option<u32>,
}

impl Audit {
    /// Compares the mirror's branches with where the journal left them.
    async fn compare(&mut self, context: &MirrorContext, ownership: &Ownership) -> Result<(), Ended> {
        let ready = context.look(|mirror| mirror.phase == Phase::Ready).await?;
        if ready != Some(true) || !ownership.look(context).await? {
            return Ok(());
        }
        // What is moved while the listing is under way is not compared: it may show the branch as it was before.
        let before = context.look(resting).await?.unwrap_or_default();
        // Before the whole listing: what is in that and not in this one is hidden, or was made in between by somebody else.
        let plain = match self.since_visibility.filter(|since| *since < VISIBILITY_EVERY) {
            Some(_) => None,
            None => context.mirror.branches(context.name(), false).await.ok(),
        };
        let Ok(listed) = context.mirror.branches(context.name(), true).await else { return Ok(()) };
        let listed: BTreeMap<String, CommitId> = listed.into_iter().map(|branch| (branch.name, branch.head)).collect();
        note_strangers(context, &listed, &mut self.strangers).await?;
        let (rest, shown) = (before.clone(), listed.clone());
        let ours = context.look(move |mirror| compare(mirror, &rest, &shown)).await?;
        follow(context, ours.unwrap_or_default()).await?;
        self.since_visibility = self.since_visibility.map(|since| since + 1);
        if let Some(plain) = plain {
            let plain: BTreeSet<String> = plain.into_iter().map(|branch| branch.name).collect();
            let others = context.look(move |mirror| of_other_visibility(mirror, &before, &listed, &plain)).await?;
            self.since_visibility = remake(context, others.unwrap_or_default()).await?.then_some(0);
        }
        Ok(())
    }
}

async fn follow(context: &MirrorContext, ours: Vec<Compared>) -> Result<(), Ended> {
    let mut source_answers = true;
    for compared in ours {
        let Compared { branch, found, ours, divergence, is_unknown_head } = compared;
        match (found, divergence) {
            (Some(found), Some(Divergence { .. })) if Some(found) == ours => {
                drop(context.ask(MirrorCommand::Adopt { branch, found }).await?)
            }
            // Where the source does not answer one question it is not asked the others now.
            (Some(found), _) if is_unknown_head => {
                source_answers = source_answers && solve(context, branch, found).await?
            }
            // Also that what others made where nothing of ours is has gone again.
            (found, divergence) if found != ours || divergence.is_some() => diverged(context, branch, found).await?,
            _ => {}
        }
    }
    Ok(())
}

/// The branches that rest where the journal left them, and are hidden although the source's are not, or the reverse:
/// each with whether it is hidden on the mirror.
fn of_other_visibility(
    mirror: &Mirror,
    before: &BTreeMap<String, Rest>,
    listed: &BTreeMap<String, CommitId>,
    plain: &BTreeSet<String>,
) -> Vec<(String, bool)> {
    let rests = resting(mirror);
    let same = |name: &String| before.get(name) == rests.get(name);
    let ours = mirror.branches.iter().filter(|(name, branch)| {
        branch.mirror.is_some()
            && branch.mirror.as_ref() == listed.get(*name)
            && rests.contains_key(*name)
            && same(name)
    });
    let other = ours.filter(|(name, branch)| branch.hidden == plain.contains(*name));
    other.map(|(name, branch)| (name.clone(), !branch.hidden)).collect()
}

/// Has them deleted and created again, where that can be done now. Whether none is left to be.
async fn remake(context: &MirrorContext, others: Vec<(String, bool)>) -> Result<bool, Ended> {
    let none = others.is_empty();
    for (branch, hidden) in others {
        let facts = context.ask(MirrorCommand::Remake { branch: branch.clone(), hidden }).await?;
        let is_begun = |change| matches!(change, Change::Branch { change: BranchChange::RemakeStarted { .. }, .. });
        if facts.iter().map(Event::change).any(is_begun) {
            tracing::info!(
                mirror = context.name(),
                branch,
                hidden = !hidden,
                "deleted and created again at its head: lakeFS cannot change whether a branch is hidden"
            );
        }
    }
    Ok(none)
}

/// Where this journal left a branch and when, and where it was found since.
type Rest = (Option<CommitId>, u64, Option<Divergence>);

/// The branches that nothing is done to.
fn resting(mirror: &Mirror) -> BTreeMap<String, Rest> {
    let resting = mirror.branches.iter().filter(|(_, branch)| branch.moving.is_none() && !branch.removing);
    resting.map(|(name, branch)| (name.clone(), (branch.mirror, branch.moved_ms, branch.divergence))).collect()
}

/// The branches that rest as they did before the listing was asked for, with what it shows.
fn compare(mirror: &Mirror, before: &BTreeMap<String, Rest>, listed: &BTreeMap<String, CommitId>) -> Vec<Compared> {
    let after = resting(mirror);
    let same = |name: &&String| mutant::is_on("moved_meanwhile_compared") || before.get(*name) == after.get(*name);
    let known = after.keys().filter(same).filter_map(|name| Some((name, mirror.branches.get(name)?)));
    let known = known.filter(|(_, branch)| branch.mirror.is_some() || branch.divergence.is_some());
    known.map(|(name, branch)| Compared::of(mirror, name, branch, listed.get(name).copied())).collect()
}

/// A branch where it was found, and where it may be.
struct Compared {
    branch: String,
    found: Option<CommitId>,
    ours: Option<CommitId>,
    divergence: Option<Divergence>,
    /// Whether it stands newly where this journal has made nothing and knows of nothing, and an earlier one may have.
    is_unknown_head: bool,
}

impl Compared {
    fn of(mirror: &Mirror, name: &str, branch: &Branch, found: Option<CommitId>) -> Self {
        let unmade = branch.mirror.is_none() && found.is_some();
        // Where this journal has made nothing, an earlier one may have made what stands at a commit of the source.
        let known = found.is_some_and(|head| mirror.graph.get(&head).is_some());
        let news = branch.divergence.is_none_or(|divergence| divergence.found != found);
        Self {
            branch: name.to_owned(),
            found,
            ours: if unmade && known { found } else { branch.mirror },
            divergence: branch.divergence,
            is_unknown_head: unmade
                && !known
                && news
                && mirror.adopted_ms.is_some()
                && !mutant::is_on("earlier_heads_unasked"),
        }
    }
}

/// Asks the source whether it has the commit at which a branch was found: then an earlier journal left it there. Where
/// the source does not answer, the next comparison asks again. False then.
async fn solve(context: &MirrorContext, branch: String, found: CommitId) -> Result<bool, Ended> {
    let about = ConditionKind::Branch(branch.clone());
    let call = context.source.commit(&context.definition.source_repository, &found);
    let Attempt::Answered(answer) = context.attempt(&about, call).await? else { return Ok(false) };
    if let Some(record) = answer {
        context.ask(MirrorCommand::ObserveCommits(vec![record])).await?;
        context.ask(MirrorCommand::Adopt { branch, found }).await?;
    } else {
        diverged(context, branch, Some(found)).await?;
    }
    Ok(true)
}

/// Journals where somebody else has the branch, and says so once for each place where it is found.
async fn diverged(context: &MirrorContext, branch: String, found: Option<CommitId>) -> Result<(), Ended> {
    let facts = context.ask(MirrorCommand::Diverged { branch: branch.clone(), found }).await?;
    let expected = facts.iter().find_map(|fact| match fact.change() {
        Change::Branch { change: BranchChange::Diverged { expected, .. }, .. } => Some(expected),
        _ => None,
    });
    if let Some(expected) = expected.filter(|expected| *expected != found) {
        let show = |id: Option<CommitId>| id.map_or("nothing".to_owned(), |id| id.to_string());
        tracing::warn!(
            mirror = context.name(),
            branch,
            found = show(found),
            expected = show(expected),
            "somebody else changed the mirror's branch: it is left alone; promotion.on_divergence: restore would put it back"
        );
    }
    Ok(())
}

/// Says which branches are on the mirror that neither the source nor the journal knows: somebody else made them, or an
/// earlier journal that is lost. They are left alone.
async fn note_strangers(
    context: &MirrorContext,
    listed: &BTreeMap<String, CommitId>,
    strangers: &mut BTreeSet<String>,
) -> Result<(), Ended> {
    let Some(known) = context.look(|mirror| mirror.branches.keys().cloned().collect::<BTreeSet<_>>()).await? else {
        return Ok(());
    };
    let now: BTreeSet<String> = listed.keys().filter(|name| !known.contains(*name)).cloned().collect();
    for gone in strangers.difference(&now) {
        context.conditions.clear(context.name(), &ConditionKind::Branch(gone.clone()));
    }
    for name in &now {
        let text = format!(
            "branch {name} of the mirror is none of the source's and not known to this journal: it is left alone; \
             what it shows may be nowhere else"
        );
        context.conditions.note(context.name(), ConditionKind::Branch(name.clone()), text);
    }
    *strangers = now;
    Ok(())
}

#[cfg(test)]
mod tests;
