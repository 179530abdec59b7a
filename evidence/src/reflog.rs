//! The reflog of a mirror, and of its source as it was seen: each record that says where a branch is, in order.
//!
//! Owns which records these are and how one reads; mirrors are found by name or incarnation, so the lives of several
//! mirrors of one name come out one after the other, each line with its incarnation. Lines go to the caller as they
//! are read; memory is the branches' last heads.

use std::collections::BTreeMap;
use std::io;

use lakemirror_core::ids::{CommitId, Incarnation};
use lakemirror_journal::event::{Event, MoveStartedV1};
use lakemirror_journal::log::{FrameInfo, RawRecord, Replay, ReplayRefused, SnapshotHeader};
use lakemirror_journal::state::State;

use super::begin::{beginning, not_at_hand};
use super::mirrors::{Wanted, never_seen};
use super::moment::show;
use super::{EvidenceError, Source, decode_about_branches, output_failed};

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The mirror itself.
    Mirror,
    /// The source, as it was seen.
    Source,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The record.
    pub seq: u64,
    /// When it happened, by the record; milliseconds since 1970.
    pub at_ms: u64,
    /// When its frame was committed, milliseconds since 1970.
    pub committed_ms: u64,
    /// Which mirror.
    pub mirror: Incarnation,
    /// Which branch; none for what concerns the mirror as a whole.
    pub branch: Option<String>,
    /// Mirror or source.
    pub side: Side,
    /// One word for what happened.
    pub what: &'static str,
    /// Where the branch was.
    pub from: Option<CommitId>,
    /// Where it is.
    pub to: Option<CommitId>,
    /// Why, or what else there is to say.
    pub why: String,
}

/// Which lines.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The mirror's name, or its incarnation.
    pub mirror: &'a str,
    /// Only this branch, and what concerns the mirror as a whole.
    pub branch: Option<&'a str>,
}

/// Hands each line to `print`, in the order of the records. Returns the first record that is at hand.
///
/// # Errors
/// As for every reading; [`EvidenceError::Output`] with what `print` returned; [`EvidenceError::NotSeen`] if the
/// journal never saw the mirror or the branch.
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
    let mut follow = Follow { wanted, branch: request.branch, branches: BTreeMap::new(), snapshot, print };
    let scan = source.read_oldest(&mut follow)?;
    follow.learn();
    let begins_at = scan.proven_from.max(1);
    match follow.missing() {
        None => Ok(begins_at),
        Some(text) if begins_at == 1 => Err(EvidenceError::NotSeen(text)),
        Some(text) => Err(EvidenceError::NotSeen(format!("{text} ({})", not_at_hand(begins_at)))),
    }
}

/// What is remembered of a branch.
#[derive(Default)]
struct Known {
    seen: Option<CommitId>,
    shown: Option<CommitId>,
    started: Option<(u64, Box<MoveStartedV1>)>,
}

struct Follow<'a> {
    wanted: Wanted,
    branch: Option<&'a str>,
    branches: BTreeMap<(Incarnation, String), Known>,
    /// The oldest state that is known, where the first records are not at hand: it says where branches were.
    snapshot: Option<(SnapshotHeader, State)>,
    print: &'a mut dyn FnMut(&Line) -> io::Result<()>,
}

impl Replay for Follow<'_> {
    fn record(&mut self, seq: u64, record: RawRecord<'_>, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        if self.snapshot.as_ref().is_some_and(|(header, _)| header.seq < seq) {
            self.learn();
        }
        let Some(event) = decode_about_branches(&record)? else { return Ok(()) };
        if let Event::MirrorDefined(defined) = &event {
            self.wanted.define(defined);
        }
        let Some(mirror) = event.mirror().filter(|id| self.wanted.name(id).is_some()) else { return Ok(()) };
        let told = match event.branch() {
            Some(name) => {
                let known = self.branches.entry((mirror, name.to_owned())).or_default();
                told_of_branch(seq, &event, known)
            }
            None => told_of_mirror(&event),
        };
        let Some(told) = told else { return Ok(()) };
        if event.branch().is_some() && self.branch.is_some_and(|only| event.branch() != Some(only)) {
            return Ok(());
        }
        let Told { at_ms, side, what, from, to, why } = told;
        let (branch, committed_ms) = (event.branch().map(ToOwned::to_owned), frame.wall_ms);
        (self.print)(&Line { seq, at_ms, committed_ms, mirror, branch, side, what, from, to, why })
            .map_err(output_failed)
    }
}

