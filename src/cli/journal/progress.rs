//! A bar on standard error that shows how far the reading of a journal is; nothing where that is no terminal.
//!
//! Owns when it is drawn: at most every tenth of a second of the clock it was given, so that a reading that ends sooner
//! draws nothing and no answer flickers; that, and the injected clock, is why it is no library's. The total is the size of the
//! segments' files when the command starts.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lakemirror_evidence::Source;
use lakemirror_ports::clock::Clock;
use lakemirror_ports::clock::system::SystemClock;

use super::FrameInfo;

const PAUSE: Duration = Duration::from_millis(100);
const CELLS: u64 = 30;

/// The bar, or none.
pub(super) struct Bar(Option<Arc<Mutex<Drawn>>>);

struct Drawn {
    clock: Box<dyn Clock>,
    out: Box<dyn Write + Send>,
    total_bytes: u64,
    read_bytes: u64,
    /// When it may be drawn next.
    due: Duration,
    visible: bool,
}

/// A bar for reading the journals in `dirs`, on standard error if that is a terminal.
pub(super) fn bar(dirs: &[PathBuf]) -> Bar {
    if !io::stderr().is_terminal() {
        return Bar(None);
    }
    let total = dirs.iter().map(|dir| segment_bytes(dir)).sum();
    Bar::new(Box::new(SystemClock::new()), Box::new(io::stderr()), total)
}

/// The size of the segments' files; 0 where it cannot be known, which the reading itself will complain about.
fn segment_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir.join("seg")).into_iter().flatten().flatten();
    let segments = entries.filter(|entry| entry.file_name().to_string_lossy().contains(".jseg"));
    segments.filter_map(|entry| entry.metadata().ok()).map(|data| data.len()).sum()
}

impl Bar {
    fn new(clock: Box<dyn Clock>, out: Box<dyn Write + Send>, total_bytes: u64) -> Self {
        let due = clock.monotonic().saturating_add(PAUSE);
        Self(Some(Arc::new(Mutex::new(Drawn { clock, out, total_bytes, read_bytes: 0, due, visible: false }))))
    }

    /// The journal, with this bar as the one that is told.
    pub(super) fn watch(&self, source: Source) -> Source {
        let Some(drawn) = self.0.clone() else { return source };
        source.watched(Arc::new(move |frame: &FrameInfo| {
            drawn.lock().unwrap_or_else(PoisonError::into_inner).step(u64::from(frame.bytes));
        }))
    }

    /// Takes the bar away, so that the answer stands in its place.
    pub(super) fn clear(&self) {
        let Some(drawn) = &self.0 else { return };
        drawn.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Drawn {
    fn step(&mut self, bytes: u64) {
        self.read_bytes = self.read_bytes.saturating_add(bytes);
        let now = self.clock.monotonic();
        if now < self.due {
            return;
        }
        self.due = now.saturating_add(PAUSE);
        self.visible = true;
        let total = self.total_bytes.max(self.read_bytes).max(1);
        let permille = u128::from(self.read_bytes) * 1000 / u128::from(total);
        let full = u64::try_from(permille).unwrap_or(1000) * CELLS / 1000;
        let bar: String = (0..CELLS).map(|cell| if cell < full { '#' } else { '.' }).collect();
        // A terminal that went away needs no bar.
        let _ = write!(self.out, "\r[{bar}] {:>3}%", permille / 10).and_then(|()| self.out.flush());
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.visible) {
            let _ = write!(self.out, "\r\x1b[K").and_then(|()| self.out.flush());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Hand(Arc<Mutex<Duration>>);

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
    fn it_is_drawn_when_due_and_taken_away() {
        let (clock, paper) = (Hand::default(), Paper::default());
        let Bar(Some(drawn)) = Bar::new(Box::new(clock.clone()), Box::new(paper.clone()), 1000) else { panic!() };
        let mut drawn = drawn.lock().unwrap();
        drawn.step(100);
        assert_eq!(*paper.0.lock().unwrap(), b"", "not yet");
        *clock.0.lock().unwrap() = PAUSE;
        drawn.step(400);
        drawn.step(100);
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text, format!("\r[{}{}]  50%", "#".repeat(15), ".".repeat(15)), "once");
        drawn.clear();
        drawn.clear();
        assert_eq!(String::from_utf8(paper.0.lock().unwrap().clone()).unwrap(), format!("{text}\r\x1b[K"));
    }

    #[test]
    fn more_than_was_there_at_the_start_is_all() {
        let (clock, paper) = (Hand::default(), Paper::default());
        let Bar(Some(drawn)) = Bar::new(Box::new(clock.clone()), Box::new(paper.clone()), 10) else { panic!() };
        *clock.0.lock().unwrap() = PAUSE;
        drawn.lock().unwrap().step(1000);
        assert!(String::from_utf8(paper.0.lock().unwrap().clone()).unwrap().ends_with("100%"));
    }
}
