//! The mirror's branches compared with where the journal left them: what somebody else moved, and what nobody knows.
//!
//! It reads the mirror, asks the source about heads that it cannot tell, and journals or notes what it finds; putting back
//! is a move like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lakemirror_journal::command::Ask;
use lakemirror_journal::event::Event;
use lakemirror_journal::ids::CommitId;
use lakemirror_journal::mutant;
use lakemirror_journal::state::branch::{Branch, Divergence};
use lakemirror_journal::state::mirror::{Mirror, Phase};

use crate::engine::board::Subject;
use crate::engine::mirror::{Ended, Patience, Site};
use crate::engine::ownership::Ownership;

/// How often the branches are compared while all is well: what somebody else moves on a quiet mirror is found within a
/// minute, the time that the listing itself takes included.
pub const QUIET: Duration = Duration::from_secs(50);

/// How soon they are after a start, and how often while one has diverged.
pub const SOON: Duration = Duration::from_secs(15);

/// Compares again and again until stopped: soon after the start, once the source was listed, and then counted from the
/// last comparison, so that a busy mirror is compared as often as a quiet one.
///
/// # Errors
/// [`Ended`].
pub async fn run(site: &Site, ownership: &Ownership) -> Result<(), Ended> {
    let mut strangers = BTreeSet::new();
    let mut interval = SOON;
    loop {
        site.pause(interval).await?;
        site.leased().await?;
        audit(site, ownership, &mut strangers).await?;
        let diverged = site.look(|mirror| mirror.branches.values().any(|branch| branch.strayed().is_some())).await?;
        interval = if diverged == Some(true) { SOON } else { QUIET };
    }
}

/// Compares the mirror's branches with where the journal left them.
///
/// # Errors
/// [`Ended`].
pub async fn audit(site: &Site, ownership: &Ownership, strangers: &mut BTreeSet<String>) -> Result<(), Ended> {
    let ready = site.look(|mirror| mirror.phase == Phase::Ready).await?;
    if ready != Some(true) || !ownership.look(site).await? {
        return Ok(());
    }
    // What is moved while the listing is under way is not compared: it may show the branch as it was before.
    let before = site.look(resting).await?.unwrap_or_default();
    let Ok(listed) = site.mirror.branches(site.name(), true).await else { return Ok(()) };
    let listed: BTreeMap<String, CommitId> = listed.into_iter().map(|branch| (branch.name, branch.head)).collect();
    note_strangers(site, &listed, strangers).await?;
    let ours = site.look(move |mirror| compare(mirror, &before, &listed)).await?;
    for compared in ours.unwrap_or_default() {
        let Compared { branch, found, ours, divergence, is_riddle } = compared;
        match (found, divergence) {
            (Some(found), Some(Divergence { .. })) if Some(found) == ours => {
                drop(site.ask(Ask::Adopt { branch, found }).await?)
            }
            (Some(found), _) if is_riddle => solve(site, branch, found).await?,
            // Also that what others made where nothing of ours is has gone again.
            (found, divergence) if found != ours || divergence.is_some() => diverged(site, branch, found).await?,
            _ => {}
        }
    }
    Ok(())
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
    is_riddle: bool,
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
            is_riddle: unmade
                && !known
                && news
                && mirror.adopted_ms.is_some()
                && !mutant::is_on("earlier_heads_unasked"),
        }
    }
}

/// Asks the source whether it has the commit at which a branch was found: then an earlier journal left it there. Where
/// the source does not answer, the next comparison asks again.
async fn solve(site: &Site, branch: String, found: CommitId) -> Result<(), Ended> {
    let subject = Subject::Branch(branch.clone());
    let call = site.source.commit(&site.definition.source_repository, &found);
    let Some(answer) = site.try_once(&subject, call, &mut Patience::default()).await? else { return Ok(()) };
    if let Some(record) = answer {
        site.ask(Ask::ObserveCommits(vec![record])).await?;
        site.ask(Ask::Adopt { branch, found }).await?;
    } else {
        diverged(site, branch, Some(found)).await?;
    }
    Ok(())
}

/// Journals where somebody else has the branch, and says so once for each place where it is found.
async fn diverged(site: &Site, branch: String, found: Option<CommitId>) -> Result<(), Ended> {
    let facts = site.ask(Ask::Diverged { branch: branch.clone(), found }).await?;
    let expected = facts.iter().find_map(|fact| match fact {
        Event::BranchDiverged(fact) => Some(fact.expected),
        _ => None,
    });
    if let Some(expected) = expected.filter(|expected| *expected != found) {
        let show = |id: Option<CommitId>| id.map_or("nothing".to_owned(), |id| id.to_string());
        tracing::warn!(
            mirror = site.name(),
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
    site: &Site,
    listed: &BTreeMap<String, CommitId>,
    strangers: &mut BTreeSet<String>,
) -> Result<(), Ended> {
    let Some(known) = site.look(|mirror| mirror.branches.keys().cloned().collect::<BTreeSet<_>>()).await? else {
        return Ok(());
    };
    let now: BTreeSet<String> = listed.keys().filter(|name| !known.contains(*name)).cloned().collect();
    for gone in strangers.difference(&now) {
        site.board.clear(site.name(), &Subject::Branch(gone.clone()));
    }
    for name in &now {
        let text = format!(
            "branch {name} of the mirror is none of the source's and not known to this journal: it is left alone; \
             delete it if nobody needs it"
        );
        site.board.note(site.name(), Subject::Branch(name.clone()), text);
    }
    *strangers = now;
    Ok(())
}

#[cfg(test)]
mod tests {
    use lakemirror_journal::command::Command;
    use lakemirror_journal::decide::decide;
    use lakemirror_journal::event::{BranchAdoptedV1, MoveFinishedV1};
    use lakemirror_journal::ids::Incarnation;
    use lakemirror_journal::state::State;
    use lakemirror_journal::state::mirror::Definition;

    use super::*;

    const ID: Incarnation = Incarnation([7; 16]);
    const A: CommitId = CommitId([1; 32]);
    const B: CommitId = CommitId([2; 32]);

    fn ask(state: &mut State, ask: Ask) {
        for event in decide(state, Command::Mirror { mirror: ID, ask, at_ms: 1 }).unwrap() {
            state.apply(&event);
        }
    }

    #[test]
    fn a_branch_that_moved_while_it_was_listed_is_not_compared() {
        let mut state = State::default();
        let text = String::from;
        ask(
            &mut state,
            Ask::Define(Definition {
                name: text("m"),
                source_repository: text("s"),
                source_region: text("east"),
                region: text("west"),
                storage_namespace: text("s3://west/s"),
                created_ms: 1,
            }),
        );
        let (listed, hidden, branch) = (vec![(text("main"), B)], BTreeSet::new(), text("main"));
        ask(&mut state, Ask::ObserveBranches { listed, hidden, proven_gone: Vec::new() });
        state.apply(&Event::BranchAdopted(BranchAdoptedV1 { mirror: ID, branch, found: A, at_ms: 1 }));
        let rests = |state: &State| resting(state.mirror(&ID).unwrap());
        let (before, shown, branch) = (rests(&state), BTreeMap::from([(text("main"), A)]), text("main"));
        let moved = MoveFinishedV1 { mirror: ID, branch, from: Some(A), to: B, seen: 1, at_ms: 2 };
        state.apply(&Event::MoveFinished(moved));
        let compared = |before| compare(state.mirror(&ID).unwrap(), before, &shown).len();
        assert_eq!((compared(&before), compared(&rests(&state))), (0, 1));
    }
}
