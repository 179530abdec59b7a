//! Lists what a head of the source is waiting for, apart from the objects of its own tree. The reasons come from the
//! state at the journal's end, by the rules of the service.
//!
//! Each reason states what is missing and since when. `range` lists the missing objects of the head's own tree.

use lakemirror_core::ids::{CommitId, Incarnation};
use lakemirror_journal::event::Event;
use lakemirror_journal::log::{FrameInfo, RawRecord, Replay, ReplayRefused, SnapshotHeader};
use lakemirror_journal::state::State;
use lakemirror_journal::state::branch::Branch;
use lakemirror_journal::state::mirror::{Mirror, Phase};
use lakemirror_journal::state::policy::{ArchivedRule, HistoryRule, ImportsRule};
use lakemirror_journal::state::tree::Completeness;

use super::subject::Subject;
use crate::begin::restored;
use crate::point::show;
use crate::{EvidenceError, Source, decode};

/// Maximum number of ancestors that are listed.
const ANCESTORS_NAMED_MAX: usize = 10;

/// Everything that prevents the branch from showing the subject, in the order in which it has to be resolved.
///
/// # Errors
/// As for every read.
pub fn reasons(source: &Source, mirror: Incarnation, subject: &Subject) -> Result<Vec<String>, EvidenceError> {
    let mut follow = OneMirror { mirror, state: State::default() };
    source.read_newest(&mut follow)?;
    let state = follow.state;
    let Some(found) = state.mirror(&mirror) else {
        return Ok(vec!["the mirror was removed".to_owned()]);
    };
    let mut reasons = of_mirror(found);
    if let Some(branch) = subject.branch.as_ref().and_then(|name| found.branches.get(name)) {
        reasons.extend(of_branch(branch, &subject.commit));
    }
    reasons.extend(of_tree(&state, found, &subject.commit));
    reasons.extend(of_history(&state, found, &subject.commit));
    if reasons.is_empty() {
        reasons.push(
            "nothing is missing any more: the next scan of the branches moves it, or repeats checks that are too old"
                .to_owned(),
        );
    }
    Ok(reasons)
}

/// The state of one mirror only, so that memory does not grow with the number of mirrors.
struct OneMirror {
    mirror: Incarnation,
    state: State,
}

impl Replay for OneMirror {
    fn record(&mut self, _: u64, record: RawRecord<'_>, _: &FrameInfo) -> Result<(), ReplayRefused> {
        let event: Event = decode(&record)?;
        if event.mirror().is_none_or(|mirror| mirror == self.mirror) {
            self.state.apply(&event);
        }
        Ok(())
    }

    fn restore(&mut self, snapshot: &SnapshotHeader, image: &[u8]) -> Result<(), ReplayRefused> {
        self.state = restored(snapshot, image)?;
        self.state.mirrors.retain(|mirror, _| *mirror == self.mirror);
        Ok(())
    }
}

fn of_mirror(mirror: &Mirror) -> Vec<String> {
    let mut reasons = Vec::new();
    match mirror.phase {
        Phase::Ready => {}
        Phase::Defined | Phase::Intended => reasons.push("the mirror repository does not exist yet".to_owned()),
        Phase::Deleting => reasons.push("the mirror is being deleted".to_owned()),
    }
    reasons.extend(mirror.conditions().map(|(_, raised)| format!("since {}: {}", show(raised.since_ms), raised.text)));
    reasons
}

fn of_branch(branch: &Branch, commit: &CommitId) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(at_ms) = branch.tombstone_ms {
        reasons.push(format!("the branch was deleted at the source at {}", show(at_ms)));
    }
    if branch.removing {
        reasons.push("the branch is being removed from the mirror".to_owned());
    }
    if let Some(divergence) = branch.diverged() {
        let found = divergence.found.map_or_else(|| "deleted".to_owned(), |id| format!("found at {id}"));
        reasons.push(format!("another writer moved the mirror's branch: {found} since {}", show(divergence.since_ms)));
    }
    if let Some(under_way) = branch.moving.filter(|under_way| under_way.to != *commit) {
        reasons.push(format!("a move to {} is under way since {}", under_way.to, show(under_way.at_ms)));
    }
    if !branch.pending.iter().any(|head| head.commit == *commit) && branch.tombstone_ms.is_none() {
        reasons.push("it is no longer kept as a head: newer heads replaced it".to_owned());
    }
    reasons
}

