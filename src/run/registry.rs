//! The mirrors database as the engine's registry: records of one organization, statuses in the words of the API.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use lakemirror_core::causes::chain;
use lakemirror_engine::ports::Registry;
use lakemirror_engine::status::{self, BranchStatus, MirrorStatus, Waiting};
use lakemirror_mirrors::records::{
    self, BranchState, Counts, Definition, JournalHead, MirrorState, Published, Records, RecordsError, Stamp, Status,
    Summary,
};
use lakemirror_ports::clock::Clock;
use lakemirror_ports::{
    ApprovedDeletion, Fault, FaultKind, Heartbeat, Incarnation, LeaseTable, MirrorDefinition, Owner,
};

use super::gap::Continuity;

/// The records, with the clock that stamps what is published.
pub struct SharedRegistry {
    records: Arc<Records>,
    clock: Arc<dyn Clock>,
    continuity: Option<Continuity>,
}

impl SharedRegistry {
    /// Over these records.
    #[must_use]
    pub fn new(records: Arc<Records>, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock, continuity: None }
    }

    /// The same, which finds out whether the journal still is what was published of it.
    #[must_use]
    pub fn with_continuity(self, continuity: Continuity) -> Self {
        Self { continuity: Some(continuity), ..self }
    }

    /// What is wrong with the journal, for every mirror's problems.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.continuity.as_ref().and_then(Continuity::problem)
    }

    /// Before anything else is done with what the database says.
    async fn compare(&self, definitions: &[MirrorDefinition]) -> Result<(), Fault> {
        let Some(continuity) = self.continuity.as_ref().filter(|continuity| continuity.is_open()) else {
            return Ok(());
        };
        let call = "read what was published";
        let summaries = self.records.summaries().await.map_err(|error| self.fault(call, &error))?;
        let mut owners = BTreeMap::new();
        let regions: BTreeSet<&str> = definitions.iter().map(|definition| definition.region.as_str()).collect();
        for region in regions {
            owners.extend(self.records.owners(region).await.map_err(|error| self.fault(call, &error))?);
        }
        continuity.compare(&summaries, &owners, self.clock.wall_ms()).await;
        Ok(())
    }

    fn fault(&self, call: &str, error: &RecordsError) -> Fault {
        Fault {
            kind: FaultKind::Retry,
            call: format!("{call} in the mirrors database at {}", self.records.place()),
            status: None,
            message: chain(error),
        }
    }
}

#[async_trait]
impl Registry for SharedRegistry {
    async fn definitions(&self) -> Result<Vec<MirrorDefinition>, Fault> {
        let call = "list mirrors";
        let listing = self.records.list_definitions().await.map_err(|error| self.fault(call, &error))?;
        let done = self.records.acknowledged().await.map_err(|error| self.fault(call, &error))?;
        for error in &listing.unreadable {
            tracing::error!("a mirror's definition cannot be used: {}", chain(error));
        }
        let open = listing
            .definitions
            .into_iter()
            .filter(|definition| definition.is_active() || !done.contains(&definition.incarnation));
        let open: Vec<MirrorDefinition> = open.map(defined).collect();
        self.compare(&open).await?;
        Ok(open)
    }

    async fn acknowledge_deletion(&self, definition: &MirrorDefinition, epoch: u64) -> Result<(), Fault> {
        let done = self.records.ack_deletion(&definition.region, definition.incarnation, epoch).await;
        done.map_err(|error| self.fault("acknowledge a deletion", &error))
    }

    async fn publish(
        &self,
        definition: &MirrorDefinition,
        epoch: u64,
        number: u64,
        status: &MirrorStatus,
    ) -> Result<(), Fault> {
        let mut shown = shown(status, self.clock.wall_ms());
        if let Some(continuity) = &self.continuity {
            if let Some(head) = &mut shown.journal_head {
                head.journal = Some(continuity.node.clone());
            }
            shown.problems.splice(0..0, continuity.problem());
            shown.problems.truncate(records::PROBLEMS_MAX);
        }
        let summary = Summary {
            incarnation: definition.incarnation,
            name: definition.name.clone(),
            stamp: Stamp { epoch, seq: number },
            written_at_ms: self.clock.wall_ms(),
            status: shown,
        };
        let published = self.records.put_summary(&definition.region, &summary).await;
        match published.map_err(|error| self.fault("publish a summary", &error))? {
            Published::Written | Published::Unchanged => {}
            Published::Outdated => {
                tracing::warn!(mirror = definition.name, "another process has published a newer summary: ours is not");
            }
        }
        Ok(())
    }

