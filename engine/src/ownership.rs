//! Whether the mirror repository still is ours: asked before anything is written to it.
//!
//! A repository that was deleted behind our back, or replaced by another of its name, is never written to. The answer
//! counts for some seconds, so that a busy mirror costs one question in that time and a quiet one none.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lakemirror_core::mutant;
use lakemirror_journal::command::MirrorCommand;
use lakemirror_journal::state::condition::MirrorCondition;

use crate::conditions::ConditionKind;
use crate::mirror::{Ended, MirrorContext};
use crate::repository::MARK;

/// How long an answer counts.
const ANSWER_COUNTS: Duration = Duration::from_secs(10);

/// How soon is asked again while the repository is not ours.
pub const ASK_AGAIN: Duration = Duration::from_secs(10);

/// When the repository was last seen to be ours, on the monotonic clock.
#[derive(Debug, Default)]
pub struct Ownership(Mutex<Option<Duration>>);

impl Ownership {
    /// Whether the repository is known to be ours; says so where it is not. To be asked again after [`ASK_AGAIN`].
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn holds(&self, context: &MirrorContext) -> Result<bool, Ended> {
        Ok(mutant::is_on("ownership_unasked") || self.is_fresh(context) || self.look(context).await?)
    }

    /// Asks once, and notes what came of it.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn look(&self, context: &MirrorContext) -> Result<bool, Ended> {
        let metadata = context.insist(&ConditionKind::Repository, || context.mirror.metadata(context.name())).await?;
        let (condition, what) = match metadata.as_ref().map(|metadata| metadata.get(MARK)) {
            Some(Some(mark)) if *mark == context.definition.incarnation.to_string() => {
                self.set(Some(context.clock.monotonic()));
                for condition in [MirrorCondition::RepositoryMissing, MirrorCondition::RepositoryReplaced] {
                    resolve(context, condition).await?;
                }
                return Ok(true);
            }
            Some(_) => (
                MirrorCondition::RepositoryReplaced,
                "the mirror repository was replaced by another one of its name, which is left alone: what was mirrored is not shown any more, and nothing goes on; \
                 put it back if it still is somewhere, or create a mirror of another name; deleting this mirror deletes no repository that it does not own, \
                 and ends its history",
            ),
            None => (
                MirrorCondition::RepositoryMissing,
                "the mirror repository was deleted by somebody else: what was mirrored is not shown any more, and nothing goes on; the objects are still there. \
                 Create a mirror of another name to mirror the source again; branches and commits that the source has no more are known \
                 only to the journal of this mirror (`lakemirror journal heads`), and deleting this mirror ends that history",
            ),
        };
        self.forget();
        context.ask(MirrorCommand::Raise { condition, text: what.to_owned() }).await?;
        Ok(false)
    }

    /// The next question is asked at once: something was not there that should have been.
    pub fn forget(&self) {
        self.set(None);
    }

    fn set(&self, seen: Option<Duration>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    fn is_fresh(&self, context: &MirrorContext) -> bool {
        let seen = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.is_some_and(|seen| context.clock.monotonic().saturating_sub(seen) < ANSWER_COUNTS)
    }
}

/// Resolves a condition that holds; asks the journal for nothing else.
pub(crate) async fn resolve(context: &MirrorContext, condition: MirrorCondition) -> Result<(), Ended> {
    let holds = context.look(move |mirror| mirror.condition(condition).is_some()).await?;
    if holds == Some(true) {
        context.ask(MirrorCommand::Resolve(condition)).await?;
    }
    Ok(())
}
