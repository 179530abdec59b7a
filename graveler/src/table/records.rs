//! The walk over a table's records: index handles in order, each block once, every promise of the format checked.
//!
//! Owns the checks that need more than one block: coverage of the data area without gap or overlap, order of index
//! and keys, separators between the blocks they separate, and totals against the properties at the end.

use super::super::block::{Cursor, TRAILER};
use super::super::damage::{Damage, Problem};
use super::Table;
use super::physical::{BlockBuffer, Handle};

/// Sequence number 0, kind SET: the only records that lakeFS writes.
const TRAILER_SET: [u8; TRAILER] = [1, 0, 0, 0, 0, 0, 0, 0];
/// The largest sequence number, kind separator: behind a shortened index key.
const TRAILER_SEPARATOR: [u8; TRAILER] = [0x11, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
/// No key at all: the index entry of an empty table.
const TRAILER_INVALID: [u8; TRAILER] = [0xff, 0, 0, 0, 0, 0, 0, 0];

/// One record, borrowed from the walk until the next step.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The key, such as a logical path in a range.
    pub key: &'a [u8],
    /// The value, exactly as stored; see [`super::super::value::Value`].
    pub value: &'a [u8],
    /// Offset in the file of the block that holds it.
    pub block: u64,
    /// Offset of the record within that block's contents.
    pub within: usize,
}

impl Record<'_> {
    /// Damage found in this record.
    pub fn damage(&self, problem: Problem) -> Damage {
        Damage::inside(self.block, self.within, problem)
    }
}

/// One level of the walk: a block and the place in it.
#[derive(Debug)]
struct Level {
    buffer: BlockBuffer,
    cursor: Cursor,
    offset: u64,
}

impl Level {
    fn new() -> Self {
        Self { buffer: BlockBuffer::default(), cursor: Cursor::new(TRAILER), offset: 0 }
    }

    fn load(&mut self, file: &[u8], at: Handle) -> Result<(), Damage> {
        self.offset = at.offset;
        self.buffer.load(file, at)?;
        self.cursor.start(self.buffer.contents(file)).map_err(|problem| Damage::at(at.offset, problem))
    }

    #[inline]
    fn next<'a>(&'a mut self, file: &'a [u8]) -> Result<Option<&'a [u8]>, Damage> {
        match self.cursor.next(self.buffer.contents(file)) {
            Ok(value) => Ok(value),
            Err(problem) => Err(Damage::inside(self.offset, self.cursor.entry_offset(), problem)),
        }
    }

    /// The handle in the next index entry.
    fn next_handle(&mut self, file: &[u8]) -> Result<Option<Handle>, Damage> {
        let Some(value) = self.next(file)? else { return Ok(None) };
        let handle = Handle::decode(value).map(|(handle, _)| handle);
        if !is_index_trailer(&self.cursor) {
            return Err(self.damage(Problem::Expected("an index key of kind separator or SET")));
        }
        handle.ok_or_else(|| self.damage(Problem::Expected("a block handle in the index"))).map(Some)
    }

    #[cold]
    fn damage(&self, problem: Problem) -> Damage {
        Damage::inside(self.offset, self.cursor.entry_offset(), problem)
    }
}

/// The walk. Step with [`Records::next`] until it says `None`: only then has the whole file been checked.
#[derive(Debug)]
pub struct Records<'t> {
    table: &'t Table,
    index: Index<'t>,
    data: Level,
    /// Whether `data` holds a block that is not finished.
    in_block: bool,
    done: bool,
    /// The index key of the block before.
    separator: Vec<u8>,
    blocks: u64,
    entries: u64,
    entries_before_block: u64,
    /// Where the next data block must begin.
    data_end: u64,
}

impl<'t> Records<'t> {
    pub(super) fn new(table: &'t Table) -> Self {
        Self {
            table,
            index: Index::new(table),
            data: Level::new(),
            in_block: false,
            done: false,
            separator: Vec::new(),
            blocks: 0,
            entries: 0,
            entries_before_block: 0,
            data_end: 0,
        }
    }

