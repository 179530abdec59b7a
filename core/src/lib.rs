//! Plain values that the journal, lakeFS's formats and everything around them share. No I/O, no async code.

pub mod archived;
pub mod causes;
pub mod commit;
pub mod escape;
pub mod ids;
pub mod limits;
pub mod mutant;
pub mod secret;
pub mod suggest;
