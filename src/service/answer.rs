//! Converts records into API responses: one conversion for each type.

use lakemirror_api::types as wire;
use lakemirror_mirrors::records::{BranchState, BranchStatus, Counts, Definition, JournalHead, MirrorState, Waiting};

use super::present::Present;

/// A mirror whose status is known.
#[must_use]
pub fn mirror(definition: &Definition, present: &Present) -> wire::Mirror {
    let status = &present.status;
    wire::Mirror {
        id: definition.name.clone(),
        source_repository_id: definition.source_repository.clone(),
        source_region: definition.source_region.clone(),
        region: definition.region.clone(),
        storage_namespace: definition.storage_namespace.clone(),
        creation_date: definition.creation_date,
        incarnation: definition.incarnation.to_string(),
        state: state(status.state),
        state_message: status.state_message.clone(),
        branches: status.branches.iter().map(branch).collect(),
        counts: counts(status.counts),
        problems: status.problems.clone(),
        lag_seconds: Some(present.lag_seconds),
        status_age_seconds: present.age_seconds,
        journal_head: status.journal_head.as_ref().map(journal_head),
    }
}

/// A mirror of which only the definition is known yet.
#[must_use]
pub fn unseen(definition: &Definition, present: &Present) -> wire::Mirror {
    wire::Mirror { lag_seconds: None, ..mirror(definition, present) }
}

fn branch(branch: &BranchStatus) -> wire::Branch {
    wire::Branch {
        id: branch.name.clone(),
        source_commit_id: branch.source_commit.map(|id| id.to_string()),
        promoted_commit_id: branch.promoted_commit.map(|id| id.to_string()),
        state: branch_state(branch.state),
        waiting: branch.waiting.iter().map(waiting).collect(),
    }
}

fn waiting(waiting: &Waiting) -> wire::Waiting {
    wire::Waiting {
        kind: waiting.kind,
        what: waiting.what.clone(),
        objects_missing: waiting.objects_missing,
        objects: waiting
            .objects
            .iter()
            .map(|one| wire::WaitingObject { path: one.path.clone(), uri: one.uri.clone() })
            .collect(),
        and_more: waiting.and_more,
        since: seconds(waiting.since_ms),
        last_checked: waiting.checked_at_ms.map(seconds),
    }
}

fn journal_head(head: &JournalHead) -> wire::JournalHead {
    wire::JournalHead { seq: head.seq, hash: head.hash.clone() }
}

fn seconds(ms: u64) -> i64 {
    i64::try_from(ms / 1000).unwrap_or(i64::MAX)
}

fn counts(counts: Counts) -> wire::Counts {
    let Counts {
        branches,
        commits_promoted,
        commits_waiting,
        objects_present,
        objects_missing,
        objects_expired,
        objects_outside,
    } = counts;
    wire::Counts {
        branches,
        commits_promoted,
        commits_waiting,
        objects_present,
        objects_missing,
        objects_expired,
        objects_outside,
    }
}

fn state(state: MirrorState) -> wire::MirrorState {
    match state {
        MirrorState::Creating => wire::MirrorState::Creating,
        MirrorState::Syncing => wire::MirrorState::Syncing,
        MirrorState::Synced => wire::MirrorState::Synced,
        MirrorState::Stuck => wire::MirrorState::Stuck,
        MirrorState::Failed => wire::MirrorState::Failed,
        MirrorState::Deleting => wire::MirrorState::Deleting,
        MirrorState::Unknown => wire::MirrorState::Unknown,
    }
}

fn branch_state(state: BranchState) -> wire::BranchState {
    match state {
        BranchState::Waiting => wire::BranchState::Waiting,
        BranchState::Promoting => wire::BranchState::Promoting,
        BranchState::Synced => wire::BranchState::Synced,
        BranchState::Stuck => wire::BranchState::Stuck,
        BranchState::Diverged => wire::BranchState::Diverged,
        BranchState::Deleting => wire::BranchState::Deleting,
        BranchState::Unknown => wire::BranchState::Unknown,
    }
}
