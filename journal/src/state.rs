//! State is the sum of the facts: `apply` adds one, cannot fail, and looks at nothing but the state and the fact.
//!
//! A fact that makes no sense in a state (an unknown mirror, a branch that is not there) changes nothing and is
//! counted, so that a replay of any journal ends. Deciding what may happen is `decide`'s work, not this one's.

use std::collections::BTreeMap;

use crate::commit::CommitRecord;
use crate::event::Event;
use crate::ids::Incarnation;

pub use lakemirror_core::archived;
pub mod branch;
pub mod condition;
pub mod database;
pub mod graph;
pub mod hold;
pub mod image;
pub mod lifecycle;
pub mod mirror;
pub mod policy;
pub mod transition;
pub mod tree;

use branch::{Divergence, Move, Presence};
use condition::Raised;
use database::Database;
use lifecycle::SegmentLifecycle;
use mirror::{Definition, Mirror, Phase, Source};
use policy::Policy;

/// Everything that the journal knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// The writer epoch of the run that drives, 0 before the first.
    pub writer_epoch: u64,
    /// The rules.
    pub policy: Policy,
    /// Mirrors that are not gone, by incarnation.
    pub mirrors: BTreeMap<Incarnation, Mirror>,
    /// When mirrors of a name went last, milliseconds since 1970: their names wait for the destination's caches.
    pub gone_ms: BTreeMap<String, u64>,
    /// How far the journal's own files are.
    pub lifecycle: SegmentLifecycle,
    /// The copy of the embedded mirrors database's definitions.
    pub database: Database,
    /// Arrival checks in all.
    pub checks: u64,
    /// Facts that made no sense where they stood.
    pub ignored_events: u64,
}

impl State {
    /// The mirror of this incarnation.
    #[must_use]
    pub fn mirror(&self, id: &Incarnation) -> Option<&Mirror> {
        self.mirrors.get(id)
    }

    /// Adds one fact.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::ServiceStarted(started) => self.start(started.writer_epoch),
            Event::PolicySet(set) => self.set_policy(Policy::from_version_1(set)),
            Event::PolicySetV2(set) => self.set_policy(Policy::from_event(set)),
            Event::JournalRecovered(_) => {}
            Event::MirrorDefined(defined) => {
                self.mirrors.entry(defined.mirror).or_insert_with(|| Mirror::new(Definition::of(defined)));
            }
            Event::MirrorGone(gone) => match self.mirrors.remove(&gone.mirror) {
                Some(mirror) => drop(self.gone_ms.insert(mirror.definition.name, gone.at_ms)),
                None => self.ignore(),
            },
            Event::SegmentSealed(_)
            | Event::SegmentArchived(_)
            | Event::SegmentDropped(_)
            | Event::SnapshotTaken(_)
            | Event::LossAcknowledged(_)
            | Event::JournalGapFound(_) => {
                if !self.lifecycle.apply(event) {
                    self.ignore();
                }
            }
            Event::DatabaseItemWritten(_) | Event::DatabaseRebuilt(_) => self.database.apply(event),
            other => self.apply_to_mirror(other),
        }
    }

    fn ignore(&mut self) {
        self.ignored_events = self.ignored_events.saturating_add(1);
    }

    /// A run's removals are its own: what the one before had begun is proven again (I6). Whether it was done or not,
    /// the next removal ends it.
    fn start(&mut self, writer_epoch: u64) {
        self.writer_epoch = writer_epoch;
        for branch in self.mirrors.values_mut().flat_map(|mirror| mirror.branches.values_mut()) {
            branch.removing = false;
        }
    }

    fn set_policy(&mut self, policy: Policy) {
        let old = std::mem::replace(&mut self.policy, policy);
        for mirror in self.mirrors.values_mut() {
            let touched = mirror.trees.apply_policy(&old, &self.policy);
            mirror.touch(&touched);
        }
    }

    fn apply_to_mirror(&mut self, event: &Event) {
        let Some(mirror) = event.mirror().and_then(|id| self.mirrors.get_mut(&id)) else {
            self.ignore();
            return;
        };
        let checked = if let Event::ArrivalsChecked(batch) = event { checks_of(batch) } else { 0 };
        self.checks = self.checks.saturating_add(checked);
        mirror.checks = mirror.checks.saturating_add(checked);
        if !(mirror.apply_about_branch(event)
            || mirror.apply_about_holds(event)
            || mirror.apply_about_content(event, &self.policy)
            || mirror.apply_about_itself(event))
        {
            self.ignore();
        }
    }
}

