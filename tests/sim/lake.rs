//! A lakeFS in memory: repositories, branches, commits and trees, as far as the engine's port exposes them.
//!
//! The true state of one installation, without calls, faults or the engine. Callers that change it inform the judge.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use lakemirror::graveler::commit::commit_id;
use lakemirror::graveler::entry::{AddressType, Entry};
use lakemirror::graveler::metarange::RangeInfo;
use lakemirror::graveler::writer::{MetarangeWriter, RangeWriter};
use lakemirror_journal::commit::CommitRecord;
use lakemirror_journal::ids::{CommitId, MetarangeId};

/// An object: its address, relative to the namespace or a full URI, and its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) address: String,
    pub(crate) size: u64,
}

impl Object {
    /// Bucket and key as one string.
    pub(crate) fn key(&self, bucket: &str, repository: &str) -> String {
        match self.address.strip_prefix("s3://") {
            Some(full) => full.to_owned(),
            None => format!("{bucket}/{repository}/{}", self.address),
        }
    }
}

/// The entries of one directory, as one range file.
#[derive(Debug)]
pub(crate) struct Range {
    pub(crate) entries: BTreeMap<String, Object>,
    pub(crate) info: RangeInfo,
    pub(crate) file: Bytes,
}

impl Range {
    fn write(entries: BTreeMap<String, Object>) -> Self {
        let mut writer = RangeWriter::new();
        for (path, object) in &entries {
            let full = object.address.contains("://");
            let address_type = if full { AddressType::Full } else { AddressType::Relative };
            let size = object.size.cast_signed();
            let entry = Entry { address: object.address.clone(), size, address_type, ..Entry::default() };
            writer.add(path.as_bytes(), &entry).unwrap();
        }
        let written = writer.finish();
        Self { entries, info: written.info, file: Bytes::from(written.bytes) }
    }
}

/// A commit's tree: ranges by directory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    pub(crate) ranges: BTreeMap<u64, Arc<Range>>,
    pub(crate) file: Option<(MetarangeId, Bytes)>,
}

impl Tree {
    /// The same tree with other content in one directory.
    pub(crate) fn with(&self, directory: u64, entries: BTreeMap<String, Object>) -> Self {
        let mut ranges = self.ranges.clone();
        if entries.is_empty() {
            ranges.remove(&directory);
        } else {
            ranges.insert(directory, Arc::new(Range::write(entries)));
        }
        Self::of(ranges)
    }

    pub(crate) fn of(ranges: BTreeMap<u64, Arc<Range>>) -> Self {
        if ranges.is_empty() {
            return Self::default();
        }
        let mut writer = MetarangeWriter::new();
        for range in ranges.values() {
            writer.add(&range.info).unwrap();
        }
        let (id, bytes) = writer.finish();
        Self { ranges, file: Some((id, Bytes::from(bytes))) }
    }

    pub(crate) fn objects(&self) -> impl Iterator<Item = &Object> {
        self.ranges.values().flat_map(|range| range.entries.values())
    }

    pub(crate) fn find(&self, path: &str) -> Option<&Object> {
        self.ranges.values().find_map(|range| range.entries.get(path))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) record: CommitRecord,
    pub(crate) tree: Arc<Tree>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Branch {
    pub(crate) head: CommitId,
    pub(crate) hidden: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Repository {
    pub(crate) creation: i64,
    pub(crate) default_branch: String,
    pub(crate) namespace: String,
    pub(crate) read_only: bool,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) branches: BTreeMap<String, Branch>,
    pub(crate) commits: BTreeMap<CommitId, Arc<Commit>>,
}

impl Repository {
    pub(crate) fn tree(&self, branch: &str) -> Option<Arc<Tree>> {
        let head = self.branches.get(branch)?.head;
        self.commits.get(&head).map(|commit| Arc::clone(&commit.tree))
    }

    /// Creates a commit; its parents must exist.
    pub(crate) fn commit(&mut self, parents: Vec<CommitId>, tree: Tree, number: u64, date: i64) -> Arc<Commit> {
        let generation = parents.iter().filter_map(|id| self.commits.get(id)).map(|commit| commit.record.generation);
        let mut record = CommitRecord {
            id: CommitId([0; 32]),
            generation: generation.max().unwrap_or(0) + 1,
            parents,
            committer: "user".to_owned(),
            message: format!("change {number}"),
            creation_date: date,
            metarange: tree.file.as_ref().map(|(id, _)| *id),
            metadata: BTreeMap::new(),
            version: 1,
        };
        record.id = commit_id(&record);
        let commit = Arc::new(Commit { record, tree: Arc::new(tree) });
        self.commits.insert(commit.record.id, Arc::clone(&commit));
        commit
    }

    /// Commits reachable from one, newest first, starting with itself.
    pub(crate) fn log(&self, from: &CommitId, amount: usize) -> Option<Vec<CommitRecord>> {
        let mut found = vec![self.commits.get(from)?.record.clone()];
        let mut known = BTreeMap::from([(*from, ())]);
        let mut place = 0;
        while place < found.len() && found.len() < amount {
            for parent in found[place].parents.clone() {
                if known.insert(parent, ()).is_none()
                    && let Some(commit) = self.commits.get(&parent)
                {
                    found.push(commit.record.clone());
                }
            }
            place += 1;
        }
        found.truncate(amount);
        Some(found)
    }
}

/// One installation.
#[derive(Debug, Default)]
pub(crate) struct Lake {
    pub(crate) repositories: BTreeMap<String, Repository>,
}
