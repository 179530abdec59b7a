//! `lakemirror journal repair DIR --accept-loss --reason TEXT`: going on after a loss, and saying so in the journal.
//!
//! Owns asking for consent, and the record that names the loss, the reason and who gave it. What is cut and kept is the
//! log's work, and so is that no cut stays without its record. Of all the journal's commands, this one alone writes; it takes the lock, so that no service runs.

use std::error::Error;
use std::path::PathBuf;

use clap::Args;
use lakemirror_evidence::Source;
use lakemirror_evidence::verify::{Request, verify};
use lakemirror_journal::codec::{self, Payload};
use lakemirror_journal::event::{Event, JournalRecoveredV1, LossAcknowledgedV1};
use lakemirror_journal::log::repair::{self, Accepted, RepairError};
use lakemirror_journal::log::{
    Acknowledgement, FrameInfo, Log, NewJournal, OpenError, Options, RawRecord, RecoveryAction, Replay, ReplayRefused,
};
use lakemirror_ports::clock::Clock;
use lakemirror_ports::clock::system::SystemClock;

use super::{Exit, Failure, output};

/// A reason is for people; it has to fit into a record with room to spare.
const REASON_BYTES_MAX: usize = 4096;

/// What to give up, and why.
#[derive(Debug, Args)]
#[command(after_help = "\
For a journal that the service refuses because acknowledged records, or HEAD, are lost. First restore the volume from a \
copy, if there is one: a loss that is accepted is final. What is sound stays; what has to be cut is kept beside it, in \
files that end in `.broken`; and the loss, the reason and who accepted it become a record of the journal. Where nothing \
is lost, nothing is changed. The service must not be running.

Without --accept-loss it only says what is wrong.

  lakemirror journal repair ./journal
  lakemirror journal repair ./journal --accept-loss --reason 'disk replaced, ticket 4711'

Exit codes: 0 it opens again, or nothing was lost; 1 something is lost and --accept-loss was not given; 2 wrong \
arguments; 70 not a journal, in use, or wrong in a way that giving up records does not mend; 74 reading or writing failed.")]
pub(in crate::cli) struct RepairArguments {
    /// The journal's directory
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Give up what is lost
    #[arg(long, requires = "reason")]
    accept_loss: bool,
    /// Why, for whoever reads the journal later
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,
}

fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("say why: who reads the journal later has nothing else".to_owned()),
        text if text.len() > REASON_BYTES_MAX => Err(format!("it is longer than {REASON_BYTES_MAX} bytes")),
        text => Ok(text.to_owned()),
    }
}

/// Says what is wrong, gives it up if that was asked for, and records it.
pub(super) fn repair(arguments: &RepairArguments) -> Result<Exit, Failure> {
    let RepairArguments { dir, accept_loss, reason } = arguments;
    let sound = say_what_is_wrong(arguments)?;
    let Some(reason) = reason.as_deref().filter(|_| *accept_loss) else {
        if sound {
            return Ok(Exit::Ok);
        }
        output::line("nothing was changed; --accept-loss with --reason gives up what cannot be had any more")?;
        return Ok(Exit::CheckFailed);
    };
    let options = Options::default();
    let wall_ms = SystemClock::new().wall_ms();
    let make = |accepted: &Accepted| acknowledgement(accepted, reason, &who(), wall_ms);
    let accepted = repair::accept_loss(dir, &options, &mut Ignore, &make).map_err(refused)?;
    let Some(accepted) = accepted else {
        output::line("nothing that was acknowledged is lost: the service can be started; nothing was changed")?;
        return Ok(Exit::Ok);
    };
    for saved in &accepted.saved_as {
        output::line(&format!("kept      {saved}"))?;
    }
    output::line(&format!("lost      {}", loss(&accepted)))?;
    let seq = record(arguments, &options, wall_ms)?;
    output::line(&format!("recorded  as record {seq}; the service can be started"))?;
    Ok(Exit::Ok)
}

/// Whether the segments and HEAD agree. They may not, and the hot store may still have what is missing.
fn say_what_is_wrong(arguments: &RepairArguments) -> Result<bool, Failure> {
    let report = verify(&Source::new(&arguments.dir), &Request::default()).map_err(super::failure)?;
    output::line(&format!("sound     up to record {}", report.proven.last_seq))?;
    for problem in &report.problems {
        output::line(&format!("FAULT     {problem}"))?;
    }
    Ok(report.holds())
}

