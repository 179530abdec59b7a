//! The port on the operating system's file system. Files are readable by their owner alone (0600), directories too
//! (0700).

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::{Access, Disk, DiskFile, LockGuard};

const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

/// The tree under one directory.
#[derive(Debug, Clone)]
pub struct RealDisk {
    root: PathBuf,
}

impl RealDisk {
    /// The tree under `root`, which need not exist yet.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn path(&self, relative: &str) -> PathBuf {
        if relative.is_empty() { self.root.clone() } else { self.root.join(relative) }
    }
}

impl Disk for RealDisk {
    fn show(&self, path: &str) -> String {
        self.path(path).display().to_string()
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.path(dir))? {
            let entry = entry?;
            let slash = if entry.file_type()?.is_dir() { "/" } else { "" };
            names.push(format!("{}{slash}", entry.file_name().to_string_lossy()));
        }
        names.sort();
        Ok(names)
    }

    fn open(&self, path: &str, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(access != Access::Read)
            .create(access == Access::Create)
            .truncate(false)
            .mode(FILE_MODE)
            .open(self.path(path))?;
        Ok(Box::new(RealFile { file: Arc::new(file), begun: None }))
    }

    fn make_dir(&self, path: &str) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(DIR_MODE).create(self.path(path))
    }

    #[expect(clippy::disallowed_methods, reason = "the caller syncs the file before and the directory after")]
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.path(path))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        File::open(self.path(dir))?.sync_all()
    }

    fn try_lock(&self, path: &str) -> io::Result<Option<LockGuard>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(self.path(path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(RealLock(file)))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

struct RealLock(File);

impl Drop for RealLock {
    fn drop(&mut self) {
        // Closing is not enough: a child process that is just being started shares the open file, and with it the lock,
        // until it runs its own program. If unlocking fails, closing is all that is left.
        let _ = self.0.unlock();
    }
}

#[derive(Debug)]
struct RealFile {
    file: Arc<File>,
    /// A sync that runs on a thread of its own and covers everything that has been written.
    begun: Option<JoinHandle<io::Result<()>>>,
}

impl RealFile {
    /// Waits for the sync that has begun, if one has.
    fn join(&mut self) -> Option<io::Result<()>> {
        let ended = self.begun.take()?.join();
        Some(ended.unwrap_or_else(|_| Err(io::Error::other("the syncing thread panicked"))))
    }

    /// Before a change that the sync under way need not cover. Its error must not get lost: no later sync reports it.
    fn settle(&mut self) -> io::Result<()> {
        self.join().unwrap_or(Ok(()))
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
        self.settle()?;
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
        // fdatasync: it includes the length, and leaves out times, which nothing reads.
        self.join().unwrap_or_else(|| self.file.sync_data())
    }
}
