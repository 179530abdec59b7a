//! Whether a move under way may still be carried out: looked at before every call that changes something for it.
//!
//! Owns when to ask, and what is looked at before a move may be given up; whether it is, the journal decides. An answer
//! says how long it counts, so that a move that is carried out at once costs one look.

use std::time::Duration;

use lakemirror_core::ids::CommitId;
use lakemirror_journal::command::MirrorCommand;
use lakemirror_journal::decide::counts_until;
use lakemirror_journal::state::branch::Move;

use super::slots::Slot;
use crate::conditions::ConditionKind;
use crate::lease::IN_FLIGHT_MAX;
use crate::mirror::{Attempt, Ended, MirrorContext, Patience};
use crate::ownership::Ownership;
use crate::ports::Fault;

/// How a call for a move ended.
pub(super) enum Done<T> {
    /// It was answered; none where what it is about is not there.
    Answered(Option<T>),
    /// It was not made any more: the move was given up.
    GivenUp,
}

/// The evidence guard of one move.
pub(super) struct EvidenceGuard<'a> {
    context: &'a MirrorContext,
    branch: &'a str,
    under_way: Move,
    /// Whether the repository still is ours; asked again before a call when the last answer is old.
    ownership: &'a Ownership,
    /// Until when the last answer counts, by the wall clock and by the one that nobody sets; none before the first.
    until: Option<(u64, Duration)>,
    /// What each of its calls takes, and what others wait for.
    slot: Slot,
    /// The branch was found where it goes: what is left of the move shows nothing new.
    arrived: bool,
}

impl<'a> EvidenceGuard<'a> {
    pub(super) fn new(
        context: &'a MirrorContext,
        branch: &'a str,
        under_way: Move,
        ownership: &'a Ownership,
        slot: Slot,
    ) -> Self {
        Self { context, branch, under_way, ownership, until: None, slot, arrived: false }
    }

    /// Returns once the repository is known to be ours.
    ///
    /// # Errors
    /// [`Ended`].
    pub(super) async fn assure(&mut self) -> Result<(), Ended> {
        self.slot.assure(self.context, self.ownership).await
    }

    /// Where the branch is on the mirror.
    ///
    /// # Errors
    /// [`Ended`].
    pub(super) async fn read_head(&mut self) -> Result<Option<CommitId>, Ended> {
        let (context, branch) = (self.context, self.branch);
        let about = ConditionKind::Branch(branch.to_owned());
        self.slot.insist(context, &about, || context.mirror.branch(context.name(), branch)).await
    }

    /// Waits with nothing held that others wait for: something did not go as it should.
    ///
    /// # Errors
    /// [`Ended`].
    pub(super) async fn pause(&mut self, duration: Duration) -> Result<(), Ended> {
        self.slot.release_failed();
        self.context.pause(duration).await
    }

    /// Whether the move may be carried out now. If not, it was given up, or it is not under way any more.
    async fn holds(&mut self) -> Result<bool, Ended> {
        loop {
            let (now_ms, now) = (self.context.clock.wall_ms(), self.context.clock.monotonic());
            if self.arrived || self.until.is_some_and(|(until_ms, until)| now_ms <= until_ms && now <= until) {
                return Ok(true);
            }
            match self.look(now_ms).await? {
                None => return Ok(false),
                Some(until_ms) if now_ms <= until_ms => {
                    let left = Duration::from_millis(until_ms.saturating_sub(now_ms));
                    self.until = Some((until_ms, now.saturating_add(left)));
                }
                Some(_) => self.reconsider().await?,
            }
        }
    }

    /// Until when the journal lets the move be carried out, by a clock that says `now_ms`; none where it is not under way.
    async fn look(&self, now_ms: u64) -> Result<Option<u64>, Ended> {
        let (id, branch, under_way) = (self.context.definition.incarnation, self.branch.to_owned(), self.under_way);
        let until = self.context.recorder.read(move |state| {
            let mirror = state.mirror(&id)?;
            let same = mirror.branches.get(&branch)?.moving == Some(under_way);
            same.then(|| counts_until(state, mirror, &branch, now_ms)).flatten()
        });
        until.await.map_err(|_| Ended::Journal)
    }

    /// Its evidence is too old. A call that this run or one before it has sent may still be on its way: once none can be
    /// any more, the branch is where that left it. A move that has arrived is finished; another one is the journal's to
    /// give up.
    async fn reconsider(&mut self) -> Result<(), Ended> {
        self.slot.release();
        self.context.pause(IN_FLIGHT_MAX).await?;
        if self.read_head().await? == Some(self.under_way.to) {
            self.arrived = true;
            return Ok(());
        }
        if !self.context.ask(MirrorCommand::Reconsider { branch: self.branch.to_owned() }).await?.is_empty() {
            let (mirror, branch, to) = (self.context.name(), self.branch, self.under_way.to);
            tracing::info!(mirror, branch, %to, "not promoted: the evidence had become too old, it is looked for again");
        }
        Ok(())
    }

    /// As [`MirrorContext::insist`], with a look at the evidence_guard before each call.
    ///
    /// # Errors
    /// [`Ended`].
    pub(super) async fn insist<T, F>(
        &mut self,
        about: &ConditionKind,
        mut call: impl FnMut() -> F,
    ) -> Result<Done<T>, Ended>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let mut patience = Patience::default();
        loop {
            self.assure().await?;
            if !self.holds().await? {
                break;
            }
            match self.context.attempt(about, call()).await? {
                Attempt::Answered(answer) => return Ok(Done::Answered(answer)),
                Attempt::Failed(kind) => self.slot.back_off(self.context, kind, &mut patience).await?,
            }
            // What was looked at before the wait is looked at again.
            self.until = None;
        }
        self.context.conditions.clear(self.context.name(), about);
        Ok(Done::GivenUp)
    }
}
