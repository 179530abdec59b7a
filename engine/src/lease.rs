//! Who drives a mirror, when several processes could (I7).
//!
//! Owns the two things that a process asks before it changes anything: [`LeaseClock`], whether its own heartbeats reach the
//! mirrors database in time, and [`Lease`], whether this mirror was taken under the lease_clock of now. `members` tells the
//! living from the dead by their heartbeats, [`plan`] decides who takes what, [`manager`] does it, [`fenced`] stands
//! before every call that changes a mirror.
//!
//! # Why at most one drives
//! A heartbeat counts from the moment it was *sent* for [`LEASE_TTL`] of the sender's monotonic clock. It prolongs the lease_clock
//! only if it was acknowledged before the one before had run out; else the lease has *expired*, everything that was held
//! under it is not held any more, and has to be taken again. Another process takes a mirror of a holder only when two of
//! its own reads, [`FAILURE_TIMEOUT`] apart by its own monotonic clock, showed the same heartbeat: then between the two none
//! was written, so the holder's lease expired before. Who the holder is was read before the second of them: he
//! may have come back since, and taken it anew. Taking is a conditional write of the mirror's item,
//! with an epoch that only grows, so of two takers one wins. No two clocks are ever compared.

pub mod fenced;
mod lease_clock;
pub mod manager;
mod members;
pub mod plan;

use std::time::Duration;

pub use lease_clock::{Lease, LeaseClock};

/// How often a heartbeat is written.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);
/// How long a heartbeat counts for its sender.
pub const LEASE_TTL: Duration = Duration::from_secs(8);
/// How long no new heartbeat must have been seen before its sender counts as dead.
pub const FAILURE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call that nobody waits for any more may still be carried out: no longer than what lies between the end of a
/// lease for who held it and its beginning for another.
pub const IN_FLIGHT_MAX: Duration = Duration::from_secs(2);
/// How often the others' heartbeats are looked at. With a beat just before the end: 2 + 10 + 2 seconds to a takeover.
pub const LOOK: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
