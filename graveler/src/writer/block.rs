//! Building the contents of a block: prefix compression, restart points, and when a block is full.
//! Owns the inverse of the reader's `block::Cursor`; does not compress or checksum.

use super::super::varint;

/// A block is closed when it reaches this many bytes …
const TARGET_BYTES: usize = 4096;
/// … or from this many on (90 %) if the next entry would make it larger than the target.
const THRESHOLD_BYTES: usize = (TARGET_BYTES * 90).div_ceil(100);
const WORD: usize = size_of::<u32>();

/// A block under construction.
#[derive(Debug)]
pub(super) struct BlockBuilder {
    restart_interval: usize,
    /// This many bytes at the end of a key are never left out, even where the key before has the same.
    trailer: usize,
    bytes: Vec<u8>,
    restarts: Vec<u32>,
    entries: usize,
    last_key: Vec<u8>,
}

impl BlockBuilder {
    /// `trailer` bytes at the end of every key are never shared.
    pub(super) fn new(restart_interval: usize, trailer: usize) -> Self {
        Self { restart_interval, trailer, bytes: Vec::new(), restarts: Vec::new(), entries: 0, last_key: Vec::new() }
    }

    /// The whole key added last; empty for a new block.
    pub(super) fn last_key(&self) -> &[u8] {
        &self.last_key
    }

    /// Bytes of the block if it were finished now, as pebble counts them: a block without entries is 4.
    pub(super) fn estimated_size(&self) -> usize {
        self.bytes.len() + WORD * self.restarts.len() + WORD
    }

    /// Whether to finish the block before an entry of these lengths.
    pub(super) fn is_full_for(&self, key_len: usize, value_len: usize) -> bool {
        let size = self.estimated_size();
        if self.entries == 0 || size <= THRESHOLD_BYTES {
            return false;
        }
        let restart = if self.entries.is_multiple_of(self.restart_interval) { WORD } else { 0 };
        // pebble takes four bytes for the shared length, whatever it is.
        let lengths = 4 + varint::encoded_len(key_len as u64) + varint::encoded_len(value_len as u64);
        size >= TARGET_BYTES || size + key_len + value_len + restart + lengths > TARGET_BYTES
    }

    /// Adds an entry; keys come in order.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        let shared = if self.entries.is_multiple_of(self.restart_interval) {
            // Blocks are far below 4 GiB.
            self.restarts.push(self.bytes.len() as u32);
            0
        } else {
            shared(key.get(..key.len() - self.trailer).unwrap_or_default(), &self.last_key)
        };
        let suffix = key.get(shared..).unwrap_or_default();
        varint::write(&mut self.bytes, shared as u64);
        varint::write(&mut self.bytes, suffix.len() as u64);
        varint::write(&mut self.bytes, value.len() as u64);
        self.bytes.extend_from_slice(suffix);
        self.bytes.extend_from_slice(value);
        self.last_key.truncate(shared);
        self.last_key.extend_from_slice(suffix);
        self.entries += 1;
    }

    /// The block's contents. The builder is empty afterwards.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        if self.entries == 0 {
            self.restarts.push(0);
        }
        let mut contents = std::mem::take(&mut self.bytes);
        contents.extend(self.restarts.iter().flat_map(|at| at.to_le_bytes()));
        contents.extend((self.restarts.len() as u32).to_le_bytes());
        self.restarts.clear();
        self.entries = 0;
        self.last_key.clear();
        contents
    }
}

/// How many bytes two keys begin with in common: whole words first, as most keys of a block share long prefixes.
pub(super) fn shared(a: &[u8], b: &[u8]) -> usize {
    const WORD: usize = size_of::<u64>();
    let words = a.chunks_exact(WORD).zip(b.chunks_exact(WORD)).take_while(|(a, b)| a == b).count() * WORD;
    let rest = a.iter().zip(b).skip(words).take_while(|(a, b)| a == b);
    words + rest.count()
}
