//! What a fact changes, in the state's own terms: the one interpretation of events that everything else is told.
//!
//! [`State::observe`] applies a fact and hands its [`Transition`] out: the fact's own values, and those of the state
//! before it that it replaces. Whoever follows a journal (its evidence, its reflog) keeps what it is told and has no rules
//! of its own about what an event means.

use super::State;
use super::branch::{Branch, Move};
use super::mirror::{Definition, Mirror};
use super::policy::Policy;
use crate::event::*;
use crate::ids::{CommitId, Incarnation};

/// What one fact about a mirror changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition<'a> {
    /// Which mirror.
    pub mirror: Incarnation,
    /// When, by the fact; milliseconds since 1970.
    pub at_ms: u64,
    /// Whether the state took it. One about a mirror or a branch that the state does not know changes nothing.
    pub is_applied: bool,
    /// What.
    pub change: Change<'a>,
}

/// What is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<'a> {
    /// The mirror was asked for.
    Defined(Definition),
    /// The source said who it is.
    SourceIdentified(&'a SourceIdentifiedV1),
    /// The mirror repository is about to be created.
    RepositoryIntended,
    /// The mirror repository is there.
    RepositoryReady {
        /// It was there before this journal knew it.
        adopted: bool,
    },
    /// The mirror as a whole cannot go on; what is wrong, for people.
    ConditionRaised(&'a str),
    /// A condition of the mirror is over.
    ConditionResolved,
    /// This process drives the mirror.
    Taken {
        /// The fact.
        fact: &'a MirrorTakenV1,
        /// Where the branches of the mirror are is not known any more.
        forgets: bool,
    },
    /// Deletion of the mirror was asked for.
    DeletionStarted,
    /// The mirror is gone.
    Gone,
    /// A commit was read from the source.
    CommitObserved(&'a CommitObservedV1),
    /// Commit records are on the mirror.
    RecordsWritten(&'a [CommitId]),
    /// A part of a metarange was read.
    MetarangeRead(&'a MetarangeReadV1),
    /// A range file was read.
    RangeRead(&'a RangeReadV1),
    /// Objects of a range were checked.
    ArrivalsChecked(&'a ArrivalsCheckedV1),
    /// The source was asked about missing objects.
    SourceProbed(&'a SourceProbedV1),
    /// Checks of these ranges do not count any more.
    RangesReopened(&'a RangesReopenedV1),
    /// The source was asked about objects of another size.
    WrongSizesGone(&'a WrongSizesGoneV1),
    /// Archived objects are shown all the same.
    ArchivedShown(&'a ArchivedShownV1),
    /// Trees have to be read again.
    TreesInvalidated(&'a TreesTakenBackV1),
    /// Deletions wait for an operator.
    DeletionsHeld(&'a DeletionsHeldV1),
    /// They need none any more.
    DeletionsReleased(&'a DeletionsReleasedV1),
    /// An operator approved them.
    DeletionsApproved(&'a DeletionsApprovedV1),
    /// The summary of the mirror was published.
    Published,
    /// A process drives from here on.
    Started(&'a ServiceStartedV1),
    /// The rules from here on.
    PolicySet(Policy),
    /// Something about the journal's own files, or about the copy of the mirrors database in it.
    Journal,
    /// Something about one branch.
    Branch {
        /// Its name.
        name: &'a str,
        /// What.
        change: BranchChange<'a>,
    },
}

/// What is changed of a branch. `shown` is where it was on the mirror before, by this journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BranchChange<'a> {
    /// It was seen at the source.
    Seen {
        /// Its head before, unless it was gone.
        before: Option<CommitId>,
        /// Its head.
        head: CommitId,
        /// Whether it is hidden, as the fact says; what counts is what the first sighting said.
        hidden: bool,
        /// Its number among the heads of the branch, where it is a new one.
        new: Option<u64>,
    },
    /// Listing, repository and branch said that it is gone.
    Missed {
        /// Its head before.
        before: Option<CommitId>,
    },
    /// Its grace period begins.
    Tombstoned {
        /// Its head before.
        before: Option<CommitId>,
    },
    /// Its removal from the mirror begins.
    RemovalStarted {
        /// Where it is.
        shown: Option<CommitId>,
    },
    /// It is to be removed and created again with another visibility.
    RemakeStarted {
        /// Where it is.
        shown: Option<CommitId>,
        /// Whether it is to be hidden.
        hidden: bool,
    },
    /// It is gone from the mirror.
    Removed {
        /// Where it was.
        shown: Option<CommitId>,
        /// The journal forgets it: it is gone at the source, too.
        forgets: bool,
    },
    /// The source created it again with another visibility.
    VisibilityChanged {
        /// Whether it is hidden.
        hidden: bool,
    },
    /// A move begins.
    MoveStarted(&'a MoveStartedV1),
    /// It is where it was to go.
    MoveFinished {
        /// Where it was, as the fact says.
        from: Option<CommitId>,
        /// Where it is.
        to: CommitId,
        /// The number of the head.
        seen: u64,
        /// The move that was under way.
        under_way: Option<Move>,
    },
    /// The move under way is not carried out.
    MoveGivenUp {
        /// Where it is.
        shown: Option<CommitId>,
        /// Where it was to go.
        to: CommitId,
        /// The number of the head.
        seen: u64,
    },
    /// It was found where this journal did not leave it.
    Diverged {
        /// Where it was expected.
        expected: Option<CommitId>,
        /// Where it was found.
        found: Option<CommitId>,
    },
    /// It was found at a past head of the source and taken over.
    Adopted {
        /// Where it was.
        shown: Option<CommitId>,
        /// Where it was found.
        found: CommitId,
    },
    /// Where it is on the mirror is not known any more.
    Forgotten {
        /// Where it was.
        shown: Option<CommitId>,
    },
}

impl Change<'_> {
    /// Whether it is about commits and trees, which branches and mirrors do not follow from.
    #[must_use]
    pub fn is_content(&self) -> bool {
        matches!(
            self,
            Self::CommitObserved(_)
                | Self::RecordsWritten(_)
                | Self::MetarangeRead(_)
                | Self::RangeRead(_)
                | Self::ArrivalsChecked(_)
                | Self::SourceProbed(_)
                | Self::RangesReopened(_)
                | Self::WrongSizesGone(_)
                | Self::ArchivedShown(_)
                | Self::TreesInvalidated(_)
        )
    }
}

impl State {
    /// Adds one fact, as [`State::apply`], and tells what it changed; nothing for facts about the service itself, about
    /// checks, and about holds.
    pub fn observe<'a>(&mut self, event: &'a Event, tell: impl FnOnce(Transition<'a>)) {
        let transition = self.transition(event);
        let ignored_events = self.ignored_events;
        self.apply(event);
        if let Some(transition) = transition {
            tell(Transition { is_applied: self.ignored_events == ignored_events, ..transition });
        }
    }

    /// What a fact is to change in this state, before it is added.
    #[must_use]
    pub fn transition<'a>(&self, event: &'a Event) -> Option<Transition<'a>> {
        let id = event.mirror()?;
        let mirror = self.mirror(&id);
        let (at_ms, change) = match event.branch() {
            Some(name) => {
                let (at_ms, change) = of_branch(event, mirror.and_then(|mirror| mirror.branches.get(name)))?;
                (at_ms, Change::Branch { name, change })
            }
            None => of_mirror(event, mirror)?,
        };
        Some(Transition { mirror: id, at_ms, is_applied: false, change })
    }
}

impl Event {
    /// What the fact is to change, without the values of a state that it replaces; none for one that is about no mirror,
    /// or has no time.
    #[must_use]
    pub fn transition(&self) -> Option<Transition<'_>> {
        State::default().transition(self)
    }

    /// What the fact changes, without the values of a state that it replaces.
    #[must_use]
    pub fn change(&self) -> Change<'_> {
        let timed = match self.branch() {
            Some(name) => of_branch(self, None).map(|(_, change)| Change::Branch { name, change }),
            None => of_mirror(self, None).map(|(_, change)| change),
        };
        timed.unwrap_or_else(|| of_others(self))
    }
}

/// The gap that a fact says was found in the journal.
#[must_use]
pub fn gap(event: &Event) -> Option<&JournalGapFoundV1> {
    match event {
        Event::JournalGapFound(gap) => Some(gap),
        _ => None,
    }
}

fn of_mirror<'a>(event: &'a Event, mirror: Option<&Mirror>) -> Option<(u64, Change<'a>)> {
    Some(match event {
        Event::MirrorDefined(e) => (e.at_ms, Change::Defined(Definition::of(e))),
        Event::SourceIdentified(e) => (e.at_ms, Change::SourceIdentified(e)),
        Event::RepositoryIntended(e) => (e.at_ms, Change::RepositoryIntended),
        Event::RepositoryReady(e) => (e.at_ms, Change::RepositoryReady { adopted: e.adopted }),
        Event::TroubleNoted(e) if e.text.is_empty() => (e.at_ms, Change::ConditionResolved),
        Event::TroubleNoted(e) => (e.at_ms, Change::ConditionRaised(&e.text)),
        Event::ConditionRaised(e) => (e.at_ms, Change::ConditionRaised(&e.text)),
        Event::ConditionResolved(e) => (e.at_ms, Change::ConditionResolved),
        Event::MirrorTaken(e) => {
            let forgets = mirror.is_some_and(|mirror| mirror.forgets_branches(e.resumed));
            (e.at_ms, Change::Taken { fact: e, forgets })
        }
        Event::MirrorDeletionStarted(e) => (e.at_ms, Change::DeletionStarted),
        Event::MirrorGone(e) => (e.at_ms, Change::Gone),
        Event::CommitObserved(e) => (e.at_ms, Change::CommitObserved(e)),
        Event::RecordsWritten(e) => (e.at_ms, Change::RecordsWritten(&e.commits)),
        Event::MetarangeRead(e) => (e.at_ms, Change::MetarangeRead(e)),
        _ => return None,
    })
}

fn of_branch<'a>(event: &'a Event, branch: Option<&Branch>) -> Option<(u64, BranchChange<'a>)> {
    let before = branch.filter(|branch| branch.tombstone_ms.is_none()).map(|branch| branch.head);
    let shown = branch.and_then(|branch| branch.mirror);
    Some(match event {
        Event::BranchSeen(e) => {
            let new = branch.map_or(Some(1), |branch| branch.number_of(e.head));
            (e.at_ms, BranchChange::Seen { before, head: e.head, hidden: e.hidden, new })
        }
        Event::BranchMissed(e) => (e.at_ms, BranchChange::Missed { before }),
        Event::BranchTombstoned(e) => (e.at_ms, BranchChange::Tombstoned { before }),
        Event::BranchRemovalStarted(e) => (e.at_ms, BranchChange::RemovalStarted { shown }),
        Event::BranchRemakeStarted(e) => (e.at_ms, BranchChange::RemakeStarted { shown, hidden: e.hidden }),
        Event::BranchRemoved(e) => {
            let forgets = branch.is_some_and(|branch| branch.tombstone_ms.is_some());
            (e.at_ms, BranchChange::Removed { shown, forgets })
        }
        Event::BranchVisibilityChanged(e) => (e.at_ms, BranchChange::VisibilityChanged { hidden: e.hidden }),
        Event::MoveStarted(e) => (e.at_ms, BranchChange::MoveStarted(e)),
        Event::MoveFinished(e) => {
            let under_way = branch.and_then(|branch| branch.moving);
            (e.at_ms, BranchChange::MoveFinished { from: e.from, to: e.to, seen: e.seen, under_way })
        }
        Event::MoveGivenUp(e) => (e.at_ms, BranchChange::MoveGivenUp { shown, to: e.to, seen: e.seen }),
        Event::BranchDiverged(e) => (e.at_ms, BranchChange::Diverged { expected: e.expected, found: e.found }),
        Event::BranchAdopted(e) => (e.at_ms, BranchChange::Adopted { shown, found: e.found }),
        Event::BranchForgotten(e) => (e.at_ms, BranchChange::Forgotten { shown }),
        _ => return None,
    })
}

fn of_others(event: &Event) -> Change<'_> {
    match event {
        Event::RangeRead(e) => Change::RangeRead(e),
        Event::ArrivalsChecked(e) => Change::ArrivalsChecked(e),
        Event::SourceProbed(e) => Change::SourceProbed(e),
        Event::RangesReopened(e) => Change::RangesReopened(e),
        Event::WrongSizesGone(e) => Change::WrongSizesGone(e),
        Event::ArchivedShown(e) => Change::ArchivedShown(e),
        Event::TreesTakenBack(e) => Change::TreesInvalidated(e),
        Event::DeletionsHeld(e) => Change::DeletionsHeld(e),
        Event::DeletionsReleased(e) => Change::DeletionsReleased(e),
        Event::DeletionsApproved(e) => Change::DeletionsApproved(e),
        Event::SummaryPublished(_) => Change::Published,
        Event::ServiceStarted(e) => Change::Started(e),
        Event::PolicySet(e) => Change::PolicySet(Policy::from_version_1(e)),
        Event::PolicySetV2(e) => Change::PolicySet(Policy::from_event(e)),
        _ => Change::Journal,
    }
}
