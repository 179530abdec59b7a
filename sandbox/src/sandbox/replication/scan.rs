//! Finds changes in a directory tree by reading only directories whose modification time has changed.
//!
//! A directory's time changes with every file that appears in it or is removed, because files appear by a rename. File
//! times are coarse, so a directory is read again for a while after its last change. Stores which files were found;
//! copies nothing.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How long after its last change a directory is read in every scan: more than the coarsest granularity of file times.
const SETTLED_AFTER: Duration = Duration::from_millis(2500);

/// A change found by a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A file that is at the source and not at the destination.
    New(String),
    /// A file that was at the source and was deleted.
    Gone(String),
}

#[derive(Debug, Default)]
struct Folder {
    time: Option<SystemTime>,
    changed_at: Duration,
    files: HashSet<String>,
}

/// All files found so far.
#[derive(Debug, Default)]
pub(super) struct Scan {
    folders: BTreeMap<String, Folder>,
}

impl Scan {
    /// Finds what has changed below `from` since the last scan. The first scan returns everything that is not below
    /// `to`.
    pub(super) fn look(&mut self, from: &Path, to: &Path, now: Duration) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        let mut open = vec![String::new()];
        open.extend(self.folders.keys().filter(|key| !key.is_empty()).cloned());
        while let Some(key) = open.pop() {
            let fresh = self.folder(from, to, &key, now, &mut found)?;
            open.extend(fresh);
        }
        Ok(found)
    }

    /// Reads one directory if it has changed, and returns its new subdirectories.
    fn folder(
        &mut self,
        from: &Path,
        to: &Path,
        key: &str,
        now: Duration,
        found: &mut Vec<Found>,
    ) -> io::Result<Vec<String>> {
        let path = from.join(key);
        let time = match fs::metadata(&path).and_then(|metadata| metadata.modified()) {
            Ok(time) => time,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let gone = self.folders.remove(key).unwrap_or_default();
                found.extend(gone.files.iter().map(|name| Found::Gone(joined(key, name))));
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        let folder = self.folders.entry(key.to_owned()).or_default();
        if folder.time != Some(time) {
            folder.time = Some(time);
            folder.changed_at = now;
        } else if now > folder.changed_at + SETTLED_AFTER {
            return Ok(Vec::new());
        }
        let (files, folders) = listed(&path)?;
        for name in files.difference(&folder.files) {
            let key = joined(key, name);
            if !is_same(&from.join(&key), &to.join(&key)) {
                found.push(Found::New(key));
            }
        }
        found.extend(folder.files.difference(&files).map(|name| Found::Gone(joined(key, name))));
        folder.files = files;
        let all = folders.into_iter().map(|name| joined(key, &name));
        Ok(all.filter(|key| !self.folders.contains_key(key)).collect())
    }
}

/// Whether the file is at the destination, judging by its size.
fn is_same(from: &Path, to: &Path) -> bool {
    let size = |path: &Path| fs::metadata(path).map(|metadata| metadata.len()).ok();
    size(to).is_some_and(|there| size(from) == Some(there))
}

fn joined(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn listed(path: &Path) -> io::Result<(HashSet<String>, Vec<String>)> {
    let (mut files, mut folders) = (HashSet::new(), Vec::new());
    for item in fs::read_dir(path)? {
        let item = item?;
        let name = item.file_name().to_string_lossy().into_owned();
        if item.file_type()?.is_dir() {
            folders.push(name);
        } else {
            files.insert(name);
        }
    }
    Ok((files, folders))
}
