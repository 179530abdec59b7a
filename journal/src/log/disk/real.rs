//! The port on the operating system's file system. Files are readable by their owner alone (0600), directories too
//! (0700).

mod file;

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;

use super::{Access, Disk, DiskFile, LockGuard};
use file::RealFile;

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
        Ok(Box::new(RealFile::new(file)))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What cannot be synced shows that a sync is asked for: the system refuses it for a device without a store
    /// (EINVAL, fdatasync(2)), and a sync that was left out would succeed.
    #[test]
    fn the_system_is_asked_for_every_sync() {
        let devices = RealDisk::new(Path::new("/dev"));
        let refused = |result: io::Result<()>| result.map_err(|error| error.kind()) == Err(io::ErrorKind::InvalidInput);
        let mut file = devices.open("null", Access::Write).unwrap();
        assert!(refused(file.sync()));
        file.begin_sync();
        assert!(refused(file.sync()), "of the sync that has begun");
        file.begin_sync();
        assert!(refused(file.write_at(0, b"x")), "its error is not lost to a write");
        assert!(refused(devices.sync_dir("null")));
    }
}
