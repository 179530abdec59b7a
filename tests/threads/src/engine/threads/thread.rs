//! The scheduler's threads, with what they lack compared to std's.

use std::sync::Arc;

use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::thread;

pub(crate) struct JoinHandle<T> {
    thread: thread::JoinHandle<T>,
    ended: Arc<AtomicBool>,
}

impl<T> JoinHandle<T> {
    pub(crate) fn join(self) -> thread::Result<T> {
        self.thread.join()
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }
}

pub(crate) struct Builder(thread::Builder);

impl Builder {
    pub(crate) fn new() -> Self {
        Self(thread::Builder::new())
    }

    pub(crate) fn name(self, name: String) -> Self {
        Self(self.0.name(name))
    }

    pub(crate) fn spawn<T: Send + 'static>(
        self,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> std::io::Result<JoinHandle<T>> {
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let thread = self.0.spawn(move || {
            let result = run();
            end.store(true, Ordering::SeqCst);
            result
        })?;
        Ok(JoinHandle { thread, ended })
    }
}
