//! What the engine's loop knows: the mirrors that are defined, which of them are being given away, and the leases.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lakemirror_core::ids::Incarnation;
use lakemirror_journal::state::mirror::Definition;

use super::conditions::{ConditionKind, Conditions};
use super::lease::manager::Leases;
use super::ports::{MirrorDefinition, StoreIdentity};

/// See the module.
pub(super) struct Assignments {
    /// This process's leases.
    pub(super) leases: Leases,
    /// What is wrong with the mirrors database.
    pub(super) conditions: Conditions,
    /// The mirrors as last read; none before the first reading.
    pub(super) definitions: Option<Vec<MirrorDefinition>>,
    /// When they are read again, on the monotonic clock.
    due: Duration,
    fresh: bool,
    /// Those whose work ended since then: perhaps they are not there any more.
    ended: BTreeSet<Incarnation>,
    /// Those that go to other processes once nothing works on them any more.
    given: BTreeMap<Incarnation, String>,
}

impl Assignments {
    pub(super) fn new(leases: Leases, conditions: Conditions) -> Self {
        let (ended, given) = (BTreeSet::new(), BTreeMap::new());
        Self { leases, conditions, definitions: None, due: Duration::ZERO, fresh: false, ended, given }
    }

    pub(super) fn is_due(&self, now: Duration) -> bool {
        now >= self.due
    }

    /// They are to be read with the next turn.
    pub(super) fn outdated(&mut self) {
        self.due = Duration::ZERO;
    }

    pub(super) fn read(&mut self, definitions: Vec<MirrorDefinition>, next: Duration) {
        self.conditions.clear("", &ConditionKind::Registry);
        let known: BTreeSet<Incarnation> = definitions.iter().map(|definition| definition.incarnation).collect();
        self.leases.retain(&known);
        self.given.retain(|mirror, _| known.contains(mirror));
        (self.definitions, self.due, self.fresh) = (Some(definitions), next, true);
        self.ended.clear();
    }

    /// Whether they were read since they were last followed.
    pub(super) fn is_fresh(&self) -> bool {
        self.fresh
    }

    pub(super) fn followed(&mut self) {
        self.fresh = false;
    }

    pub(super) fn definition(&self, mirror: &Incarnation) -> Option<MirrorDefinition> {
        self.definitions.iter().flatten().find(|definition| definition.incarnation == *mirror).cloned()
    }

    pub(super) fn mirrors_of(&self, region: &str, counts: impl Fn(&MirrorDefinition) -> bool) -> BTreeSet<Incarnation> {
        let all = self.definitions.iter().flatten();
        let of_it = all.filter(|definition| definition.region == region && counts(definition));
        of_it.map(|definition| definition.incarnation).filter(|mirror| !self.ended.contains(mirror)).collect()
    }

    /// The mirror's work has ended: whether it is still defined is read before it begins again.
    pub(super) fn ended(&mut self, mirror: Incarnation) {
        if !self.given.contains_key(&mirror) {
            self.ended.insert(mirror);
            self.outdated();
        }
    }

    pub(super) fn may_start(&self, mirror: &Incarnation) -> bool {
        !self.ended.contains(mirror) && !self.given.contains_key(mirror)
    }

    /// It is to go to another process; `false` if that is known already.
    pub(super) fn giving(&mut self, mirror: Incarnation, to: &str) -> bool {
        self.given.insert(mirror, to.to_owned()).is_none()
    }

    pub(super) fn is_given(&self, mirror: &Incarnation) -> bool {
        self.given.contains_key(mirror)
    }

    pub(super) fn given(&self) -> Vec<(Incarnation, String)> {
        self.given.iter().map(|(mirror, to)| (*mirror, to.clone())).collect()
    }

    pub(super) fn gave(&mut self, mirror: &Incarnation) {
        self.given.remove(mirror);
    }
}

/// A mirror as the journal knows it.
pub(super) fn from_journal(incarnation: Incarnation, known: &Definition, deleted: bool) -> MirrorDefinition {
    MirrorDefinition {
        incarnation,
        name: known.name.clone(),
        source_repository: known.source_repository.clone(),
        source_region: known.source_region.clone(),
        region: known.region.clone(),
        storage_namespace: known.storage_namespace.clone(),
        created_ms: known.created_ms,
        // Not in the journal: before anything is made, the mirrors database is asked.
        source_store: StoreIdentity::Unknown,
        deleted,
    }
}
