//! Files below a directory in the order of their keys, from a key on, one page at a time.
//!
//! Owns the walk. The order of keys is that of their bytes with `/` among them, so that `a-b` comes before `a/b` and
//! `a/b` before `a0`: a directory sorts as its name with a `/` behind it. Only the directories on the way to the
//! first key, and those that the page spans, are read; a directory is held in memory as a whole while it is walked.

use std::fs::DirEntry;
use std::path::{Path, PathBuf};

use lakemirror_graveler::address::clean;

use super::super::Page;
use super::links::{LinkError, end_of, follow};
use super::means_absent;

/// Directories deeper than this below the bucket are not walked. S3's keys have at most 1,024 bytes.
const DEPTH_MAX: usize = 512;

/// The files with `prefix` after `after`, at most `max`.
pub(super) fn page(root: &Path, bucket: &str, prefix: &str, after: &str, max: usize) -> Result<Page, LinkError> {
    let mut walk = Walk { root, prefix, after, max, page: Page::default(), above: Vec::new() };
    let folder_end = prefix.rfind('/').map_or(0, |slash| slash.saturating_add(1));
    let folder = prefix.get(..folder_end).unwrap_or_default();
    if folder.contains('\0') {
        return Ok(walk.page);
    }
    let Some(path) = clean(&format!("{bucket}/{folder}")).filter(|path| !path.is_empty()) else {
        return Ok(walk.page);
    };
    let Some((path, _)) = follow(root, &path)?.filter(|(_, found)| found.is_dir()) else { return Ok(walk.page) };
    walk.directory(&std::fs::canonicalize(path)?, &mut folder.to_owned(), 0)?;
    Ok(walk.page)
}

struct Walk<'a> {
    root: &'a Path,
    prefix: &'a str,
    after: &'a str,
    max: usize,
    page: Page,
    /// The directories that are being walked, outermost first: a link back to one of them has no end.
    above: Vec<PathBuf>,
}

/// One child: its name, with a `/` behind it for a directory, which is how it sorts; and where it is, which for a link
/// is its other end.
struct Child {
    name: String,
    is_dir: bool,
    path: PathBuf,
}

impl Walk<'_> {
    /// Walks one directory whose keys start with `key`. Returns early once the page is full.
    fn directory(&mut self, path: &Path, key: &mut String, depth: usize) -> Result<(), LinkError> {
        if depth > DEPTH_MAX || self.above.iter().any(|above| above == path) {
            return Ok(());
        }
        self.above.push(path.to_path_buf());
        let done = self.below(path, key, depth);
        self.above.pop();
        done
    }

    fn below(&mut self, path: &Path, key: &mut String, depth: usize) -> Result<(), LinkError> {
        for child in self.children(path, key)? {
            let length = key.len();
            key.push_str(&child.name);
            let done = if child.is_dir {
                skip_vanished(self.directory(&child.path, key, depth.saturating_add(1)))
            } else {
                self.file(&child.path, key)
            };
            key.truncate(length);
            done?;
            if self.page.more {
                break;
            }
        }
        Ok(())
    }

    /// The children that can hold keys of the page, in the order of keys.
    fn children(&self, path: &Path, key: &str) -> Result<Vec<Child>, LinkError> {
        let mut children = Vec::new();
        for entry in std::fs::read_dir(path)? {
            if let Some(child) = self.child(&entry?, key)? {
                children.push(child);
            }
        }
        children.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(children)
    }

    /// A file or directory by its entry; `None` for devices, for links that lead nowhere, for names that no key can have
    /// and for what holds no key of the page.
    fn child(&self, entry: &DirEntry, key: &str) -> Result<Option<Child>, LinkError> {
        let kind = entry.file_type()?;
        let Ok(name) = entry.file_name().into_string() else { return Ok(None) };
        let mut child = Child { is_dir: kind.is_dir(), path: entry.path(), name };
        if kind.is_symlink() {
            let folder = Child { name: format!("{}/", child.name), is_dir: true, path: PathBuf::new() };
            if !self.may_hold(key, &child) && !self.may_hold(key, &folder) {
                return Ok(None);
            }
            let Some((path, found)) = end_of(self.root, &child.path)? else { return Ok(None) };
            child = Child { is_dir: found.is_dir(), path, ..child };
        } else if !kind.is_dir() && !kind.is_file() {
            return Ok(None);
        }
        if child.is_dir {
            child.name.push('/');
        }
        Ok(self.may_hold(key, &child).then_some(child))
    }

    fn may_hold(&self, key: &str, child: &Child) -> bool {
        let full = key.len().saturating_add(child.name.len());
        let starts_as = |other: &str| {
            let other = other.as_bytes();
            let common = other.len().min(full);
            let parts = key.bytes().chain(child.name.bytes()).take(common);
            other.iter().copied().take(common).cmp(parts)
        };
        let in_prefix = starts_as(self.prefix).is_eq() && (child.is_dir || full >= self.prefix.len());
        // A directory lies past the start as a whole, or the start lies within it.
        let past_start = match starts_as(self.after) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Greater => false,
            std::cmp::Ordering::Equal => child.is_dir || full > self.after.len(),
        };
        in_prefix && past_start
    }

    fn file(&mut self, path: &Path, key: &str) -> Result<(), LinkError> {
        match std::fs::symlink_metadata(path) {
            Ok(found) if found.is_file() => {
                if self.page.len() >= self.max {
                    self.page.more = true;
                } else {
                    self.page.push(key, found.len());
                }
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) => skip_vanished(Err(error.into())),
        }
    }
}

/// What is removed while it is listed is not listed.
fn skip_vanished(result: Result<(), LinkError>) -> Result<(), LinkError> {
    match result {
        Err(LinkError::Io(error)) if means_absent(&error) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests;
