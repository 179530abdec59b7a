//! Committed trees as the sandbox reads them: a metarange's ranges, a range's records, found by key or by a walk.
//!
//! Files are read from the blockstore and cached decoded, by namespace and id, in a bounded cache; they never change. A
//! missing file is `No data`; this is not cached, so the file is found once it arrives. This module writes nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use lakemirror_core::ids::MetarangeId;
use lakemirror_graveler::metarange::{self, RangeInfo};
use lakemirror_graveler::table::Table;
use lakemirror_graveler::value::Value;

use super::blocks::Blocks;
use super::failure::{Failure, Outcome};
use super::model::Addressing;

/// Maximum size of the cache in bytes; when it is exceeded, all entries are evicted.
const CACHE_BYTES_MAX: usize = 128 << 20;

/// One record of a range, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// The path.
    pub key: Box<[u8]>,
    /// Identity and entry, wrapped.
    pub value: Box<[u8]>,
}

impl Record {
    /// What distinguishes two entries of one path.
    pub(super) fn identity(&self) -> &[u8] {
        Value::decode(&self.value).map(|value| value.identity).unwrap_or_default()
    }

    /// The path as text.
    pub(super) fn path(&self) -> String {
        String::from_utf8_lossy(&self.key).into_owned()
    }
}

type Key = (String, String);

/// The cache of decoded files.
#[derive(Debug, Default)]
pub(super) struct Trees {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: usize,
    metaranges: HashMap<Key, Arc<Vec<RangeInfo>>>,
    ranges: HashMap<Key, Arc<Vec<Record>>>,
}

impl Kept {
    fn account(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes > CACHE_BYTES_MAX {
            *self = Self { bytes, ..Self::default() };
        }
    }
}

/// One tree: a metarange in a namespace.
#[derive(Debug, Clone)]
pub(super) struct Tree<'a> {
    trees: &'a Trees,
    blocks: &'a Blocks,
    namespace: &'a str,
    /// Its ranges, ascending.
    pub ranges: Arc<Vec<RangeInfo>>,
}

impl Trees {
    /// Opens a tree; the empty id is the empty tree, which has no file.
    ///
    /// # Errors
    /// `No data`; `Internal` for a damaged file.
    pub(super) fn open<'a>(&'a self, blocks: &'a Blocks, namespace: &'a str, metarange: &str) -> Outcome<Tree<'a>> {
        let ranges = match metarange {
            "" => Arc::default(),
            id => self.metarange(blocks, namespace, id)?,
        };
        Ok(Tree { trees: self, blocks, namespace, ranges })
    }

    fn metarange(&self, blocks: &Blocks, namespace: &str, id: &str) -> Outcome<Arc<Vec<RangeInfo>>> {
        let key = (namespace.to_owned(), id.to_owned());
        if let Some(kept) = super::lock(&self.kept).metaranges.get(&key) {
            return Ok(Arc::clone(kept));
        }
        let expected = MetarangeId::parse(id).map_err(Failure::internal)?;
        let bytes = read(blocks, namespace, id)?;
        let size = bytes.len();
        let ranges = Arc::new(metarange::read(bytes, expected).map_err(Failure::internal)?);
        let mut kept = super::lock(&self.kept);
        kept.account(size);
        kept.metaranges.insert(key, Arc::clone(&ranges));
        Ok(ranges)
    }

    fn range(&self, blocks: &Blocks, namespace: &str, id: &str) -> Outcome<Arc<Vec<Record>>> {
        let key = (namespace.to_owned(), id.to_owned());
        if let Some(kept) = super::lock(&self.kept).ranges.get(&key) {
            return Ok(Arc::clone(kept));
        }
        let bytes = read(blocks, namespace, id)?;
        let size = bytes.len();
        let records = Arc::new(records(bytes)?);
        let mut kept = super::lock(&self.kept);
        kept.account(size);
        kept.ranges.insert(key, Arc::clone(&records));
        Ok(records)
    }
}

