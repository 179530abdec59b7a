//! The clock, as far as the files under test ask for it. It stands still: no order of theirs depends on it.

/// The name of production's; the one thing that the recorder asks.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970.
    fn wall_ms(&self) -> u64;
}

/// Always the same.
pub(crate) struct Still;

impl Clock for Still {
    fn wall_ms(&self) -> u64 {
        1_700_000_000_000
    }
}
