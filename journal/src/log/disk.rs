//! The few file operations that the log needs, as a port. `real` is the operating system; `sim` is a disk that forgets
//! what was not synced.
//!
//! This module owns the port and the one way to replace a small file. Paths are relative to the journal's directory and
//! use `/`; `""` is the directory itself. Nothing here knows what the files mean.

pub mod real;
pub mod sim;

use std::io;

/// How a file is opened. Write access includes read access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// An existing file, read only.
    Read,
    /// An existing file.
    Write,
    /// An existing or a new file. A new one is durable once it *and its directory* are synced.
    Create,
}

/// An open file.
pub trait DiskFile: Send {
    /// Its length in bytes.
    ///
    /// # Errors
    /// Any error of the operating system.
    fn size(&self) -> io::Result<u64>;

    /// Reads up to `into.len()` bytes at `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// Any error of the operating system.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`; durable after [`DiskFile::sync`].
    ///
    /// # Errors
    /// Any error of the operating system; a part may have been written.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file to `size` bytes; durable after [`DiskFile::sync`].
    ///
    /// # Errors
    /// Any error of the operating system.
    fn truncate(&mut self, size: u64) -> io::Result<()>;

    /// Announces that [`DiskFile::sync`] will be called soon, so that the drive can begin. It guarantees nothing, and
    /// an implementation may ignore it.
    fn begin_sync(&mut self) {}

    /// Makes content and length durable, past the drive's cache.
    ///
    /// # Errors
    /// Any error of the operating system. What was written before is then permanently in doubt: a second sync may
    /// report success falsely.
    fn sync(&mut self) -> io::Result<()>;
}

/// The lock, held while the journal is open. Dropping it releases the lock.
pub type LockGuard = Box<dyn Send>;

/// A directory tree.
pub trait Disk: Send {
    /// The name of `path` for messages.
    fn show(&self, path: &str) -> String;

    /// Names in a directory, sorted; those of directories end in `/`.
    ///
    /// # Errors
    /// As the operating system says.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;

    /// Opens a file.
    ///
    /// # Errors
    /// As the operating system says.
    fn open(&self, path: &str, access: Access) -> io::Result<Box<dyn DiskFile>>;

    /// Creates a directory if it is missing; durable after [`Disk::sync_dir`] of its parent.
    ///
    /// # Errors
    /// As the operating system says.
    fn make_dir(&self, path: &str) -> io::Result<()>;

    /// Renames a file or directory and replaces what has the new name; durable after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// As the operating system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file; durable after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// As the operating system says.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// As the operating system says.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;

    /// Takes the exclusive lock on `path`; creates the file if it is missing. `None` if another holder has the lock.
    ///
    /// # Errors
    /// As the operating system says.
    fn try_lock(&self, path: &str) -> io::Result<Option<LockGuard>>;
}

/// Replaces the content of file `path` in `dir` with `bytes` atomically: a crash leaves the old file or the new one.
///
/// # Errors
/// Any error of the operating system; a `.tmp` file may remain, which the next call overwrites.
pub(super) fn replace_file(disk: &dyn Disk, dir: &str, path: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = format!("{path}.tmp");
    let mut file = disk.open(&temporary, Access::Create)?;
    file.truncate(0)?;
    file.write_at(0, bytes)?;
    // Before the rename; otherwise the name could be durable while the content is not.
    file.sync()?;
    disk.rename(&temporary, path)?;
    disk.sync_dir(dir)
}

/// The content of a small file, up to `limit` bytes.
///
/// # Errors
/// As the operating system says.
pub(super) fn read_small(disk: &dyn Disk, path: &str, limit: usize) -> io::Result<Vec<u8>> {
    let file = disk.open(path, Access::Read)?;
    let mut bytes = vec![0; limit];
    let got = file.read_at(0, &mut bytes)?;
    bytes.truncate(got);
    Ok(bytes)
}