/// How many checks a batch holds.
#[must_use]
pub fn checks_of(batch: &crate::event::ArrivalsCheckedV1) -> u64 {
    batch.asked.decode().map_or(0, |asked| u64::from(asked.count()))
}

impl Event {
    /// The mirror that the fact is about; none for facts about the service.
    #[must_use]
    pub fn mirror(&self) -> Option<Incarnation> {
        Some(match self {
            Event::ServiceStarted(_)
            | Event::PolicySet(_)
            | Event::PolicySetV2(_)
            | Event::JournalRecovered(_)
            | Event::SegmentSealed(_)
            | Event::SegmentArchived(_)
            | Event::SegmentDropped(_)
            | Event::SnapshotTaken(_)
            | Event::LossAcknowledged(_)
            | Event::JournalGapFound(_)
            | Event::DatabaseItemWritten(_)
            | Event::DatabaseRebuilt(_) => return None,
            Event::MirrorDefined(e) => e.mirror,
            Event::SourceIdentified(e) => e.mirror,
            Event::RepositoryIntended(e) => e.mirror,
            Event::RepositoryReady(e) => e.mirror,
            Event::TroubleNoted(e) => e.mirror,
            Event::ConditionRaised(e) => e.mirror,
            Event::ConditionResolved(e) => e.mirror,
            Event::MirrorDeletionStarted(e) => e.mirror,
            Event::MirrorGone(e) => e.mirror,
            Event::MirrorTaken(e) => e.mirror,
            Event::BranchSeen(e) => e.mirror,
            Event::BranchMissed(e) => e.mirror,
            Event::BranchTombstoned(e) => e.mirror,
            Event::BranchRemovalStarted(e) => e.mirror,
            Event::BranchRemoved(e) => e.mirror,
            Event::CommitObserved(e) => e.mirror,
            Event::MetarangeRead(e) => e.mirror,
            Event::RangeRead(e) => e.mirror,
            Event::ArrivalsChecked(e) => e.mirror,
            Event::SourceProbed(e) => e.mirror,
            Event::RangesReopened(e) => e.mirror,
            Event::WrongSizesGone(e) => e.mirror,
            Event::ArchivedShown(e) => e.mirror,
            Event::TreesTakenBack(e) => e.mirror,
            Event::MoveStarted(e) => e.mirror,
            Event::RecordsWritten(e) => e.mirror,
            Event::MoveFinished(e) => e.mirror,
            Event::MoveGivenUp(e) => e.mirror,
            Event::DeletionsApproved(e) => e.mirror,
            Event::BranchVisibilityChanged(e) => e.mirror,
            Event::BranchRemakeStarted(e) => e.mirror,
            Event::DeletionsHeld(e) => e.mirror,
            Event::DeletionsReleased(e) => e.mirror,
            Event::BranchDiverged(e) => e.mirror,
            Event::BranchAdopted(e) => e.mirror,
            Event::BranchForgotten(e) => e.mirror,
            Event::SummaryPublished(e) => e.mirror,
        })
    }
}

impl Mirror {
    fn apply_about_itself(&mut self, event: &Event) -> bool {
        match event {
            Event::SourceIdentified(e) => {
                self.source = Some(Source {
                    storage_namespace: e.storage_namespace.clone(),
                    default_branch: e.default_branch.clone(),
                    creation_date: e.creation_date,
                });
            }
            Event::RepositoryIntended(_) => self.phase = Phase::Intended,
            Event::RepositoryReady(e) => {
                self.phase = Phase::Ready;
                self.adopted_ms = e.adopted.then_some(e.at_ms);
            }
            Event::TroubleNoted(e) if e.text.is_empty() => self.trouble = None,
            Event::TroubleNoted(e) => self.trouble = Some(Raised { text: e.text.clone(), since_ms: e.at_ms }),
            Event::ConditionRaised(e) => {
                // Another text is the same condition: it lasts.
                let since_ms = self.raised.get(&e.condition).map_or(e.at_ms, |raised| raised.since_ms);
                self.raised.insert(e.condition, Raised { text: e.text.clone(), since_ms });
            }
            Event::ConditionResolved(e) => drop(self.raised.remove(&e.condition)),
            Event::MirrorDeletionStarted(_) => self.phase = Phase::Deleting,
            Event::SummaryPublished(e) => self.published = e.number,
            Event::MirrorTaken(e) if self.forgets_branches(e.resumed) => self.begin_anew(e.at_ms),
            Event::MirrorTaken(_) => {}
            _ => return false,
        }
        true
    }

