//! Threads whose creation sometimes fails.

use std::io;

use shuttle::rand::{Rng, thread_rng};
pub(crate) use shuttle::thread::JoinHandle;

pub(crate) struct Builder(shuttle::thread::Builder);

impl Builder {
    pub(crate) fn new() -> Self {
        Self(shuttle::thread::Builder::new())
    }

    pub(crate) fn name(self, name: String) -> Self {
        Self(self.0.name(name))
    }

    pub(crate) fn spawn<T: Send + 'static>(
        self,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        if thread_rng().gen_bool(0.1) { Err(io::ErrorKind::WouldBlock.into()) } else { self.0.spawn(run) }
    }
}
