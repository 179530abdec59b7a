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

const TEXTS: [(&str, &str); 6] = [
    ("rocksdb.comparator", "leveldb.BytewiseComparator"),
    ("rocksdb.compression", "Snappy"),
    (
        "rocksdb.compression_options",
        "window_bits=-14; level=32767; strategy=0; max_dict_bytes=0; zstd_max_train_bytes=0; enabled=0; ",
    ),
    ("rocksdb.merge.operator", "pebble.concatenate"),
    ("rocksdb.prefix.extractor.name", "nullptr"),
    ("rocksdb.property.collectors", "[static]"),
];

const FALSE: [&str; 2] =
    ["rocksdb.block.based.table.prefix.filtering", "rocksdb.block.based.table.whole.key.filtering"];

const ZEROS: [&str; 10] = [
    "rocksdb.creation.time",
    "rocksdb.deleted.keys",
    "rocksdb.filter.size",
    "rocksdb.fixed.key.length",
    "rocksdb.format.version",
    "rocksdb.index.key.is.user.key",
    "rocksdb.index.value.is.delta.encoded",
    "rocksdb.merge.operands",
    "rocksdb.num.range-deletions",
    "rocksdb.oldest.key.time",
];

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

/// The contents of the block.
pub(super) fn encode(figures: &Figures, user: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<u8> {
    let mut all = user.clone();
    let mut put = |name: &str, value: Vec<u8>| all.insert(name.as_bytes().to_vec(), value);
    for (name, text) in TEXTS {
        put(name, text.as_bytes().to_vec());
    }
    for name in FALSE {
        put(name, b"0".to_vec());
    }
    for name in ZEROS {
        put(name, vec![0]);
    }
    let index_type = if figures.two_level.is_some() { INDEX_TWO_LEVEL } else { INDEX_BINARY_SEARCH };
    put("rocksdb.block.based.table.index.type", index_type.to_le_bytes().to_vec());
    put("rocksdb.external_sst_file.version", EXTERNAL_FORMAT_VERSION.to_le_bytes().to_vec());
    put("rocksdb.external_sst_file.global_seqno", vec![0; size_of::<u64>()]);
    put("rocksdb.column.family.id", uvarint(COLUMN_FAMILY_ID));
    put("rocksdb.data.size", uvarint(figures.data_size));
    put("rocksdb.num.data.blocks", uvarint(figures.data_blocks));
    put("rocksdb.num.entries", uvarint(figures.entries));
    put("rocksdb.raw.key.size", uvarint(figures.raw_key_size));
    put("rocksdb.raw.value.size", uvarint(figures.raw_value_size));
    put("rocksdb.index.size", uvarint(figures.index_size));
    if let Some((partitions, top_size)) = figures.two_level {
        put("rocksdb.index.partitions", uvarint(partitions));
        put("rocksdb.top-level.index.size", uvarint(top_size));
    }
    let mut block = BlockBuilder::new(usize::MAX, 0);
    for (name, value) in &all {
        block.add(name, value);
    }
    block.finish()
}

fn uvarint(value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint::write(&mut out, value);
    out
}
