//! The lakemirror command.

use std::process::ExitCode;

fn main() -> ExitCode {
    lakemirror::cli::main(std::env::args_os())
}