    /// The next record in key order; `None` once all have been seen and the whole file is consistent.
    ///
    /// # Errors
    /// Damage; the walk must not be continued after it.
    #[expect(clippy::should_implement_trait, reason = "a record borrows from the walk, which Iterator cannot say")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, Damage> {
        while !self.in_block || self.data.cursor.is_at_end() {
            if self.done || !self.advance()? {
                return Ok(None);
            }
        }
        self.step().map(Some)
    }

    #[inline]
    fn step(&mut self) -> Result<Record<'_>, Damage> {
        let Level { buffer, cursor, offset } = &mut self.data;
        let value = match cursor.next(buffer.contents(&self.table.file)) {
            Ok(value) => value.unwrap_or_default(),
            Err(problem) => return Err(Damage::inside(*offset, cursor.entry_offset(), problem)),
        };
        let first = self.entries == self.entries_before_block;
        self.entries += 1;
        let (key, block, within) = (cursor.user_key(), *offset, cursor.entry_offset());
        let record = Record { key, value, block, within };
        if cursor.trailer() != Some(&TRAILER_SET) {
            return Err(record.damage(Problem::Expected("a record of kind SET with sequence number 0")));
        }
        if first && self.blocks > 1 && key <= self.separator.as_slice() {
            return Err(record.damage(Problem::Expected("a key above the index key of the block before")));
        }
        Ok(record)
    }

    /// Finishes the block at hand and opens the next; `false` after the last.
    fn advance(&mut self) -> Result<bool, Damage> {
        if self.in_block {
            self.end_block()?;
        }
        self.separator.clear();
        self.separator.extend_from_slice(self.index.level.cursor.user_key());
        let Some(handle) = self.index.next()? else {
            self.finish()?;
            self.done = true;
            return Ok(false);
        };
        if handle.offset != self.data_end {
            return Err(self
                .index
                .level
                .damage(Problem::Expected("data blocks that follow one another without a gap")));
        }
        self.data.load(&self.table.file, handle)?;
        self.data_end = handle.end_with_trailer();
        self.blocks += 1;
        self.entries_before_block = self.entries;
        self.in_block = true;
        Ok(true)
    }

    fn end_block(&mut self) -> Result<(), Damage> {
        self.in_block = false;
        // Checks that all restart points were passed.
        self.data.next(&self.table.file)?;
        let empty = self.entries == self.entries_before_block;
        if empty && (self.blocks > 1 || self.table.properties.entries > 0) {
            return Err(self.data.damage(Problem::Expected("a record in a block of a table that is not empty")));
        }
        if self.data.cursor.user_key() > self.index.level.cursor.user_key() {
            return Err(self.data.damage(Problem::Expected("no key above the block's own index key")));
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Damage> {
        let index_start = self.index.finish()?;
        if self.blocks == 0 || self.data_end != index_start {
            let problem = Problem::Expected("data blocks up to where the index begins");
            return Err(Damage::at(self.data_end.min(index_start), problem));
        }
        self.table.properties.check(self.entries, self.blocks, self.data_end)
    }
}

/// The handles of the data blocks, from an index of one or two levels.
#[derive(Debug)]
struct Index<'t> {
    table: &'t Table,
    /// The upper of two levels; unused with one.
    top: Level,
    level: Level,
    opened: bool,
    /// Where the first index block of the lower (or only) level begins.
    start: u64,
    /// Where the next one must begin.
    next: u64,
}

impl<'t> Index<'t> {
    fn new(table: &'t Table) -> Self {
        Self { table, top: Level::new(), level: Level::new(), opened: false, start: 0, next: 0 }
    }

    fn next(&mut self) -> Result<Option<Handle>, Damage> {
        if !self.opened {
            self.opened = true;
            self.open()?;
        }
        loop {
            if let Some(handle) = self.level.next_handle(&self.table.file)? {
                return Ok(Some(handle));
            }
            if !self.table.properties.two_level || !self.next_lower()? {
                return Ok(None);
            }
        }
    }

    fn open(&mut self) -> Result<(), Damage> {
        let root = self.table.footer.index;
        if !self.table.properties.two_level {
            self.start = root.offset;
            self.next = root.offset;
            return self.level.load(&self.table.file, root);
        }
        self.top.load(&self.table.file, root)?;
        let Some(first) = self.top.next_handle(&self.table.file)? else {
            return Err(self.top.damage(Problem::Expected("an index block in the upper level")));
        };
        self.start = first.offset;
        self.next = first.end_with_trailer();
        self.level.load(&self.table.file, first)
    }

    /// Opens the next block of the lower level; `false` after the last.
    fn next_lower(&mut self) -> Result<bool, Damage> {
        if self.level.cursor.user_key() > self.top.cursor.user_key() {
            return Err(self.top.damage(Problem::Expected("no index key above that of the upper level")));
        }
        let Some(handle) = self.top.next_handle(&self.table.file)? else { return Ok(false) };
        if handle.offset != self.next {
            return Err(self.top.damage(Problem::Expected("index blocks that follow one another without a gap")));
        }
        self.next = handle.end_with_trailer();
        self.level.load(&self.table.file, handle)?;
        Ok(true)
    }

    /// Checks that the lower level reaches up to the upper one, and says where the lower level begins.
    fn finish(&self) -> Result<u64, Damage> {
        if self.next != self.table.footer.index.offset {
            let problem = Problem::Expected("index blocks up to where the upper level begins");
            return Err(Damage::at(self.next.min(self.table.footer.index.offset), problem));
        }
        Ok(self.start)
    }
}

fn is_index_trailer(cursor: &Cursor) -> bool {
    match cursor.trailer() {
        Some(&TRAILER_SEPARATOR | &TRAILER_SET) => true,
        Some(&TRAILER_INVALID) => cursor.user_key().is_empty(),
        _ => false,
    }
}
