//! All refs of a repository as metadata files, which another installation can be restored from.
//!
//! Commits, branches and tags each become one range of Protocol Buffers messages under a metarange; `refs_manifest.json`
//! names the three. Message numbers: lakeFS `pkg/graveler/graveler.proto`.

use std::collections::BTreeMap;

use super::super::blocks::Blocks;
use super::super::failure::{Failure, Outcome};
use super::super::model::{Addressing, Branch, Commit, Repository};
use super::Lake;
use crate::graveler::metarange::{self, RangeInfo};
use crate::graveler::range;
use crate::graveler::value::Value;
use crate::graveler::writer::TableWriter;
use lakemirror_journal::ids::RangeId;
use prost::Message;

/// Outcomes of dumps that are kept.
const TASKS_MAX: usize = 1000;

#[derive(Clone, PartialEq, Message)]
struct Time {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct CommitData {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    committer: String,
    #[prost(string, tag = "3")]
    message: String,
    #[prost(message, optional, tag = "4")]
    creation_date: Option<Time>,
    #[prost(string, tag = "5")]
    meta_range_id: String,
    #[prost(btree_map = "string, string", tag = "6")]
    metadata: BTreeMap<String, String>,
    #[prost(string, repeated, tag = "7")]
    parents: Vec<String>,
    #[prost(int32, tag = "8")]
    version: i32,
    #[prost(int32, tag = "9")]
    generation: i32,
}

/// A branch or a tag: the first two fields are the same.
#[derive(Clone, PartialEq, Message)]
struct RefData {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    commit_id: String,
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

fn commit_data(commit: &Commit) -> CommitData {
    CommitData {
        id: commit.id.clone(),
        committer: commit.committer.clone(),
        message: commit.message.clone(),
        creation_date: Some(Time { seconds: commit.seconds, nanos: i32::try_from(commit.nanos).unwrap_or_default() }),
        meta_range_id: commit.metarange.clone(),
        metadata: commit.metadata.clone(),
        parents: commit.parents.clone(),
        version: commit.version,
        generation: commit.generation,
    }
}

impl Lake {
    /// Dumps all refs as a task, whose outcome is asked for by its id. The dump is done when this returns.
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

    /// The outcome of a dump, and when it was done (seconds since 1970). Forgotten with the process.
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
    /// As [`Self::repository`]; what writing says.
    pub fn dump_refs(&self, repository: &str) -> Outcome<Dump> {
        let repository = self.repository(repository)?;
        let partition = self.look(&repository, Clone::clone);
        let reference = |(id, commit): (&String, &String)| {
            (id.clone(), RefData { id: id.clone(), commit_id: commit.clone() }.encode_to_vec())
        };
        let head = |(id, branch): (&String, &Branch)| {
            (id.clone(), RefData { id: id.clone(), commit_id: branch.head.clone() }.encode_to_vec())
        };
        let commits = partition.commits.values().map(|commit| (commit.id.clone(), commit_data(commit).encode_to_vec()));
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
