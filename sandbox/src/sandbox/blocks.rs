//! The blockstore: one directory per bucket, in the layout of lakeFS's local blockstore, so that a real lakeFS and
//! lakemirror's local store read the same files.
//!
//! The address `a/b` in `local://bucket/prefix` is the file `ROOT/bucket/prefix/a/b`. Files appear atomically: they are
//! written to a directory outside the buckets and renamed. This module knows nothing of repositories.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use lakemirror_graveler::address::clean;

use super::failure::{Failure, Kind, Outcome};
use super::log::Durability;
use super::model::Addressing;

/// The scheme of every namespace and address.
pub(super) const SCHEME: &str = "local://";
/// Where metadata files are, within a storage namespace.
pub(super) const METADATA: &str = "_lakefs";

/// A local blockstore.
#[derive(Debug)]
pub struct Blocks {
    root: PathBuf,
    temporary: PathBuf,
    durability: Durability,
}

impl Blocks {
    /// Opens or creates the store at `root`. Incomplete files are kept in `temporary`, on the same file system.
    ///
    /// # Errors
    /// Errors of creating the directories and of clearing `temporary`.
    pub fn open(root: PathBuf, temporary: PathBuf, durability: Durability) -> io::Result<Self> {
        if temporary.exists() {
            fs::remove_dir_all(&temporary)?;
        }
        fs::create_dir_all(&root)?;
        fs::create_dir_all(&temporary)?;
        Ok(Self { root: fs::canonicalize(root)?, temporary, durability })
    }

    /// The directory that contains the buckets.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file of an address in a namespace. A full address is an absolute path under the root.
    ///
    /// # Errors
    /// `Internal` if it is not a plain path, `Forbidden` for a full one outside the root.
    pub(super) fn path(&self, namespace: &str, address: &str, addressing: Addressing) -> Outcome<PathBuf> {
        match full(address, addressing) {
            Some(path) if !is_plain(path) => Err(bad_path()),
            Some(path) if !path.starts_with(&self.root) => Err(Failure::new(Kind::Forbidden, "forbidden")),
            Some(path) => Ok(path.to_owned()),
            None => {
                let base = namespace.strip_prefix(SCHEME).ok_or_else(bad_path)?;
                let relative = format!("{base}/{address}");
                let leaves = relative.split('/').any(|part| part == "..");
                // Doubled slashes and single dots have no meaning in a path, as in lakeFS.
                match clean(&relative).filter(|path| !leaves && !path.is_empty()) {
                    Some(path) if clean(base).is_some_and(|base| !base.is_empty()) => Ok(self.root.join(path)),
                    _ => Err(bad_path()),
                }
            }
        }
    }

    /// The address as the API displays it: the scheme, the root and the address. For a full address this does not name
    /// a file.
    pub(super) fn display(&self, namespace: &str, address: &str, addressing: Addressing) -> Outcome<String> {
        let path = self.path(namespace, address, addressing)?;
        let root = if full(address, addressing).is_some() { self.root.as_path() } else { Path::new("") };
        Ok(format!("{SCHEME}{}{}", root.display(), path.display()))
    }

    /// A metadata file's address.
    pub fn metadata_address(id: &str) -> String {
        format!("{METADATA}/{id}")
    }

    /// Opens a file of a namespace.
    ///
    /// # Errors
    /// `No data` if it does not exist.
    pub fn open_file(&self, path: &Path) -> Outcome<File> {
        match File::open(path) {
            Ok(file) if file.metadata().is_ok_and(|metadata| metadata.is_file()) => Ok(file),
            Ok(_) => Err(Failure::no_data()),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Err(Failure::no_data())
            }
            Err(error) => Err(Failure::internal(error)),
        }
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// As [`Self::open_file`].
    pub fn read(&self, path: &Path) -> Outcome<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open_file(path)?.read_to_end(&mut bytes).map_err(Failure::internal)?;
        Ok(bytes)
    }

    /// Opens a file at an offset.
    ///
    /// # Errors
    /// As [`Self::open_file`].
    pub fn open_at(&self, path: &Path, offset: u64) -> Outcome<File> {
        let mut file = self.open_file(path)?;
        file.seek(SeekFrom::Start(offset)).map_err(Failure::internal)?;
        Ok(file)
    }

    /// Writes a whole file.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn write(&self, path: &Path, name: &str, bytes: &[u8]) -> Outcome<()> {
        let mut pending = self.pending(name)?;
        pending.write(bytes)?;
        pending.publish(path)
    }

    /// Begins a file that becomes visible when it is published. `name` must be unique among pending ones.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn pending(&self, name: &str) -> Outcome<Pending> {
        let path = self.temporary.join(name);
        let file = File::create(&path).map_err(Failure::internal)?;
        Ok(Pending { file: Some(file), path, durability: self.durability })
    }
}

