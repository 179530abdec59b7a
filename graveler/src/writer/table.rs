//! Building an SSTable as pebble does for lakeFS: data blocks, index of one or two levels, properties, metaindex,
//! footer. Owns block boundaries, separators and the running size estimate, which lakeFS's range breaking and
//! metarange ids depend on.

use std::collections::BTreeMap;

use super::super::block::TRAILER;
use super::super::content::ContentHash;
use super::super::table::footer::Footer;
use super::super::table::physical::{BLOCK_TRAILER, Handle, TYPE_RAW, TYPE_SNAPPY, masked_crc};
use super::WriteError;
use super::block::{BlockBuilder, shared};
use super::properties::{self, Figures};

/// Sequence number 0, kind SET.
const TRAILER_SET: [u8; TRAILER] = [1, 0, 0, 0, 0, 0, 0, 0];
/// Largest sequence number, kind separator.
const TRAILER_SEPARATOR: [u8; TRAILER] = [0x11, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
/// No key.
const TRAILER_INVALID: [u8; TRAILER] = [0xff, 0, 0, 0, 0, 0, 0, 0];
const DATA_RESTART_INTERVAL: usize = 16;
const INDEX_RESTART_INTERVAL: usize = 1;
/// What pebble assumes for a handle when it decides whether an index block is full.
const HANDLE_BYTES_ASSUMED: usize = 20;
/// lakeFS takes 40 MiB of identity and as much of data; together with a key this stays below the reader's limits.
const RECORD_BYTES_MAX: u64 = 40 << 20;

/// A finished file.
#[derive(Debug, Clone)]
pub struct WrittenTable {
    /// The content id.
    pub digest: [u8; 32],
    /// The file.
    pub bytes: Vec<u8>,
    /// The first key.
    pub min_key: Vec<u8>,
    /// The last key.
    pub max_key: Vec<u8>,
    /// Records.
    pub count: u64,
    /// pebble's estimate before the last block was written, in bytes.
    pub estimated_size: u64,
}

/// Writes one SSTable into memory.
#[derive(Debug)]
pub struct TableWriter {
    file: Vec<u8>,
    data: BlockBuilder,
    index: BlockBuilder,
    /// Finished lower index blocks with their last keys.
    partitions: Vec<(Vec<u8>, Vec<u8>)>,
    figures: Figures,
    user: BTreeMap<Vec<u8>, Vec<u8>>,
    hash: ContentHash,
    min_key: Option<Vec<u8>>,
    max_key: Vec<u8>,
}

impl TableWriter {
    /// An empty table whose `type` property is `kind`.
    pub fn new(kind: &str) -> Self {
        Self::with_properties(BTreeMap::from([(b"type".to_vec(), kind.as_bytes().to_vec())]))
    }

    /// An empty table with these user properties, which are part of its id.
    pub fn with_properties(user: BTreeMap<Vec<u8>, Vec<u8>>) -> Self {
        Self {
            file: Vec::new(),
            data: BlockBuilder::new(DATA_RESTART_INTERVAL, TRAILER),
            index: BlockBuilder::new(INDEX_RESTART_INTERVAL, TRAILER),
            partitions: Vec::new(),
            figures: Figures::default(),
            user,
            hash: ContentHash::new(),
            min_key: None,
            max_key: Vec::new(),
        }
    }

    /// Records so far.
    pub fn count(&self) -> u64 {
        self.figures.entries
    }

    /// pebble's running estimate: data blocks written, plus the data and index blocks under construction. Finished
    /// index blocks of the lower level are not in it.
    pub fn estimated_size(&self) -> u64 {
        self.file.len() as u64 + self.data.estimated_size() as u64 + self.index.estimated_size() as u64
    }

    /// Adds a record.
    ///
    /// # Errors
    /// The key is not above the last one, or the record is too long. Nothing is added then.
    pub fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), WriteError> {
        let ordinal = self.figures.entries;
        if self.min_key.is_some() && key <= self.max_key.as_slice() {
            return Err(WriteError::KeyOrder { ordinal });
        }
        let found = key.len() as u64 + value.len() as u64;
        if found > RECORD_BYTES_MAX {
            return Err(WriteError::TooLong { ordinal, found, limit: RECORD_BYTES_MAX });
        }
        let internal = [key, TRAILER_SET.as_slice()].concat();
        if self.data.is_full_for(internal.len(), value.len()) {
            let separator = separator(&self.max_key, key);
            self.flush(separator);
        }
        self.data.add(&internal, value);
        self.hash.record(key, value);
        self.figures.entries += 1;
        self.figures.raw_key_size += internal.len() as u64;
        self.figures.raw_value_size += value.len() as u64;
        self.min_key.get_or_insert_with(|| key.to_vec());
        self.max_key.clear();
        self.max_key.extend_from_slice(key);
        Ok(())
    }

    fn flush(&mut self, index_key: Vec<u8>) {
        let contents = self.data.finish();
        let handle = write_block(&mut self.file, contents, true);
        self.figures.data_size = self.file.len() as u64;
        self.figures.data_blocks += 1;
        if self.index.is_full_for(index_key.len(), HANDLE_BYTES_ASSUMED) {
            self.finish_partition();
        }
        self.index.add(&index_key, &encoded(handle));
    }

    fn finish_partition(&mut self) {
        let last = self.index.last_key().to_vec();
        self.partitions.push((last, self.index.finish()));
    }

    /// Closes the file.
    pub fn finish(mut self) -> WrittenTable {
        let (estimated_size, count) = (self.estimated_size(), self.figures.entries);
        let digest = std::mem::take(&mut self.hash).finish(&self.user);
        let (min_key, max_key) = (self.min_key.take().unwrap_or_default(), self.max_key.clone());
        let added: [(&str, Vec<u8>); 4] = [
            ("min_key", min_key.clone()),
            ("max_key", max_key.clone()),
            ("count", count.to_string().into_bytes()),
            ("estimated_size_bytes", estimated_size.to_string().into_bytes()),
        ];
        self.user.extend(added.map(|(name, value)| (name.as_bytes().to_vec(), value)));

        // A data block is only closed when a record for the next one is there: so the last is empty only if all is.
        let index_key = if count == 0 { TRAILER_INVALID.to_vec() } else { successor(&self.max_key) };
        self.flush(index_key);
        let index = self.write_index();
        let properties = properties::encode(&self.figures, &self.user);
        let properties = write_block(&mut self.file, properties, false);
        let mut metaindex = BlockBuilder::new(INDEX_RESTART_INTERVAL, 0);
        metaindex.add(b"rocksdb.properties", &encoded(properties));
        let metaindex = write_block(&mut self.file, metaindex.finish(), false);
        self.file.extend_from_slice(&Footer { metaindex, index }.encode());
        WrittenTable { digest, bytes: self.file, min_key, max_key, count, estimated_size }
    }

    fn write_index(&mut self) -> Handle {
        if self.partitions.is_empty() {
            self.figures.index_size = self.index.estimated_size() as u64 + BLOCK_TRAILER;
            let contents = self.index.finish();
            return write_block(&mut self.file, contents, true);
        }
        self.finish_partition();
        let mut top = BlockBuilder::new(INDEX_RESTART_INTERVAL, TRAILER);
        let partitions = std::mem::take(&mut self.partitions);
        let count = partitions.len() as u64;
        for (last_key, contents) in partitions {
            self.figures.index_size += contents.len() as u64;
            let handle = write_block(&mut self.file, contents, true);
            top.add(&last_key, &encoded(handle));
        }
        let top_size = top.estimated_size() as u64;
        self.figures.two_level = Some((count, top_size));
        self.figures.index_size += top_size + BLOCK_TRAILER;
        write_block(&mut self.file, top.finish(), true)
    }
}

