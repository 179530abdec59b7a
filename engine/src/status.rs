//! What a mirror looks like from outside: the durable state and the conditions, told in the words of the API.
//!
//! Pure: it only reads. Everything that waits says for what, since when, and when it was last looked for (I11).

mod archived;
mod holds;
mod losses;
mod problems;
mod sums;
mod waits;

use std::collections::BTreeMap;

use lakemirror_api::types::WaitKind;
use lakemirror_core::ids::CommitId;
use lakemirror_journal::state::branch::Branch;
use lakemirror_journal::state::mirror::{Mirror, Phase};
use lakemirror_journal::state::policy::Policy;

pub use self::problems::{Problem, Topic, time};
use crate::conditions::{Condition, ConditionKind};
use crate::verify::status::VerifyStatus;

/// One thing that a branch waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// What sort of thing it is.
    pub kind: WaitKind,
    /// What, for people.
    pub what: String,
    /// How many objects are missing, where it waits for objects.
    pub objects_missing: Option<u64>,
    /// Some of the objects.
    pub objects: Vec<WaitingObject>,
    /// How many more of the same kind.
    pub and_more: u64,
    /// Since when, milliseconds since 1970.
    pub since_ms: u64,
    /// When it was last looked for, milliseconds since 1970.
    pub checked_ms: Option<u64>,
}

/// An object that a branch waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingObject {
    /// Its path in the repository, escaped.
    pub path: String,
    /// Where it should be: a URI.
    pub uri: String,
}

impl Waiting {
    /// One thing that is no object.
    fn new(kind: WaitKind, what: String, since_ms: u64) -> Self {
        Self { kind, what, objects_missing: None, objects: Vec::new(), and_more: 0, since_ms, checked_ms: None }
    }
}

/// Where a branch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BranchState {
    /// The mirror shows what the source shows.
    InSync,
    /// Something has not arrived.
    Waiting,
    /// What it waits for is overdue.
    Stuck,
    /// It is being moved.
    Promoting,
    /// It is gone at the source and will be removed.
    Deleting,
    /// Somebody else moved it on the mirror.
    Diverged,
}

/// One branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchStatus {
    /// Its name.
    pub name: String,
    /// The head at the source; none once it is gone there.
    pub source_commit: Option<CommitId>,
    /// The head on the mirror; none before the first promotion.
    pub promoted_commit: Option<CommitId>,
    /// Where it stands.
    pub state: BranchState,
    /// What it waits for.
    pub waiting: Vec<Waiting>,
    /// Since when the oldest head waits that was seen and not promoted, milliseconds since 1970.
    pub behind_since_ms: Option<u64>,
}

/// Where a mirror stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MirrorState {
    /// Its repository is not there yet.
    Creating,
    /// It is behind.
    Syncing,
    /// Something that it needs does not answer, or what a branch waits for is overdue.
    Stuck,
    /// Every branch is level.
    InSync,
    /// Somebody has to do something.
    Failed,
    /// It is being deleted.
    Deleting,
}

/// Sums over a mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// Branches.
    pub branches: u64,
    /// Commits whose records are on the mirror.
    pub commits_recorded: u64,
    /// Commits that a branch leads to and that are not on the mirror.
    pub commits_waiting: u64,
    /// Entries seen at the destination, over all known ranges.
    pub objects_present: u64,
    /// Entries not seen there yet that what a branch shows, or is to show, needs.
    pub objects_missing: u64,
    /// Entries that are gone at the source as well.
    pub objects_expired: u64,
    /// Entries with a full address.
    pub objects_outside: u64,
    /// Arrival checks so far.
    pub checks: u64,
    /// Moves of branches so far.
    pub moves: u64,
}

/// A mirror's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorStatus {
    /// Where it stands.
    pub state: MirrorState,
    /// Why, where that is worth a sentence.
    pub message: Option<String>,
    /// Its branches, by name.
    pub branches: Vec<BranchStatus>,
    /// Sums.
    pub sums: Sums,
    /// What goes wrong at the moment, the gravest first.
    pub problems: Vec<Problem>,
    /// Since when the mirror is not known to show everything that the source has, milliseconds since 1970: since the oldest
    /// head was seen that is not promoted, or since the source does not answer. None while it does.
    pub behind_since_ms: Option<u64>,
    /// The journal's last record.
    pub journal_seq: u64,
    /// The hash of the journal's last frame.
    pub journal_hash: [u8; 32],
}

/// What goes on beside the facts.
#[derive(Debug, Clone, Default)]
pub struct RuntimeStatus {
    /// Faults that last.
    pub notes: BTreeMap<ConditionKind, Condition>,
    /// What the verifier waits for.
    pub verify: VerifyStatus,
    /// Now, milliseconds since 1970: what has waited for too long is stuck. 0 never is.
    pub now_ms: u64,
}

/// How long a branch may wait before it is called stuck, in milliseconds: a replication that was restarted takes up to two
/// minutes.
pub const STUCK_AFTER_MS: u64 = 120_000;

