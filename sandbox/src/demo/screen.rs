//! Output for people: the time since the start, the speaker, the text.
//!
//! The only module that prints, with colours. If the output is closed (a closed pipe), it remembers the error and sends
//! the signal that ends the demo.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use lakemirror_core::escape;
use lakemirror_ports::clock::Clock;

/// The speaker of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// The demo itself.
    Demo,
    /// The source's users.
    Source,
    /// The replication between the buckets.
    Bucket,
    /// What lakemirror reports that it is waiting for.
    Waiting,
    /// A branch of the mirror moved.
    Mirror,
    /// The checker, without faults.
    Good,
    /// The checker, with faults.
    Bad,
}

impl Voice {
    fn name(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::Source => "source",
            Self::Bucket => "bucket",
            Self::Waiting => "waiting",
            Self::Mirror => "PROMOTED",
            Self::Good => "verdict",
            Self::Bad => "WRONG",
        }
    }

    /// The colour's number in ANSI escapes.
    fn colour(self) -> &'static str {
        match self {
            Self::Demo => "2",
            Self::Source => "36",
            Self::Bucket => "35",
            Self::Waiting => "33",
            Self::Mirror => "1;32",
            Self::Good => "1;32",
            Self::Bad => "1;31",
        }
    }
}

/// Where lines are printed.
pub struct Screen {
    clock: Arc<dyn Clock>,
    started: Duration,
    colours: bool,
    out: Mutex<Out>,
    closed: CancellationToken,
}

struct Out {
    writer: Box<dyn Write + Send>,
    error: Option<io::Error>,
}

impl Screen {
    /// A screen whose time starts now. `closed` is cancelled once output is not possible any more.
    pub fn new(writer: Box<dyn Write + Send>, colours: bool, clock: Arc<dyn Clock>, closed: CancellationToken) -> Self {
        let out = Mutex::new(Out { writer, error: None });
        Self { started: clock.monotonic(), clock, colours, out, closed }
    }

    /// A line with its time and its speaker.
    pub fn say(&self, voice: Voice, text: &str) {
        let elapsed = self.clock.monotonic().saturating_sub(self.started).as_secs_f64();
        let (name, colour) = (voice.name(), voice.colour());
        let text = escape::line(text);
        match self.colours {
            true => self.plain(&format!("{elapsed:7.2}s  \x1b[{colour}m{name:<9}\x1b[0m {text}")),
            false => self.plain(&format!("{elapsed:7.2}s  {name:<9} {text}")),
        }
    }

    /// A line as it is.
    pub fn plain(&self, text: &str) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if out.error.is_some() {
            return;
        }
        if let Err(error) = writeln!(out.writer, "{text}").and_then(|()| out.writer.flush()) {
            out.error = Some(error);
            self.closed.cancel();
        }
    }

    /// Why output is not possible any more; returned once.
    pub fn error(&self) -> Option<io::Error> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner).error.take()
    }
}

/// The beginning of a commit id.
pub fn short(id: &str) -> &str {
    id.get(..10).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lakemirror_ports::clock::system::SystemClock;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn closed_pipe_is_remembered_and_signalled() {
        let closed = CancellationToken::new();
        let screen = Screen::new(Box::new(Closed), false, Arc::new(SystemClock::new()), closed.clone());
        screen.say(Voice::Demo, "hello");
        assert!(closed.is_cancelled());
        assert_eq!(screen.error().unwrap().kind(), io::ErrorKind::BrokenPipe);
    }

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn external_text_is_one_line_without_control_characters() {
        let paper = Paper::default();
        let clock = Arc::new(SystemClock::new());
        let screen = Screen::new(Box::new(paper.clone()), false, clock, CancellationToken::new());
        screen.say(Voice::Source, "main\u{1b}[2K\r\n   0.00s  verdict   forged\u{9b}1m\u{202e}");
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("forged") && !text.trim_end().chars().any(char::is_control), "{text:?}");
        assert!(!text.contains('\u{202e}'), "{text:?}");
    }
}
