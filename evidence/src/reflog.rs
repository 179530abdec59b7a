//! The reflog of a mirror and of its observed source: each record that says where a branch is, in order.
//!
//! Decides which records these are and how a line reads. Mirrors are selected by name or incarnation: the incarnations
//! of a name come one after the other, and each line names its own. Lines are reported as they are read; memory is the
//! last heads of the branches.

use std::collections::BTreeMap;
use std::io;

use lakemirror_core::ids::{CommitId, Incarnation};
use lakemirror_journal::event::MoveStartedV1;
use lakemirror_journal::log::{FrameInfo, RawRecord, Replay, ReplayRefused, SnapshotHeader};
use lakemirror_journal::state::State;
use lakemirror_journal::state::transition::{BranchChange, Change, Transition};

use super::begin::{beginning, not_at_hand};
use super::mirrors::{Wanted, never_seen};
use super::point::show;
use super::{EvidenceError, Source, decode_about_branches, output_failed};

/// What a line concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The mirror itself.
    Mirror,
    /// The source, as observed.
    Source,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The record.
    pub seq: u64,
    /// When it happened according to the record; milliseconds since 1970.
    pub at_ms: u64,
    /// When its frame was committed, milliseconds since 1970.
    pub committed_ms: u64,
    /// Which mirror.
    pub mirror: Incarnation,
    /// Which branch; `None` if the line concerns the whole mirror.
    pub branch: Option<String>,
    /// Mirror or source.
    pub side: Side,
    /// What happened, as one word.
    pub what: &'static str,
    /// The previous commit of the branch.
    pub from: Option<CommitId>,
    /// The new commit of the branch.
    pub to: Option<CommitId>,
    /// The reason, and further details.
    pub why: String,
}

/// Which lines.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The mirror's name, or its incarnation.
    pub mirror: &'a str,
    /// Only this branch, and what concerns the whole mirror.
    pub branch: Option<&'a str>,
}

/// Reports each line to `print`, in the order of the records. Returns the first record that is available.
///
/// # Errors
/// As for every read; [`EvidenceError::Output`] with the error of `print`; [`EvidenceError::NotSeen`] if the journal
/// does not contain the mirror or the branch.
pub fn reflog(
    source: &Source,
    request: &Request<'_>,
    print: &mut dyn FnMut(&Line) -> io::Result<()>,
) -> Result<u64, EvidenceError> {
    let mut wanted = Wanted::new(request.mirror);
    let snapshot = beginning(source)?;
    for (id, mirror) in snapshot.iter().flat_map(|(_, state)| &state.mirrors) {
        wanted.add(*id, &mirror.definition.name);
    }
    let (state, branches) = (State::default(), BTreeMap::new());
    let mut follow = Follow { wanted, branch: request.branch, state, is_whole: false, branches, snapshot, print };
    let scan = source.read_oldest(&mut follow)?;
    follow.learn();
    let begins_at = scan.proven_from.max(1);
    match follow.missing() {
        None => Ok(begins_at),
        Some(text) if begins_at == 1 => Err(EvidenceError::NotSeen(text)),
        Some(text) => Err(EvidenceError::NotSeen(format!("{text} ({})", not_at_hand(begins_at)))),
    }
}

/// A move under way: the record that began it, where to, and its evidence in words.
type Begun = (u64, CommitId, String);

struct Follow<'a> {
    wanted: Wanted,
    branch: Option<&'a str>,
    /// The state with which records are interpreted.
    state: State,
    /// Whether this is the full state, and not only that of the available records.
    is_whole: bool,
    /// Branches that were named, and the record that began the move under way, with its evidence.
    branches: BTreeMap<(Incarnation, String), Option<Begun>>,
    /// The oldest state that is known, where the first records are not at hand.
    snapshot: Option<(SnapshotHeader, State)>,
    print: &'a mut dyn FnMut(&Line) -> io::Result<()>,
}