/// Looks at a mirror.
#[must_use]
pub fn of(mirror: &Mirror, policy: &Policy, runtime: &RuntimeStatus, head: (u64, [u8; 32])) -> MirrorStatus {
    let notes = &runtime.notes;
    let branches: Vec<BranchStatus> =
        mirror.branches.iter().map(|(name, branch)| branch_status(mirror, name, branch, runtime)).collect();
    let problems = problems::of(mirror, &branches, runtime);
    let (state, message) = state(mirror, &branches, &problems, notes);
    let message = message.or_else(|| mirror.adopted_ms.map(begun));
    let waits = branches.iter().filter_map(|branch| branch.behind_since_ms);
    let behind_since_ms = waits.chain(problems::blind_since(mirror, notes)).min();
    MirrorStatus {
        state,
        message,
        branches,
        sums: sums::of(mirror, policy.history, &runtime.verify),
        problems,
        behind_since_ms,
        journal_seq: head.0,
        journal_hash: head.1,
    }
}

/// Of a mirror that was there before the journal: from where the journal's history of it begins (I8).
fn begun(at_ms: u64) -> String {
    let at = time(at_ms);
    format!(
        "the mirror was there before this journal: its history begins at {at}, and everything was verified again from then on"
    )
}

fn state(
    mirror: &Mirror,
    branches: &[BranchStatus],
    problems: &[Problem],
    notes: &BTreeMap<ConditionKind, Condition>,
) -> (MirrorState, Option<String>) {
    let note = |about| notes.get(about).map(|note| note.text.clone());
    if let Some((_, raised)) = mirror.conditions().next() {
        return (MirrorState::Failed, Some(raised.text.clone()));
    }
    if mirror.phase == Phase::Deleting {
        return (MirrorState::Deleting, note(&ConditionKind::Repository));
    }
    if let Some(why) = problems::outage(mirror, problems) {
        return (MirrorState::Stuck, Some(why));
    }
    if mirror.phase != Phase::Ready {
        return (MirrorState::Creating, note(&ConditionKind::Repository).or_else(|| note(&ConditionKind::Source)));
    }
    let stuck = problems.iter().find(|problem| matches!(problem.topic, Topic::Stuck(_) | Topic::Diverged(_)));
    match stuck {
        Some(stuck) => (MirrorState::Stuck, Some(stuck.to_string())),
        None if branches.iter().all(|branch| branch.state == BranchState::InSync) && !branches.is_empty() => {
            (MirrorState::InSync, None)
        }
        None => (MirrorState::Syncing, None),
    }
}

fn branch_status(mirror: &Mirror, name: &str, branch: &Branch, runtime: &RuntimeStatus) -> BranchStatus {
    let gone = mirror.is_held(name) || branch.tombstone_ms.is_some();
    let state = match () {
        () if branch.diverged().is_some() => BranchState::Diverged,
        () if gone => BranchState::Deleting,
        () if branch.is_in_sync() => BranchState::InSync,
        () if is_overdue(branch, runtime.now_ms) => BranchState::Stuck,
        () if branch.moving.is_some() => BranchState::Promoting,
        () => BranchState::Waiting,
    };
    let mut waiting = match mirror.holds.get(name).filter(|hold| !hold.approved) {
        Some(hold) if state == BranchState::Deleting => vec![holds::waiting(mirror, hold)],
        _ => waits(mirror, branch, state, runtime),
    };
    if let Some(note) = runtime.notes.get(&ConditionKind::Branch(name.to_owned())) {
        let fault = Waiting::new(WaitKind::Fault, note.text.clone(), note.since_ms);
        waiting.push(Waiting { checked_ms: Some(note.last_ms), ..fault });
    }
    BranchStatus {
        name: name.to_owned(),
        source_commit: (!gone).then_some(branch.head),
        promoted_commit: branch.mirror,
        state,
        waiting,
        behind_since_ms: branch.pending.first().filter(|_| !branch.is_in_sync()).map(|head| head.at_ms),
    }
}

fn is_overdue(branch: &Branch, now_ms: u64) -> bool {
    branch.pending.first().is_some_and(|head| now_ms.saturating_sub(head.at_ms) > STUCK_AFTER_MS)
}

fn waits(mirror: &Mirror, branch: &Branch, state: BranchState, runtime: &RuntimeStatus) -> Vec<Waiting> {
    let say = |kind, what, since_ms| vec![Waiting::new(kind, what, since_ms)];
    match state {
        BranchState::Promoting => Vec::new(),
        // What is looked for again of a head that the mirror shows; nothing as long as it is whole.
        BranchState::InSync => {
            branch.mirror.map_or_else(Vec::new, |head| waits::content(mirror, &head, branch.moved_ms, runtime))
        }
        BranchState::Deleting => say(
            WaitKind::Deletion,
            "the branch is gone at the source".to_owned(),
            branch.tombstone_ms.unwrap_or_default(),
        ),
        BranchState::Diverged => branch.diverged().map_or_else(Vec::new, |divergence| {
            let show = |id: Option<CommitId>| id.map_or("nothing".to_owned(), |id| id.to_string());
            let what = format!(
                "somebody else moved the mirror's branch to {}; expected {}",
                show(divergence.found),
                show(divergence.expected)
            );
            say(WaitKind::Divergence, what, divergence.since_ms)
        }),
        BranchState::Waiting | BranchState::Stuck => match (branch.moving, branch.pending.last()) {
            (Some(under_way), _) => {
                say(WaitKind::Promotion, format!("its move to {} on the mirror", under_way.to), under_way.at_ms)
            }
            (None, Some(head)) => waits::content(mirror, &head.commit, head.at_ms, runtime),
            (None, None) => Vec::new(),
        },
    }
}
