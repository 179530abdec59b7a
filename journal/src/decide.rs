//! The only home of business rules: `decide` turns a command into facts, or refuses. Pure and synchronous.
//!
//! It reads the state and the command and nothing else. Facts come out in the order in which they are to be applied;
//! none means that nothing changed. The files below are grouped as the engine's stages are.

mod evidence;
mod hold;
mod observe;
mod promote;
mod repository;
mod upkeep;
mod verify;

pub use repository::KEEP_AS_IT_IS;

use crate::command::{Command, MirrorCommand};
use crate::event::{Event, JournalRecoveredV1, ServiceStartedV1};
use crate::ids::Incarnation;
use crate::limits::{NAME_BYTES_MAX, TEXT_BYTES_MAX, clipped};
use crate::state::State;
use crate::state::mirror::Mirror;

/// A command that does not fit the state. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The mirror is not known, or is gone.
    #[error("mirror {0} is not in the journal")]
    UnknownMirror(Incarnation),
    /// The branch is not known.
    #[error("branch {0} is not in the journal")]
    UnknownBranch(String),
    /// A fact would be larger than a record of the journal can be.
    #[error("a fact {fact} of {bytes} bytes is more than the {max} that a record of the journal holds")]
    TooLarge {
        /// The fact's name.
        fact: &'static str,
        /// Its size.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// The command would break a rule.
    #[error("{0}")]
    Rule(String),
}

/// The longest account of what opening the journal had to mend, in bytes.
const RECOVERY_BYTES_MAX: usize = 128 * 1024;

/// A name from outside, if a fact can hold it.
fn named(what: &str, name: &str) -> Result<(), Refused> {
    if name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    let (bytes, begins) = (name.len(), clipped(name.to_owned(), 100));
    Err(Refused::Rule(format!("{what} {begins:?} has {bytes} bytes, more than the {NAME_BYTES_MAX} of a fact")))
}

/// What one decision may look at.
struct Case<'a> {
    state: &'a State,
    mirror: &'a Mirror,
    id: Incarnation,
    at_ms: u64,
}

/// The facts that follow from a command.
///
/// # Errors
/// [`Refused`] when the command does not fit the state.
pub fn decide(state: &State, command: Command) -> Result<Vec<Event>, Refused> {
    match command {
        Command::Start { writer_epoch, software, policy, recovery, at_ms } => {
            let (software, recovery) = (clipped(software, TEXT_BYTES_MAX), clipped(recovery, RECOVERY_BYTES_MAX));
            let mut events = vec![Event::ServiceStarted(ServiceStartedV1 { writer_epoch, software, at_ms })];
            if !recovery.is_empty() {
                events.push(Event::JournalRecovered(JournalRecoveredV1 { text: recovery, at_ms }));
            }
            if policy != state.policy {
                events.push(Event::PolicySetV2(policy.event()));
            }
            events.extend(repository::half_removed(state, at_ms));
            Ok(events)
        }
        Command::Upkeep { step, at_ms } => upkeep::step(state, step, at_ms),
        Command::Mirror { mirror: id, ask: MirrorCommand::Define(definition), at_ms } => {
            repository::define(state, id, definition, at_ms)
        }
        Command::Mirror { mirror: id, ask, at_ms } => {
            let mirror = state.mirror(&id).ok_or(Refused::UnknownMirror(id))?;
            decide_about(&Case { state, mirror, id, at_ms }, ask)
        }
    }
}

/// Until when the move of a branch that is under way may be carried out on the evidence that there is, by a clock that
/// says `now_ms`, milliseconds since 1970: 0 where it may not, also because the branch is gone at the source, so that a move
/// that the destination refuses does not hold its removal up; none where none is under way. After that,
/// [`MirrorCommand::Reconsider`] decides about it.
#[must_use]
pub fn counts_until(state: &State, mirror: &Mirror, branch: &str, now_ms: u64) -> Option<u64> {
    let branch = mirror.branches.get(branch)?;
    let under_way = branch.moving?;
    if branch.tombstone_ms.is_some() {
        return Some(0);
    }
    Some(evidence::counts_until(state, mirror, &under_way, now_ms))
}

fn decide_about(case: &Case<'_>, ask: MirrorCommand) -> Result<Vec<Event>, Refused> {
    match ask {
        MirrorCommand::Define(_) => Ok(Vec::new()),
        MirrorCommand::Take { epoch, resumed, before } => Ok(repository::take(case, epoch, resumed, before)),
        MirrorCommand::IdentifySource(source) => repository::identify(case, source),
        MirrorCommand::IntendRepository => Ok(repository::intend(case)),
        MirrorCommand::RepositoryReady { adopted } => Ok(repository::ready(case, adopted)),
        MirrorCommand::Raise { condition, text } => Ok(repository::raise(case, condition, text)),
        MirrorCommand::Resolve(condition) => Ok(repository::resolve(case, condition)),
        MirrorCommand::StartDeletion => Ok(repository::start_deletion(case)),
        MirrorCommand::Gone => repository::gone(case),
        MirrorCommand::Published(number) => Ok(repository::published(case, number)),
        MirrorCommand::ObserveBranches { listed, hidden, proven_gone } => {
            observe::branches(case, listed, &hidden, proven_gone)
        }
        MirrorCommand::ObserveVisibility(changed) => Ok(observe::visibility(case, changed)),
        MirrorCommand::Remake { branch, hidden } => promote::remake(case, branch, hidden),
        MirrorCommand::ApproveDeletions { branches, by } => Ok(hold::approve(case, &branches, &by)),
        MirrorCommand::ObserveCommits(records) => Ok(observe::commits(case, &records)),
        MirrorCommand::PlanRemovals { proven_gone } => Ok(observe::removals(case, &proven_gone)),
        MirrorCommand::FinishRemoval { branch } => observe::finish_removal(case, branch),
        MirrorCommand::ReadMetarange { metarange, ranges } => Ok(verify::metarange(case, metarange, &ranges)),
        MirrorCommand::ReadRange(read) => verify::range(case, read),
        MirrorCommand::CheckArrivals(batches) => verify::arrivals(case, batches),
        MirrorCommand::ProbeSource(probed) => verify::probes(case, probed),
        MirrorCommand::PlanMoves => Ok(promote::plan(case)),
        MirrorCommand::Scrub => Ok(promote::scrub(case)),
        MirrorCommand::RecordsWritten(commits) => promote::records(case, commits),
        MirrorCommand::Reconsider { branch } => promote::reconsider(case, branch),
        MirrorCommand::FinishMove { branch } => promote::finish(case, branch),
        MirrorCommand::Diverged { branch, found } => promote::diverged(case, branch, found),
        MirrorCommand::Adopt { branch, found } => promote::adopt(case, branch, found),
    }
}