fn of_tree(state: &State, mirror: &Mirror, id: &CommitId) -> Vec<String> {
    let Some(commit) = mirror.graph.get(id) else {
        return vec!["its commit record was not read from the source yet".to_owned()];
    };
    let Some(metarange) = commit.metarange else { return Vec::new() };
    let Some(tree) = mirror.trees.metaranges.get(&metarange).filter(|tree| tree.is_read() && !tree.evicted) else {
        return vec![format!("its metarange {metarange} could not be read at the destination yet")];
    };
    let mut reasons = Vec::new();
    let unread = mirror.trees.ranges_of(tree).filter(|range| !range.read).count();
    if unread > 0 {
        reasons.push(format!(
            "{unread} of its {} range file(s) could not be read at the destination yet",
            tree.ranges.len()
        ));
    }
    let missing: u64 =
        mirror.trees.ranges_of(tree).filter(|range| range.read).map(|range| u64::from(range.missing_count())).sum();
    if missing > 0 {
        reasons.push(format!("{missing} object(s) are not at the destination yet"));
    }
    let details = || mirror.trees.ranges_of(tree).filter_map(|range| range.detail.as_deref());
    let wrong: usize = details().map(|detail| detail.wrong_size.len()).sum();
    if wrong > 0 {
        reasons.push(format!("{wrong} object(s) have another size than their entries"));
    }
    let blocks = state.policy.archived == ArchivedRule::Block;
    let archived: usize =
        details().map(|detail| detail.archived.values().filter(|one| blocks && !one.shown).count()).sum();
    if archived > 0 {
        reasons.push(format!(
            "{archived} object(s) are in an archive class: restore them, or set verification.archived: report"
        ));
    }
    let imports = details().filter(|detail| !detail.imports.is_none()).count();
    if imports > 0 && state.policy.imports == ImportsRule::Block {
        reasons.push(format!("{imports} range(s) have imported entries, which `imports: block` never lets pass"));
    }
    if tree.expired > 0 {
        reasons.push("some of its objects do not exist at the source either: a head needs all of them".to_owned());
    }
    reasons
}

/// The ancestors that must be complete before it and are not.
fn of_history(state: &State, mirror: &Mirror, id: &CommitId) -> Vec<String> {
    let Some(commit) = mirror.graph.get(id).filter(|commit| !commit.recorded) else { return Vec::new() };
    if !commit.rooted {
        let unread = mirror.graph.frontier.len();
        return vec![format!("some ancestors were not read from the source yet ({unread} commit(s) to read)")];
    }
    if commit.closed || state.policy.history == HistoryRule::Head {
        return Vec::new();
    }
    let open = |other: &CommitId| {
        let tree = mirror.graph.get(other).and_then(|commit| commit.metarange);
        tree.is_some_and(|tree| {
            mirror.trees.metaranges.get(&tree).is_none_or(|tree| tree.completeness() == Completeness::Incomplete)
        })
    };
    let ancestors = mirror.graph.unrecorded(id, usize::MAX);
    let open: Vec<&CommitId> = ancestors.iter().filter(|other| *other != id && open(other)).collect();
    if open.is_empty() {
        return Vec::new();
    }
    let named: Vec<String> = open.iter().take(ANCESTORS_NAMED_MAX).map(ToString::to_string).collect();
    vec![format!("{} ancestor(s) are not complete, oldest first: {}", open.len(), named.join(", "))]
}
