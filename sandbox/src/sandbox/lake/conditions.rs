//! Preconditions of a write.

/// The condition under which a write happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// Nothing.
    #[default]
    None,
    /// The path has no object yet.
    Absent,
}