    fn apply_about_content(&mut self, event: &Event, policy: &Policy) -> bool {
        let touched = match event {
            Event::CommitObserved(e) => {
                let record: CommitRecord = e.record();
                self.graph.observe(record, &mut self.trees);
                return true;
            }
            Event::RecordsWritten(e) => {
                self.write_records(&e.commits);
                return true;
            }
            Event::MetarangeRead(e) => self.trees.apply_metarange(e),
            Event::RangeRead(e) => self.trees.apply_range(e, policy),
            Event::ArrivalsChecked(e) => self.trees.apply_arrivals(e, policy),
            Event::SourceProbed(e) => self.trees.apply_probe(e, policy),
            Event::RangesReopened(e) => self.trees.apply_reopen(&e.ranges, policy),
            Event::WrongSizesGone(e) => self.trees.apply_wrong_sizes_gone(e, policy),
            Event::ArchivedShown(e) => self.trees.apply_archived_shown(e, policy),
            Event::TreesTakenBack(e) => e.metaranges.iter().flat_map(|id| self.trees.invalidate(id)).collect(),
            _ => return false,
        };
        self.touch(&touched);
        true
    }

    fn apply_about_branch(&mut self, event: &Event) -> bool {
        if let Event::BranchSeen(e) = event {
            self.see_branch(&e.branch, e.head, e.hidden, e.at_ms);
            return true;
        }
        if let Event::BranchRemoved(e) = event {
            return self.remove_branch(&e.branch);
        }
        let Some(branch) = event.branch().and_then(|name| self.branches.get_mut(name)) else { return false };
        match event {
            Event::BranchMissed(e) => {
                let times = match branch.presence {
                    Presence::Missed { times, writer_epoch } if writer_epoch == e.writer_epoch => {
                        times.saturating_add(1)
                    }
                    Presence::Missed { .. } | Presence::There => 1,
                };
                branch.presence = Presence::Missed { times, writer_epoch: e.writer_epoch };
            }
            Event::BranchTombstoned(e) => {
                branch.tombstone_ms = Some(e.at_ms);
                branch.pending.clear();
            }
            Event::BranchRemovalStarted(_) => branch.removing = true,
            Event::BranchVisibilityChanged(e) => branch.hidden = e.hidden,
            Event::BranchRemakeStarted(e) => branch.begin_remake(e.hidden, e.at_ms),
            Event::BranchDiverged(e) => {
                let since_ms = branch.divergence.map_or(e.at_ms, |divergence| divergence.since_ms);
                branch.divergence = Some(Divergence { expected: e.expected, found: e.found, since_ms });
                (branch.moving, branch.removing) = (None, false);
            }
            Event::BranchForgotten(_) => branch.begin_anew(),
            Event::BranchAdopted(e) => (branch.mirror, branch.divergence) = (Some(e.found), None),
            Event::MoveStarted(e) => {
                branch.moving = Some(Move { from: e.from, to: e.to, seen: e.seen, at_ms: e.at_ms });
            }
            Event::MoveFinished(e) => {
                branch.finish(e.to, e.seen, e.at_ms);
                self.moves = self.moves.saturating_add(1);
                self.evict_trees();
            }
            Event::MoveGivenUp(e) => return branch.give_up(e.to, e.seen),
            _ => return false,
        }
        true
    }
}

impl Event {
    /// The branch that the fact is about, where it is about one.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        match self {
            Event::BranchSeen(e) => Some(&e.branch),
            Event::BranchMissed(e) => Some(&e.branch),
            Event::BranchTombstoned(e) => Some(&e.branch),
            Event::BranchRemovalStarted(e) => Some(&e.branch),
            Event::BranchRemoved(e) => Some(&e.branch),
            Event::BranchDiverged(e) => Some(&e.branch),
            Event::BranchAdopted(e) => Some(&e.branch),
            Event::BranchForgotten(e) => Some(&e.branch),
            Event::MoveStarted(e) => Some(&e.branch),
            Event::MoveFinished(e) => Some(&e.branch),
            Event::MoveGivenUp(e) => Some(&e.branch),
            Event::BranchVisibilityChanged(e) => Some(&e.branch),
            Event::BranchRemakeStarted(e) => Some(&e.branch),
            _ => None,
        }
    }
}
