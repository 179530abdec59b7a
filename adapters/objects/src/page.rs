//! One page of a listing, held compactly, and the rules that make a store's page safe to draw conclusions from.
//!
//! Owns the page's memory layout and the check of its order. It does not fetch and does not parse: adapters push
//! keys in, the planner walks them once.

use std::fmt;

/// Keys and sizes of one listing page: one string for all keys, so that a page costs two allocations and not a
/// thousand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    text: String,
    entries: Vec<Entry>,
    /// Places of the entries that may have to be restored before they can be read; the class alone does not tell.
    cold: Vec<usize>,
    /// Whether the store says that more keys follow.
    pub more: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// Where the key ends in `text`; it begins where the one before ends.
    end: usize,
    size: u64,
}

/// How a page breaks the rules of a listing. Nothing may be concluded from such a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disorder {
    /// A key is not greater than the one before it.
    NotAscending {
        /// The key that comes too late, shortened.
        key: String,
    },
    /// A key sorts before the one that the listing was to start after.
    BeforeStart {
        /// The key, shortened.
        key: String,
    },
    /// A key does not have the prefix that was asked for.
    OutsidePrefix {
        /// The key, shortened.
        key: String,
    },
}

impl fmt::Display for Disorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAscending { key } => write!(f, "the listing is not in ascending order at {key:?}"),
            Self::BeforeStart { key } => write!(f, "the listing ignores start-after: it has {key:?}"),
            Self::OutsidePrefix { key } => write!(f, "the listing ignores the prefix: it has {key:?}"),
        }
    }
}

impl std::error::Error for Disorder {}

impl Page {
    /// An empty page with room for `keys` keys of `bytes` bytes in all.
    #[must_use]
    pub fn with_capacity(keys: usize, bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), entries: Vec::with_capacity(keys), cold: Vec::new(), more: false }
    }

    /// Adds a key and the length in bytes of its object.
    pub fn push(&mut self, key: &str, size: u64) {
        self.text.push_str(key);
        self.entries.push(Entry { end: self.text.len(), size });
    }

    /// Adds a key whose object may have to be restored before it can be read.
    pub fn push_cold(&mut self, key: &str, size: u64) {
        self.cold.push(self.entries.len());
        self.push(key, size);
    }

    /// How many keys it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keys and sizes as the store gave them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        let mut begin = 0;
        self.entries.iter().map(move |entry| {
            let key = self.text.get(begin..entry.end).unwrap_or_default();
            begin = entry.end;
            (key, entry.size)
        })
    }

    /// As [`Page::iter`], and whether the object may have to be restored first.
    pub fn iter_cold(&self) -> impl Iterator<Item = (&str, u64, bool)> {
        let mut cold = self.cold.iter().copied().peekable();
        self.iter().enumerate().map(move |(at, (key, size))| (key, size, cold.next_if_eq(&at).is_some()))
    }

    /// The last key.
    #[must_use]
    pub fn last(&self) -> Option<&str> {
        let end = self.entries.last()?.end;
        let begin = self.entries.iter().rev().nth(1).map_or(0, |entry| entry.end);
        self.text.get(begin..end)
    }

    /// Proves that the page is what a listing of `prefix` after `after` may be: every key has the prefix, lies after
    /// `after`, and is greater than the one before it. A first key equal to `after` is tolerated, because some stores
    /// include it.
    ///
    /// # Errors
    /// The first rule that is broken. Such a page says nothing about any key.
    pub fn in_order(&self, prefix: &str, after: &str) -> Result<(), Disorder> {
        let mut previous = None;
        for (key, _) in self.iter() {
            if !key.starts_with(prefix) {
                return Err(Disorder::OutsidePrefix { key: shortened(key) });
            }
            match previous {
                None if key < after => return Err(Disorder::BeforeStart { key: shortened(key) }),
                Some(previous) if key <= previous => return Err(Disorder::NotAscending { key: shortened(key) }),
                _ => previous = Some(key),
            }
        }
        Ok(())
    }
}

/// Longest part of a key that a message repeats, in characters.
const SHOWN: usize = 120;

fn shortened(key: &str) -> String {
    key.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(keys: &[&str]) -> Page {
        let mut page = Page::default();
        for (size, key) in (0..).zip(keys) {
            page.push(key, size);
        }
        page
    }

    #[test]
    fn keys_come_back_as_they_were_pushed() {
        let page = page(&["a", "", "bcd"]);
        assert_eq!(page.iter().collect::<Vec<_>>(), [("a", 0), ("", 1), ("bcd", 2)]);
        assert_eq!((page.len(), page.is_empty(), page.last()), (3, false, Some("bcd")));
        assert_eq!(Page::default().last(), None);
    }

    #[test]
    fn what_may_be_archived_is_marked() {
        let mut page = page(&["a", "b"]);
        page.push_cold("c", 3);
        page.push("d", 4);
        let cold: Vec<_> = page.iter_cold().map(|(key, _, cold)| (key, cold)).collect();
        assert_eq!(cold, [("a", false), ("b", false), ("c", true), ("d", false)]);
    }

    #[test]
    fn order_is_that_of_bytes() {
        assert_eq!(page(&["a-b", "a/b", "aa", "a\u{ffff}", "a\u{1f600}"]).in_order("a", "a"), Ok(()));
    }

    #[test]
    fn an_inclusive_start_is_tolerated_and_an_ignored_one_is_not() {
        assert_eq!(page(&["b", "c"]).in_order("", "b"), Ok(()));
        assert_eq!(page(&["a", "c"]).in_order("", "b"), Err(Disorder::BeforeStart { key: "a".into() }));
    }

    #[test]
    fn repeated_falling_and_foreign_keys_are_found() {
        assert_eq!(page(&["a", "a"]).in_order("", ""), Err(Disorder::NotAscending { key: "a".into() }));
        assert_eq!(page(&["b", "a"]).in_order("", ""), Err(Disorder::NotAscending { key: "a".into() }));
        assert_eq!(page(&["x/a", "y"]).in_order("x/", ""), Err(Disorder::OutsidePrefix { key: "y".into() }));
    }
}