impl Replay for Follow<'_> {
    fn record(&mut self, seq: u64, record: RawRecord<'_>, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        if self.snapshot.as_ref().is_some_and(|(header, _)| header.seq < seq) {
            self.learn();
        }
        self.is_whole |= seq == 1;
        let Some(event) = decode_about_branches(&record)? else { return Ok(()) };
        let mut told = None;
        self.state.observe(&event, |transition| told = Some(transition));
        // Without the state, a record about something unknown is described by its own fields.
        let Some(transition) = told.filter(|told: &Transition<'_>| told.is_applied || !self.is_whole) else {
            return Ok(());
        };
        if let Change::Defined(definition) = &transition.change {
            self.wanted.add(transition.mirror, &definition.name);
        }
        if self.wanted.name(&transition.mirror).is_none() {
            return Ok(());
        }
        self.line(seq, &transition, frame.wall_ms)
    }
}

impl Follow<'_> {
    fn line(&mut self, seq: u64, transition: &Transition<'_>, committed_ms: u64) -> Result<(), ReplayRefused> {
        let (mirror, at_ms) = (transition.mirror, transition.at_ms);
        let (branch, told) = match &transition.change {
            Change::Branch { name, change } => {
                let begun = self.branches.entry((mirror, (*name).to_owned())).or_default();
                (Some((*name).to_owned()), told_of_branch(seq, change, begun))
            }
            other => (None, told_of_mirror(other)),
        };
        let is_asked_for = |name: &String| self.branch.is_none_or(|only| name == only);
        let Some(told) = told.filter(|_| branch.as_ref().is_none_or(is_asked_for)) else { return Ok(()) };
        let Told { side, what, from, to, why } = told;
        (self.print)(&Line { seq, at_ms, committed_ms, mirror, branch, side, what, from, to, why })
            .map_err(output_failed)
    }

    /// Continues with the state of the snapshot.
    fn learn(&mut self) {
        let Some((_, state)) = self.snapshot.take() else { return };
        (self.state, self.is_whole) = (state, true);
        for (id, mirror) in self.state.mirrors.iter().filter(|(id, _)| self.wanted.name(id).is_some()) {
            for name in mirror.branches.keys() {
                self.branches.entry((*id, name.clone())).or_default();
            }
        }
    }

    fn missing(&self) -> Option<String> {
        let branch = match (self.wanted.missing(), self.branch) {
            (Some(text), _) => return Some(text),
            (None, branch) => branch?,
        };
        let mut names = self.branches.keys().map(|(_, name)| name.as_str());
        if names.any(|name| name == branch) {
            return None;
        }
        let of: Vec<&str> = self.wanted.matched().map(|(_, name)| name).collect();
        let of = of.first().copied().unwrap_or_default();
        let what = format!("the journal contains no branch {branch:?} of mirror {of:?}");
        Some(never_seen(&what, branch, self.branches.keys().map(|(_, name)| name.as_str())))
    }
}

/// A line without the fields that all lines share.
struct Told {
    side: Side,
    what: &'static str,
    from: Option<CommitId>,
    to: Option<CommitId>,
    why: String,
}

impl Told {
    fn of(side: Side, what: &'static str) -> Self {
        Self { side, what, from: None, to: None, why: String::new() }
    }

    fn because(self, why: impl Into<String>) -> Self {
        Self { why: why.into(), ..self }
    }

    fn moved(self, from: Option<CommitId>, to: Option<CommitId>) -> Self {
        Self { from, to, ..self }
    }
}