fn encoded(handle: Handle) -> Vec<u8> {
    let mut out = Vec::new();
    handle.encode(&mut out);
    out
}

/// Appends a block with its trailer; compressed if that is wanted and saves an eighth.
fn write_block(file: &mut Vec<u8>, contents: Vec<u8>, compress: bool) -> Handle {
    let offset = file.len();
    let worth = contents.len() - contents.len() / 8;
    // Compression only fails for inputs of 4 GiB and more; a block is then stored as it is.
    let compressed = if compress { snap::raw::Encoder::new().compress_vec(&contents).ok() } else { None };
    let (stored, kind) = match compressed.filter(|bytes| bytes.len() < worth) {
        Some(smaller) => (smaller, TYPE_SNAPPY),
        None => (contents, TYPE_RAW),
    };
    file.extend_from_slice(&stored);
    file.push(kind);
    let checksum = masked_crc(file.get(offset..).unwrap_or_default());
    file.extend_from_slice(&checksum.to_le_bytes());
    Handle { offset: offset as u64, length: stored.len() as u64 }
}

/// The index key between a block that ends with `last` and one that begins with `next`: shortened if possible.
fn separator(last: &[u8], next: &[u8]) -> Vec<u8> {
    let shared = shared(last, next);
    let (Some(&low), Some(&high)) = (last.get(shared), next.get(shared)) else { return real_key(last) };
    // Keys ascend, so that `low` is below `high` and can be raised, unless that would give `next` itself.
    let room = shared + 1 < next.len() || low + 1 < high;
    let raise = if room {
        Some(shared)
    } else {
        last.iter().skip(shared + 1).position(|byte| *byte != 0xff).map(|at| shared + 1 + at)
    };
    shortened(last, raise)
}

/// The index key behind the last block.
fn successor(last: &[u8]) -> Vec<u8> {
    shortened(last, last.iter().position(|byte| *byte != 0xff))
}

/// `key` cut off behind the byte at `raise`, which is raised by one; the real key where there is no such byte.
fn shortened(key: &[u8], raise: Option<usize>) -> Vec<u8> {
    let cut = raise.and_then(|at| key.get(..=at)).map(<[u8]>::to_vec);
    match cut {
        Some(mut out) => {
            if let Some(byte) = out.last_mut() {
                *byte += 1;
            }
            out.extend_from_slice(&TRAILER_SEPARATOR);
            out
        }
        None => real_key(key),
    }
}

fn real_key(key: &[u8]) -> Vec<u8> {
    [key, TRAILER_SET.as_slice()].concat()
}