/// The path of an address that does not need its namespace.
fn full(address: &str, addressing: Addressing) -> Option<&Path> {
    match addressing {
        Addressing::Relative => None,
        Addressing::Full => Some(Path::new(address.strip_prefix(SCHEME).unwrap_or(address))),
        Addressing::ByPrefix => address.strip_prefix(SCHEME).map(Path::new),
    }
}

/// Whether a path is absolute and normalized: no `..`, and no empty or `.` parts.
fn is_plain(path: &Path) -> bool {
    let text = path.as_os_str().as_encoded_bytes();
    let parts = text.strip_prefix(b"/").unwrap_or_default().split(|byte| *byte == b'/');
    text.starts_with(b"/") && parts.into_iter().all(|part| !matches!(part, b"" | b"." | b".."))
}

fn bad_path() -> Failure {
    Failure::internal("bad path traversal blocked")
}

/// A file that is being written and is not visible yet. Dropping it removes it.
#[derive(Debug)]
pub struct Pending {
    file: Option<File>,
    path: PathBuf,
    durability: Durability,
}

impl Pending {
    /// Appends bytes.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn write(&mut self, bytes: &[u8]) -> Outcome<()> {
        match &mut self.file {
            Some(file) => file.write_all(bytes).map_err(Failure::internal),
            None => Err(Failure::internal("the file was published already")),
        }
    }

    /// Moves the file to its final path.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn publish(mut self, to: &Path) -> Outcome<()> {
        let file = self.file.take();
        self.publish_file(file, to).map_err(Failure::internal)
    }

    #[expect(clippy::disallowed_methods, reason = "the sandbox survives its process, not the machine, unless asked to")]
    fn publish_file(&self, file: Option<File>, to: &Path) -> io::Result<()> {
        let folder = to.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        if self.durability == Durability::Disk
            && let Some(file) = &file
        {
            file.sync_all()?;
        }
        fs::rename(&self.path, to)?;
        if self.durability == Durability::Disk {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // Fails if the file was published; otherwise it is removed at the next start at the latest.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(dir: &Path) -> Blocks {
        Blocks::open(dir.join("blocks"), dir.join("tmp"), Durability::Process).unwrap()
    }

    #[test]
    fn addresses_resolve_as_the_local_blockstore_does() {
        let dir = tempfile::tempdir().unwrap();
        let blocks = blocks(dir.path());
        let root = blocks.root().to_str().unwrap();
        let file = |namespace: &str, address: &str, addressing| {
            let path = blocks.path(namespace, address, addressing);
            path.map(|path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned())
        };
        use Addressing::{ByPrefix, Full, Relative};
        assert_eq!(file("local://b/p", "data/x", Relative).unwrap(), "b/p/data/x");
        assert_eq!(file("local://b/p/", "data/x", Relative).unwrap(), "b/p/data/x");
        assert_eq!(file("local://b", &format!("local://{root}/c/y z%20"), Full).unwrap(), "c/y z%20");
        assert_eq!(file("local://b", &format!("local://{root}/c/y"), ByPrefix).unwrap(), "c/y");
        assert_eq!(file("local://b", "abc", ByPrefix).unwrap(), "b/abc");
        let failure = |address: &str, addressing| file("local://b", address, addressing).unwrap_err().kind;
        assert_eq!(failure("../../etc/passwd", Relative), Kind::Internal);
        assert_eq!(failure("local://c/y", Full), Kind::Internal);
        assert_eq!(failure(&format!("local://{root}/../y"), Full), Kind::Internal);
        assert_eq!(failure("local:///etc/passwd", Full), Kind::Forbidden);
    }

    #[test]
    fn files_appear_atomically() {
        let dir = tempfile::tempdir().unwrap();
        let blocks = blocks(dir.path());
        let path = blocks.path("local://b", "x/y", Addressing::Relative).unwrap();
        let mut pending = blocks.pending("1").unwrap();
        pending.write(b"ab").unwrap();
        assert_eq!(blocks.read(&path), Err(Failure::no_data()));
        drop(pending);
        assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
        blocks.write(&path, "2", b"abc").unwrap();
        assert_eq!(blocks.read(&path).unwrap(), b"abc");
        assert_eq!(blocks.read(path.parent().unwrap()), Err(Failure::no_data()), "a directory is not an object");
    }
}
