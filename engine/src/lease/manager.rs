//! The leases of this process: its heartbeats, what it knows of the others, and the writes that take and give mirrors.
//!
//! Owns no decision about who takes what (`plan`) and none about what a mirror's work is (`engine`). [`HeartbeatTask`] writes
//! heartbeats beside everything else, so that nothing slow is in their way; [`Leases`] belongs to the engine's loop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lakemirror_core::ids::Incarnation;
use lakemirror_core::mutant;
use lakemirror_ports::clock::Clock;
use tokio_util::sync::CancellationToken;

use super::members::Members;
use super::plan::{Member, Plan, View, plan};
use super::{HEARTBEAT_INTERVAL, Lease, LeaseClock};
use crate::conditions::{ConditionKind, Conditions};
use crate::ports::{Fault, Heartbeat, LeaseTable, Owner};

/// How soon a heartbeat that failed is tried again.
const HEARTBEAT_RETRY: Duration = Duration::from_millis(500);
/// How often owners are read again although nobody came or went.
const OWNERS_COUNT_FOR: Duration = Duration::from_secs(10);

/// This process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id: random, another one with every start.
    pub id: String,
    /// Its journal's id.
    pub node: String,
    /// What it is, for people.
    pub about: String,
}

/// Writes this process's heartbeats.
pub struct HeartbeatTask {
    table: Arc<dyn LeaseTable>,
    process: Process,
    regions: Vec<String>,
    lease_clock: Arc<LeaseClock>,
    clock: Arc<dyn Clock>,
    conditions: Option<Conditions>,
}

impl HeartbeatTask {
    /// Says on a conditions when no heartbeat reaches the database.
    #[must_use]
    pub fn noting_on(self, conditions: Conditions) -> Self {
        Self { conditions: Some(conditions), ..self }
    }

    fn note(&self, fault: Option<&Fault>) {
        let Some(conditions) = &self.conditions else { return };
        match fault {
            Some(fault) => {
                conditions.note("", ConditionKind::Heartbeat, fault.to_string());
            }
            None => conditions.clear("", &ConditionKind::Heartbeat),
        }
    }

    /// Beats until stopped.
    pub async fn run(self, stop: CancellationToken) {
        let mut count = 0u64;
        let mut failing = false;
        while self.table.is_shared() && !stop.is_cancelled() {
            count = count.saturating_add(1);
            let sent = self.clock.monotonic();
            let beat = self.beat(count, false).await;
            self.note(beat.as_ref().err());
            let wait = match beat {
                Ok(()) => {
                    if self.lease_clock.acknowledged(sent, self.clock.monotonic()) {
                        tracing::warn!("this process was late with its heartbeat: its mirrors are taken again");
                    } else if failing {
                        tracing::info!("heartbeats reach the mirrors database again");
                    }
                    failing = false;
                    HEARTBEAT_INTERVAL.saturating_sub(self.clock.monotonic().saturating_sub(sent))
                }
                Err(fault) => {
                    if !failing {
                        tracing::warn!(
                            "no heartbeat reaches the mirrors database, without one no branch is moved: {fault}"
                        );
                    }
                    failing = true;
                    HEARTBEAT_RETRY
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = self.clock.sleep(wait) => {}
            }
        }
        if self.table.is_shared() && count > 0 {
            self.clock.sleep(self.lease_clock.unsettled(self.clock.monotonic())).await;
            // What is not told now the others find out for themselves.
            let told = self.beat(count.saturating_add(1), true).await;
            if let Err(fault) = told {
                tracing::warn!("the others were not told that this process ends: {fault}");
            }
        }
    }

    async fn beat(&self, count: u64, ended: bool) -> Result<(), Fault> {
        let Process { id, node, about } = self.process.clone();
        let beat = Heartbeat { process: id, node, about, count, ended };
        for region in &self.regions {
            self.table.beat(region, &beat).await?;
        }
        Ok(())
    }
}

/// A mirror that was taken: what the journal is to be told before it is driven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The mirror.
    pub mirror: Incarnation,
    /// The lease's epoch.
    pub epoch: u64,
    /// Whether this process's journal was the last one that drove it.
    pub resumed: bool,
    /// Who drove it before, for people.
    pub before: String,
    region: String,
    number: u64,
    owner: Owner,
}

#[derive(Default)]
struct Regional {
    members: Members,
    /// Who has what, and when that was read; none before the first read, or when something was otherwise than expected.
    owners: Option<(BTreeMap<Incarnation, Owner>, Duration)>,
    /// Whether somebody came, went or died since: then it is read with the next look, however young it is.
    outdated: bool,
    /// Whether the heartbeats were ever read.
    looked: bool,
}

