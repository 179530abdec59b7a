//! Dumps all refs of a repository to metadata files, from which another installation can be restored.
//!
//! Commits, branches and tags each become one range of Protocol Buffers messages under a metarange; `refs_manifest.json`
//! names the three. Message numbers: lakeFS `pkg/graveler/graveler.proto`.

use lakemirror_core::ids::RangeId;
use lakemirror_graveler::metarange::{self, RangeInfo};
use lakemirror_graveler::range;
use lakemirror_graveler::value::Value;
use lakemirror_graveler::writer::TableWriter;

use super::super::blocks::Blocks;
use super::super::failure::{Failure, Outcome};
use super::super::model::{Addressing, Branch, Commit, Repository};
use super::Lake;

/// Number of results of dumps that are kept.
const TASKS_MAX: usize = 1000;

/// A Protocol Buffers message that is being written. Fields with their default value are left out.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
            value >>= 7;
        }
        self.0.push(u8::try_from(value).unwrap_or_default());
    }

    fn number(mut self, field: u64, value: i64) -> Self {
        if value != 0 {
            self.varint(field << 3);
            // Negative numbers are encoded as two's complement.
            self.varint(value.cast_unsigned());
        }
        self
    }

    /// Items of a list are written even if they are empty.
    fn item(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn text(self, field: u64, text: &str) -> Self {
        if text.is_empty() { self } else { self.item(field, text.as_bytes()) }
    }
}

/// A branch or a tag: their first two fields are the same.
fn ref_data(id: &str, commit: &str) -> Vec<u8> {
    Message::default().text(1, id).text(2, commit).0
}

/// The metaranges of a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump {
    /// Of all branches.
    pub branches: String,
    /// Of all commits.
    pub commits: String,
    /// Of all tags.
    pub tags: String,
}

fn commit_data(commit: &Commit) -> Vec<u8> {
    let time = Message::default().number(1, commit.seconds).number(2, i64::from(commit.nanos));
    let message = Message::default()
        .text(1, &commit.id)
        .text(2, &commit.committer)
        .text(3, &commit.message)
        .item(4, &time.0)
        .text(5, &commit.metarange);
    let with_metadata = commit
        .metadata
        .iter()
        .fold(message, |message, (key, value)| message.item(6, &Message::default().text(1, key).text(2, value).0));
    let with_parents = commit.parents.iter().fold(with_metadata, |message, parent| message.item(7, parent.as_bytes()));
    with_parents.number(8, i64::from(commit.version)).number(9, i64::from(commit.generation)).0
}

impl Lake {
    /// Dumps all refs as a task whose result is queried by its id. The dump is finished when this returns.
    ///
    /// # Errors
    /// As [`Self::dump_refs`].
    pub fn submit_dump(&self, repository: &str) -> Outcome<String> {
        let dump = self.dump_refs(repository)?;
        let id = format!("DR{}", self.temporary_name());
        let mut tasks = crate::sandbox::lock(&self.dumps);
        if tasks.len() >= TASKS_MAX {
            tasks.pop_first();
        }
        tasks.insert(id.clone(), (dump, self.seconds()));
        Ok(id)
    }

    /// The result of a dump, and when it finished (seconds since 1970). Lost when the process ends.
    ///
    /// # Errors
    /// `not found`.
    pub fn dump_status(&self, repository: &str, id: &str) -> Outcome<(Dump, i64)> {
        self.repository(repository)?;
        crate::sandbox::lock(&self.dumps).get(id).cloned().ok_or_else(Failure::not_found)
    }

    /// Dumps all refs; allowed on read-only repositories.
    ///
    /// # Errors
    /// As [`Self::repository`]; errors of writing.
    pub fn dump_refs(&self, repository: &str) -> Outcome<Dump> {
        let repository = self.repository(repository)?;
        let partition = self.look(&repository, Clone::clone);
        let reference = |(id, commit): (&String, &String)| (id.clone(), ref_data(id, commit));
        let head = |(id, branch): (&String, &Branch)| (id.clone(), ref_data(id, &branch.head));
        let commits = partition.commits.values().map(|commit| (commit.id.clone(), commit_data(commit)));
        let dump = Dump {
            tags: self.dump_table(&repository, "tag", partition.tags.iter().map(reference).collect())?,
            branches: self.dump_table(&repository, "branch", partition.branches.iter().map(head).collect())?,
            commits: self.dump_table(&repository, "commit", commits.collect())?,
        };
        let manifest = serde_json::json!({
            "branches_meta_range_id": dump.branches,
            "commits_meta_range_id": dump.commits,
            "tags_meta_range_id": dump.tags,
        });
        let manifest = serde_json::to_vec_pretty(&manifest).map_err(Failure::internal)?;
        self.write_metadata(&repository, "refs_manifest.json", &manifest)?;
        Ok(dump)
    }

    fn write_metadata(&self, repository: &Repository, name: &str, bytes: &[u8]) -> Outcome<()> {
        let address = Blocks::metadata_address(name);
        let path = self.blocks.path(&repository.storage_namespace, &address, Addressing::Relative)?;
        self.blocks.write(&path, &self.temporary_name(), bytes)
    }

    fn dump_table(&self, repository: &Repository, entity: &str, items: Vec<(String, Vec<u8>)>) -> Outcome<String> {
        let properties = |kind: &str| {
            let pairs = [("type", kind), ("entity", entity), ("schema_name", entity), ("schema_definition", "{}")];
            pairs.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).into()
        };
        let mut tree = TableWriter::with_properties(properties(metarange::KIND));
        if !items.is_empty() {
            let mut table = TableWriter::with_properties(properties(range::KIND));
            for (id, data) in &items {
                let mut value = Vec::new();
                Value { identity: id.as_bytes(), data }.encode(&mut value);
                table.add(id.as_bytes(), &value).map_err(Failure::internal)?;
            }
            let table = table.finish();
            let info = RangeInfo {
                id: RangeId(table.digest),
                min_key: table.min_key,
                max_key: table.max_key,
                estimated_size: table.estimated_size,
                count: table.count,
            };
            self.write_metadata(repository, &info.id.to_string(), &table.bytes)?;
            tree.add(&info.max_key, &info.to_value()).map_err(Failure::internal)?;
        }
        let tree = tree.finish();
        let id = hex::encode(tree.digest);
        self.write_metadata(repository, &id, &tree.bytes)?;
        Ok(id)
    }
}
