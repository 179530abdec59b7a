//! The footer: the last 53 bytes of a file. Owns its layout, both ways.
//!
//! ```text
//! checksum type (1) | metaindex handle, index handle (varints), zeros up to byte 41 | version u32 LE | magic (8)
//! ```

use super::super::damage::{Damage, Problem};
use super::super::limits;
use super::physical::Handle;

const CHECKSUM_CRC32C: u8 = 1;
const CHECKSUM_XXHASH64: u8 = 3;
const HANDLES_AT: usize = 1;
const VERSION_AT: usize = HANDLES_AT + 40;
const MAGIC_AT: usize = VERSION_AT + size_of::<u32>();
/// Bytes of the footer.
pub(in super::super) const FOOTER_LEN: usize = MAGIC_AT + MAGIC.len();
const VERSION: u32 = 2;
const MAGIC: [u8; 8] = [0xf7, 0xcf, 0xf4, 0x85, 0xb7, 0x41, 0xe2, 0x88];
const MAGIC_PEBBLE: [u8; 8] = [0xf0, 0x9f, 0xaa, 0xb3, 0xf0, 0x9f, 0xaa, 0xb3];
const MAGIC_LEVELDB: [u8; 8] = [0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb];

/// Where to begin reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Footer {
    /// The block that names the properties block.
    pub(in super::super) metaindex: Handle,
    /// The only index block, or the top one of two levels.
    pub(in super::super) index: Handle,
}

impl Footer {
    /// Reads the footer of a whole file.
    pub(super) fn read(file: &[u8]) -> Result<Self, Damage> {
        let Some((blocks, footer)) = file.split_last_chunk::<FOOTER_LEN>() else {
            let problem = Problem::TooShort { found: file.len() as u64, least: FOOTER_LEN as u64 };
            return Err(Damage::at(0, problem));
        };
        let base = blocks.len() as u64;
        check_constants(footer, base)?;
        let handles_at = base + HANDLES_AT as u64;
        let malformed = |what| Damage::at(handles_at, Problem::Expected(what));
        let handles = footer.get(HANDLES_AT..VERSION_AT).unwrap_or_default();
        let (metaindex, rest) = Handle::decode(handles).ok_or(malformed("the metaindex block's handle"))?;
        let (index, _) = Handle::decode(rest).ok_or(malformed("the index block's handle"))?;
        let parsed = Self { metaindex, index };
        // Also refuses overlong integers and anything but zeros behind them.
        if parsed.encode() != *footer {
            return Err(malformed("two block handles and nothing but zeros behind them"));
        }
        if metaindex.checked_end() != Some(base) {
            return Err(malformed("the metaindex block to end where the footer begins"));
        }
        if base > limits::FILE_BYTES_MAX || index.checked_end().is_none_or(|end| end > base) {
            return Err(malformed("the index block to be inside the file"));
        }
        Ok(parsed)
    }

    /// The footer's bytes.
    pub(in super::super) fn encode(&self) -> [u8; FOOTER_LEN] {
        let mut handles = Vec::with_capacity(VERSION_AT);
        handles.push(CHECKSUM_CRC32C);
        self.metaindex.encode(&mut handles);
        self.index.encode(&mut handles);
        handles.resize(VERSION_AT, 0);
        handles.extend_from_slice(&VERSION.to_le_bytes());
        handles.extend_from_slice(&MAGIC);
        let mut out = [0; FOOTER_LEN];
        // Two handles have at most 40 bytes.
        out.iter_mut().zip(handles).for_each(|(to, from)| *to = from);
        out
    }
}

fn check_constants(footer: &[u8; FOOTER_LEN], base: u64) -> Result<(), Damage> {
    let unsupported = |at: usize, what, found: String, expected| {
        Err(Damage::at(base + at as u64, Problem::Unsupported { what, found, expected }))
    };
    let magic = footer.get(MAGIC_AT..).unwrap_or_default();
    if magic != MAGIC {
        let expected = "RocksDB's f7cff485b741e288";
        return match <[u8; 8]>::try_from(magic) {
            Ok(MAGIC_PEBBLE) => unsupported(MAGIC_AT, "table format", "Pebble's own".to_owned(), expected),
            Ok(MAGIC_LEVELDB) => unsupported(MAGIC_AT, "table format", "LevelDB's".to_owned(), expected),
            _ => {
                Err(Damage::at(base + MAGIC_AT as u64, Problem::Expected("an SSTable's magic number f7cff485b741e288")))
            }
        };
    }
    let version = footer.get(VERSION_AT..MAGIC_AT).unwrap_or_default();
    if version != VERSION.to_le_bytes() {
        return unsupported(VERSION_AT, "format version", hex::encode(version), "02000000");
    }
    match footer.first() {
        Some(&CHECKSUM_CRC32C) => Ok(()),
        Some(&CHECKSUM_XXHASH64) => unsupported(0, "checksum type", "3 (xxHash64)".to_owned(), "1 (CRC-32C)"),
        other => unsupported(0, "checksum type", format!("{:?}", other.copied().unwrap_or(0)), "1 (CRC-32C)"),
    }
}