fn told_of_mirror(change: &Change<'_>) -> Option<Told> {
    let mirror = |what| Told::of(Side::Mirror, what);
    Some(match change {
        Change::Defined(new) => mirror("defined").because(format!(
            "{} mirrors {} of {} in {}",
            new.name, new.source_repository, new.source_region, new.region
        )),
        Change::SourceIdentified(source) => Told::of(Side::Source, "identified")
            .because(format!("{}, default branch {}", source.storage_namespace, source.default_branch)),
        Change::RepositoryIntended => mirror("creating").because("the repository is about to be created"),
        Change::RepositoryReady { adopted: true } => {
            mirror("ready").because("the repository was there already: its history begins here")
        }
        Change::RepositoryReady { adopted: false } => mirror("ready").because("the repository was made"),
        Change::ConditionResolved => mirror("well").because("the trouble is over"),
        Change::ConditionRaised(text) => mirror("trouble").because(*text),
        Change::DeletionStarted => mirror("deleting").because("deletion was asked for"),
        Change::Gone => mirror("gone").because("the repository is gone"),
        Change::Taken { fact, .. } if fact.resumed => {
            mirror("taken").because(format!("driven by this process, lease epoch {}", fact.epoch))
        }
        Change::Taken { fact, forgets } => {
            let again = if *forgets { ": where the branches are is found out again" } else { "" };
            let why = format!("driven by this process, lease epoch {}; before by {}{again}", fact.epoch, fact.before);
            mirror("taken").because(why)
        }
        _ => return None,
    })
}

/// The line of a branch; `begun` is the record that began the move under way.
fn told_of_branch(seq: u64, change: &BranchChange<'_>, begun: &mut Option<Begun>) -> Option<Told> {
    let source = |what| Told::of(Side::Source, what);
    let mirror = |what| Told::of(Side::Mirror, what);
    Some(match change {
        BranchChange::Seen { before, head, hidden, .. } => {
            let told = source("seen").moved(*before, Some(*head));
            if *hidden { told.because("hidden") } else { told }
        }
        BranchChange::Missed { before } => {
            source("missed").moved(*before, None).because("listing, repository and branch said that it is gone")
        }
        BranchChange::Tombstoned { before } => {
            source("gone").moved(*before, None).because("missed twice: its grace period begins")
        }
        BranchChange::VisibilityChanged { .. } => return None,
        BranchChange::MoveStarted(started) => {
            let why = evidence(started);
            *begun = Some((seq, started.to, why.clone()));
            mirror("moving").moved(started.from, Some(started.to)).because(why)
        }
        BranchChange::MoveFinished { from, to, seen, .. } => {
            let why = match begun.take().filter(|(_, began, _)| began == to) {
                Some((record, _, evidence)) => format!("started by record {record}: {evidence}"),
                None => format!("seen head {seen}"),
            };
            mirror("moved").moved(*from, Some(*to)).because(why)
        }
        BranchChange::MoveGivenUp { shown, to, .. } => {
            *begun = None;
            let why = "its evidence expired before the move was carried out";
            mirror("given up").moved(*shown, Some(*to)).because(why)
        }
        BranchChange::Adopted { shown, found } => {
            mirror("adopted").moved(*shown, Some(*found)).because("found there, an earlier head of the source")
        }
        BranchChange::Diverged { expected, found } => {
            *begun = None;
            let why = "another writer changed it: it was expected at the first commit, and found at the second";
            mirror("diverged").moved(*expected, *found).because(why)
        }
        BranchChange::RemovalStarted { shown } => {
            mirror("removing").moved(*shown, None).because("the grace period is over")
        }
        BranchChange::RemakeStarted { shown, hidden } => {
            let why = if *hidden { "hidden" } else { "visible" };
            let why =
                format!("created again at the source as a {why} branch: it is created again on the mirror at once");
            mirror("removing").moved(*shown, None).because(why)
        }
        BranchChange::Forgotten { .. } => mirror("forgotten").because("where it is on the mirror is found out again"),
        BranchChange::Removed { shown, .. } => mirror("removed").moved(*shown, None),
    })
}

fn evidence(started: &MoveStartedV1) -> String {
    let MoveStartedV1 { seen, ranges, entries, oldest_evidence_ms, .. } = started;
    let oldest = match *oldest_evidence_ms {
        u64::MAX => "an empty tree".to_owned(),
        ms => format!("oldest check {}", show(ms)),
    };
    format!("seen head {seen} is complete, {entries} object(s) in {ranges} range(s), {oldest}")
}
