//! lakeFS's committed metadata: bytes in, records out, and back.
//!
//! Owns the SSTable format that lakeFS writes (reader and writer), the range and metarange records in it, the content
//! ids of ranges, metaranges and commits, and where an entry's object is. Synchronous and free of I/O: files come in
//! as whole `Bytes`, nothing here knows of stores, HTTP or the journal's log.
//!
//! Flow when reading: file → [`table`] (blocks, index, checksums, order) → [`content`] (the id) → [`range`] or
//! [`metarange`] (what a record means) → [`address`] (bucket and key). Flow when writing: [`writer`], the other way.

pub mod address;
mod block;
pub mod commit;
pub mod content;
pub mod damage;
pub mod entry;
pub mod ident;
pub mod limits;
pub mod metarange;
mod protobuf;
pub mod range;
pub mod table;
pub mod value;
mod varint;
pub mod writer;

pub use damage::{Damage, Problem};

#[cfg(test)]
mod tests;
