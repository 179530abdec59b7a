//! Explains why a branch of a mirror shows a commit, or what it is waiting for: from the move of the branch down to the
//! check of each object.
//!
//! The journal is read twice. The first pass collects the branches, commits and trees of the mirror and finds the
//! requested subject (`graph`, `subject`). The second pass follows the evidence for the ranges of that one commit, up
//! to the record on which the decision rested (`proof`, `range`). The head of an answer is therefore available before
//! the evidence was read, and memory grows with the number of ranges, not of objects. `waiting` lists what is still
//! missing; `files` finds keys if range files are available.

pub mod files;
pub mod graph;
pub mod proof;
pub mod range;
pub mod subject;
pub mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use lakemirror_core::ids::{CommitId, Incarnation, MetarangeId, RangeId};
use lakemirror_journal::state::State;
use lakemirror_journal::state::tree::Completeness;

use self::graph::{At, Collect, Commit, Graph, Tree};
use self::proof::{Proof, Wanted as WantedProof, prove};
use self::range::{Arrival, Decision};
use self::subject::Subject;
use super::begin::{begins_at, not_all_at_hand};
use super::mirrors::Wanted;
use super::{EvidenceError, Source};

/// Receives a run of objects: the range's position and id, the first and the last ordinal, and the decision.
pub type PrintRun<'a> = dyn FnMut(usize, &RangeId, (u32, u32), Option<Decision>) -> io::Result<()> + 'a;

/// Number of entries whose deciding checks are held at once, 4 bytes each. For a larger commit the journal is read once
/// per this many entries.
const ENTRIES_AT_ONCE: u64 = 4 << 20;
/// Maximum number of ancestors that are listed.
const ANCESTORS_MAX: usize = 256;

/// What is to be explained.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The mirror's name, or its incarnation.
    pub mirror: &'a str,
    /// A branch, or a commit id or a prefix of one.
    pub target: &'a str,
}

/// What the first pass found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The journal's id.
    pub uuid: [u8; 16],
    /// The mirror.
    pub mirror: Incarnation,
    /// What the journal says about it.
    pub graph: Graph,
    /// The journal's end.
    pub end: At,
    /// The first record that was read individually; the state before it came from a snapshot.
    pub begins_at: u64,
    /// The requested subjects. For a branch: the commit that it shows and the one that it is waiting for.
    pub subjects: Vec<Subject>,
}

/// The totals of the evidence, and whether they agree with what the move states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// Ranges of the tree.
    pub ranges: u32,
    /// Entries of the tree.
    pub entries: u64,
    /// The oldest check, milliseconds since 1970; `u64::MAX` for an empty tree.
    pub oldest_ms: u64,
    /// How complete the tree is.
    pub completeness: Completeness,
    /// The last arrival, and the position of its range in the tree.
    pub last: Option<(usize, Arrival)>,
    /// Differences from what the move states; empty if there are none.
    pub differs: Vec<String>,
}

/// Runs the first pass.
///
/// # Errors
/// As for every read; [`EvidenceError::NotSeen`] if the journal does not contain the mirror, the branch or the commit.
pub fn find(source: &Source, request: &Request<'_>) -> Result<Found, EvidenceError> {
    let wanted = Wanted::new(request.mirror);
    let end = At { seq: 0, at_ms: 0 };
    let mut collect = Collect { wanted, graphs: BTreeMap::new(), end, state: State::default() };
    let scan = source.read(&mut collect)?;
    let Collect { wanted, graphs, end, .. } = collect;
    let begins_at = begins_at(&scan);
    let not_seen = |text: String| {
        let before = if begins_at > 1 { format!(" ({})", not_all_at_hand(begins_at)) } else { String::new() };
        Err(EvidenceError::NotSeen(text + &before))
    };
    if let Some(text) = wanted.missing() {
        return not_seen(text);
    }
    // A name may have been used again: take the newest mirror of that name that knows the target.
    let mut graphs: Vec<(Incarnation, Graph)> = graphs.into_iter().collect();
    graphs.sort_by_key(|(_, graph)| std::cmp::Reverse(graph.defined));
    let mut refused = None;
    for (mirror, graph) in graphs {
        match subject::find(&graph, request.target, end) {
            Ok(subjects) => return Ok(Found { uuid: scan.uuid, mirror, graph, end, begins_at, subjects }),
            Err(text) => drop(refused.get_or_insert(text)),
        }
    }
    not_seen(refused.unwrap_or_default())
}

impl Found {
    /// The subject's commit, if it was read.
    #[must_use]
    pub fn commit(&self, subject: &Subject) -> Option<&Commit> {
        self.graph.commits.get(&subject.commit)
    }

    /// The subject's tree, if it was read, and the last time it was read before the decision.
    #[must_use]
    pub fn tree(&self, subject: &Subject) -> Option<(MetarangeId, &Tree, At)> {
        let id = self.commit(subject)?.metarange?;
        let tree = self.graph.trees.get(&id)?;
        let reading = tree.readings.iter().rev().find(|(_, last)| *last <= subject.until);
        reading.map(|(at, _)| (id, tree, *at))
    }

