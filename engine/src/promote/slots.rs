//! The slots that the moves and removals of one mirror share, and who may hold one.
//!
//! What is tried for the first time takes a slot of the common pool. What failed once takes from a small pool of its own
//! for each further attempt, and holds nothing while it waits for it: a branch that the destination refuses delays only
//! itself (I9), however many there are of them and however slowly each refusal comes.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::conditions::ConditionKind;
use crate::mirror::{Attempt, Ended, MirrorContext, Patience};
use crate::ownership::{ASK_AGAIN, Ownership};
use crate::ports::{Fault, FaultKind};

/// Attempts that may be under way at a time for what failed before.
const AGAIN_MAX: usize = 2;

/// The pools of one mirror.
pub(super) struct Slots {
    first: Arc<Semaphore>,
    again: Arc<Semaphore>,
}

impl Slots {
    /// Pools of which the common one has so many slots, at least one.
    pub(super) fn new(first: usize) -> Self {
        Self { first: Arc::new(Semaphore::new(first.max(1))), again: Arc::new(Semaphore::new(AGAIN_MAX)) }
    }
}

/// What one move or removal holds of the pools.
pub(super) struct Slot {
    slots: Arc<Slots>,
    held: Option<OwnedSemaphorePermit>,
    failed: bool,
}

impl Slot {
    /// Holds nothing yet.
    pub(super) fn new(slots: &Arc<Slots>) -> Self {
        Self { slots: Arc::clone(slots), held: None, failed: false }
    }

    /// Waits for a slot, unless one is held.
    ///
    /// # Errors
    /// [`Ended::Stopped`] when the work is stopped meanwhile.
    pub(super) async fn take(&mut self, context: &MirrorContext) -> Result<(), Ended> {
        if self.held.is_some() {
            return Ok(());
        }
        let pool = if self.failed { &self.slots.again } else { &self.slots.first };
        let permit = tokio::select! {
            biased;
            () = context.stop.cancelled() => return Err(Ended::Stopped),
            permit = Arc::clone(pool).acquire_owned() => permit.map_err(|_| Ended::Stopped)?,
        };
        self.held = Some(permit);
        Ok(())
    }

    /// Gives the slot back: nothing of this work is under way until [`Slot::take`].
    pub(super) fn release(&mut self) {
        self.held = None;
    }

    /// Gives the slot back because an attempt failed.
    pub(super) fn release_failed(&mut self) {
        (self.held, self.failed) = (None, true);
    }

    /// Gives the slot back because an attempt failed, and waits until it is time for the next.
    ///
    /// # Errors
    /// [`Ended::Stopped`].
    pub(super) async fn back_off(
        &mut self,
        context: &MirrorContext,
        kind: FaultKind,
        patience: &mut Patience,
    ) -> Result<(), Ended> {
        self.release_failed();
        context.wait_after(kind, patience).await
    }

    /// Returns with a slot once the repository is known to be ours.
    ///
    /// # Errors
    /// [`Ended`].
    pub(super) async fn assure(&mut self, context: &MirrorContext, ownership: &Ownership) -> Result<(), Ended> {
        self.take(context).await?;
        while !ownership.holds(context).await? {
            self.release_failed();
            context.pause(ASK_AGAIN).await?;
            self.take(context).await?;
        }
        Ok(())
    }

    /// As [`MirrorContext::insist`], with a slot during each call and none between two of them.
    ///
    /// # Errors
    /// [`Ended`].
    pub(super) async fn insist<T, F>(
        &mut self,
        context: &MirrorContext,
        about: &ConditionKind,
        mut call: impl FnMut() -> F,
    ) -> Result<Option<T>, Ended>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let mut patience = Patience::default();
        loop {
            self.take(context).await?;
            match context.attempt(about, call()).await? {
                Attempt::Answered(answer) => return Ok(answer),
                Attempt::Failed(kind) => self.back_off(context, kind, &mut patience).await?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::Loop;

    #[tokio::test]
    async fn what_failed_before_takes_nothing_of_what_was_not_tried_yet() {
        let context = Loop::that_has_read().await.context();
        let slots = Arc::new(Slots::new(1));
        let mut refused: Vec<Slot> = (0..10).map(|_| Slot::new(&slots)).collect();
        for slot in &mut refused {
            slot.take(&context).await.unwrap();
            slot.release_failed();
        }
        for slot in refused.iter_mut().take(AGAIN_MAX) {
            slot.take(&context).await.unwrap();
        }
        let mut fresh = Slot::new(&slots);
        fresh.take(&context).await.unwrap();
        assert!(fresh.held.is_some() && slots.again.available_permits() == 0);
    }
}
