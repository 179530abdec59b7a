//! What the engine and its adapters agree on: the ports, the meaning of a failed call, time, and retries.

pub mod backoff;
pub mod clock;
mod ports;

pub use ports::{
    Alarm, Answer, ApprovedDeletion, BranchHead, CommitId, CommitRecord, CreateOutcome, Destination, Effort, Fault,
    FaultKind, Fetched, Heartbeat, Incarnation, Inode, Lakefs, LeaseTable, Listing, Location, Machine, MetarangeId,
    MirrorDefinition, NAME_BYTES_MAX, Outcome, Owner, Repository, Sameness, SourceObject, StoreIdentity, Wanted,
};
