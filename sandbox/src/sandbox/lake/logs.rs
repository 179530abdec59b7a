//! The commit log, newest first by stored time, ties by larger id; and the best common ancestor of two commits.
//!
//! The order is that of a heap of the frontier, so it is not topological: with dates set by clients, a parent can come
//! before another of its children. A walk fails at the first commit whose record is missing.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use super::super::failure::{Failure, Kind, Outcome};
use super::super::model::{Commit, Repository};
use super::{Lake, argument, check_ref};

/// A query of the log.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Where to start.
    pub from: String,
    /// Skip until after this ref.
    pub after: String,
    /// Maximum number of commits.
    pub amount: usize,
    /// Never report that there are more.
    pub limit: bool,
    /// Follow first parents only.
    pub first_parent: bool,
    /// Ignore commits older than this, and their ancestors: seconds and nanoseconds.
    pub since: Option<super::Stamp>,
    /// Stop after this ref.
    pub stop_at: String,
    /// Only commits that change one of these paths; merges never do.
    pub objects: Vec<String>,
    /// Only commits that change a path with one of these prefixes.
    pub prefixes: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Newest(Arc<Commit>);

impl Ord for Newest {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |commit: &Commit| (commit.seconds, commit.nanos);
        key(&self.0).cmp(&key(&other.0)).then_with(|| self.0.id.cmp(&other.0.id))
    }
}

impl PartialOrd for Newest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A walk through a commit and its ancestors.
struct Walk<'a> {
    lake: &'a Lake,
    repository: &'a Repository,
    first_parent: bool,
    since: Option<super::Stamp>,
    frontier: BinaryHeap<Newest>,
    seen: HashSet<String>,
}

impl<'a> Walk<'a> {
    fn new(lake: &'a Lake, repository: &'a Repository, from: &str, query: &LogQuery) -> Outcome<Self> {
        let mut walk = Self {
            lake,
            repository,
            first_parent: query.first_parent,
            since: query.since,
            frontier: BinaryHeap::new(),
            seen: HashSet::new(),
        };
        walk.push(from)?;
        Ok(walk)
    }

    fn push(&mut self, id: &str) -> Outcome<()> {
        let commit = self.lake.commit(self.repository, id)?;
        if self.since.is_none_or(|since| (commit.seconds, commit.nanos) >= since) {
            self.frontier.push(Newest(commit));
        }
        Ok(())
    }

    fn next(&mut self) -> Outcome<Option<Arc<Commit>>> {
        let Some(Newest(commit)) = self.frontier.pop() else { return Ok(None) };
        let followed = if self.first_parent { 1 } else { usize::MAX };
        for parent in commit.parents.iter().take(followed) {
            if self.seen.insert(parent.clone()) {
                self.push(parent)?;
            }
        }
        Ok(Some(commit))
    }
}

impl Lake {
    /// One page of the log, and whether there are more.
    ///
    /// # Errors
    /// `not found` for a ref; `commit not found` where an ancestor's record is missing.
    pub fn log(&self, repository: &str, query: &LogQuery) -> Outcome<(Vec<Arc<Commit>>, bool)> {
        argument("ref", check_ref(&query.from))?;
        let repository = self.repository(repository)?;
        let named =
            |what: &str, text: &str| self.resolve_commit_id(&repository, text).map_err(|failure| failure.within(what));
        let from = named("ref", &query.from)?;
        let stop_at = match query.stop_at.as_str() {
            "" => None,
            text => Some(named("stop_at", text)?),
        };
        let mut walk = Walk::new(self, &repository, &from, query)?;
        if !query.after.is_empty() {
            let after = named("from ref", &query.after)?;
            while walk.next()?.is_some_and(|commit| commit.id != after) {}
        }
        let enough = if query.limit { query.amount } else { query.amount + 1 };
        let mut commits = Vec::new();
        while let Some(commit) = walk.next()? {
            if !self.is_wanted(&repository, &commit, query)? {
                continue;
            }
            let last = stop_at.as_ref() == Some(&commit.id);
            commits.push(commit);
            if last || commits.len() >= enough {
                break;
            }
        }
        let more = commits.len() > query.amount;
        commits.truncate(query.amount);
        Ok((commits, more))
    }

    fn is_wanted(&self, repository: &Repository, commit: &Commit, query: &LogQuery) -> Outcome<bool> {
        if query.objects.is_empty() && query.prefixes.is_empty() {
            return Ok(true);
        }
        let [parent] = commit.parents.as_slice() else { return Ok(false) };
        let parent = self.commit(repository, parent)?;
        let changes = self.tree_changes(repository, &parent.metarange, &commit.metarange)?;
        Ok(changes.iter().any(|change| {
            query.objects.contains(&change.path)
                || query.prefixes.iter().any(|prefix| change.path.starts_with(prefix.as_str()))
        }))
    }

    /// The best common ancestor: the first common one when both histories are walked by descending generation.
    ///
    /// # Errors
    /// `commit not found` for a missing record; `no merge base` (500).
    pub(super) fn merge_base(&self, repository: &Repository, left: &str, right: &str) -> Outcome<Arc<Commit>> {
        let start = self.commit(repository, left)?;
        if left == right {
            return Ok(start);
        }
        let mut reached = HashMap::from([(left.to_owned(), 1u8)]);
        *reached.entry(right.to_owned()).or_default() |= 2;
        let mut queue = BinaryHeap::new();
        for commit in [start, self.commit(repository, right)?] {
            queue.push((commit.generation, Newest(commit)));
        }
        while let Some((_, Newest(commit))) = queue.pop() {
            let sides = reached.get(&commit.id).copied().unwrap_or_default();
            for parent in &commit.parents {
                if !reached.contains_key(parent) {
                    let parent = self.commit(repository, parent)?;
                    queue.push((parent.generation, Newest(parent)));
                }
                let both = reached.entry(parent.clone()).or_default();
                *both |= sides;
                if *both == 3 {
                    return self.commit(repository, parent);
                }
            }
        }
        Err(Failure::new(Kind::Internal, "no merge base"))
    }
}
