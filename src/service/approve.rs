//! Selects the held deletions that an approval applies to: the named ones, or all that the mirror's status shows.

use std::collections::{BTreeMap, BTreeSet};

use lakemirror_api::error::{ApiError, ErrorCode};
use lakemirror_api::types::WaitKind;

use lakemirror_mirrors::records::Status;
use lakemirror_ports::{ApprovedDeletion, CommitId};

/// The maximum number of names in an error message.
const NAMES_MAX: usize = 10;

/// The branches whose deletion is approved now, with their heads on the mirror; and all branches in the response,
/// including those that were approved before.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) new: Vec<(String, Option<CommitId>)>,
    pub(super) all: BTreeSet<String>,
}

/// Selects the branches.
///
/// # Errors
/// [`ErrorCode::Conflict`] if a named branch is not held, or none is; [`ErrorCode::Invalid`] for an empty list.
pub(super) fn choose(
    status: &Status,
    before: &[ApprovedDeletion],
    named: Option<&[String]>,
) -> Result<Chosen, ApiError> {
    let is_held = |kind: WaitKind| kind == WaitKind::DeletionHeld;
    let held = status.branches.iter().filter(|branch| branch.waiting.iter().any(|waiting| is_held(waiting.kind)));
    let held: BTreeMap<&str, Option<CommitId>> =
        held.map(|branch| (branch.name.as_str(), branch.promoted_commit)).collect();
    let approved: BTreeSet<&str> = before.iter().map(|one| one.branch.as_str()).collect();
    let own = |(name, head): (&&str, &Option<CommitId>)| ((*name).to_owned(), *head);
    let Some(named) = named else {
        if held.is_empty() {
            return Err(ApiError::new(
                ErrorCode::Conflict,
                "no deletion of this mirror is held: there is nothing to approve",
            ));
        }
        let new: Vec<_> = held.iter().map(own).collect();
        return Ok(Chosen { all: new.iter().map(|(name, _)| name.clone()).collect(), new });
    };
    if named.is_empty() {
        let text = "branches is an empty list; name branches, or leave it out to approve all deletions that are held";
        return Err(ApiError::new(ErrorCode::Invalid, text));
    }
    let named: BTreeSet<&str> = named.iter().map(String::as_str).collect();
    let unknown: Vec<&str> =
        named.iter().copied().filter(|name| !held.contains_key(name) && !approved.contains(name)).collect();
    if !unknown.is_empty() {
        let shown: Vec<String> = unknown.iter().take(NAMES_MAX).map(|name| format!("{name:?}")).collect();
        let more = unknown.len().saturating_sub(NAMES_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let text = format!(
            "nothing was approved: the deletion of {}{more} is not held; the mirror's status says which are (waiting kind {})",
            shown.join(", "),
            WaitKind::DeletionHeld.name()
        );
        return Err(ApiError::new(ErrorCode::Conflict, text));
    }
    let new = held.iter().filter(|(name, _)| named.contains(*name)).map(own).collect();
    Ok(Chosen { new, all: named.into_iter().map(ToOwned::to_owned).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lakemirror_mirrors::records::{BranchState, BranchStatus, Waiting};

    fn status() -> Status {
        let branch = |name: &str, kind: WaitKind| BranchStatus {
            name: name.to_owned(),
            source_commit: None,
            promoted_commit: Some(CommitId([1; 32])),
            state: BranchState::Deleting,
            waiting: vec![Waiting {
                kind,
                what: String::new(),
                objects_missing: None,
                objects: Vec::new(),
                and_more: 0,
                since_ms: 1,
                checked_at_ms: None,
            }],
            behind_since_ms: None,
        };
        let branches = vec![
            branch("a", WaitKind::DeletionHeld),
            branch("b", WaitKind::DeletionHeld),
            branch("c", WaitKind::Deletion),
        ];
        Status { branches, ..Status::creating() }
    }

    fn names(chosen: Result<Chosen, ApiError>) -> Result<(Vec<String>, Vec<String>), ErrorCode> {
        let chosen = chosen.map_err(|error| error.code)?;
        Ok((chosen.new.into_iter().map(|(name, _)| name).collect(), chosen.all.into_iter().collect()))
    }

    #[test]
    fn only_what_is_held_is_approved_and_a_repetition_is_no_mistake() {
        let text = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let both = |names: &[&str]| Ok((text(names), text(names)));
        let choose = |before: &[ApprovedDeletion], named: Option<&[&str]>| {
            names(choose(&status(), before, named.map(text).as_deref()))
        };
        assert_eq!(choose(&[], None), both(&["a", "b"]));
        assert_eq!(choose(&[], Some(&["b"])), both(&["b"]));
        assert_eq!(choose(&[], Some(&["b", "c"])), Err(ErrorCode::Conflict));
        assert_eq!(choose(&[], Some(&[])), Err(ErrorCode::Invalid));
        let before = [ApprovedDeletion { branch: "d".into(), head: None, by: "x".into() }];
        assert_eq!(choose(&before, Some(&["d"])), Ok((Vec::new(), text(&["d"]))));
        let none = super::choose(&Status::creating(), &[], None).unwrap_err();
        assert_eq!(none.code, ErrorCode::Conflict);
    }
}
