//! lakeFS's committed metadata: decodes files to records, and encodes records to files.
//!
//! This crate owns the SSTable format that lakeFS writes (reader and writer), the range and metarange records in it,
//! the content ids of ranges, metaranges and commits, and the address of an entry's object. It is synchronous and free
//! of I/O: files are passed as whole `Bytes`. It knows neither stores nor HTTP nor the journal.
//!
//! Reading: file → [`table`] (blocks, index, checksums, order) → [`content`] (the id) → [`range`] or [`metarange`] (the
//! meaning of a record) → [`address`] (bucket and key). Writing: [`writer`], in the opposite direction.

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