impl Follow<'_> {
    /// Takes from the snapshot where branches were after its record.
    fn learn(&mut self) {
        let Some((_, state)) = self.snapshot.take() else { return };
        for (id, mirror) in state.mirrors.iter().filter(|(id, _)| self.wanted.name(id).is_some()) {
            for (name, branch) in &mirror.branches {
                let known = self.branches.entry((*id, name.clone())).or_default();
                (known.seen, known.shown) =
                    (Some(branch.head).filter(|_| branch.tombstone_ms.is_none()), branch.mirror);
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
        let what = format!("the journal has never seen a branch {branch:?} of mirror {of:?}");
        Some(never_seen(&what, branch, self.branches.keys().map(|(_, name)| name.as_str())))
    }
}

/// A line without what every line has.
struct Told {
    at_ms: u64,
    side: Side,
    what: &'static str,
    from: Option<CommitId>,
    to: Option<CommitId>,
    why: String,
}

impl Told {
    fn new(side: Side, at_ms: u64, what: &'static str) -> Self {
        Self { at_ms, side, what, from: None, to: None, why: String::new() }
    }

    fn because(self, why: impl Into<String>) -> Self {
        Self { why: why.into(), ..self }
    }

    fn moved(self, from: Option<CommitId>, to: Option<CommitId>) -> Self {
        Self { from, to, ..self }
    }
}

fn told_of_mirror(event: &Event) -> Option<Told> {
    let mirror = |at_ms, what| Told::new(Side::Mirror, at_ms, what);
    Some(match event {
        Event::MirrorDefined(e) => mirror(e.at_ms, "defined")
            .because(format!("{} mirrors {} of {} in {}", e.name, e.source_repository, e.source_region, e.region)),
        Event::SourceIdentified(e) => Told::new(Side::Source, e.at_ms, "identified")
            .because(format!("{}, default branch {}", e.storage_namespace, e.default_branch)),
        Event::RepositoryIntended(e) => mirror(e.at_ms, "creating").because("the repository is about to be made"),
        Event::RepositoryReady(e) if e.adopted => {
            mirror(e.at_ms, "ready").because("the repository was there already: its history begins here")
        }
        Event::RepositoryReady(e) => mirror(e.at_ms, "ready").because("the repository was made"),
        Event::TroubleNoted(e) if e.text.is_empty() => mirror(e.at_ms, "well").because("the trouble is over"),
        Event::TroubleNoted(e) => mirror(e.at_ms, "trouble").because(&e.text),
        Event::MirrorDeletionStarted(e) => mirror(e.at_ms, "deleting").because("deletion was asked for"),
        Event::MirrorGone(e) => mirror(e.at_ms, "gone").because("the repository is gone"),
        Event::MirrorTaken(e) if e.resumed => {
            mirror(e.at_ms, "taken").because(format!("driven by this process, lease epoch {}", e.epoch))
        }
        Event::MirrorTaken(e) => mirror(e.at_ms, "taken").because(format!(
            "driven by this process, lease epoch {}; before by {}: where the branches are is found out again",
            e.epoch, e.before
        )),
        _ => return None,
    })
}

fn told_of_branch(seq: u64, event: &Event, known: &mut Known) -> Option<Told> {
    match event {
        Event::BranchSeen(e) => {
            let from = known.seen.replace(e.head);
            let told = Told::new(Side::Source, e.at_ms, "seen").moved(from, Some(e.head));
            Some(if e.hidden { told.because("hidden") } else { told })
        }
        Event::BranchMissed(e) => Some(
            Told::new(Side::Source, e.at_ms, "missed")
                .moved(known.seen, None)
                .because("listing, repository and branch said that it is gone"),
        ),
        Event::BranchTombstoned(e) => Some(
            Told::new(Side::Source, e.at_ms, "gone")
                .moved(known.seen.take(), None)
                .because("missed twice: its time of grace begins"),
        ),
        other => told_of_shown(seq, other, known),
    }
}

fn told_of_shown(seq: u64, event: &Event, known: &mut Known) -> Option<Told> {
    let mirror = |at_ms, what| Told::new(Side::Mirror, at_ms, what);
    Some(match event {
        Event::MoveStarted(e) => {
            known.started = Some((seq, Box::new(e.clone())));
            mirror(e.at_ms, "moving").moved(e.from, Some(e.to)).because(evidence(e))
        }
        Event::MoveFinished(e) => {
            known.shown = Some(e.to);
            let why = match known.started.take().filter(|(_, started)| started.to == e.to) {
                Some((started_seq, started)) => format!("started by record {started_seq}: {}", evidence(&started)),
                None => format!("seen head {}", e.seen),
            };
            mirror(e.at_ms, "moved").moved(e.from, Some(e.to)).because(why)
        }
        Event::MoveGivenUp(e) => {
            known.started = None;
            mirror(e.at_ms, "given up")
                .moved(known.shown, Some(e.to))
                .because("its evidence had become too old before it was carried out")
        }
        Event::BranchAdopted(e) => mirror(e.at_ms, "adopted")
            .moved(known.shown.replace(e.found), Some(e.found))
            .because("found there, a past head of the source"),
        Event::BranchDiverged(e) => {
            known.started = None;
            mirror(e.at_ms, "diverged")
                .moved(e.expected, e.found)
                .because("somebody else changed it: it was expected at the first, and found at the second")
        }
        Event::BranchRemovalStarted(e) => {
            mirror(e.at_ms, "removing").moved(known.shown, None).because("the time of grace is over")
        }
        Event::BranchRemakeStarted(e) => {
            let why = if e.hidden { "hidden" } else { "visible" };
            mirror(e.at_ms, "removing")
                .moved(known.shown, None)
                .because(format!("the source made it again as a {why} branch: it is created again at once"))
        }
        Event::BranchForgotten(e) => {
            known.shown = None;
            mirror(e.at_ms, "forgotten").because("where it is on the mirror is found out again")
        }
        Event::BranchRemoved(e) => mirror(e.at_ms, "removed").moved(known.shown.take(), None),
        _ => return None,
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