/// A repair wants the chain, not the state.
struct Ignore;

impl Replay for Ignore {
    fn record(&mut self, _: u64, _: RawRecord<'_>, _: &FrameInfo) -> Result<(), ReplayRefused> {
        Ok(())
    }

    fn wants_records(&self) -> bool {
        false
    }
}

fn refused(error: RepairError) -> Failure {
    match error {
        RepairError::Unsound(error) => Failure::because(exit_of(&error), "the journal was not repaired", error),
        error => Failure::new(Exit::Journal, error.to_string()),
    }
}

fn exit_of(error: &OpenError) -> Exit {
    match error {
        OpenError::NotWritable { .. } | OpenError::DiskFull { .. } | OpenError::Io { .. } => Exit::Io,
        _ => Exit::Journal,
    }
}

/// Opens the journal, which makes the loss its next record; its number.
fn record(arguments: &RepairArguments, options: &Options, wall_ms: u64) -> Result<u64, Failure> {
    // The journal exists, so that this names nothing.
    let identity = NewJournal { uuid: [0; 16], wall_ms };
    let (_log, recovery) = Log::open(&arguments.dir, options, identity, &mut Ignore).map_err(not_recorded)?;
    let recorded = recovery.actions.iter().find_map(|action| match action {
        RecoveryAction::LossRecorded { seq } => Some(*seq),
        _ => None,
    });
    Ok(recorded.unwrap_or(recovery.records))
}

fn not_recorded(error: OpenError) -> Failure {
    let what = "the loss is accepted and noted, and not yet a record; the next start of the service, or this command again, records it";
    Failure::because(exit_of(&error), what, error)
}

/// The record: which records were given up; or, where only HEAD was lost, what had to be mended.
fn acknowledgement(
    accepted: &Accepted,
    reason: &str,
    who: &str,
    at_ms: u64,
) -> Result<Acknowledgement, Box<dyn Error + Send + Sync>> {
    let Payload { kind, version, bytes } = codec::encode(&fact(accepted, reason, who, at_ms))?;
    Ok(Acknowledgement { kind, version, payload: bytes, wall_ms: at_ms })
}

fn fact(accepted: &Accepted, reason: &str, who: &str, at_ms: u64) -> Event {
    if let Some((from, to)) = accepted.lost {
        let (reason, who) = (reason.to_owned(), who.to_owned());
        return Event::LossAcknowledged(LossAcknowledgedV1 { from, to, reason, who, at_ms });
    }
    let text = format!("loss accepted by {who}: {}; reason: {reason}", loss(accepted));
    Event::JournalRecovered(JournalRecoveredV1 { text, at_ms })
}

fn loss(accepted: &Accepted) -> String {
    let records = match accepted.lost {
        Some((from, to)) => format!("records {from} to {to}, which were acknowledged"),
        None => "no record that is known of".to_owned(),
    };
    let head = if accepted.head_rebuilt { "; HEAD was lost and made anew" } else { "" };
    format!("{records}{head}; what is there ends with record {}", accepted.end)
}

/// User and host, as far as they are known.
fn who() -> String {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok()).filter(|name| !name.is_empty());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned());
    let host = host.or_else(|| std::env::var("HOSTNAME").ok()).filter(|name| !name.is_empty());
    let unknown = || "unknown".to_owned();
    format!("{} on {}", user.unwrap_or_else(unknown), host.unwrap_or_else(unknown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_something() {
        assert_eq!(reason(" disk replaced "), Ok("disk replaced".to_owned()));
        assert!(reason("  ").is_err());
        assert!(reason(&"x".repeat(REASON_BYTES_MAX)).is_ok() && reason(&"x".repeat(REASON_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn the_record_says_what_who_and_why() {
        let accepted = Accepted { lost: Some((5, 9)), head_rebuilt: false, end: 4, saved_as: vec![] };
        let (reason, who) = ("fire".to_owned(), "ann on alpha".to_owned());
        let lost = Event::LossAcknowledged(LossAcknowledgedV1 { from: 5, to: 9, reason, who, at_ms: 7 });
        assert_eq!(fact(&accepted, "fire", "ann on alpha", 7), lost);
        let accepted = Accepted { lost: None, head_rebuilt: true, ..accepted };
        assert!(loss(&accepted).starts_with("no record that is known of; HEAD was lost and made anew"));
    }
}
