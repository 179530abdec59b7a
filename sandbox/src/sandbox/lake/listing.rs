//! Listings: pages of names, and of the entries of a ref, with common prefixes.

use std::sync::Arc;

use super::super::content::decoded;
use super::super::failure::Outcome;
use super::super::model::{Changes, Entry, Repository};
use super::super::tree::{At, Cursor, Tree};
use super::{Change, Lake, argument, check_ref};

/// A part of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Only items with this prefix.
    pub prefix: String,
    /// Only items after this.
    pub after: String,
    /// Maximum number of items.
    pub amount: usize,
}

impl Page {
    /// Takes one page, and returns whether there is more.
    pub fn cut<T>(&self, items: impl Iterator<Item = T>) -> (Vec<T>, bool) {
        let mut taken: Vec<T> = items.take(self.amount + 1).collect();
        let more = taken.len() > self.amount;
        taken.truncate(self.amount);
        (taken, more)
    }
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed<T> {
    /// An item with its path.
    Item(String, T),
    /// All paths with this prefix.
    Prefix(String),
}

impl<T> Listed<T> {
    /// The path or prefix.
    pub fn path(&self) -> &str {
        match self {
            Self::Item(path, _) | Self::Prefix(path) => path,
        }
    }
}

/// A page of entries.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The repository that they are in.
    pub repository: Repository,
    /// The lines.
    pub lines: Vec<Listed<Arc<Entry>>>,
    /// Whether there are more.
    pub more: bool,
}

/// The end of the first segment of `path` after `prefix`, including the delimiter.
fn common<'p>(path: &'p str, prefix: &str, delimiter: &str) -> Option<&'p str> {
    if delimiter.is_empty() {
        return None;
    }
    let rest = path.get(prefix.len()..)?;
    path.get(..prefix.len() + rest.find(delimiter)? + delimiter.len())
}

/// The first text after all texts with the prefix `prefix`, as bytes; `None` if there is none.
fn after_all(prefix: &str) -> Option<Vec<u8>> {
    let mut bytes = prefix.as_bytes().to_vec();
    while let Some(last) = bytes.pop() {
        if let Some(next) = last.checked_add(1) {
            bytes.push(next);
            return Some(bytes);
        }
    }
    None
}

/// A ref's entries in order: the tree with the uncommitted changes applied.
struct Overlay<'a> {
    tree: Tree<'a>,
    walk: Cursor<'a>,
    changes: Vec<(String, Option<Arc<Entry>>)>,
    /// The next change.
    at: usize,
}

impl<'a> Overlay<'a> {
    fn new(tree: Tree<'a>, changes: Changes) -> Self {
        Self { walk: tree.walk(), tree, changes: changes.into_iter().collect(), at: 0 }
    }

    /// Moves to the first path at or after `from`.
    fn seek(&mut self, from: &[u8]) -> Outcome<()> {
        self.walk = self.tree.walk_from(from);
        self.at = self.changes.partition_point(|(path, _)| path.as_bytes() < from);
        while self.committed()?.is_some_and(|path| path.as_bytes() < from) {
            self.walk.next();
        }
        Ok(())
    }

    /// The tree's next path.
    fn committed(&mut self) -> Outcome<Option<String>> {
        while let Some(At::Range(_)) = self.walk.peek() {
            self.walk.enter()?;
        }
        Ok(match self.walk.peek() {
            Some(At::Record(record)) => Some(record.path()),
            _ => None,
        })
    }

    fn next(&mut self) -> Outcome<Option<(String, Arc<Entry>)>> {
        loop {
            let committed = self.committed()?;
            let staged = self.changes.get(self.at).cloned();
            match (committed, staged) {
                (committed, Some((path, entry))) if committed.as_ref().is_none_or(|committed| path <= *committed) => {
                    if committed.as_ref() == Some(&path) {
                        self.walk.next();
                    }
                    self.at += 1;
                    if let Some(entry) = entry {
                        return Ok(Some((path, entry)));
                    }
                }
                (Some(path), _) => {
                    let entry = match self.walk.peek() {
                        Some(At::Record(record)) => decoded(&record.value)?,
                        _ => return Ok(None),
                    };
                    self.walk.next();
                    return Ok(Some((path, Arc::new(entry))));
                }
                (None, _) => return Ok(None),
            }
        }
    }
}

impl Lake {
    /// Lists the entries of a ref.
    ///
    /// # Errors
    /// `not found` for the ref; `No data`.
    pub fn list(&self, repository: &str, reference: &str, page: &Page, delimiter: &str) -> Outcome<Listing> {
        argument("ref", check_ref(reference))?;
        let repository = self.repository(repository)?;
        let found = self.resolve(&repository, reference)?;
        let changes = match &found.branch {
            Some(branch) => self.branch(&repository, branch)?.uncommitted(),
            None => Changes::new(),
        };
        let metarange = self.commit(&repository, &found.commit)?.metarange.clone();
        let (lines, more) = {
            let mut entries = Overlay::new(self.tree(&repository, &metarange)?, changes);
            lines(&mut entries, page, delimiter)?
        };
        Ok(Listing { repository, lines, more })
    }
}

fn lines(entries: &mut Overlay<'_>, page: &Page, delimiter: &str) -> Outcome<(Vec<Listed<Arc<Entry>>>, bool)> {
    entries.seek((&*page.after).max(&*page.prefix).as_bytes())?;
    let mut lines = Vec::new();
    while let Some((path, entry)) = entries.next()? {
        if !path.starts_with(&page.prefix) {
            break;
        }
        let line = match common(&path, &page.prefix, delimiter) {
            Some(prefix) => Listed::Prefix(prefix.to_owned()),
            None => Listed::Item(path, entry),
        };
        if let Listed::Prefix(prefix) = &line {
            match after_all(prefix) {
                Some(next) => entries.seek(&next)?,
                None => entries.seek(&[0xff])?,
            }
        }
        if line.path() != page.after {
            lines.push(line);
        }
        if lines.len() > page.amount {
            break;
        }
    }
    let more = lines.len() > page.amount;
    lines.truncate(page.amount);
    Ok((lines, more))
}

/// One page of differences, with common prefixes.
pub fn page_of_changes(changes: Vec<Change>, page: &Page, delimiter: &str) -> (Vec<Listed<Change>>, bool) {
    let start = match () {
        () if page.after < page.prefix => page.prefix.clone().into_bytes(),
        () if delimiter.is_empty() => page.after.clone().into_bytes(),
        // After a common prefix, continue after everything in it.
        () => after_all(&page.after).unwrap_or_default(),
    };
    let mut last: Option<String> = None;
    let wanted = changes.into_iter().filter(|change| {
        change.path.starts_with(&page.prefix) && change.path.as_bytes() >= &*start && change.path != page.after
    });
    let lines = wanted.filter_map(|change| match common(&change.path, &page.prefix, delimiter) {
        Some(prefix) if last.as_deref() == Some(prefix) => None,
        Some(prefix) => {
            last = Some(prefix.to_owned());
            last.clone().map(Listed::Prefix)
        }
        None => Some(Listed::Item(change.path.clone(), change)),
    });
    page.cut(lines)
}
