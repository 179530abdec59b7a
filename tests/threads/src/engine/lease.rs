//! The parts of a lease that several threads read. Acquiring a lease is not compiled here.

use std::time::Duration;

#[path = "../../../../engine/src/lease/lease_clock.rs"]
mod lease_clock;

pub use lease_clock::{Lease, LeaseClock};

/// How long a heartbeat is valid, as in production.
pub(crate) const LEASE_TTL: Duration = Duration::from_secs(8);
/// How long a call may be in flight, as in production.
pub(crate) const IN_FLIGHT_MAX: Duration = Duration::from_secs(2);
