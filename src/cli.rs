//! To be written.
pub mod sst;
