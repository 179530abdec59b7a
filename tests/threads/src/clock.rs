//! The clock, as far as the files under test need it. It stands still: no ordering of theirs depends on it.

/// Named as in production; contains the only function that the recorder uses.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970.
    fn wall_ms(&self) -> u64;
}

/// A constant clock.
pub(crate) struct Still;

impl Clock for Still {
    fn wall_ms(&self) -> u64 {
        1_700_000_000_000
    }
}
