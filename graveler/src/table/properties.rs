//! The properties block: pebble's own properties and those that lakeFS adds.
//!
//! Owns reading and judging them. Every name outside `rocksdb.` and `pebble.` is a user property.

use std::collections::BTreeMap;

use super::super::block::Cursor;
use super::super::damage::{Damage, Problem};
use super::super::varint;

const COMPARATOR: &[u8] = b"leveldb.BytewiseComparator";
const NAME_COMPARATOR: &[u8] = b"rocksdb.comparator";
const NAME_DATA_BYTES: &[u8] = b"rocksdb.data.size";
const NAME_DATA_BLOCKS: &[u8] = b"rocksdb.num.data.blocks";
const NAME_ENTRIES: &[u8] = b"rocksdb.num.entries";
const NAME_INDEX_TYPE: &[u8] = b"rocksdb.block.based.table.index.type";

/// What a file says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Properties {
    /// Records in the file.
    pub entries: u64,
    /// Data blocks in the file.
    pub data_blocks: u64,
    /// Bytes of the data blocks with their trailers.
    pub data_bytes: u64,
    /// Whether the index has two levels.
    pub two_level: bool,
    /// Where the block is in the file.
    pub offset: u64,
    /// User properties: lakeFS's own (`type`, `count`, `min_key`, `max_key`, `estimated_size_bytes`) and others.
    pub user: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Of pebble's own properties, those that are looked at. Of two with one name, the later one counts.
#[derive(Default)]
struct Own<'a> {
    comparator: Option<&'a [u8]>,
    data_bytes: Option<&'a [u8]>,
    data_blocks: Option<&'a [u8]>,
    entries: Option<&'a [u8]>,
    index_type: Option<&'a [u8]>,
}

impl<'a> Own<'a> {
    fn take(&mut self, name: &[u8], value: &'a [u8]) {
        let place = match name {
            NAME_COMPARATOR => &mut self.comparator,
            NAME_DATA_BYTES => &mut self.data_bytes,
            NAME_DATA_BLOCKS => &mut self.data_blocks,
            NAME_ENTRIES => &mut self.entries,
            NAME_INDEX_TYPE => &mut self.index_type,
            _ => return,
        };
        *place = Some(value);
    }
}

impl Properties {
    pub(super) fn read(contents: &[u8], offset: u64) -> Result<Self, Damage> {
        let mut pebble = Own::default();
        let mut user = BTreeMap::new();
        let mut cursor = Cursor::new(0);
        cursor.start(contents).map_err(|problem| Damage::at(offset, problem))?;
        while let Some(value) =
            cursor.next(contents).map_err(|problem| Damage::inside(offset, cursor.entry_offset(), problem))?
        {
            let name = cursor.key();
            if name.starts_with(b"rocksdb.") || name.starts_with(b"pebble.") {
                pebble.take(name, value);
            } else {
                user.insert(name.to_vec(), value.to_vec());
            }
        }
        Self::interpret(&pebble, user, offset).map_err(|problem| Damage::at(offset, problem))
    }

    fn interpret(pebble: &Own<'_>, user: BTreeMap<Vec<u8>, Vec<u8>>, offset: u64) -> Result<Self, Problem> {
        let comparator = pebble.comparator.unwrap_or_default();
        if comparator != COMPARATOR {
            let found = String::from_utf8_lossy(comparator).into_owned();
            return Err(Problem::Unsupported { what: "comparator", found, expected: "leveldb.BytewiseComparator" });
        }
        let two_level = match pebble.index_type {
            Some([0, 0, 0, 0]) => false,
            Some([2, 0, 0, 0]) => true,
            other => {
                let found = hex::encode(other.unwrap_or_default());
                return Err(Problem::Unsupported { what: "index type", found, expected: "00000000 or 02000000" });
            }
        };
        let number = |value: Option<&[u8]>, expected| match value.and_then(varint::read) {
            Some((number, [])) => Ok(number),
            _ => Err(Problem::Expected(expected)),
        };
        Ok(Self {
            entries: number(pebble.entries, "a number in property rocksdb.num.entries")?,
            data_blocks: number(pebble.data_blocks, "a number in property rocksdb.num.data.blocks")?,
            data_bytes: number(pebble.data_bytes, "a number in property rocksdb.data.size")?,
            two_level,
            offset,
            user,
        })
    }

    /// lakeFS's `type` property, such as `ranges` or `metaranges`; empty where there is none.
    pub fn kind(&self) -> &[u8] {
        self.user.get(b"type".as_slice()).map(Vec::as_slice).unwrap_or_default()
    }

    /// Checks that the file is of this type.
    ///
    /// # Errors
    /// It is of another.
    pub fn expect_kind(&self, expected: &'static str) -> Result<(), Damage> {
        if self.kind() == expected.as_bytes() {
            return Ok(());
        }
        let found = String::from_utf8_lossy(self.kind()).into_owned();
        Err(Damage::at(self.offset, Problem::WrongType { found, expected }))
    }

    /// Checks what the file says of its size against what was found in it.
    pub(super) fn check(&self, entries: u64, data_blocks: u64, data_bytes: u64) -> Result<(), Damage> {
        let claims = [
            ("rocksdb.num.entries", self.entries, entries),
            ("rocksdb.num.data.blocks", self.data_blocks, data_blocks),
            ("rocksdb.data.size", self.data_bytes, data_bytes),
        ];
        for (property, stored, counted) in claims {
            if stored != counted {
                let problem = Problem::Count { property, stored: stored.to_string(), counted };
                return Err(Damage::at(self.offset, problem));
            }
        }
        let Some(count) = self.user.get(b"count".as_slice()) else { return Ok(()) };
        if *count != entries.to_string().into_bytes() {
            let stored = String::from_utf8_lossy(count).into_owned();
            return Err(Damage::at(self.offset, Problem::Count { property: "count", stored, counted: entries }));
        }
        Ok(())
    }
}
