//! Exit codes, and what failed when one is not 0. The numbers are part of the interface: scripts and units rely on
//! them, so they are only ever added to. From 64 on they are those of BSD's `sysexits.h`.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use lakemirror_core::causes::chain;

use super::output;
use crate::logging;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked, or was asked to end and did (SIGTERM, first Ctrl-C).
    Ok = 0,
    /// The check that was asked for failed: a damaged file, a mirror that is not complete.
    CheckFailed = 1,
    /// The arguments are wrong.
    Usage = 2,
    /// Something outside that is needed to go on cannot be reached, or refuses.
    Unavailable = 69,
    /// The journal refuses: damaged, of a later version, or in use by another process.
    Journal = 70,
    /// Reading or writing failed: a full disk, a read-only volume, an address in use.
    Io = 74,
    /// The configuration is wrong.
    Configuration = 78,
    /// Interrupted before it could end in order (second Ctrl-C).
    Interrupted = 130,
}

impl Exit {
    /// All of them, in the order of their numbers.
    pub const ALL: [Exit; 8] = [
        Exit::Ok,
        Exit::CheckFailed,
        Exit::Usage,
        Exit::Unavailable,
        Exit::Journal,
        Exit::Io,
        Exit::Configuration,
        Exit::Interrupted,
    ];

    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// Why a command could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// Standard output could not be written.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
    /// The configuration has problems, which have been printed.
    #[error("the configuration {file} has {problems} problem(s); nothing was started")]
    Configuration {
        /// The file.
        file: String,
        /// How many.
        problems: usize,
    },
    /// Anything else, with the exit code that says what kind it is.
    #[error("{what}")]
    Other {
        /// Its kind.
        exit: Exit,
        /// What happened, to what, and what to do.
        what: String,
        /// Why, where there is more to say.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl Failure {
    /// A failure with its kind and a sentence that says what happened, to what, and what to do.
    pub fn new(exit: Exit, what: impl Into<String>) -> Failure {
        Failure::Other { exit, what: what.into(), source: None }
    }

    /// The same with its cause.
    pub fn because(exit: Exit, what: impl Into<String>, source: impl Error + Send + Sync + 'static) -> Failure {
        Failure::Other { exit, what: what.into(), source: Some(Box::new(source)) }
    }

    fn exit(&self) -> Exit {
        match self {
            // Who closes the pipe has seen enough.
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Ok,
            Failure::Output(_) => Exit::Io,
            Failure::Configuration { .. } => Exit::Configuration,
            Failure::Other { exit, .. } => *exit,
        }
    }
}

/// Prints a failure with all of its causes, and says how the process ends.
pub(super) fn report(result: Result<Exit, Failure>) -> Exit {
    let failure = match result {
        Ok(exit) => return exit,
        Err(failure) => failure,
    };
    let exit = failure.exit();
    if exit != Exit::Ok && logging::is_json() {
        tracing::error!(exit_code = exit.code(), "{}", chain(&failure));
    } else if exit != Exit::Ok {
        output::complain(&format!("lakemirror: {}", chain(&failure)));
    }
    exit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_pipe_ends_quietly_and_a_full_disk_does_not() {
        let output = |kind| report(Err(Failure::Output(io::Error::from(kind))));
        assert_eq!(output(io::ErrorKind::BrokenPipe), Exit::Ok);
        assert_eq!(output(io::ErrorKind::StorageFull), Exit::Io);
    }

    #[test]
    fn causes_are_printed_once_each() {
        let failure = Failure::because(Exit::Io, "cannot bind 1.2.3.4:80; choose another", io::Error::other("in use"));
        assert_eq!(chain(&failure), "cannot bind 1.2.3.4:80; choose another: in use");
        assert_eq!(failure.exit(), Exit::Io);
    }
}
