//! Lines on standard output and messages on standard error. The macros of std panic where a pipe is closed; these
//! report it, and [`super::exit`] ends quietly.

use std::io::{self, Write};

use super::Failure;

/// Writes one line to standard output.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    writeln!(io::stdout().lock(), "{text}").map_err(Failure::Output)
}

/// Writes one line to standard error. Where that is closed, nobody is there to be told.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
