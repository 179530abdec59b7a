//! The engine: every mirror of the regions that this process serves, each at work on its own (I9).
//!
//! One loop looks after the list of mirrors and after which of them this process drives ([`lease`]); each mirror has
//! four stages that share nothing but the journal. A stage
//! that ends with a stopped journal ends the engine, and so the process: nothing may be done that is not recorded.
//!
//! Where several things may happen next they are looked at in a stated order (`biased`), never in a random one: what the
//! engine does follows from its ports alone, so that a simulation of them can be repeated.

mod assignments;
pub mod audit;
pub mod conditions;
mod engine;
mod health;
pub mod holds;
pub mod lease;
pub mod mirror;
pub mod observe;
pub mod ownership;
pub mod ports;
pub mod promote;
pub mod publish;
mod reconcile;
pub mod recorder;
pub mod report;
pub mod repository;
pub mod scrub;
pub mod status;
mod threads;
pub mod ticker;
pub mod verify;
mod work;

pub use engine::{Engine, Parts, Region};
