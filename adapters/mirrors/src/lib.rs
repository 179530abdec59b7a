//! The mirrors database: the one thing that the processes of all regions share.
//!
//! Owns the low-level port ([`Items`]: one partition of keys and versioned values, single-item conditional writes, ordered
//! queries) and what is kept in it ([`records`]). Knows nothing of lakeFS, of the engine or of HTTP. Values flow in from
//! the API (definitions) and the engine (summaries, acknowledgements) and out to both.
//!
//! # Layout
//! Everything of one organization is in the partition [`partition`]`(organization_id)`, `lakemirror/<organization id>`.
//! Within it every item has **one writer**, named by its key, is self-contained, and carries `(epoch, seq)`:
//!
//! | item key | written by | what |
//! |---|---|---|
//! | `definitions/<source region>/<mirror name>` | the source's region | the mirror of that name, and tombstones of earlier ones |
//! | `summaries/<region>/<incarnation>` | the mirror's region | its status, when it changed |
//! | `branches/<region>/<incarnation>/<of>-<part>` | the mirror's region | some of its branches, when they are many |
//! | `acks/<region>/<incarnation>` | the mirror's region | the mirror repository of that incarnation is gone |
//! | `heartbeats/<region>/<process>` | that process of the region | it lives |
//! | `owners/<region>/<incarnation>` | the mirror's region | which of its processes drives the mirror |
//!
//! So the same code runs on one region's table, on tables replicated with or without strong consistency, and on SQL: no
//! write ever touches two items, and nothing is written first in order to be pointed to later.

mod attempts;
pub mod dynamodb;
pub mod embedded;
mod items;
pub mod memory;
pub mod postgres;
pub mod records;
mod table;

pub use dynamodb::Dynamodb;
pub use embedded::Embedded;
pub use items::{
    Expect, Item, Items, KEY_BYTES_MAX, OPEN_TIMEOUT, PAGE_ITEMS_MAX, Page, PutError, VALUE_BYTES_MAX, partition,
};
pub use memory::Memory;
pub use postgres::Postgres;

use items::{OPEN_SLOW_AFTER, PAGE_BYTES};
