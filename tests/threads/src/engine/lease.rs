//! What several threads look at of a lease; who takes one is not compiled here.

use std::time::Duration;

#[path = "../../../../engine/src/lease/lease_clock.rs"]
mod lease_clock;

pub use lease_clock::{Lease, LeaseClock};

/// How long a heartbeat counts: as in production.
pub(crate) const LEASE_TTL: Duration = Duration::from_secs(8);
/// How long a call may still be under way: as in production.
pub(crate) const IN_FLIGHT_MAX: Duration = Duration::from_secs(2);