/// Who has what, and this process's own leases.
pub struct Leases {
    table: Arc<dyn LeaseTable>,
    process: Process,
    started: Duration,
    lease_clock: Arc<LeaseClock>,
    clock: Arc<dyn Clock>,
    regions: BTreeMap<String, Regional>,
    leases: BTreeMap<Incarnation, Arc<Lease>>,
    twin: bool,
}

impl Leases {
    /// For a process that serves `regions`.
    #[must_use]
    pub fn new(table: Arc<dyn LeaseTable>, process: Process, regions: Vec<String>, clock: Arc<dyn Clock>) -> Self {
        let lease_clock = Arc::new(if table.is_shared() { LeaseClock::default() } else { LeaseClock::endless() });
        let regions = regions.into_iter().map(|region| (region, Regional::default())).collect();
        let started = clock.monotonic();
        Self { table, process, started, lease_clock, clock, regions, leases: BTreeMap::new(), twin: false }
    }

    /// The heartbeats that go with it, to be run beside.
    #[must_use]
    pub fn heartbeats(&self) -> HeartbeatTask {
        HeartbeatTask {
            table: Arc::clone(&self.table),
            process: self.process.clone(),
            regions: self.regions.keys().cloned().collect(),
            lease_clock: Arc::clone(&self.lease_clock),
            clock: Arc::clone(&self.clock),
            conditions: None,
        }
    }

    /// How long it takes until nothing that this process has sent can be carried out any more.
    #[must_use]
    pub fn unsettled(&self) -> Duration {
        self.lease_clock.unsettled(self.clock.monotonic())
    }

    /// The lease of a mirror, held or not.
    pub fn lease(&mut self, mirror: &Incarnation) -> Arc<Lease> {
        let lease_clock = &self.lease_clock;
        Arc::clone(self.leases.entry(*mirror).or_insert_with(|| Arc::new(Lease::new(Arc::clone(lease_clock)))))
    }

    /// Forgets the leases of mirrors that are not there any more.
    pub fn retain(&mut self, keep: &BTreeSet<Incarnation>) {
        self.leases.retain(|mirror, _| keep.contains(mirror));
    }

    fn me(&self) -> Member {
        let settled = self.clock.monotonic().saturating_sub(self.started) >= Members::settled_after();
        Member { process: self.process.id.clone(), node: self.process.node.clone(), settled }
    }

    /// Looks at who has what where that may have changed, and then at the others.
    ///
    /// # Errors
    /// The database's; what was known before stays.
    pub async fn look(&mut self) -> Result<(), Fault> {
        let me = self.me();
        for (region, regional) in &mut self.regions {
            // Who has what is read before who is alive: somebody who was dead may have come back and taken a mirror
            // between the two, and must not be taken for dead with what he took then.
            let now = self.clock.monotonic();
            let count = |(_, read): &(_, Duration)| now.saturating_sub(*read) < OWNERS_COUNT_FOR;
            let owners = match regional.owners.as_ref().filter(|known| count(known) && !regional.outdated) {
                Some(_) => None,
                None => Some((self.table.owners(region).await?, self.clock.monotonic())),
            };
            if self.table.is_shared() {
                let sent = self.clock.monotonic();
                let found = self.table.heartbeats(region).await?;
                regional.outdated = regional.members.take(found, sent, self.clock.monotonic());
            }
            regional.owners = owners.or(regional.owners.take());
            regional.looked = true;
            let twin = regional.members.twin(&me);
            if let Some(twin) = twin.filter(|_| !self.twin) {
                tracing::error!(
                    region,
                    twin,
                    "another process works with a copy of this journal: give each process a volume of its own"
                );
            }
            self.twin = twin.is_some();
        }
        Ok(())
    }

    /// What to take and to give of the mirrors of a region; none while too little is known, or while no heartbeat counts.
    #[must_use]
    pub fn plan(&self, region: &str, mirrors: &BTreeSet<Incarnation>) -> Option<Plan> {
        let now = self.clock.monotonic();
        let regional = self.regions.get(region).filter(|regional| regional.looked)?;
        let (owners, _) = regional.owners.as_ref()?;
        self.lease_clock.number(now)?;
        let alive = regional.members.alive(&self.me(), now);
        let mut plan = plan(&View { me: &self.process.id, alive: &alive, owners, mirrors });
        // What is written to be ours and was taken under a lease that expired, or before a step that failed.
        let expired_lease = |mirror: &&Incarnation| {
            let live = self.leases.get(*mirror).is_some_and(|lease| lease.is_live(now));
            !live && self.is_ours(owners.get(*mirror))
        };
        plan.take.extend(mirrors.iter().filter(expired_lease));
        Some(plan)
    }

