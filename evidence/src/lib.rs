//! The journal as evidence: questions about a journal's directory, answered from its segments alone.
//!
//! Owns one way of reading ([`Source::read`]) and what can go wrong in it; each question is a consumer of that one scan
//! in a file under `evidence/`. Nothing here writes into the journal, takes its lock, opens the hot store, or prints:
//! directories in; plain answers out, or an [`EvidenceError`] that says what to do.

pub mod begin;
pub mod diff;
pub mod explain;
pub mod export;
pub mod heads;
pub mod import;
pub mod json;
pub mod mirrors;
pub mod point;
pub mod reflog;
pub mod replay;
mod source;
pub mod stat;
pub mod verify;
pub mod what_if;

pub use source::{EvidenceError, Source, Watch};
use source::{decode, decode_about_branches, output_failed};
