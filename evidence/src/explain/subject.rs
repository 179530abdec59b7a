//! What is asked about: a branch or a commit of one mirror, and how it stands.
//!
//! Owns finding it by name or by the first digits of its id, and the verdict. Reads nothing: the graph of the first
//! pass goes in, subjects come out; what they rest on is `proof`'s.

use lakemirror_core::ids::CommitId;

use super::graph::{At, Branch, Graph, Move, Seen};
use crate::mirrors::never_seen;

/// Digits that a commit's beginning has at least.
const DIGITS_MIN: usize = 4;
/// Commits that an ambiguous beginning lists.
const LISTED_MAX: usize = 5;

/// How a commit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The branch of the mirror shows it, moved there on evidence.
    Shown,
    /// The branch of the mirror showed it, moved there on evidence.
    WasShown,
    /// The branch of the mirror was found there and taken over: nothing was proven for that.
    Adopted,
    /// The evidence is complete, and the move is under way.
    Moving,
    /// A head of the source that was never one of the mirror: a newer one was complete before.
    PassedOver,
    /// A head of the source that is not yet the mirror's.
    Waiting,
    /// Never a head that was seen; its record is on the mirror.
    Recorded,
    /// Never a head that was seen; its record is not on the mirror.
    NotRecorded,
}

impl Verdict {
    /// One word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::WasShown => "was_shown",
            Self::Adopted => "adopted",
            Self::Moving => "moving",
            Self::PassedOver => "passed_over",
            Self::Waiting => "waiting",
            Self::Recorded => "recorded",
            Self::NotRecorded => "not_recorded",
        }
    }

    /// Whether something is still missing, or may be.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::NotRecorded)
    }
}

/// A commit in its role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The branch whose head it is or was; none for one that was only an ancestor.
    pub branch: Option<String>,
    /// The commit.
    pub commit: CommitId,
    /// How it stands.
    pub verdict: Verdict,
    /// When it was seen at the source as this branch's head.
    pub seen: Option<Seen>,
    /// The move to it; of one that was passed over, the move that passed it.
    pub moved: Option<Move>,
    /// Other branches that it was a head of.
    pub also: Vec<String>,
    /// The last record that the decision could rest on.
    pub until: u64,
}

/// What `text` names in a graph: a branch's shown commit and what it is waiting for, or a commit.
///
/// # Errors
/// A text that names nothing, or too much; the message says what there is.
pub fn find(graph: &Graph, text: &str, end: At) -> Result<Vec<Subject>, String> {
    if let Some(branch) = graph.branches.get(text) {
        return Ok(of_branch(text, branch, end));
    }
    let commit = commit(graph, text)?;
    Ok(vec![of_commit(graph, commit, end)])
}

fn commit(graph: &Graph, text: &str) -> Result<CommitId, String> {
    let unknown = || {
        let what = format!("the mirror {} has no branch {text:?}, nor a commit whose id begins so", graph.name);
        never_seen(&what, text, graph.branches.keys().map(String::as_str))
    };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if !digits || text.len() < DIGITS_MIN {
        return Err(unknown());
    }
    let heads = graph.branches.values().flat_map(|branch| {
        let seen = branch.seen.iter().map(|seen| seen.commit);
        seen.chain(branch.moves.iter().map(|moved| moved.to))
    });
    let all = graph.commits.keys().copied().chain(heads);
    let mut found: Vec<CommitId> = all.filter(|id| id.to_string().starts_with(text)).collect();
    found.sort_unstable();
    found.dedup();
    match found.as_slice() {
        [] => Err(unknown()),
        [one] => Ok(*one),
        many => {
            let some: Vec<String> = many.iter().take(LISTED_MAX).map(ToString::to_string).collect();
            Err(format!("{} commits begin with {text}: give more digits of one of {}", many.len(), some.join(", ")))
        }
    }
}

fn of_branch(name: &str, branch: &Branch, end: At) -> Vec<Subject> {
    let shown = branch.shown().or_else(|| branch.moves.iter().rev().find(|moved| moved.finished.is_some()));
    let mut subjects: Vec<Subject> = shown.map(|moved| of_move(name, branch, moved, end)).into_iter().collect();
    let newest = branch.seen.last().map(|seen| seen.commit);
    let known = shown.map(|moved| moved.to);
    if let Some(newest) = newest.filter(|newest| Some(*newest) != known && branch.tombstoned.is_none()) {
        subjects.push(of_head(name, branch, newest, end));
    }
    subjects
}

fn of_commit(graph: &Graph, id: CommitId, end: At) -> Subject {
    let heads: Vec<(&String, &Branch)> = graph
        .branches
        .iter()
        .filter(|(_, branch)| {
            branch.seen.iter().any(|seen| seen.commit == id) || branch.moves.iter().any(|moved| moved.to == id)
        })
        .collect();
    let mut subjects: Vec<Subject> = heads.iter().map(|(name, branch)| of_head(name, branch, id, end)).collect();
    // The one that says most: shown before shown once, before what only may be.
    subjects.sort_by_key(|subject| subject.verdict as u8);
    let mut subjects = subjects.into_iter();
    if let Some(mut first) = subjects.next() {
        first.also = subjects.filter_map(|subject| subject.branch).collect();
        return first;
    }
    let written = graph.commits.get(&id).and_then(|commit| commit.written);
    Subject {
        branch: None,
        commit: id,
        verdict: if written.is_some() { Verdict::Recorded } else { Verdict::NotRecorded },
        seen: None,
        moved: None,
        also: Vec::new(),
        until: written.map_or(end.seq, |at| at.seq),
    }
}

fn of_head(name: &str, branch: &Branch, id: CommitId, end: At) -> Subject {
    if let Some(moved) = branch.moves.iter().rev().find(|moved| moved.to == id) {
        return of_move(name, branch, moved, end);
    }
    let seen = branch.seen.iter().rev().find(|seen| seen.commit == id).copied();
    let past = |seen: &Seen| branch.moves.iter().find(|moved| moved.started.is_some() && moved.nth > seen.nth);
    // Numbers start again with a branch that was removed, so the order of the records decides, too.
    let past = seen.as_ref().and_then(|seen| past(seen).filter(|moved| start_of(moved) > seen.at.seq));
    Subject {
        branch: Some(name.to_owned()),
        commit: id,
        verdict: if past.is_some() { Verdict::PassedOver } else { Verdict::Waiting },
        seen,
        until: past.map_or(end.seq, start_of),
        moved: past.cloned(),
        also: Vec::new(),
    }
}

fn start_of(moved: &Move) -> u64 {
    moved.started.as_ref().map(|(at, _)| at.seq).or(moved.finished.map(|at| at.seq)).unwrap_or_default()
}

fn of_move(name: &str, branch: &Branch, moved: &Move, end: At) -> Subject {
    let until = start_of(moved);
    let seen = branch.seen.iter().rev().find(|seen| seen.commit == moved.to && seen.at.seq <= until).copied();
    let verdict = match moved {
        Move { adopted: true, .. } => Verdict::Adopted,
        Move { finished: None, diverged: None, .. } => Verdict::Moving,
        Move { finished: None, .. } => Verdict::Waiting,
        _ if branch.shown() == Some(moved) && moved.diverged.is_none() => Verdict::Shown,
        _ => Verdict::WasShown,
    };
    let until = if verdict == Verdict::Waiting { end.seq } else { until };
    let (branch, commit) = (Some(name.to_owned()), moved.to);
    Subject { branch, commit, verdict, seen, moved: Some(moved.clone()), also: Vec::new(), until }
}
