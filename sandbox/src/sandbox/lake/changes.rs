//! Differences: between two trees, between a branch and its head, and the changes of a merge.

use std::collections::BTreeMap;

use super::super::content::{committed, decoded};
use super::super::failure::{Failure, Outcome};
use super::super::model::{Changes, Entry, Repository};
use super::super::tree::{At, Cursor, Record};
use super::{Lake, argument, check_branch_name, check_ref};

/// How two trees differ at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// Only the right one has it.
    Added,
    /// Only the left one has it.
    Removed,
    /// Both have it, differently.
    Changed,
    /// A merge cannot decide.
    Conflict,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub path: String,
    /// How.
    pub kind: ChangeKind,
    /// The entry: the right one's, or for a removal the left one's.
    pub entry: Entry,
    left: Option<Vec<u8>>,
    right: Option<Vec<u8>>,
}

impl Change {
    fn new(left: Option<&Record>, right: Option<&Record>) -> Outcome<Option<Self>> {
        let kind = match (left, right) {
            (None, Some(_)) => ChangeKind::Added,
            (Some(_), None) => ChangeKind::Removed,
            (Some(left), Some(right)) if left.identity() != right.identity() => ChangeKind::Changed,
            _ => return Ok(None),
        };
        let Some(shown) = right.or(left) else { return Ok(None) };
        let identity = |record: &Record| record.identity().to_vec();
        Ok(Some(Self {
            path: shown.path(),
            kind,
            entry: decoded(&shown.value)?,
            left: left.map(identity),
            right: right.map(identity),
        }))
    }
}

/// The next record of a walk; enters every range.
fn record(walk: &mut Cursor<'_>) -> Outcome<Option<Record>> {
    while let Some(At::Range(_)) = walk.peek() {
        walk.enter()?;
    }
    match walk.peek() {
        Some(At::Record(record)) => Ok(Some(record.clone())),
        _ => Ok(None),
    }
}

impl Lake {
    /// The differences of the tree `right` from the tree `left`, by path. Ranges that both have are skipped.
    pub(super) fn tree_changes(&self, repository: &Repository, left: &str, right: &str) -> Outcome<Vec<Change>> {
        let (left, right) = (self.tree(repository, left)?, self.tree(repository, right)?);
        let (mut left, mut right) = (left.walk(), right.walk());
        let mut changes = Vec::new();
        loop {
            if let (Some(At::Range(l)), Some(At::Range(r))) = (left.peek(), right.peek())
                && l.id == r.id
            {
                left.skip();
                right.skip();
                continue;
            }
            let (l, r) = (record(&mut left)?, record(&mut right)?);
            let (l, r) = match (l, r) {
                (None, None) => return Ok(changes),
                (Some(l), Some(r)) if l.key < r.key => (Some(l), None),
                (Some(l), Some(r)) if l.key > r.key => (None, Some(r)),
                both => both,
            };
            changes.extend(Change::new(l.as_ref(), r.as_ref())?);
            if l.is_some() {
                left.next();
            }
            if r.is_some() {
                right.next();
            }
        }
    }

    /// The differences that uncommitted changes make to the tree of a commit.
    pub(super) fn changes_over(
        &self,
        repository: &Repository,
        commit: &str,
        changes: &Changes,
    ) -> Outcome<Vec<Change>> {
        let metarange = self.commit(repository, commit)?.metarange.clone();
        let tree = self.tree(repository, &metarange)?;
        let mut found = Vec::new();
        for (path, entry) in changes {
            let left = tree.get(path.as_bytes())?;
            let right = entry
                .as_deref()
                .map(|entry| Record { key: path.as_bytes().into(), value: committed(entry).to_value().into() });
            found.extend(Change::new(left.as_ref(), right.as_ref())?);
        }
        Ok(found)
    }

    /// The uncommitted changes of a branch.
    ///
    /// # Errors
    /// `branch not found`; `No data`.
    pub fn diff_uncommitted(&self, repository: &str, branch: &str) -> Outcome<Vec<Change>> {
        argument("branch", check_branch_name(branch))?;
        let repository = self.repository(repository)?;
        let found = self.branch(&repository, branch)?;
        self.changes_over(&repository, &found.head, &found.uncommitted())
    }

    /// The differences of `right` from `left`. If `right` is `branch$`, its uncommitted changes count, too.
    ///
    /// # Errors
    /// `not found` for a ref; `No data`.
    pub fn diff(&self, repository: &str, left: &str, right: &str) -> Outcome<Vec<Change>> {
        argument("left", check_ref(left))?;
        argument("right", check_ref(right))?;
        let repository = self.repository(repository)?;
        let base = self.resolve_commit(&repository, left)?;
        let found = self.resolve(&repository, right)?;
        let head = self.commit(&repository, &found.commit)?;
        let committed = self.tree_changes(&repository, &base.metarange, &head.metarange)?;
        let Some(branch) = found.branch.filter(|_| found.staging) else { return Ok(committed) };
        let staged = self.branch(&repository, &branch)?.uncommitted();
        let over = self.changes_over(&repository, &base.id, &staged)?;
        let mut all: BTreeMap<String, Change> =
            committed.into_iter().map(|change| (change.path.clone(), change)).collect();
        all.retain(|path, _| !staged.contains_key(path));
        all.extend(over.into_iter().map(|change| (change.path.clone(), change)));
        Ok(all.into_values().collect())
    }

    /// The changes that merging `right` into `left` would make in `left`.
    ///
    /// # Errors
    /// `not found` for a ref; `No data`.
    pub fn compare(&self, repository: &str, left: &str, right: &str) -> Outcome<Vec<Change>> {
        argument("left", check_ref(left))?;
        argument("right", check_ref(right))?;
        let repository = self.repository(repository)?;
        let (source, destination, base) = self.three(&repository, right, left)?;
        let base = self.tree(&repository, &base.metarange)?;
        let mut changes = Vec::new();
        for change in self.tree_changes(&repository, &destination.metarange, &source.metarange)? {
            let base = base.get(change.path.as_bytes())?.map(|record| record.identity().to_vec());
            let unchanged_there = change.left == base;
            let unchanged_here = change.right == base;
            let kind = match (unchanged_here, unchanged_there) {
                (true, _) => continue,
                (false, true) => change.kind,
                // A path added on one side only is not a conflict. The walk shows what the destination added as a
                // removal.
                (false, false) if base.is_none() && change.kind == ChangeKind::Removed => continue,
                (false, false) => ChangeKind::Conflict,
            };
            changes.push(Change { kind, ..change });
        }
        Ok(changes)
    }

    /// The commits of a merge: source, destination, base.
    pub(super) fn three(
        &self,
        repository: &Repository,
        source: &str,
        destination: &str,
    ) -> Outcome<(super::ArcCommit, super::ArcCommit, super::ArcCommit)> {
        let named = |what: &str, text: &str| {
            self.resolve_commit(repository, text)
                .map_err(|failure: Failure| failure.within(format!("get commit by {what} {text}")))
        };
        let source = named("ref", source)?;
        let destination = named("branch", destination)?;
        let base = self.merge_base(repository, &source.id, &destination.id).map_err(|failure| match failure.kind {
            super::Kind::Internal => failure,
            _ => failure.within("find merge base"),
        })?;
        Ok((source, destination, base))
    }
}
