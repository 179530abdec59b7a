//! lakemirror: transactional mirroring for lakeFS. A library, so that the command, the tests and the demo share it.

pub mod auth;
pub mod cli;
pub mod config;
pub mod logging;
pub mod run;
pub mod service;

pub use lakemirror_core::{escape, secret};
pub use lakemirror_engine as engine;
pub use lakemirror_evidence as evidence;
pub use lakemirror_graveler as graveler;
pub use lakemirror_lakefs as lakefs;
pub use lakemirror_mirrors as mirrors;
pub use lakemirror_objects as objects;
pub use lakemirror_outbound as outbound;
pub use lakemirror_ports::{backoff, clock};
#[cfg(feature = "demo")]
pub use lakemirror_sandbox::{checker, demo, sandbox};
