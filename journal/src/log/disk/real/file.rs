//! One open file, and its sync on a separate thread.
//!
//! The file and thread types come from the module above. `tests/threads` replaces them and explores the possible
//! interleavings.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::thread::{self, JoinHandle};
use super::{DiskFile, File};
use crate::mutant;

/// An open file.
#[derive(Debug)]
pub(super) struct RealFile {
    file: Arc<File>,
    /// A running sync on its own thread, which covers everything that was written before it.
    begun: Option<JoinHandle<io::Result<()>>>,
}

impl RealFile {
    pub(super) fn new(file: File) -> Self {
        Self { file: Arc::new(file), begun: None }
    }

    /// Waits for the sync that has begun, if one has.
    fn join(&mut self) -> Option<io::Result<()>> {
        let ended = self.begun.take()?.join();
        Some(ended.unwrap_or_else(|_| Err(io::Error::other("the syncing thread panicked"))))
    }

    /// Called before a change that the running sync need not cover. Its error must not get lost: no later sync reports
    /// it.
    fn settle(&mut self) -> io::Result<()> {
        let ended = self.join();
        if mutant::is_on("begun_sync_forgotten") { Ok(()) } else { ended.unwrap_or(Ok(())) }
    }
}

impl DiskFile for RealFile {
    fn size(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(got) => filled += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if !mutant::is_on("write_beside_sync") {
            self.settle()?;
        }
        self.file.write_all_at(bytes, offset)
    }

    fn truncate(&mut self, size: u64) -> io::Result<()> {
        self.settle()?;
        self.file.set_len(size)
    }

    fn begin_sync(&mut self) {
        if self.begun.is_none() {
            let file = Arc::clone(&self.file);
            // Without a thread, `sync` does all the work.
            self.begun = thread::Builder::new().name("log-sync".to_owned()).spawn(move || file.sync_data()).ok();
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        // fdatasync includes the length, and omits timestamps, which nothing reads.
        self.join().unwrap_or_else(|| self.file.sync_data())
    }
}
