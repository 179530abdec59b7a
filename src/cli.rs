//! The command line: what can be asked, and how the answer becomes an exit code.
//!
//! Owns the arguments' frame and the texts of `--help`; each noun has its file under `cli/` with its arguments and
//! what it does with them. Arguments in; lines on standard output, messages on standard error and an exit code out.

mod check;
#[cfg(feature = "demo")]
mod demo;
mod exit;
mod journal;
mod output;
mod run;
#[cfg(feature = "demo")]
mod sandbox;
mod signals;
mod sst;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rustix::fs::Mode;

pub use exit::{Exit, Failure};

/// A line of the help that is there only with the demo.
#[cfg(feature = "demo")]
macro_rules! with_demo {
    ($text:literal) => {
        $text
    };
}
#[cfg(not(feature = "demo"))]
macro_rules! with_demo {
    ($text:literal) => {
        ""
    };
}

/// What follows the list of commands in `--help`.
const EXAMPLES: &str = concat!(
    "Examples:\n",
    with_demo!("  lakemirror demo                               see a mirror at work, with nothing else installed\n"),
    with_demo!("  lakemirror demo --regions 3                   the same with a process in each of three regions\n"),
    "  lakemirror config check lakemirror.yaml       every problem of a configuration at once\n",
    "  lakemirror run --config lakemirror.yaml       serve\n",
    with_demo!("  lakemirror sandbox --listen 127.0.0.1:8000 --dir ./east\n"),
    "  lakemirror sst ./blocks/sample/_lakefs/*      what metadata files hold, as JSON lines\n",
    "  lakemirror journal verify ./journal           whether a journal is sound; `journal --help` has the other questions\n",
    "\n",
    "Exit codes: 0 done, 1 the check that was asked for failed, 2 wrong arguments, 69 something outside cannot be reached,\n",
    "70 the journal refuses, 74 reading or writing failed, 78 the configuration is wrong, 130 interrupted."
);

#[derive(Debug, Parser)]
#[command(name = "lakemirror", version, after_help = EXAMPLES)]
/// Transactional mirroring for lakeFS: a mirror that only ever shows complete commits.
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Mirror, and serve the API.
    Run(run::RunArguments),
    /// Look at a configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Serve one small lakeFS-compatible server, to try things on.
    #[cfg(feature = "demo")]
    Sandbox(sandbox::SandboxArguments),
    /// Print what lakeFS metadata files hold, and check their ids.
    Sst(sst::SstArguments),
    /// Ask a journal: what was shown when, why, and whether it is sound. Offline, and never written to.
    #[command(after_help = journal::EXAMPLES)]
    Journal {
        #[command(subcommand)]
        command: journal::JournalCommand,
    },
    /// Show the main job: two sandbox lakeFS installations, replication between them, and a mirror.
    #[cfg(feature = "demo")]
    Demo(demo::DemoArguments),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Report every problem of a configuration at once.
    Check(check::CheckArguments),
}

/// Does what the arguments say; the first is the program's name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    // Journals, databases and caches are this user's alone, whatever the umask that this was started with.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    match Arguments::try_parse_from(arguments) {
        Ok(arguments) => exit::report(dispatch(arguments.command)).into(),
        Err(error) => {
            // A closed pipe under `--help | head` is no fault.
            let _ = error.print();
            if error.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() }
        }
    }
}

fn dispatch(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Config { command: ConfigCommand::Check(arguments) } => check::check(&arguments),
        #[cfg(feature = "demo")]
        Command::Sandbox(arguments) => sandbox::sandbox(&arguments),
        Command::Sst(arguments) => sst::sst(&arguments),
        Command::Journal { command } => journal::journal(&command),
        #[cfg(feature = "demo")]
        Command::Demo(arguments) => demo::demo(&arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_frame_is_sound() {
        Arguments::command().debug_assert();
    }

    /// The commands in a help text: lines that begin with two spaces, up to a remark, a pipe or a redirection.
    fn examples(help: &str) -> Vec<Vec<String>> {
        let lines = help.lines().filter_map(|line| line.strip_prefix("  lakemirror "));
        let command = |line: &str| {
            let end = ["  ", " | ", " > "].iter().filter_map(|mark| line.find(mark)).min().unwrap_or(line.len());
            // Every second part is quoted.
            let parts = line[..end].split('\'').enumerate();
            let words = parts.flat_map(|(place, part)| match place % 2 {
                0 => part.split_whitespace().map(ToOwned::to_owned).collect(),
                _ => vec![part.to_owned()],
            });
            std::iter::once("lakemirror".to_owned()).chain(words).collect()
        };
        lines.map(command).collect()
    }

    #[test]
    fn every_command_has_an_example_and_its_exit_codes() {
        let arguments = Arguments::command();
        let own = |command: &clap::Command| command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let top = examples(EXAMPLES);
        for command in arguments.get_subcommands() {
            assert!(top.iter().any(|words| words[1] == command.get_name()), "no example of {}", command.get_name());
        }
        let journal = arguments.find_subcommand("journal").unwrap();
        let together = examples(journal::EXAMPLES);
        let mut all = [top, together.clone()].concat();
        for command in journal.get_subcommands() {
            let (name, help) = (command.get_name(), own(command));
            let is_of = |words: &Vec<String>| words[1..3] == ["journal", name];
            assert!(together.iter().any(is_of), "journal --help has no example of {name}");
            let mine = examples(&help);
            assert!(mine.iter().any(is_of), "journal {name} --help has no example of itself");
            assert!(help.contains("Exit codes: 0 "), "journal {name} --help has no exit codes");
            all.extend(mine);
        }
        for words in all {
            // An elided hash stands for one.
            let words = words.iter().map(|word| word.replace("9f86d0…", &"9f".repeat(32)));
            let words: Vec<String> = words.collect();
            let parsed = Arguments::try_parse_from(&words);
            assert!(parsed.is_ok(), "{words:?}: {}", parsed.err().map(|error| error.to_string()).unwrap_or_default());
        }
    }

    #[test]
    fn the_help_names_every_exit_code() {
        for exit in Exit::ALL {
            let code = exit.code().to_string();
            let words = EXAMPLES.split_whitespace();
            assert!(words.into_iter().any(|word| word == code), "{code} is not in --help");
        }
    }
}
