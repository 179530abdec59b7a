//! Writes a tree to the blockstore: records into ranges, ranges into a metarange.
//!
//! Where a range ends depends on its paths ([`should_break`]), so that equal parts of two trees are equal files. A
//! complete range is reused, and ends the one that is being written.

use lakemirror_graveler::metarange::RangeInfo;
use lakemirror_graveler::writer::{BreakRule, MetarangeWriter, RangeWriter, WrittenRange, should_break};

use super::blocks::Blocks;
use super::failure::{Failure, Outcome};
use super::model::Addressing;
use super::tree::Record;

/// A tree that is being written.
pub(super) struct Builder<'a> {
    blocks: &'a Blocks,
    namespace: &'a str,
    name: Box<dyn Fn() -> String + 'a>,
    open: Option<RangeWriter>,
    ranges: Vec<RangeInfo>,
}

impl<'a> Builder<'a> {
    /// An empty tree in a namespace; `name` generates names for temporary files.
    pub(super) fn new(blocks: &'a Blocks, namespace: &'a str, name: Box<dyn Fn() -> String + 'a>) -> Self {
        Self { blocks, namespace, name, open: None, ranges: Vec::new() }
    }

    /// Adds a record; keys must be ascending.
    ///
    /// # Errors
    /// Errors of writing.
    pub(super) fn record(&mut self, record: &Record) -> Outcome<()> {
        let writer = self.open.get_or_insert_with(RangeWriter::new);
        writer.add_stored(&record.key, &record.value).map_err(Failure::internal)?;
        if should_break(&record.key, writer.estimated_size(), &BreakRule::default()) {
            self.close()?;
        }
        Ok(())
    }

    /// Adds a complete range that already exists in the namespace.
    ///
    /// # Errors
    /// Errors of writing the range before it.
    pub(super) fn range(&mut self, range: &RangeInfo) -> Outcome<()> {
        self.close()?;
        self.ranges.push(range.clone());
        Ok(())
    }

    fn close(&mut self) -> Outcome<()> {
        let Some(writer) = self.open.take() else { return Ok(()) };
        let WrittenRange { info, bytes } = writer.finish();
        self.write(&info.id.to_string(), &bytes)?;
        self.ranges.push(info);
        Ok(())
    }

    /// Ends the tree and returns the id of its metarange.
    ///
    /// # Errors
    /// Errors of writing.
    pub(super) fn finish(mut self) -> Outcome<String> {
        self.close()?;
        let mut writer = MetarangeWriter::new();
        for range in &self.ranges {
            writer.add(range).map_err(Failure::internal)?;
        }
        let (id, file) = writer.finish();
        self.write(&id.to_string(), &file)?;
        Ok(id.to_string())
    }

    fn write(&self, id: &str, file: &[u8]) -> Outcome<()> {
        let path = self.blocks.path(self.namespace, &Blocks::metadata_address(id), Addressing::Relative)?;
        if path.exists() {
            // Files are named by their content and appear atomically.
            return Ok(());
        }
        self.blocks.write(&path, &(self.name)(), file)
    }
}