    async fn approved_deletions(&self, definition: &MirrorDefinition) -> Result<Vec<ApprovedDeletion>, Fault> {
        let approved = self.records.approved_deletions(definition.incarnation).await;
        approved.map_err(|error| self.fault("read approved deletions", &error))
    }

    fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.records.changes()
    }
}

#[async_trait]
impl LeaseTable for SharedRegistry {
    fn is_shared(&self) -> bool {
        self.records.is_shared()
    }

    async fn beat(&self, region: &str, beat: &Heartbeat) -> Result<(), Fault> {
        self.records.beat(region, beat).await.map_err(|error| self.fault("write a heartbeat", &error))
    }

    async fn heartbeats(&self, region: &str) -> Result<Vec<Heartbeat>, Fault> {
        self.records.heartbeats(region).await.map_err(|error| self.fault("read heartbeats", &error))
    }

    async fn owners(&self, region: &str) -> Result<BTreeMap<Incarnation, Owner>, Fault> {
        let owners = self.records.owners(region).await;
        let mut owners = owners.map_err(|error| self.fault("read who drives what", &error))?;
        if let Some(continuity) = &self.continuity {
            continuity.mark(&mut owners);
        }
        Ok(owners)
    }

    async fn write_owner(&self, region: &str, mirror: &Incarnation, owner: &Owner) -> Result<Option<u64>, Fault> {
        let written = self.records.write_owner(region, mirror, owner).await;
        written.map_err(|error| self.fault("write who drives a mirror", &error))
    }
}

fn defined(definition: Definition) -> MirrorDefinition {
    MirrorDefinition {
        deleted: !definition.is_active(),
        incarnation: definition.incarnation,
        name: definition.name,
        source_repository: definition.source_repository,
        source_region: definition.source_region,
        region: definition.region,
        storage_namespace: definition.storage_namespace,
        created_ms: u64::try_from(definition.creation_date).unwrap_or(0).saturating_mul(1000),
        source_store: definition.source_store,
    }
}

/// The engine's status in the words of the mirrors database and of the API.
#[must_use]
pub fn shown(status: &MirrorStatus, now_ms: u64) -> Status {
    Status {
        state: match status.state {
            status::MirrorState::Creating => MirrorState::Creating,
            status::MirrorState::Syncing => MirrorState::Syncing,
            status::MirrorState::Stuck => MirrorState::Stuck,
            status::MirrorState::InSync => MirrorState::Synced,
            status::MirrorState::Failed => MirrorState::Failed,
            status::MirrorState::Deleting => MirrorState::Deleting,
        },
        state_message: status.message.clone(),
        branches: status.branches.iter().map(shown_branch).collect(),
        counts: Counts {
            branches: status.sums.branches,
            commits_promoted: status.sums.commits_recorded,
            commits_waiting: status.sums.commits_waiting,
            objects_present: status.sums.objects_present,
            objects_missing: status.sums.objects_missing,
            objects_expired: status.sums.objects_expired,
            objects_outside: status.sums.objects_outside,
        },
        problems: status.problems.iter().take(records::PROBLEMS_MAX).map(ToString::to_string).collect(),
        lag_seconds: status.behind_since_ms.map_or(0, |since| now_ms.saturating_sub(since) / 1000),
        behind_since_ms: status.behind_since_ms,
        journal_head: Some(JournalHead {
            seq: status.journal_seq,
            hash: hex::encode(status.journal_hash),
            journal: None,
        }),
    }
}

fn shown_branch(branch: &BranchStatus) -> records::BranchStatus {
    records::BranchStatus {
        name: branch.name.clone(),
        source_commit: branch.source_commit,
        promoted_commit: branch.promoted_commit,
        state: match branch.state {
            status::BranchState::InSync => BranchState::Synced,
            status::BranchState::Stuck => BranchState::Stuck,
            status::BranchState::Waiting => BranchState::Waiting,
            status::BranchState::Promoting => BranchState::Promoting,
            status::BranchState::Deleting => BranchState::Deleting,
            status::BranchState::Diverged => BranchState::Diverged,
        },
        waiting: branch.waiting.iter().map(shown_waiting).collect(),
        behind_since_ms: branch.behind_since_ms,
    }
}

fn shown_waiting(waiting: &Waiting) -> records::Waiting {
    records::Waiting {
        kind: waiting.kind,
        what: waiting.what.clone(),
        objects_missing: waiting.objects_missing,
        objects: waiting
            .objects
            .iter()
            .map(|one| records::WaitingObject { path: one.path.clone(), uri: one.uri.clone() })
            .collect(),
        and_more: waiting.and_more,
        since_ms: waiting.since_ms,
        checked_at_ms: waiting.checked_ms,
    }
}
