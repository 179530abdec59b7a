//! Files below a directory in the order of their keys, from a key on, one page at a time.
//!
//! Owns the walk. The order of keys is that of their bytes with `/` among them, so that `a-b` comes before `a/b` and
//! `a/b` before `a0`: a directory sorts as its name with a `/` behind it. Only the directories on the way to the
//! first key, and those that the page spans, are read; a directory is held in memory as a whole while it is walked.

use std::fs::DirEntry;
use std::io;
use std::path::Path;

use super::super::Page;
use super::means_absent;

/// Directories deeper than this below the bucket are not walked. S3's keys have at most 1,024 bytes.
const DEPTH_MAX: usize = 512;

/// The files with `prefix` after `after`, at most `max`.
pub(super) fn page(bucket: &Path, prefix: &str, after: &str, max: usize) -> io::Result<Page> {
    let mut walk = Walk { prefix, after, max, page: Page::default() };
    let folder_end = prefix.rfind('/').map_or(0, |slash| slash.saturating_add(1));
    let folder = prefix.get(..folder_end).unwrap_or_default();
    if !folder.is_empty() && !super::is_holdable("bucket", folder.strip_suffix('/').unwrap_or_default()) {
        return Ok(walk.page);
    }
    // A link on the way to the prefix is not followed either.
    let mut path = bucket.to_path_buf();
    for segment in std::iter::once("").chain(folder.split_terminator('/')) {
        if !segment.is_empty() {
            path.push(segment);
        }
        if !std::fs::symlink_metadata(&path)?.is_dir() {
            return Ok(walk.page);
        }
    }
    let mut key = folder.to_owned();
    walk.directory(&path, &mut key, 0)?;
    Ok(walk.page)
}

struct Walk<'a> {
    prefix: &'a str,
    after: &'a str,
    max: usize,
    page: Page,
}

/// One child: its name, with a `/` behind it for a directory, which is how it sorts.
struct Child {
    name: String,
    is_dir: bool,
}

impl Walk<'_> {
    /// Walks one directory whose keys start with `key`. Returns early once the page is full.
    fn directory(&mut self, path: &Path, key: &mut String, depth: usize) -> io::Result<()> {
        if depth > DEPTH_MAX {
            return Ok(());
        }
        for child in self.children(path, key)? {
            let length = key.len();
            key.push_str(&child.name);
            let done = if child.is_dir {
                let below = path.join(child.name.trim_end_matches('/'));
                skip_vanished(self.directory(&below, key, depth.saturating_add(1)))
            } else {
                self.file(&path.join(&child.name), key)
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
    fn children(&self, path: &Path, key: &str) -> io::Result<Vec<Child>> {
        let mut children = Vec::new();
        for entry in std::fs::read_dir(path)? {
            if let Some(child) = child(&entry?)?
                && self.may_hold(key, &child)
            {
                children.push(child);
            }
        }
        children.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(children)
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

    fn file(&mut self, path: &Path, key: &str) -> io::Result<()> {
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
            Err(error) => skip_vanished(Err(error)),
        }
    }
}

/// What is removed while it is listed is not listed.
fn skip_vanished(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if means_absent(&error) => Ok(()),
        other => other,
    }
}

/// A file or directory by its entry; `None` for links, devices, and names that no key can have.
fn child(entry: &DirEntry) -> io::Result<Option<Child>> {
    let kind = entry.file_type()?;
    let Ok(mut name) = entry.file_name().into_string() else { return Ok(None) };
    if kind.is_dir() {
        name.push('/');
    }
    Ok((kind.is_dir() || kind.is_file()).then_some(Child { name, is_dir: kind.is_dir() }))
}

#[cfg(test)]
mod tests;