    fn is_ours(&self, owner: Option<&Owner>) -> bool {
        owner.is_some_and(|owner| owner.holder.as_deref() == Some(self.process.id.as_str()))
    }

    fn owner(&self, region: &str, mirror: &Incarnation) -> Option<&Owner> {
        self.regions.get(region)?.owners.as_ref()?.0.get(mirror)
    }

    /// Whether another process has the mirror, as far as is known, and who.
    #[must_use]
    pub fn elsewhere(&self, region: &str, mirror: &Incarnation) -> Option<&str> {
        let owner = self.owner(region, mirror)?;
        (owner.holder.is_some() && !self.is_ours(Some(owner))).then_some(owner.about.as_str())
    }

    /// Whether it was taken by this process, its lease live or expired; not while it is in doubt who has what.
    #[must_use]
    pub fn is_taken(&self, region: &str, mirror: &Incarnation) -> bool {
        let granted = self.leases.get(mirror).is_some_and(|lease| lease.epoch().is_some());
        let known = self.regions.get(region).is_some_and(|regional| regional.owners.is_some());
        granted && known && self.owner(region, mirror).is_none_or(|owner| self.is_ours(Some(owner)))
    }

    /// Whether what this journal knows of the mirror is all there is to know.
    #[must_use]
    pub fn has_history(&self, region: &str, mirror: &Incarnation) -> bool {
        self.owner(region, mirror).is_none_or(|owner| owner.node == self.process.node)
    }

    /// Takes a mirror that nobody has; none if somebody was faster. It is held once [`Leases::keep`] was called.
    ///
    /// # Errors
    /// The database's: it may be taken all the same, and is then found to be so.
    pub async fn take(&self, region: &str, mirror: Incarnation) -> Result<Option<Taken>, Fault> {
        let Some(number) = self.lease_clock.number(self.clock.monotonic()) else { return Ok(None) };
        let old = self.owner(region, &mirror);
        let resumed = self.has_history(region, &mirror) || mutant::is_on("taken_as_resumed");
        let mut owner = Owner {
            holder: Some(self.process.id.clone()),
            about: self.process.about.clone(),
            // Another journal's as long as ours does not say that it begins anew.
            node: old.map_or_else(|| self.process.node.clone(), |old| old.node.clone()),
            epoch: old.map_or(0, |old| old.epoch).saturating_add(u64::from(!mutant::is_on("epoch_kept"))),
            meant_for: None,
            version: old.and_then(|old| old.version),
        };
        let Some(version) = self.table.write_owner(region, &mirror, &owner).await? else { return Ok(None) };
        owner.version = Some(version);
        let before = old.map(|old| old.about.clone()).unwrap_or_default();
        let epoch = owner.epoch;
        Ok(Some(Taken { mirror, epoch, resumed, before, region: region.to_owned(), number, owner }))
    }

    /// Holds a mirror that was taken, now that the journal says so.
    ///
    /// # Errors
    /// The database's: then it is not held, and taken again later.
    pub async fn keep(&mut self, taken: Taken) -> Result<(), Fault> {
        let Taken { mirror, region, mut owner, .. } = taken;
        if owner.node != self.process.node {
            owner.node.clone_from(&self.process.node);
            let Some(version) = self.table.write_owner(&region, &mirror, &owner).await? else {
                self.doubt(&region);
                return Ok(());
            };
            owner.version = Some(version);
        }
        self.lease(&mirror).grant(taken.epoch, taken.number);
        self.note(&region, mirror, owner);
        Ok(())
    }

    /// Gives a mirror, on which nobody works here any more, to another process.
    ///
    /// # Errors
    /// The database's.
    pub async fn give(&mut self, region: &str, mirror: Incarnation, to: &str) -> Result<(), Fault> {
        self.lease(&mirror).end();
        let Some(mut owner) = self.owner(region, &mirror).filter(|owner| self.is_ours(Some(owner))).cloned() else {
            return Ok(());
        };
        (owner.holder, owner.meant_for) = (None, Some(to.to_owned()));
        match self.table.write_owner(region, &mirror, &owner).await? {
            Some(version) => {
                owner.version = Some(version);
                self.note(region, mirror, owner);
            }
            None => self.doubt(region),
        }
        Ok(())
    }

    fn note(&mut self, region: &str, mirror: Incarnation, owner: Owner) {
        if let Some((owners, _)) = self.regions.get_mut(region).and_then(|regional| regional.owners.as_mut()) {
            owners.insert(mirror, owner);
        }
    }

    /// Something was otherwise than known: owners are read again before the next plan.
    pub fn doubt(&mut self, region: &str) {
        if let Some(regional) = self.regions.get_mut(region) {
            regional.owners = None;
        }
    }
}

#[cfg(test)]
mod tests;
