//! Writes a tree: records into ranges, ranges into a metarange, all into the blockstore.
//!
//! Where a range ends depends on its paths ([`should_break`]), so that equal stretches of two trees are equal files. A
//! whole range is taken over as it is and ends the one being written.

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
    /// An empty tree in a namespace; `name` makes names for files that are being written.
    pub(super) fn new(blocks: &'a Blocks, namespace: &'a str, name: Box<dyn Fn() -> String + 'a>) -> Self {
        Self { blocks, namespace, name, open: None, ranges: Vec::new() }
    }

    /// Adds a record; keys must ascend.
    ///
    /// # Errors
    /// What writing says.
    pub(super) fn record(&mut self, record: &Record) -> Outcome<()> {
        let writer = self.open.get_or_insert_with(RangeWriter::new);
        writer.add_stored(&record.key, &record.value).map_err(Failure::internal)?;
        if should_break(&record.key, writer.estimated_size(), &BreakRule::default()) {
            self.close()?;
        }
        Ok(())
    }

    /// Adds a whole range that is in the namespace already.
    ///
    /// # Errors
    /// What writing the range before it says.
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

    /// Ends the tree and answers its metarange's id.
    ///
    /// # Errors
    /// What writing says.
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
            // Named by its content, and files appear whole.
            return Ok(());
        }
        self.blocks.write(&path, &(self.name)(), file)
    }
}
