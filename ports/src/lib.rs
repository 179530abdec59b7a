//! What the engine and its adapters agree on: the ports, what a failed call means, time, and how to try again.

pub mod backoff;
pub mod clock;
mod ports;

pub use ports::{
    Alarm, Answer, ApprovedDeletion, BranchHead, CommitId, CommitRecord, CreateOutcome, Destination, Effort, Fault,
    FaultKind, Fetched, Heartbeat, Incarnation, Inode, Lakefs, LeaseTable, Listing, Location, Machine, MetarangeId,
    MirrorDefinition, NAME_BYTES_MAX, Outcome, Owner, Repository, Sameness, SourceObject, StoreIdentity, Wanted,
};
