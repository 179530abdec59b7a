//! Symbolic links below a local store's directory: followed as lakeFS follows them, but never out of the directory.
//!
//! Owns the way from a cleaned path to what is there. A link that leaves the directory is an error, also where nothing
//! is at its other end: what lies outside is no part of the store, and waiting for it would never end.

use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use super::means_absent;

/// Why it cannot be said what is at a path.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    /// The file system's own answer.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A link's other end is outside.
    #[error(
        "the symbolic link {} leads out of {}: put what it points to in its place, or correct blockstore.local.path",
        link.display(),
        root.display()
    )]
    Leaves {
        /// The link.
        link: PathBuf,
        /// The store's directory.
        root: PathBuf,
    },
    /// A link leads to itself, or through too many others.
    #[error("the symbolic link {} cannot be followed: {source}", link.display())]
    Endless {
        /// The link.
        link: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// What is at a path relative to the root, which has neither `..` nor empty parts; `None` if there is nothing.
pub(super) fn follow(root: &Path, path: &str) -> Result<Option<(PathBuf, Metadata)>, LinkError> {
    let mut at = root.to_path_buf();
    let mut found = std::fs::metadata(root)?;
    for part in path.split('/') {
        if !found.is_dir() {
            return Ok(None);
        }
        at.push(part);
        found = std::fs::symlink_metadata(&at)?;
        if found.is_symlink() {
            let Some(real) = end_of(root, &at)? else { return Ok(None) };
            (at, found) = real;
        }
    }
    Ok(Some((at, found)))
}

/// What is at a link's other end, by a path without links; `None` if there is nothing.
pub(super) fn end_of(root: &Path, link: &Path) -> Result<Option<(PathBuf, Metadata)>, LinkError> {
    let real_root = std::fs::canonicalize(root)?;
    let leaves = || LinkError::Leaves { link: link.to_path_buf(), root: root.to_path_buf() };
    match std::fs::canonicalize(link) {
        Ok(real) if real.starts_with(&real_root) => {
            let found = std::fs::symlink_metadata(&real)?;
            Ok(Some((real, found)))
        }
        Ok(_) => Err(leaves()),
        Err(error) if means_absent(&error) => {
            let named = named_end(link)?;
            if named.starts_with(&real_root) || named.starts_with(root) { Ok(None) } else { Err(leaves()) }
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(error.into()),
        Err(source) => Err(LinkError::Endless { link: link.to_path_buf(), source }),
    }
}

/// Where a link that leads nowhere would lead, by its text.
fn named_end(link: &Path) -> io::Result<PathBuf> {
    let folder = std::fs::canonicalize(link.parent().unwrap_or(link))?;
    let mut end = PathBuf::new();
    for part in folder.join(std::fs::read_link(link)?).components() {
        match part {
            Component::ParentDir => drop(end.pop()),
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => end.push(part),
        }
    }
    Ok(end)
}
