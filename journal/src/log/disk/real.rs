//! The port on the operating system's file system. Files and directories are accessible to their owner only (0600 and
//! 0700).
//!
//! Nothing below the root is reached through a symbolic link: each name is opened in its parent directory, and a link
//! in its place is an error that names it ([`SymbolicLink`]). The root itself may be one.

mod file;

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{Access, Disk, DiskFile, LockGuard};
use file::RealFile;

const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
const DIR_MODE: u32 = 0o700;
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A symbolic link where a file or directory of the tree was expected. Wrapped in an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{path} is a symbolic link, which is not followed: put the file or directory itself there")]
pub struct SymbolicLink {
    /// The link.
    pub path: String,
}

impl SymbolicLink {
    /// The link that caused the error, if one did.
    #[must_use]
    pub fn within(error: &io::Error) -> Option<&Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref())
    }
}

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

    /// Opens the parent directory of `relative`; returns it and the last name. Without a name, it is the root.
    fn parent<'a>(&self, relative: &'a str) -> io::Result<(OwnedFd, &'a str)> {
        let mut dir = rustix::fs::openat(CWD, &self.root, DIRECTORY, Mode::empty())?;
        let Some((parents, name)) = relative.rsplit_once('/') else {
            return Ok((dir, if relative.is_empty() { "." } else { relative }));
        };
        for parent in parents.split('/') {
            dir = self.open_in(&dir, parent, relative, DIRECTORY)?;
        }
        Ok((dir, name))
    }

    /// Opens `name` in `dir`, unless it is a link. `relative` is the whole path.
    fn open_in(&self, dir: &OwnedFd, name: &str, relative: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let opened = rustix::fs::openat(dir, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, FILE_MODE);
        opened.map_err(|errno| self.explain(dir, name, relative, errno))
    }

    /// The system's error, or the link that caused it.
    fn explain(&self, dir: &OwnedFd, name: &str, relative: &str, errno: Errno) -> io::Error {
        let link = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|found| FileType::from_raw_mode(found.st_mode).is_symlink());
        if !link {
            return errno.into();
        }
        let up_to = relative.split('/').position(|part| part == name).map_or(usize::MAX, |place| place + 1);
        let path: Vec<&str> = relative.split('/').take(up_to).collect();
        io::Error::other(SymbolicLink { path: self.show(&path.join("/")) })
    }

    fn open_file(&self, relative: &str, flags: OFlags) -> io::Result<File> {
        let (dir, name) = self.parent(relative)?;
        Ok(self.open_in(&dir, name, relative, flags)?.into())
    }

    /// Searches a directory of the tree for links, for code that opens its files by name. A missing directory has none.
    ///
    /// # Errors
    /// The first link found, as [`SymbolicLink`].
    pub fn refuse_links(&self, dir: &str) -> io::Result<()> {
        let found = match self.open_file(dir, DIRECTORY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found?,
        };
        drop(found);
        for entry in fs::read_dir(self.path(dir))? {
            let entry = entry?;
            let name = format!("{dir}/{}", entry.file_name().to_string_lossy());
            match entry.file_type()? {
                kind if kind.is_symlink() => return Err(io::Error::other(SymbolicLink { path: self.show(&name) })),
                kind if kind.is_dir() => self.refuse_links(&name)?,
                _ => {}
            }
        }
        Ok(())
    }
}

impl Disk for RealDisk {
    fn show(&self, path: &str) -> String {
        self.path(path).display().to_string()
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let opened = self.open_file(dir, DIRECTORY)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&opened)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy();
            if name == "." || name == ".." {
                continue;
            }
            let is_dir = match entry.file_type() {
                // Not every file system reports the type.
                FileType::Unknown => {
                    let found = rustix::fs::statat(&opened, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
                    FileType::from_raw_mode(found.st_mode).is_dir()
                }
                known => known.is_dir(),
            };
            names.push(format!("{name}{}", if is_dir { "/" } else { "" }));
        }
        names.sort();
        Ok(names)
    }

    fn open(&self, path: &str, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let flags = match access {
            Access::Read => OFlags::RDONLY,
            Access::Write => OFlags::RDWR,
            Access::Create => OFlags::RDWR | OFlags::CREATE,
        };
        Ok(Box::new(RealFile::new(self.open_file(path, flags)?)))
    }

    fn make_dir(&self, path: &str) -> io::Result<()> {
        if path.is_empty() {
            return DirBuilder::new().recursive(true).mode(DIR_MODE).create(&self.root);
        }
        let (dir, name) = self.parent(path)?;
        match rustix::fs::mkdirat(&dir, name, Mode::RWXU) {
            Ok(()) => Ok(()),
            // It may be a link or a file.
            Err(Errno::EXIST) => self.open_in(&dir, name, path, DIRECTORY).map(drop),
            Err(errno) => Err(errno.into()),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        // The caller syncs the file before, and the directory after.
        let ((from_dir, from), (to_dir, to)) = (self.parent(from)?, self.parent(to)?);
        Ok(rustix::fs::renameat(&from_dir, from, &to_dir, to)?)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        Ok(rustix::fs::unlinkat(&dir, name, AtFlags::empty())?)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.open_file(dir, OFlags::RDONLY)?.sync_all()
    }

    fn try_lock(&self, path: &str) -> io::Result<Option<LockGuard>> {
        let file = self.open_file(path, OFlags::RDWR | OFlags::CREATE)?;
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
        // Closing is not enough: a child process that is being started shares the open file, and with it the lock,
        // until it runs its own program. If unlocking fails, only closing remains.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device without storage shows that a sync reaches the system: the system refuses it (EINVAL, fdatasync(2)),
    /// while a skipped sync would succeed.
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