fn read(blocks: &Blocks, namespace: &str, id: &str) -> Outcome<Bytes> {
    let path = blocks.path(namespace, &Blocks::metadata_address(id), Addressing::Relative)?;
    blocks.read(&path).map(Bytes::from)
}

fn records(file: Bytes) -> Outcome<Vec<Record>> {
    let table = Table::open(file).map_err(Failure::internal)?;
    let (mut records, mut found) = (Vec::new(), table.records());
    while let Some(record) = found.next().map_err(Failure::internal)? {
        records.push(Record { key: record.key.into(), value: record.value.into() });
    }
    Ok(records)
}

impl<'a> Tree<'a> {
    /// The records of a range.
    ///
    /// # Errors
    /// `No data`; `Internal` for a damaged file.
    pub(super) fn records(&self, range: &RangeInfo) -> Outcome<Arc<Vec<Record>>> {
        self.trees.range(self.blocks, self.namespace, &range.id.to_string())
    }

    /// The first range that ends at `key` or after it.
    pub(super) fn range_reaching(&self, key: &[u8]) -> Option<&RangeInfo> {
        self.ranges.get(self.ranges.partition_point(|range| *range.max_key < *key))
    }

    /// The first range that overlaps another one.
    pub(super) fn overlapping(&self, other: &RangeInfo) -> Option<&RangeInfo> {
        self.range_reaching(&other.min_key).filter(|range| range.min_key <= other.max_key)
    }

    /// The record of a key.
    ///
    /// # Errors
    /// As [`Self::records`].
    pub(super) fn get(&self, key: &[u8]) -> Outcome<Option<Record>> {
        let Some(range) = self.range_reaching(key).filter(|range| *range.min_key <= *key) else { return Ok(None) };
        let records = self.records(range)?;
        let found = records.binary_search_by(|record| (*record.key).cmp(key)).ok();
        Ok(found.and_then(|at| records.get(at)).cloned())
    }

    /// Walks from the first range that ends at `key` or after it.
    pub(super) fn walk_from(&self, key: &[u8]) -> Cursor<'a> {
        let at = self.ranges.partition_point(|range| *range.max_key < *key);
        Cursor { tree: self.clone(), at, inside: None }
    }

    /// Walks the whole tree.
    pub(super) fn walk(&self) -> Cursor<'a> {
        self.walk_from(&[])
    }
}

/// The position of a walk: before a range, or at a record within one.
#[derive(Debug)]
pub(super) enum At<'c> {
    /// Before a range that has not been entered.
    Range(&'c RangeInfo),
    /// At a record.
    Record(&'c Record),
}

/// A walk through a tree, which can skip whole ranges.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    tree: Tree<'a>,
    at: usize,
    inside: Option<(Arc<Vec<Record>>, usize)>,
}

impl Cursor<'_> {
    /// The position; `None` at the end.
    pub(super) fn peek(&self) -> Option<At<'_>> {
        match &self.inside {
            Some((records, at)) => records.get(*at).map(At::Record),
            None => self.tree.ranges.get(self.at).map(At::Range),
        }
    }

    /// Enters the range at the position.
    ///
    /// # Errors
    /// As [`Tree::records`].
    pub(super) fn enter(&mut self) -> Outcome<()> {
        if let Some(range) = self.tree.ranges.get(self.at) {
            let records = self.tree.records(range)?;
            if records.is_empty() {
                self.skip();
            } else {
                self.inside = Some((records, 0));
            }
        }
        Ok(())
    }

    /// Moves to before the next range.
    pub(super) fn skip(&mut self) {
        self.at += 1;
        self.inside = None;
    }

    /// Moves to the next record of the current range; after its last one, to before the next range.
    pub(super) fn next(&mut self) {
        if let Some((records, at)) = &mut self.inside {
            *at += 1;
            if *at >= records.len() {
                self.skip();
            }
        }
    }
}
