//! The subject of a question: a branch or a commit of one mirror, and its verdict.
//!
//! Finds the subject by name or by the prefix of an id in the graph of the first pass. Reads nothing itself; the
//! evidence is collected by `proof`.

use lakemirror_core::ids::CommitId;

use super::graph::{At, Branch, Graph, Move, Seen};
use crate::mirrors::never_seen;

/// Minimum number of digits of a commit prefix.
const DIGITS_MIN: usize = 4;
/// Maximum number of commits that are listed for an ambiguous prefix.
const LISTED_MAX: usize = 5;

/// The status of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The mirror's branch shows it, and was moved to it on evidence.
    Shown,
    /// The mirror's branch showed it, and was moved to it on evidence.
    WasShown,
    /// The mirror's branch was found at this commit and adopted, without evidence.
    Adopted,
    /// The evidence is complete, and the move is in progress.
    Moving,
    /// A head of the source that the mirror never showed, because a newer head was complete first.
    PassedOver,
    /// A head of the source that the mirror does not show yet.
    Waiting,
    /// Never observed as a head; its record is on the mirror.
    Recorded,
    /// Never observed as a head; its record is not on the mirror.
    NotRecorded,
}

impl Verdict {
    /// The verdict as one word.
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

/// A commit, and the branch for which it is considered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The branch whose head it is or was; `None` if it was only an ancestor.
    pub branch: Option<String>,
    /// The commit.
    pub commit: CommitId,
    /// Its status.
    pub verdict: Verdict,
    /// When it was observed at the source as head of this branch.
    pub seen: Option<Seen>,
    /// The move to it; for a head that was passed over, the move that passed it.
    pub moved: Option<Move>,
    /// Other branches whose head it was.
    pub also: Vec<String>,
    /// The last record on which the decision could rest.
    pub until: u64,
}

/// Finds what `text` names in a graph: a commit, or a branch's shown commit and the one that it is waiting for.
///
/// # Errors
/// If `text` names nothing, or is ambiguous; the message lists the candidates.
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
    // The most informative first: commits that are shown, then those that were, then the others.
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
    // Numbers restart when a branch is removed, so the order of the records counts, too.
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
