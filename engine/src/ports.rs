//! What the engine needs from the world: the ports that adapters implement, and the one that is the engine's own because
//! its values are.

use async_trait::async_trait;
pub use lakemirror_ports::{
    Alarm, Answer, ApprovedDeletion, BranchHead, CommitId, CommitRecord, CreateOutcome, Destination, Effort, Fault,
    FaultKind, Fetched, Heartbeat, Incarnation, Inode, Lakefs, LeaseTable, Listing, Location, Machine, MetarangeId,
    MirrorDefinition, NAME_BYTES_MAX, Outcome, Owner, Repository, Sameness, SourceObject, StoreIdentity, Wanted,
};

use crate::status::MirrorStatus;

/// The mirrors database as the engine sees it.
#[async_trait]
pub trait Registry: Send + Sync {
    /// Every mirror that is defined, and those whose deletion waits for its acknowledgement.
    async fn definitions(&self) -> Result<Vec<MirrorDefinition>, Fault>;
    /// The mirror repository is gone.
    async fn acknowledge_deletion(&self, definition: &MirrorDefinition, epoch: u64) -> Result<(), Fault>;
    /// Publishes a mirror's status under a number that only grows within an epoch of the mirror's lease.
    async fn publish(
        &self,
        definition: &MirrorDefinition,
        epoch: u64,
        number: u64,
        status: &MirrorStatus,
    ) -> Result<(), Fault>;
    /// The held deletions of a mirror that an operator approved, those that are over included.
    async fn approved_deletions(&self, _definition: &MirrorDefinition) -> Result<Vec<ApprovedDeletion>, Fault> {
        Ok(Vec::new())
    }
    /// Ticks when this process changed a definition.
    fn changes(&self) -> tokio::sync::watch::Receiver<u64>;
}
