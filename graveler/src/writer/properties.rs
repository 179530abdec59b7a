//! The properties block that pebble writes into lakeFS's files, constants and all.
//! Owns names and encodings; the figures come from the table writer.

use std::collections::BTreeMap;

use super::super::varint;
use super::block::BlockBuilder;

/// No column family.
const COLUMN_FAMILY_ID: u64 = i32::MAX as u64;
const EXTERNAL_FORMAT_VERSION: u32 = 2;
const INDEX_BINARY_SEARCH: u32 = 0;
const INDEX_TWO_LEVEL: u32 = 2;
const FALSE: &[u8] = b"0";
const COMPRESSION_OPTIONS: &[u8] =
    b"window_bits=-14; level=32767; strategy=0; max_dict_bytes=0; zstd_max_train_bytes=0; enabled=0; ";

enum Value<'a> {
    Bytes(&'a [u8]),
    /// A varint.
    Number(u64),
    /// Four bytes, the low one first.
    Word(u32),
}

impl<'a> Value<'a> {
    /// As it stands in the file.
    fn bytes<'b>(&self, scratch: &'b mut Vec<u8>) -> &'b [u8]
    where
        'a: 'b,
    {
        scratch.clear();
        match *self {
            Self::Bytes(bytes) => return bytes,
            Self::Number(number) => varint::write(scratch, number),
            Self::Word(word) => scratch.extend_from_slice(&word.to_le_bytes()),
        }
        scratch
    }
}

/// What the table writer has counted. Sizes in bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    pub(super) data_size: u64,
    pub(super) data_blocks: u64,
    pub(super) entries: u64,
    pub(super) raw_key_size: u64,
    pub(super) raw_value_size: u64,
    pub(super) index_size: u64,
    /// Number of lower index blocks and size of the upper one, with two levels.
    pub(super) two_level: Option<(u64, u64)>,
}

/// The contents of the block. Of two properties with one name, pebble's own counts.
pub(super) fn encode(figures: &Figures, user: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<u8> {
    let own = own(figures).into_iter().map(|(name, value)| (name.as_bytes(), value));
    let users = user.iter().map(|(name, value)| (name.as_slice(), Value::Bytes(value)));
    let mut all: Vec<(&[u8], Value<'_>)> = own.chain(users).collect();
    all.sort_by_key(|(name, _)| *name);
    all.dedup_by_key(|(name, _)| *name);
    let mut block = BlockBuilder::new(usize::MAX, 0);
    let mut scratch = Vec::new();
    for (name, value) in &all {
        block.add(name, value.bytes(&mut scratch));
    }
    block.finish()
}

/// What pebble writes of itself, by name.
fn own(figures: &Figures) -> Vec<(&'static str, Value<'static>)> {
    use Value::{Bytes, Number, Word};
    let index_type = if figures.two_level.is_some() { INDEX_TWO_LEVEL } else { INDEX_BINARY_SEARCH };
    let mut own = vec![
        ("rocksdb.block.based.table.index.type", Word(index_type)),
        ("rocksdb.block.based.table.prefix.filtering", Bytes(FALSE)),
        ("rocksdb.block.based.table.whole.key.filtering", Bytes(FALSE)),
        ("rocksdb.column.family.id", Number(COLUMN_FAMILY_ID)),
        ("rocksdb.comparator", Bytes(b"leveldb.BytewiseComparator")),
        ("rocksdb.compression", Bytes(b"Snappy")),
        ("rocksdb.compression_options", Bytes(COMPRESSION_OPTIONS)),
        ("rocksdb.creation.time", Number(0)),
        ("rocksdb.data.size", Number(figures.data_size)),
        ("rocksdb.deleted.keys", Number(0)),
        ("rocksdb.external_sst_file.global_seqno", Bytes(&[0; size_of::<u64>()])),
        ("rocksdb.external_sst_file.version", Word(EXTERNAL_FORMAT_VERSION)),
        ("rocksdb.filter.size", Number(0)),
        ("rocksdb.fixed.key.length", Number(0)),
        ("rocksdb.format.version", Number(0)),
        ("rocksdb.index.key.is.user.key", Number(0)),
        ("rocksdb.index.size", Number(figures.index_size)),
        ("rocksdb.index.value.is.delta.encoded", Number(0)),
        ("rocksdb.merge.operands", Number(0)),
        ("rocksdb.merge.operator", Bytes(b"pebble.concatenate")),
        ("rocksdb.num.data.blocks", Number(figures.data_blocks)),
        ("rocksdb.num.entries", Number(figures.entries)),
        ("rocksdb.num.range-deletions", Number(0)),
        ("rocksdb.oldest.key.time", Number(0)),
        ("rocksdb.prefix.extractor.name", Bytes(b"nullptr")),
        ("rocksdb.property.collectors", Bytes(b"[static]")),
        ("rocksdb.raw.key.size", Number(figures.raw_key_size)),
        ("rocksdb.raw.value.size", Number(figures.raw_value_size)),
    ];
    if let Some((partitions, top_size)) = figures.two_level {
        own.push(("rocksdb.index.partitions", Number(partitions)));
        own.push(("rocksdb.top-level.index.size", Number(top_size)));
    }
    own
}
