//! lakemirror: transactional mirroring for lakeFS, as a library so that the command, the tests and the demo share it.

pub mod auth;
pub mod checker;
pub mod cli;
pub mod config;
pub mod demo;
pub mod evidence;
pub mod lakefs;
pub mod logging;
pub mod mirrors;
pub mod objects;
pub mod outbound;
pub mod run;
pub mod sandbox;
pub mod service;

pub use lakemirror_core::{escape, secret};
pub use lakemirror_engine as engine;
pub use lakemirror_graveler as graveler;
pub use lakemirror_ports::{backoff, clock};
