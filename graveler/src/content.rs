//! The content id of a range or metarange file: one SHA-256 over its records and properties.
//!
//! Owns the recipe (lakeFS `pkg/graveler/sstable/writer.go`) for reader and writer alike. It depends on neither block
//! layout nor compression, so one pass over the records computes it beside whatever else is done with them.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::ident;

/// Properties that lakeFS adds after hashing.
pub const UNHASHED_PROPERTIES: [&[u8]; 4] = [b"min_key", b"max_key", b"count", b"estimated_size_bytes"];

/// Staged bytes after which they are hashed: long runs are what the processor's SHA instructions like.
const STAGE_BYTES: usize = 4096;

/// The running hash of a file's content.
#[derive(Debug, Default)]
pub struct ContentHash {
    sha: Sha256,
    stage: Vec<u8>,
}

impl ContentHash {
    /// The hash of no records yet.
    pub fn new() -> Self {
        Self { sha: Sha256::new(), stage: Vec::with_capacity(2 * STAGE_BYTES) }
    }

    /// Takes the next record: its key and its value exactly as stored.
    #[inline]
    pub fn record(&mut self, key: &[u8], value: &[u8]) {
        self.field(key);
        self.field(value);
    }

    #[inline]
    fn field(&mut self, bytes: &[u8]) {
        push_decimal(&mut self.stage, bytes.len());
        if bytes.len() > STAGE_BYTES {
            self.sha.update(&self.stage);
            self.stage.clear();
            self.sha.update(bytes);
        } else {
            self.stage.extend_from_slice(bytes);
        }
        self.stage.push(b'|');
        if self.stage.len() >= STAGE_BYTES {
            self.sha.update(&self.stage);
            self.stage.clear();
        }
    }

    /// The id, given all user properties of the file; those that lakeFS adds after hashing are left out.
    pub fn finish(mut self, properties: &BTreeMap<Vec<u8>, Vec<u8>>) -> [u8; 32] {
        self.sha.update(&self.stage);
        let hashed: Vec<_> = properties
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
            .filter(|(name, _)| !UNHASHED_PROPERTIES.contains(name))
            .collect();
        ident::map(&mut self.sha, hashed.into_iter());
        self.sha.finalize().into()
    }
}

fn push_decimal(out: &mut Vec<u8>, value: usize) {
    // A length of 10 or more has its higher digits first; records have two to four digits.
    if value >= 10 {
        push_decimal(out, value / 10);
    }
    out.push(b'0' + (value % 10) as u8);
}
