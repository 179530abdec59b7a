//! What a mirror looks like from outside: the durable state and the board, told in the words of the API.
//!
//! Pure: it only reads. Everything that waits says for what, since when, and when it was last looked for (I11).

use std::collections::BTreeMap;

use lakemirror_journal::ids::CommitId;
use lakemirror_journal::state::branch::Branch;
use lakemirror_journal::state::mirror::{Mirror, Phase};
use lakemirror_journal::state::tree::{Grade, Range};

use crate::engine::board::{Note, Subject};

/// Commits that one branch's status looks into, at most.
const COMMITS_MAX: usize = 2000;

/// Things one branch says that it waits for, at most.
const WAITING_MAX: usize = 10;

/// One thing that a branch waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// `commit`, `metarange`, `range`, `objects`, `wrong_size`, `history`, `divergence`, `deletion`, `fault`.
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
    /// Commits known and not on the mirror.
    pub commits_waiting: u64,
    /// Entries seen at the destination, over all known ranges.
    pub objects_present: u64,
    /// Entries not seen there yet.
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

/// Looks at a mirror.
#[must_use]
pub fn of(mirror: &Mirror, notes: &BTreeMap<Subject, Note>, head: (u64, [u8; 32])) -> MirrorStatus {
    let branches: Vec<BranchStatus> =
        mirror.branches.iter().map(|(name, branch)| branch_status(mirror, name, branch, notes)).collect();
    let (standing, message) = standing(mirror, &branches, notes);
    MirrorStatus {
        standing,
        message,
        branches,
        sums: sums(mirror),
        problems: notes.values().map(|note| note.text.clone()).collect(),
        journal_seq: head.0,
        journal_hash: head.1,
    }
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

fn branch_status(mirror: &Mirror, name: &str, branch: &Branch, notes: &BTreeMap<Subject, Note>) -> BranchStatus {
    let standing = match () {
        () if branch.divergence.is_some() => BranchStanding::Diverged,
        () if branch.tombstone_ms.is_some() || branch.removing => BranchStanding::Deleting,
        () if branch.is_level() => BranchStanding::Level,
        () if branch.moving.is_some() => BranchStanding::Promoting,
        () => BranchStanding::Waiting,
    };
    let mut waiting = waits(mirror, branch, standing);
    if let Some(note) = notes.get(&Subject::Branch(name.to_owned())) {
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
        source_commit: branch.tombstone_ms.is_none().then_some(branch.head),
        promoted_commit: branch.mirror,
        standing,
        waiting,
        behind_since_ms: branch.pending.first().map(|head| head.at_ms),
    }
}

fn waits(mirror: &Mirror, branch: &Branch, standing: BranchStanding) -> Vec<Waiting> {
    let say = |kind, what, since_ms| vec![Waiting { kind, what, and_more: 0, since_ms, checked_ms: None }];
    match standing {
        BranchStanding::Level | BranchStanding::Promoting => Vec::new(),
        BranchStanding::Deleting => {
            say("deletion", "the branch is gone at the source".to_owned(), branch.tombstone_ms.unwrap_or_default())
        }
        BranchStanding::Diverged => branch.divergence.map_or_else(Vec::new, |divergence| {
            let show = |id: Option<CommitId>| id.map_or("nothing".to_owned(), |id| id.to_string());
            let what = format!(
                "somebody else moved the mirror's branch to {}; expected {}",
                show(divergence.found),
                show(divergence.expected)
            );
            say("divergence", what, divergence.since_ms)
        }),
        BranchStanding::Waiting => {
            branch.pending.last().map_or_else(Vec::new, |head| content_waits(mirror, &head.commit, head.at_ms))
        }
    }
}

/// What keeps a head from being promoted: its own tree first, then its ancestors'.
fn content_waits(mirror: &Mirror, head: &CommitId, since_ms: u64) -> Vec<Waiting> {
    let mut found = Vec::new();
    if mirror.graph.get(head).is_none() {
        let what = format!("the record of commit {head} at the source");
        return vec![Waiting { kind: "commit", what, and_more: 0, since_ms, checked_ms: None }];
    }
    if !mirror.graph.get(head).is_some_and(|commit| commit.rooted || commit.recorded) {
        let what = format!("the records of {} ancestors at the source", mirror.graph.frontier.len());
        found.push(Waiting { kind: "history", what, and_more: 0, since_ms, checked_ms: None });
    }
    let mut commits = mirror.graph.unrecorded(head, COMMITS_MAX);
    commits.retain(|id| id != head);
    commits.insert(0, *head);
    for id in commits {
        tree_waits(mirror, &id, id == *head, since_ms, &mut found);
        if found.len() >= WAITING_MAX {
            break;
        }
    }
    found
}

fn tree_waits(mirror: &Mirror, commit: &CommitId, is_head: bool, since_ms: u64, found: &mut Vec<Waiting>) {
    let Some(id) = mirror.graph.get(commit).and_then(|commit| commit.metarange) else { return };
    let Some(tree) = mirror.trees.metaranges.get(&id) else { return };
    let enough = if is_head { Grade::Whole } else { Grade::Expired };
    if tree.grade() >= enough {
        return;
    }
    let short: String = commit.to_string().chars().take(12).collect();
    if !tree.is_read() || tree.let_go {
        found.push(Waiting {
            kind: "metarange",
            what: format!("metarange {id} of commit {short}"),
            and_more: 0,
            since_ms,
            checked_ms: None,
        });
        return;
    }
    for range in mirror.trees.ranges_of(tree).filter(|range| range.grade < enough) {
        if found.len() >= WAITING_MAX {
            return;
        }
        found.push(range_wait(range, &short, since_ms));
    }
}

fn range_wait(range: &Range, commit: &str, since_ms: u64) -> Waiting {
    let checked_ms = (range.checked_ms > 0).then_some(range.checked_ms);
    let say = |kind, what| Waiting { kind, what, and_more: 0, since_ms, checked_ms };
    if !range.read {
        return say("range", format!("range {} of commit {commit}", range.id));
    }
    let Some(detail) = range.detail.as_deref() else {
        return say("objects", format!("range {} to be checked", range.id));
    };
    let missing = detail.missing.count();
    if missing == 0 && detail.expired.is_empty() {
        return say(
            "wrong_size",
            format!("{} objects of commit {commit} that have another size than their entries", detail.wrong_size.len()),
        );
    }
    if missing == 0 {
        return say(
            "objects",
            format!("{} objects of commit {commit} that are gone at the source as well", detail.expired.len()),
        );
    }
    let forbidden = if detail.forbidden > 0 {
        format!(" ({} of them: the store refuses to say, check its permissions)", detail.forbidden)
    } else {
        String::new()
    };
    say("objects", format!("{missing} of {} objects of commit {commit}, range {}{forbidden}", range.entries, range.id))
}

fn sums(mirror: &Mirror) -> Sums {
    let mut sums =
        Sums { branches: mirror.branches.len() as u64, checks: mirror.checks, moves: mirror.moves, ..Sums::default() };
    for commit in mirror.graph.commits.values() {
        if commit.recorded {
            sums.commits_recorded += 1;
        } else {
            sums.commits_waiting += 1;
        }
    }
    for range in &mirror.trees.ranges {
        let missing = u64::from(range.missing_count());
        sums.objects_missing += missing;
        if let Some(detail) = range.detail.as_deref() {
            sums.objects_missing += detail.wrong_size.len() as u64;
            sums.objects_expired += detail.expired.len() as u64;
            sums.objects_outside += u64::from(detail.imports.count());
        }
        let absent = missing
            + range.detail.as_deref().map_or(0, |detail| (detail.wrong_size.len() + detail.expired.len()) as u64);
        sums.objects_present += u64::from(range.entries).saturating_sub(absent);
    }
    sums
}
