//! The only home of business rules: `decide` turns a command into facts, or refuses. Pure and synchronous.
//!
//! It reads the state and the command and nothing else. Facts come out in the order in which they are to be applied;
//! none means that nothing changed. The files below are grouped as the engine's stages are.

mod evidence;
mod observe;
mod promote;
mod repository;
mod upkeep;
mod verify;

use crate::command::{Ask, Command};
use crate::event::{Event, JournalRecoveredV1, ServiceStartedV1};
use crate::ids::Incarnation;
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
    /// The command would break a rule.
    #[error("{0}")]
    Rule(String),
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
            let mut events = vec![Event::ServiceStarted(ServiceStartedV1 { writer_epoch, software, at_ms })];
            if !recovery.is_empty() {
                events.push(Event::JournalRecovered(JournalRecoveredV1 { text: recovery, at_ms }));
            }
            if policy != state.policy {
                events.push(Event::PolicySet(policy.event()));
            }
            events.extend(repository::half_removed(state, at_ms));
            Ok(events)
        }
        Command::Upkeep { step, at_ms } => upkeep::step(state, step, at_ms),
        Command::Mirror { mirror: id, ask: Ask::Define(definition), at_ms } => {
            Ok(repository::define(state, id, definition, at_ms))
        }
        Command::Mirror { mirror: id, ask, at_ms } => {
            let mirror = state.mirror(&id).ok_or(Refused::UnknownMirror(id))?;
            decide_about(&Case { state, mirror, id, at_ms }, ask)
        }
    }
}

/// Until when the move of a branch that is under way may be carried out on the evidence that there is, milliseconds since
/// 1970; none where none is under way. After that, [`Ask::Reconsider`] decides about it.
#[must_use]
pub fn counts_until(state: &State, mirror: &Mirror, branch: &str) -> Option<u64> {
    let under_way = mirror.branches.get(branch)?.moving?;
    Some(evidence::counts_until(state, mirror, &under_way))
}

fn decide_about(case: &Case<'_>, ask: Ask) -> Result<Vec<Event>, Refused> {
    match ask {
        Ask::Define(_) => Ok(Vec::new()),
        Ask::Take { epoch, resumed, before } => Ok(repository::take(case, epoch, resumed, before)),
        Ask::IdentifySource(source) => Ok(repository::identify(case, source)),
        Ask::IntendRepository => Ok(repository::intend(case)),
        Ask::RepositoryReady { adopted } => Ok(repository::ready(case, adopted)),
        Ask::NoteTrouble(text) => Ok(repository::trouble(case, text)),
        Ask::StartDeletion => Ok(repository::start_deletion(case)),
        Ask::Gone => repository::gone(case),
        Ask::Published(number) => Ok(repository::published(case, number)),
        Ask::ObserveBranches { listed, hidden, proven_gone } => observe::branches(case, listed, &hidden, proven_gone),
        Ask::ObserveCommits(records) => Ok(observe::commits(case, &records)),
        Ask::PlanRemovals { proven_gone } => Ok(observe::removals(case, &proven_gone)),
        Ask::FinishRemoval { branch } => observe::finish_removal(case, branch),
        Ask::ReadMetarange { metarange, ranges } => Ok(verify::metarange(case, metarange, &ranges)),
        Ask::ReadRange(read) => verify::range(case, read),
        Ask::CheckArrivals(batches) => verify::arrivals(case, batches),
        Ask::ProbeSource(probed) => verify::probes(case, probed),
        Ask::PlanMoves => Ok(promote::plan(case)),
        Ask::Scrub => Ok(promote::scrub(case)),
        Ask::RecordsWritten(commits) => promote::records(case, commits),
        Ask::Reconsider { branch } => promote::reconsider(case, branch),
        Ask::FinishMove { branch } => promote::finish(case, branch),
        Ask::Diverged { branch, found } => promote::diverged(case, branch, found),
        Ask::Adopt { branch, found } => promote::adopt(case, branch, found),
    }
}
