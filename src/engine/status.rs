//! What a mirror looks like from outside: the durable state and the board, told in the words of the API.
//!
//! Pure: it only reads. Everything that waits says for what, since when, and when it was last looked for (I11).

mod holds;
mod losses;
mod sums;
mod waits;

use std::collections::BTreeMap;

use lakemirror_journal::ids::CommitId;
use lakemirror_journal::state::branch::Branch;
use lakemirror_journal::state::mirror::{Mirror, Phase};
use lakemirror_journal::state::policy::Policy;

pub use self::holds::DELETION_HELD;
pub use self::losses::losses;
use crate::engine::board::{Note, Subject};
use crate::engine::verify::status::VerifyStatus;

/// One thing that a branch waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// `commit`, `metarange`, `range`, `objects`, `wrong_size`, `history`, `divergence`, `deletion`, `deletion_held`, `fault`.
    pub kind: &'static str,
    /// What, for people.
    pub what: String,
    /// How many more of the same kind.
    pub and_more: u64,
    /// Since when, milliseconds since 1970.
    pub since_ms: u64,
    /// When it was last looked for, milliseconds since 1970.
    pub checked_ms: Option<u64>,
}

/// Where a branch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BranchStanding {
    /// The mirror shows what the source shows.
    Level,
    /// Something has not arrived.
    Waiting,
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
    pub standing: BranchStanding,
    /// What it waits for.
    pub waiting: Vec<Waiting>,
    /// Since when the oldest head waits that was seen and not promoted, milliseconds since 1970.
    pub behind_since_ms: Option<u64>,
}

/// Where a mirror stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its repository is not there yet.
    Creating,
    /// It is behind.
    Syncing,
    /// Every branch is level.
    Level,
    /// Somebody has to do something.
    Trouble,
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
    pub standing: Standing,
    /// Why, where that is worth a sentence.
    pub message: Option<String>,
    /// Its branches, by name.
    pub branches: Vec<BranchStatus>,
    /// Sums.
    pub sums: Sums,
    /// What goes wrong at the moment.
    pub problems: Vec<String>,
    /// The journal's last record.
    pub journal_seq: u64,
    /// The hash of the journal's last frame.
    pub journal_hash: [u8; 32],
}

/// What goes on beside the facts.
#[derive(Debug, Clone, Default)]
pub struct Goings {
    /// Faults that last.
    pub notes: BTreeMap<Subject, Note>,
    /// What the verifier waits for.
    pub verify: VerifyStatus,
}

/// Looks at a mirror.
#[must_use]
pub fn of(mirror: &Mirror, policy: &Policy, goings: &Goings, head: (u64, [u8; 32])) -> MirrorStatus {
    let notes = &goings.notes;
    let branches: Vec<BranchStatus> =
        mirror.branches.iter().map(|(name, branch)| branch_status(mirror, name, branch, goings)).collect();
    let (standing, message) = standing(mirror, &branches, notes);
    let message = message.or_else(|| mirror.adopted_ms.map(begun));
    MirrorStatus {
        standing,
        message,
        branches,
        sums: sums::of(mirror, policy.history),
        // Losses first: a published list is cut short.
        problems: losses(mirror, &goings.verify.lost)
            .into_iter()
            .chain(holds::problems(mirror))
            .chain(notes.values().map(|note| note.text.clone()))
            .chain(goings.verify.fault.clone())
            .collect(),
        journal_seq: head.0,
        journal_hash: head.1,
    }
}

/// Of a mirror that was there before the journal: from where the journal's history of it begins (I8).
fn begun(at_ms: u64) -> String {
    let at = i64::try_from(at_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let at = at.map_or_else(|| format!("{at_ms} ms"), |at| format!("{at:.3}"));
    format!(
        "the mirror was there before this journal: its history begins at {at}, and everything was verified again from then on"
    )
}

fn standing(mirror: &Mirror, branches: &[BranchStatus], notes: &BTreeMap<Subject, Note>) -> (Standing, Option<String>) {
    let note = |subject| notes.get(subject).map(|note| note.text.clone());
    if let Some(trouble) = &mirror.trouble {
        return (Standing::Trouble, Some(trouble.text.clone()));
    }
    match mirror.phase {
        Phase::Deleting => (Standing::Deleting, note(&Subject::Repository)),
        Phase::Defined | Phase::Intended => {
            (Standing::Creating, note(&Subject::Repository).or_else(|| note(&Subject::Source)))
        }
        Phase::Ready
            if branches.iter().all(|branch| branch.standing == BranchStanding::Level) && !branches.is_empty() =>
        {
            (Standing::Level, note(&Subject::Source))
        }
        Phase::Ready => (Standing::Syncing, note(&Subject::Source)),
    }
}

fn branch_status(mirror: &Mirror, name: &str, branch: &Branch, goings: &Goings) -> BranchStatus {
    let gone = mirror.is_held(name) || branch.tombstone_ms.is_some();
    let standing = match () {
        () if branch.strayed().is_some() => BranchStanding::Diverged,
        () if gone => BranchStanding::Deleting,
        () if branch.is_level() => BranchStanding::Level,
        () if branch.moving.is_some() => BranchStanding::Promoting,
        () => BranchStanding::Waiting,
    };
    let mut waiting = match mirror.holds.get(name).filter(|hold| !hold.approved) {
        Some(hold) if standing == BranchStanding::Deleting => vec![holds::waiting(mirror, hold)],
        _ => waits(mirror, branch, standing, goings),
    };
    if let Some(note) = goings.notes.get(&Subject::Branch(name.to_owned())) {
        waiting.push(Waiting {
            kind: "fault",
            what: note.text.clone(),
            and_more: 0,
            since_ms: note.since_ms,
            checked_ms: Some(note.last_ms),
        });
    }
    BranchStatus {
        name: name.to_owned(),
        source_commit: (!gone).then_some(branch.head),
        promoted_commit: branch.mirror,
        standing,
        waiting,
        behind_since_ms: branch.pending.first().map(|head| head.at_ms),
    }
}

fn waits(mirror: &Mirror, branch: &Branch, standing: BranchStanding, goings: &Goings) -> Vec<Waiting> {
    let say = |kind, what, since_ms| vec![Waiting { kind, what, and_more: 0, since_ms, checked_ms: None }];
    match standing {
        BranchStanding::Promoting => Vec::new(),
        // What is looked for again of a head that the mirror shows; nothing as long as it is whole.
        BranchStanding::Level => {
            branch.mirror.map_or_else(Vec::new, |head| waits::content(mirror, &head, branch.moved_ms, goings))
        }
        BranchStanding::Deleting => {
            say("deletion", "the branch is gone at the source".to_owned(), branch.tombstone_ms.unwrap_or_default())
        }
        BranchStanding::Diverged => branch.strayed().map_or_else(Vec::new, |divergence| {
            let show = |id: Option<CommitId>| id.map_or("nothing".to_owned(), |id| id.to_string());
            let what = format!(
                "somebody else moved the mirror's branch to {}; expected {}",
                show(divergence.found),
                show(divergence.expected)
            );
            say("divergence", what, divergence.since_ms)
        }),
        BranchStanding::Waiting => {
            branch.pending.last().map_or_else(Vec::new, |head| waits::content(mirror, &head.commit, head.at_ms, goings))
        }
    }
}
