//! What somebody should look at, each with what it is about and since when: the list that the API shows, and that
//! [`crate::report`] compares with the one before.

use std::collections::BTreeMap;
use std::fmt;

use lakemirror_journal::state::condition::MirrorCondition;
use lakemirror_journal::state::hold::HoldReason;
use lakemirror_journal::state::mirror::{Definition, Mirror, Phase};

use super::losses::losses;
use super::{BranchState, BranchStatus, RuntimeStatus, archived, holds};
use crate::conditions::{Condition, ConditionKind};

/// Branches that are named for one kind of problem; what ails one may ail thousands.
const NAMED_MAX: usize = 10;

/// What a problem is about. Two of one topic are the same problem, whatever their texts say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// The mirror goes on only after somebody has changed something.
    Failed(MirrorCondition),
    /// This branch shows a commit that is not whole.
    Lost(String),
    /// More branches do.
    MoreLost,
    /// This branch shows a commit with archived objects.
    Archived(String),
    /// More branches do.
    MoreArchived,
    /// Deletions wait for an operator.
    DeletionsHeld(HoldReason),
    /// Something that lasts: a lakeFS, a bucket or the mirrors database that does not answer, a lease that is not held.
    Condition(ConditionKind),
    /// This branch was moved on the mirror by another writer.
    Diverged(String),
    /// More branches were.
    MoreDiverged,
    /// What this branch waits for is overdue.
    Stuck(String),
    /// So it is for more branches.
    MoreStuck,
    /// Verification, as a whole or in some part.
    Verification,
}

impl Topic {
    /// The branch that it is about, where it is about one.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        match self {
            Self::Lost(name)
            | Self::Archived(name)
            | Self::Diverged(name)
            | Self::Stuck(name)
            | Self::Condition(ConditionKind::Branch(name)) => Some(name),
            _ => None,
        }
    }
}

/// What somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What it is about.
    pub topic: Topic,
    /// What it is, for people.
    pub text: String,
    /// Since when, milliseconds since 1970; none where that is not known.
    pub since_ms: Option<u64>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.since_ms {
            Some(since_ms) => write!(f, "{} (since {})", self.text, time(since_ms)),
            None => f.write_str(&self.text),
        }
    }
}

/// A time for people: RFC 3339 in UTC with milliseconds.
#[must_use]
pub fn time(at_ms: u64) -> String {
    let at = i64::try_from(at_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| format!("{at_ms} ms"), |at| format!("{at:.3}"))
}

/// All problems of a mirror, the gravest first: a published list is cut short.
pub(super) fn of(mirror: &Mirror, branches: &[BranchStatus], runtime: &RuntimeStatus) -> Vec<Problem> {
    let mut all = Vec::new();
    all.extend(mirror.conditions().map(|(condition, raised)| Problem {
        topic: Topic::Failed(condition),
        text: raised.text.clone(),
        since_ms: Some(raised.since_ms),
    }));
    all.extend(losses(mirror, &runtime.verify.lost));
    all.extend(archived::shown(mirror));
    all.extend(holds::problems(mirror));
    all.extend(notes(mirror, &runtime.notes));
    named(branches, BranchState::Diverged, &mut all);
    named(branches, BranchState::Stuck, &mut all);
    let text = runtime.verify.fault.clone();
    all.extend(text.map(|text| Problem { topic: Topic::Verification, text, since_ms: None }));
    all
}

fn named(branches: &[BranchStatus], state: BranchState, all: &mut Vec<Problem>) {
    let (topic, more): (fn(String) -> Topic, _) = match state {
        BranchState::Diverged => (Topic::Diverged, (Topic::MoreDiverged, "have diverged")),
        _ => (Topic::Stuck, (Topic::MoreStuck, "are stuck")),
    };
    let of_it: Vec<&BranchStatus> = branches.iter().filter(|branch| branch.state == state).collect();
    for branch in of_it.iter().take(NAMED_MAX) {
        let first = branch.waiting.first();
        let what = first.map_or("it is not known what it waits for", |wait| wait.what.as_str());
        let text = match state {
            BranchState::Diverged => format!("branch {} has diverged: {what}", branch.name),
            _ => format!("branch {} is stuck, waiting for {what}", branch.name),
        };
        let since_ms = match state {
            BranchState::Diverged => first.map(|wait| wait.since_ms),
            _ => branch.behind_since_ms,
        };
        all.push(Problem { topic: topic(branch.name.clone()), text, since_ms });
    }
    let rest = of_it.len().saturating_sub(NAMED_MAX);
    if rest > 0 {
        all.push(Problem { topic: more.0, text: format!("{rest} more branches {}", more.1), since_ms: None });
    }
}

fn notes(mirror: &Mirror, notes: &BTreeMap<ConditionKind, Condition>) -> impl Iterator<Item = Problem> {
    let region = ConditionKind::Lakefs(mirror.definition.source_region.clone());
    // One fault is told once.
    let told = notes.contains_key(&region);
    notes.iter().filter(move |(about, _)| !(told && **about == ConditionKind::Source)).map(|(about, note)| Problem {
        topic: Topic::Condition(about.clone()),
        text: describe(mirror, about, note),
        since_ms: Some(note.since_ms),
    })
}

fn describe(mirror: &Mirror, about: &ConditionKind, note: &Condition) -> String {
    let (text, definition) = (&note.text, &mirror.definition);
    match about {
        ConditionKind::Source => format!("the source does not answer as it should: {text}"),
        ConditionKind::Lakefs(region) if *region == definition.source_region => {
            format!("the source's lakeFS (region {region}) does not answer as it should: {text}")
        }
        ConditionKind::Lakefs(region) => {
            format!("the mirror's lakeFS (region {region}) does not answer as it should: {text}")
        }
        ConditionKind::Bucket { region, bucket } => {
            let scheme = scheme(definition);
            format!("the mirror's bucket {scheme}://{bucket} (region {region}) does not answer as it should: {text}")
        }
        ConditionKind::Registry => format!("the mirrors database does not answer as it should: {text}"),
        _ => text.clone(),
    }
}

/// The scheme of the mirror's addresses.
pub(super) fn scheme(of: &Definition) -> &str {
    of.storage_namespace.split_once("://").map_or("s3", |(scheme, _)| scheme)
}

/// Why nothing can be said to be in sync, or to get on: something that the mirror needs does not answer.
pub(super) fn outage(mirror: &Mirror, all: &[Problem]) -> Option<String> {
    let stops = |problem: &&Problem| match &problem.topic {
        Topic::Condition(
            ConditionKind::Lakefs(_) | ConditionKind::Bucket { .. } | ConditionKind::Registry | ConditionKind::Lease,
        ) => true,
        // While it is made, what the source answers is part of how far that is.
        Topic::Condition(ConditionKind::Source) => mirror.phase == Phase::Ready,
        _ => false,
    };
    all.iter().find(stops).map(Problem::to_string)
}

/// Since when the source was not seen: what it has had since then is not known.
pub(super) fn blind_since(mirror: &Mirror, notes: &BTreeMap<ConditionKind, Condition>) -> Option<u64> {
    let region = ConditionKind::Lakefs(mirror.definition.source_region.clone());
    [ConditionKind::Source, region].iter().filter_map(|about| notes.get(about)).map(|note| note.since_ms).min()
}
