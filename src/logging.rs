//! The log: to standard error, as text or as JSON lines, with times in UTC.
//!
//! Logs our own records from the configured level on, and those of other crates only from `WARN` on, because theirs are
//! per request. A repeated warning is logged once in five minutes ([`repeats`]). The command sets up the log once per
//! process; libraries only emit.

mod repeats;

use std::fmt::Debug;
use std::io::IsTerminal;
use std::sync::{Arc, OnceLock};

use lakemirror_core::escape;
use tracing::Level;
use tracing::field::Field;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{self, FormatFields, Writer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::config::{LogFormat, LogLevel, Logging};
use lakemirror_ports::clock::Clock;
use lakemirror_ports::clock::system::SystemClock;
use repeats::Repeats;

/// The prefix of the names of our own crates.
const OWN_CRATES: &str = "lakemirror";

/// The format of this process's log, once it is set up.
static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// The log of this process is already set up.
#[derive(Debug, thiserror::Error)]
#[error("the log is set up already; call this once, from the command")]
pub struct AlreadySetUp;

/// Sends the process's log to standard error.
///
/// # Errors
/// If the process has a log already.
pub fn init(logging: Logging) -> Result<(), AlreadySetUp> {
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let subscriber = Registry::default().with(layer(logging, color, std::io::stderr, Arc::new(SystemClock::new())));
    subscriber.try_init().map_err(|_| AlreadySetUp)?;
    // There is one log, so there was no format before.
    let _first = FORMAT.set(logging.format);
    Ok(())
}

fn layer<W>(logging: Logging, color: bool, writer: W, clock: Arc<dyn Clock>) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let filter = filter(logging.level).and(Repeats::new(clock));
    match logging.format {
        LogFormat::Text => lines.with_ansi(color).fmt_fields(one_line_fields()).with_filter(filter).boxed(),
        LogFormat::Json => lines.with_ansi(false).json().flatten_event(true).with_filter(filter).boxed(),
    }
}

/// Formats fields on one line, whatever they hold: names and answers come from outside.
fn one_line_fields() -> impl for<'w> FormatFields<'w> + Send + Sync + 'static {
    let field = |writer: &mut Writer<'_>, field: &Field, value: &dyn Debug| {
        let text = format!("{value:?}");
        let text = escape::line(&text);
        if field.name() == "message" { write!(writer, "{text}") } else { write!(writer, "{}={text}", field.name()) }
    };
    format::debug_fn(field).delimited(" ")
}

/// Whether the log of this process is JSON. The last message of a failing process then is JSON too.
pub fn is_json() -> bool {
    FORMAT.get() == Some(&LogFormat::Json)
}

fn filter(level: LogLevel) -> Targets {
    let own = match level {
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Info => Level::INFO,
        LogLevel::Warn => Level::WARN,
        LogLevel::Error => Level::ERROR,
    };
    let others = LevelFilter::from_level(own).min(LevelFilter::WARN);
    Targets::new().with_default(others).with_target(OWN_CRATES, own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::Mutex;
    use std::time::Duration;

    /// A clock that stands still until it is moved.
    #[derive(Default)]
    struct Hand(Mutex<Duration>);

    #[async_trait::async_trait]
    impl Clock for Hand {
        fn wall_ms(&self) -> u64 {
            0
        }
        fn monotonic(&self) -> Duration {
            *self.0.lock().unwrap()
        }
        async fn sleep(&self, _: Duration) {}
    }

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: LogLevel, format: LogFormat) -> String {
        let captured = Captured::default();
        let writer = captured.clone();
        let clock = Arc::new(Hand::default());
        let layer = layer(Logging { level, format }, false, move || writer.clone(), clock);
        let subscriber = Registry::default().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!(target: "lakemirror_engine::observe", "own debug");
            tracing::info!(target: "lakemirror_journal::log", mirror = "m1", "own info");
            tracing::info!(target: "hyper_util::client", "request noise");
            tracing::warn!(target: "aws_smithy_runtime", "foreign warning");
            tracing::error!(target: "lakemirror", "own error");
        });
        let bytes = captured.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn levels_let_through_what_they_say_and_no_request_noise() {
        let debug = logged(LogLevel::Debug, LogFormat::Text);
        assert!(debug.contains("own debug") && debug.contains("foreign warning"), "{debug}");
        assert!(!debug.contains("request noise"), "{debug}");
        let info = logged(LogLevel::Info, LogFormat::Text);
        assert!(!info.contains("own debug") && info.contains("own info"), "{info}");
        let error = logged(LogLevel::Error, LogFormat::Text);
        assert_eq!(error.lines().count(), 1, "{error}");
    }

    #[test]
    fn hostile_text_makes_one_line_and_no_control_character() {
        let hostile = "b\n2026-12-01T00:00:00Z  INFO forged\u{1b}[2K\u{9b}1m";
        for format in [LogFormat::Text, LogFormat::Json] {
            let captured = Captured::default();
            let writer = captured.clone();
            let clock = Arc::new(Hand::default());
            let layer = layer(Logging { level: LogLevel::Info, format }, false, move || writer.clone(), clock);
            tracing::subscriber::with_default(Registry::default().with(layer), || {
                tracing::warn!(target: "lakemirror", branch = hostile, reason = %hostile, "moved {hostile}");
            });
            let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(!text.contains('\u{1b}') && text.contains("forged"), "{text:?}");
            if format == LogFormat::Text {
                assert!(!text.trim_end().chars().any(char::is_control), "{text:?}");
                assert!(text.contains("branch=") && text.contains("moved b\\n2026"), "{text}");
            }
        }
    }

    #[test]
    fn times_are_utc_and_json_lines_parse() {
        let text = logged(LogLevel::Error, LogFormat::Text);
        let stamp = text.split(' ').next().unwrap();
        assert!(stamp.ends_with('Z') && stamp.contains('T'), "{text}");
        let json = logged(LogLevel::Info, LogFormat::Json);
        for line in json.lines() {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(record["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        }
        assert!(json.contains("\"mirror\":\"m1\"") && json.contains("\"level\":\"INFO\""), "{json}");
    }

    #[test]
    fn an_equal_warning_is_logged_once_in_five_minutes() {
        let (captured, clock) = (Captured::default(), Arc::new(Hand::default()));
        let writer = captured.clone();
        let logging = Logging { level: LogLevel::Info, format: LogFormat::Text };
        let layer = layer(logging, false, move || writer.clone(), clock.clone());
        tracing::subscriber::with_default(Registry::default().with(layer), || {
            for _ in 0..600 {
                tracing::warn!(target: "lakemirror", mirror = "m1", "cannot");
                tracing::info!(target: "lakemirror", "now and then");
                *clock.0.lock().unwrap() += Duration::from_secs(1);
            }
            tracing::warn!(target: "lakemirror", mirror = "m2", "cannot");
        });
        let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
        let count = |what: &str| text.lines().filter(|line| line.contains(what)).count();
        assert_eq!((count("m1"), count("m2"), count("now and then")), (2, 1, 600));
    }
}
