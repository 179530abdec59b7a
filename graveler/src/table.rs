//! SSTables as lakeFS writes them (RocksDB format 2 by pebble): whole file in, records out, one block at a time.
//!
//! Owns opening a file (footer, metaindex, properties) and walking its records; [`footer`], [`physical`] and
//! [`properties`] own those parts. Believes nothing: every byte of the file belongs to exactly one block or to the
//! footer, every block is checked against its checksum, and the data blocks must follow one another without a gap in
//! the order of the index, so that nothing can be skipped silently. Memory: the file itself, one decompressed block
//! of each level (data, index, top index), and one key.

pub(super) mod footer;
pub(super) mod physical;
mod properties;
mod records;

use bytes::Bytes;

use self::footer::Footer;
use self::physical::{BlockBuffer, Handle};
pub use self::properties::Properties;
pub use self::records::{Record, Records};
use super::block::Cursor;
use super::damage::{Damage, Problem};
use super::limits;

const PROPERTIES_BLOCK: &[u8] = b"rocksdb.properties";

/// An SSTable whose footer, metaindex and properties have been read and found consistent.
#[derive(Debug, Clone)]
pub struct Table {
    file: Bytes,
    footer: Footer,
    properties: Properties,
}

impl Table {
    /// Opens a file of at most [`limits::FILE_BYTES_MAX`] bytes. Reads no records yet.
    ///
    /// # Errors
    /// The file is damaged or of a kind that lakeFS does not write.
    pub fn open(file: Bytes) -> Result<Self, Damage> {
        let found = file.len() as u64;
        if found > limits::FILE_BYTES_MAX {
            let problem = Problem::TooLarge { found, limit: limits::FILE_BYTES_MAX };
            return Err(Damage::at(limits::FILE_BYTES_MAX, problem));
        }
        let footer = Footer::read(&file)?;
        let properties_at = read_metaindex(&file, footer.metaindex)?;
        check_adjacent(
            properties_at,
            footer.metaindex.offset,
            "the properties block to end where the metaindex begins",
        )?;
        let mut buffer = BlockBuffer::default();
        buffer.load_raw(&file, properties_at)?;
        let properties = Properties::read(buffer.contents(&file), properties_at.offset)?;
        check_adjacent(footer.index, properties_at.offset, "the index block to end where the properties begin")?;
        Ok(Self { file, footer, properties })
    }

    /// The file's properties.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// The file's bytes.
    pub fn file(&self) -> &Bytes {
        &self.file
    }

    /// A walk over all records from the first.
    pub fn records(&self) -> Records<'_> {
        Records::new(self)
    }
}

fn check_adjacent(block: Handle, next: u64, expected: &'static str) -> Result<(), Damage> {
    if block.end_with_trailer() == next {
        return Ok(());
    }
    Err(Damage::at(block.offset, Problem::Expected(expected)))
}

fn read_metaindex(file: &[u8], at: Handle) -> Result<Handle, Damage> {
    let mut buffer = BlockBuffer::default();
    buffer.load_raw(file, at)?;
    let contents = buffer.contents(file);
    let mut cursor = Cursor::new(0);
    cursor.start(contents).map_err(|problem| Damage::at(at.offset, problem))?;
    let mut properties = None;
    while let Some(value) =
        cursor.next(contents).map_err(|problem| Damage::inside(at.offset, cursor.entry_offset(), problem))?
    {
        let wrong = |problem| Damage::inside(at.offset, cursor.entry_offset(), problem);
        if cursor.key() != PROPERTIES_BLOCK {
            return Err(wrong(Problem::Unsupported {
                what: "metadata block",
                found: String::from_utf8_lossy(cursor.key()).into_owned(),
                expected: "only rocksdb.properties",
            }));
        }
        properties = Some(Handle::decode_exact(value).ok_or(wrong(Problem::Expected("a block handle")))?);
    }
    properties.ok_or(Damage::at(at.offset, Problem::Expected("an entry for the properties block in the metaindex")))
}

#[cfg(test)]
mod tests;