    /// The ranges of the subject's tree in key order, with their numbers of entries.
    #[must_use]
    pub fn ranges(&self, subject: &Subject) -> Vec<(RangeId, u32)> {
        self.tree(subject).map(|(_, tree, _)| self.graph.ranges_of(tree)).unwrap_or_default()
    }

    /// The commit and those ancestors whose records were written to the mirror with it, at most 256, and whether there
    /// are more.
    #[must_use]
    pub fn written_with(&self, subject: &Subject) -> (Vec<(CommitId, At)>, bool) {
        let (mut found, mut seen, mut work) = (Vec::new(), BTreeSet::new(), vec![subject.commit]);
        while let Some(id) = work.pop() {
            let Some((commit, at)) = self.graph.commits.get(&id).and_then(|commit| Some((commit, commit.written?)))
            else {
                continue;
            };
            if at.seq < subject.until || !seen.insert(id) {
                continue;
            }
            if found.len() == ANCESTORS_MAX {
                return (found, true);
            }
            found.push((id, at));
            work.extend(commit.parents.iter().rev());
        }
        (found, false)
    }

    /// Runs the second pass: collects the evidence for the subject's ranges.
    ///
    /// # Errors
    /// As for every read.
    pub fn prove(&self, source: &Source, subject: &Subject) -> Result<Proof, EvidenceError> {
        let ranges = self.ranges(subject);
        let wanted = WantedProof { mirror: self.mirror, ranges: &ranges, until: subject.until, each: false };
        prove(source, &wanted)
    }

    /// Reports the deciding check of each object. Adjacent objects of a range with the same decision form one run, with
    /// the range's position in the tree, its id, the first and the last ordinal, and the decision; `None` if nothing
    /// decided.
    ///
    /// # Errors
    /// As for every read; [`EvidenceError::Output`] with the error of `print`.
    pub fn objects(&self, source: &Source, subject: &Subject, print: &mut PrintRun<'_>) -> Result<(), EvidenceError> {
        let ranges = self.ranges(subject);
        let (mut rest, mut place) = (ranges.as_slice(), 0usize);
        while !rest.is_empty() {
            let (now, later) = rest.split_at_checked(at_once(rest)).unwrap_or((rest, &[]));
            let wanted = WantedProof { mirror: self.mirror, ranges: now, until: subject.until, each: true };
            let proof = prove(source, &wanted)?;
            for range in &proof.ranges {
                for (first, last, decision) in range.runs(&proof.decisions) {
                    print(place, &range.id, (first, last), decision).map_err(EvidenceError::Output)?;
                }
                place = place.saturating_add(1);
            }
            rest = later;
        }
        Ok(())
    }

    /// Adds up the evidence.
    #[must_use]
    pub fn sum(&self, subject: &Subject, proof: &Proof) -> Sum {
        let ranges = u32::try_from(proof.ranges.len()).unwrap_or(u32::MAX);
        let entries = proof.ranges.iter().map(|range| u64::from(range.entries)).sum();
        let oldest_ms = proof.ranges.iter().map(|range| range.oldest_ms).min().unwrap_or(u64::MAX);
        let completenesses = proof.ranges.iter().map(|range| range.completeness(&proof.policy));
        let read =
            self.commit(subject).is_some_and(|commit| commit.metarange.is_none()) || self.tree(subject).is_some();
        let completeness =
            if read { completenesses.min().unwrap_or(Completeness::Complete) } else { Completeness::Incomplete };
        let arrivals = (0usize..).zip(&proof.ranges).filter_map(|(place, range)| Some((place, range.last_arrival?)));
        let last = arrivals.max_by_key(|(_, arrival)| (arrival.at.seq, arrival.at.at_ms));
        let mut sum = Sum { ranges, entries, oldest_ms, completeness, last, differs: Vec::new() };
        if let Some((at, stated)) = subject.moved.as_ref().and_then(|moved| moved.started.as_ref())
            && subject.until == at.seq
            && stated.to == subject.commit
        {
            // When a branch is restored to a commit, the move rests on older evidence: the state may have evicted the
            // tree since.
            let back = stated.seen == 0;
            sum.compare((stated.ranges, stated.entries, stated.oldest_evidence_ms), back);
        }
        sum
    }
}

impl Sum {
    fn compare(&mut self, (ranges, entries, oldest_ms): (u32, u64, u64), back: bool) {
        if back && ranges == 0 {
            return;
        }
        let mut differs = |what: &str, stated: u64, found: u64| {
            if stated != found {
                self.differs.push(format!("the move states {what} {stated}, the records before it add up to {found}"));
            }
        };
        differs("ranges", u64::from(ranges), u64::from(self.ranges));
        differs("entries", entries, self.entries);
        differs("the oldest check", oldest_ms, self.oldest_ms);
        if self.completeness != Completeness::Complete && !back {
            self.differs.push("the records before the move do not prove every object".to_owned());
        }
    }
}

/// How many of the ranges are processed together: at least one.
fn at_once(ranges: &[(RangeId, u32)]) -> usize {
    let mut entries = 0u64;
    let fit = ranges.iter().take_while(|(_, more)| {
        entries = entries.saturating_add(u64::from(*more));
        entries <= ENTRIES_AT_ONCE
    });
    fit.count().max(1)
}
