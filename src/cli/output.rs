//! Lines on standard output and messages on standard error. The macros of std panic where a pipe is closed; these
//! report it, and [`super::exit`] ends quietly.

use std::io::{self, StdoutLock, Write};

use lakemirror_core::escape::{Printable, line as one_line};

use super::Failure;

/// Standard output, for people: no control character gets through.
pub(super) fn stdout() -> Printable<StdoutLock<'static>> {
    Printable::new(io::stdout().lock())
}

/// Writes one line to standard output.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    writeln!(io::stdout().lock(), "{}", one_line(text)).map_err(Failure::Output)
}

/// Writes one line to standard error. Where that is closed, nobody is there to be told.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", one_line(text));
}
