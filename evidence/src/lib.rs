//! The journal as evidence: answers questions about a journal's directory from its segments alone.
//!
//! There is one way of reading ([`Source::read`]), with one set of errors; each question is a consumer of that scan in
//! a module of its own. Nothing here writes to the journal, takes its lock, opens the hot store, or prints: it takes
//! directories and returns plain answers, or an [`EvidenceError`] that says what to do.

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
