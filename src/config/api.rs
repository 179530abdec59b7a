//! `api`: lakemirror's own HTTP server.

use super::reader::Section;

/// `api`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Api {
    /// `api.max_connections`: connections at a time; beyond that, the one that was silent longest is closed. Default 1024.
    pub max_connections: u64,
}

/// Reads the section `api`.
pub(super) fn read(section: &Section<'_>) -> Api {
    Api { max_connections: section.integer("max_connections", 1..=65536).unwrap_or(1024) }
}
