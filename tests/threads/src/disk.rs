//! A file as Linux provides it, and the threads on which its syncs run.
//!
//! A failed sync is reported once, to the next caller, and what it should have covered is not tried again: the next
//! sync succeeds without it. So a lost error is an acknowledgement of missing data.

use std::fs::Metadata;
use std::io;
use std::sync::Arc;

use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::Mutex;

use crate::sync::point;

#[allow(unused_imports, reason = "it imports a trait whose functions the file here has by itself")]
#[path = "../../../journal/src/log/disk/real/file.rs"]
mod file;
pub(crate) mod thread;

/// The port that the file under test implements.
#[expect(dead_code, reason = "reading has no part in the scenarios")]
pub(crate) trait DiskFile {
    fn size(&self) -> io::Result<u64>;
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    fn truncate(&mut self, size: u64) -> io::Result<()>;
    fn begin_sync(&mut self);
    fn sync(&mut self) -> io::Result<()>;
}

/// The file under test, over the simulated file.
pub(crate) fn open(file: File) -> Box<dyn DiskFile> {
    Box::new(file::RealFile::new(file))
}

/// Number of written bytes, and how many of them are on the disk.
#[derive(Debug, Default)]
struct Pages {
    written: u64,
    durable: u64,
    lost: bool,
}

/// The simulated file.
#[derive(Debug, Clone, Default)]
pub(crate) struct File(Arc<Mutex<Pages>>);

impl File {
    /// Whether everything that was written is on the disk.
    pub(crate) fn is_durable(&self) -> bool {
        let pages = self.0.lock().unwrap();
        !pages.lost && pages.durable == pages.written
    }

    fn sync_data(&self) -> io::Result<()> {
        let begun = self.0.lock().unwrap().written;
        point();
        let mut pages = self.0.lock().unwrap();
        if thread_rng().gen_bool(0.2) {
            pages.lost |= pages.durable < begun;
            return Err(io::Error::other("the disk failed"));
        }
        pages.durable = pages.durable.max(begun);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], _offset: u64) -> io::Result<()> {
        self.0.lock().unwrap().written += bytes.len() as u64;
        Ok(())
    }

    fn set_len(&self, _size: u64) -> io::Result<()> {
        // A change like any other: it has to be synced.
        self.0.lock().unwrap().written += 1;
        Ok(())
    }

    fn read_at(&self, _into: &mut [u8], _offset: u64) -> io::Result<usize> {
        Ok(0)
    }

    fn metadata(&self) -> io::Result<Metadata> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
