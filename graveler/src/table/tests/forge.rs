//! Builds small single-level files with right checksums and one wrong thing. Deliberately shares no code with the
//! writer.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::super::footer::Footer;
use super::super::physical::{self, Handle};
use crate::varint;

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// A key with the trailer of lakeFS's records.
pub(super) fn set(key: &[u8]) -> Vec<u8> {
    [key, &[1, 0, 0, 0, 0, 0, 0, 0]].concat()
}

/// The parts of a file; edit, then build.
pub(super) struct Forgery {
    pub(super) data: Vec<Rows>,
    /// Index keys and the number of the data block that they lead to.
    pub(super) index: Vec<(Vec<u8>, usize)>,
    /// With two levels: the upper level's keys, and how many entries each lower block takes of `index`.
    pub(super) partitions: Vec<(Vec<u8>, usize)>,
    /// With two levels: bytes behind each lower block.
    pub(super) partition_gaps: Vec<Vec<u8>>,
    properties: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Restart offsets of the first data block.
    pub(super) restarts: Option<Vec<u32>>,
    /// Stored bytes and type of the first data block.
    pub(super) stored: Option<(Vec<u8>, u8)>,
    /// Bytes between index and properties.
    pub(super) gap: Vec<u8>,
    /// Bytes between metaindex and footer.
    pub(super) footer_gap: Vec<u8>,
    /// The name in the metaindex.
    pub(super) metaindex: Vec<u8>,
}

impl Forgery {
    /// Three blocks of two records each.
    pub(super) fn good() -> Self {
        let rows = |keys: [&[u8]; 2]| keys.map(|key| (set(key), b"value".to_vec())).to_vec();
        let mut forgery = Self {
            data: vec![rows([b"a", b"b"]), rows([b"c", b"d"]), rows([b"e", b"f"])],
            index: vec![(set(b"b"), 0), (set(b"d"), 1), (set(b"f"), 2)],
            partitions: Vec::new(),
            partition_gaps: vec![Vec::new(); 2],
            properties: BTreeMap::new(),
            restarts: None,
            stored: None,
            gap: Vec::new(),
            footer_gap: Vec::new(),
            metaindex: b"rocksdb.properties".to_vec(),
        };
        forgery.property("count", b"6");
        forgery.property("rocksdb.block.based.table.index.type", &[0; 4]);
        forgery.property("rocksdb.comparator", b"leveldb.BytewiseComparator");
        forgery.property("rocksdb.num.data.blocks", &[3]);
        forgery.property("rocksdb.num.entries", &[6]);
        // Three blocks of 2 × (3 + 9 + 5) + 2 × 4 + 4 bytes and a trailer of 5.
        forgery.property("rocksdb.data.size", &[0x80 | 25, 1]);
        forgery
    }

    /// The same with an index of two levels.
    pub(super) fn two_level() -> Self {
        let mut forgery = Self::good();
        forgery.partitions = vec![(set(b"d"), 2), (set(b"f"), 1)];
        forgery.property("rocksdb.block.based.table.index.type", &[2, 0, 0, 0]);
        forgery
    }

    pub(super) fn property(&mut self, name: &str, value: &[u8]) {
        self.properties.insert(name.as_bytes().to_vec(), value.to_vec());
    }

    pub(super) fn build(self) -> Bytes {
        let mut file = Vec::new();
        let mut handles = Vec::new();
        for (number, rows) in self.data.iter().enumerate() {
            let restarts = self.restarts.as_deref().filter(|_| number == 0);
            let contents = (block(rows, restarts), physical::TYPE_RAW);
            let (stored, kind) = self.stored.clone().filter(|_| number == 0).unwrap_or(contents);
            handles.push(append(&mut file, &stored, kind));
        }
        let mut index: Rows = self.index.iter().map(|(key, number)| (key.clone(), encode(handles[*number]))).collect();
        if !self.partitions.is_empty() {
            let mut top = Rows::new();
            for ((key, count), gap) in self.partitions.iter().zip(&self.partition_gaps) {
                let lower: Rows = index.drain(..*count).collect();
                let handle = append(&mut file, &block(&lower, None), physical::TYPE_RAW);
                top.push((key.clone(), encode(handle)));
                file.extend(gap);
            }
            index = top;
        }
        let index = append(&mut file, &block(&index, None), physical::TYPE_RAW);
        file.extend(self.gap);
        let properties: Rows = self.properties.into_iter().collect();
        let properties = append(&mut file, &block(&properties, None), physical::TYPE_RAW);
        let metaindex = block(&[(self.metaindex, encode(properties))], None);
        let metaindex = append(&mut file, &metaindex, physical::TYPE_RAW);
        file.extend(self.footer_gap);
        file.extend(Footer { metaindex, index }.encode());
        file.into()
    }
}

fn encode(handle: Handle) -> Vec<u8> {
    let mut out = Vec::new();
    handle.encode(&mut out);
    out
}

/// A block whose every entry is a restart point.
fn block(rows: &[(Vec<u8>, Vec<u8>)], restarts: Option<&[u32]>) -> Vec<u8> {
    let (mut out, mut own) = (Vec::new(), Vec::new());
    for (key, value) in rows {
        own.push(out.len() as u32);
        for length in [0, key.len(), value.len()] {
            varint::write(&mut out, length as u64);
        }
        out.extend(key);
        out.extend(value);
    }
    if own.is_empty() {
        own.push(0);
    }
    let restarts = restarts.unwrap_or(&own);
    out.extend(restarts.iter().flat_map(|at| at.to_le_bytes()));
    out.extend((restarts.len() as u32).to_le_bytes());
    out
}

fn append(file: &mut Vec<u8>, stored: &[u8], kind: u8) -> Handle {
    let offset = file.len();
    file.extend(stored);
    file.push(kind);
    let checksum = physical::mask(crc32c::crc32c(&file[offset..]));
    file.extend(checksum.to_le_bytes());
    Handle { offset: offset as u64, length: stored.len() as u64 }
}
