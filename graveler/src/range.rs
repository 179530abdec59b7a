//! Range files: the entries between two keys.
//!
//! Owns reading one: every record an entry, and the id of it all equal to the one asked for. A range is
//! content-addressed and immutable, so the *ordinal* of an entry in its range names it for ever.

use bytes::Bytes;
use lakemirror_core::ids::RangeId;

use super::content::ContentHash;
use super::damage::{Damage, Problem};
use super::entry::EntryRef;
use super::table::Table;

/// The `type` property of a range file.
pub const KIND: &str = "ranges";

/// A range file whose id has been verified. Cheap to clone; holds the file's bytes and its first and last key.
#[derive(Debug, Clone)]
pub struct RangeFile {
    id: RangeId,
    table: Table,
    count: u32,
    min_key: Vec<u8>,
    max_key: Vec<u8>,
}

/// Verifies a whole range file: intact, all entries well-formed, and its id `expected`.
///
/// # Errors
/// Damage, with its place; [`Problem::WrongId`] when the file is intact but another one.
pub fn read(file: Bytes, expected: RangeId) -> Result<RangeFile, Damage> {
    scan(file, expected, |_, _, _| {})
}

/// As [`read`], and shows each entry on the way with its ordinal and key, in one pass.
///
/// What `visit` has seen is to be believed only once this returns `Ok`.
///
/// # Errors
/// As [`read`].
pub fn scan(
    file: Bytes,
    expected: RangeId,
    mut visit: impl FnMut(u32, &[u8], &EntryRef<'_>),
) -> Result<RangeFile, Damage> {
    let table = Table::open(file)?;
    table.properties().expect_kind(KIND)?;
    let (mut hash, mut count, mut min_key, mut max_key) = (ContentHash::new(), 0u32, Vec::new(), Vec::new());
    let mut records = table.records();
    while let Some(record) = records.next()? {
        let entry = EntryRef::decode(record.value).map_err(|problem| record.damage(problem))?;
        visit(count, record.key, &entry);
        hash.record(record.key, record.value);
        if count == 0 {
            min_key = record.key.to_vec();
        }
        max_key.clear();
        max_key.extend_from_slice(record.key);
        count = count.checked_add(1).ok_or(record.damage(Problem::Expected("at most 2^32 - 1 records")))?;
    }
    let computed = RangeId(hash.finish(&table.properties().user));
    if computed != expected {
        let problem = Problem::WrongId { computed: computed.to_string(), expected: expected.to_string() };
        return Err(Damage::at(0, problem));
    }
    Ok(RangeFile { id: computed, table, count, min_key, max_key })
}

impl RangeFile {
    /// The verified id.
    pub fn id(&self) -> RangeId {
        self.id
    }

    /// Entries in it.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The first key; empty for a range without entries.
    pub fn min_key(&self) -> &[u8] {
        &self.min_key
    }

    /// The last key; empty for a range without entries.
    pub fn max_key(&self) -> &[u8] {
        &self.max_key
    }

    /// Shows every entry with its ordinal and key, decoding the file once more.
    ///
    /// # Errors
    /// None in practice: the same bytes have been decoded before.
    pub fn for_each(&self, mut visit: impl FnMut(u32, &[u8], &EntryRef<'_>)) -> Result<(), Damage> {
        let mut records = self.table.records();
        let mut ordinal = 0;
        while let Some(record) = records.next()? {
            let entry = EntryRef::decode(record.value).map_err(|problem| record.damage(problem))?;
            visit(ordinal, record.key, &entry);
            ordinal += 1;
        }
        Ok(())
    }
}
