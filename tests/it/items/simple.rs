//! The conformance suite against the implementations that need no server.

use std::sync::Arc;

use lakemirror::engine::ports::Alarm;
use lakemirror::mirrors::{Embedded, Memory};

use super::conformance::{Backend, conformance};

async fn memory(_test: &str) -> Option<Backend> {
    Some(Backend { items: Arc::new(Memory::new()), neighbour: None, _kept: None })
}

/// A process has one organization. That it cannot see others in the directory is tested with the opening.
async fn embedded(_test: &str) -> Option<Backend> {
    let directory = tempfile::tempdir().unwrap();
    let items = Embedded::open(&directory.path().join("new/deep"), "acme", Alarm::default()).await.unwrap();
    Some(Backend { items: Arc::new(items), neighbour: None, _kept: Some(directory) })
}

conformance!(in_memory, memory);
conformance!(in_a_directory, embedded);
