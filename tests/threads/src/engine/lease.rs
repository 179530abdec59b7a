//! What several threads look at of a lease; who takes one is not compiled here.

use std::time::Duration;

#[path = "../../../../engine/src/lease/pulse.rs"]
mod pulse;

pub use pulse::{Lease, Pulse};

/// How long a heartbeat counts: as in production.
pub(crate) const HOLDS: Duration = Duration::from_secs(8);
/// How long a call may still be under way: as in production.
pub(crate) const FLIGHT: Duration = Duration::from_secs(2);
