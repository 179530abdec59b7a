//! What the journal, lakeFS's formats and everything around them have in common: plain values, no I/O, nothing async.

pub mod archived;
pub mod causes;
pub mod commit;
pub mod escape;
pub mod ids;
pub mod limits;
pub mod mutant;
pub mod secret;
pub mod suggest;
