//! Commits: created, recorded, read; reverts and cherry-picks.

use axum::http::Method;
use serde_json::Value;

use super::answer::{self, Answer};
use super::call::text_map;
use super::{Call, Failure, Kind, Operation, Outcome, text};
use crate::sandbox::lake::{CherryPick, CommitRecordCreation, NewCommit, Overrides, Revert};
use crate::sandbox::model::Commit;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new(Method::POST, "/repositories/{repository}/branches/{branch}/commits", commit)
            .query([text("source_metarange")])
            .body("CommitCreation"),
        Operation::new(Method::POST, "/repositories/{repository}/commits", record).body("CommitRecordCreation"),
        Operation::new(Method::GET, "/repositories/{repository}/commits/{commit}", get),
        Operation::new(Method::POST, "/repositories/{repository}/branches/{branch}/revert", revert)
            .body("RevertCreation"),
        Operation::new(Method::POST, "/repositories/{repository}/branches/{branch}/cherry-pick", cherry_pick)
            .body("CherryPickCreation"),
    ]
}

fn commit(call: &Call) -> Outcome<Answer> {
    let wanted = NewCommit {
        message: call.field("message").to_owned(),
        metadata: call.map("metadata"),
        date: call.number("date"),
        allow_empty: call.switch("allow_empty"),
        force: call.switch("force"),
        source_metarange: Some(call.text("source_metarange").to_owned()).filter(|given| !given.is_empty()),
    };
    let made = call.lake().commit_branch(call.param("repository"), call.param("branch"), wanted)?;
    Answer::created(&answer::commit(&made))
}

fn record(call: &Call) -> Outcome<Answer> {
    if call.body.get("metadata").is_none_or(Value::is_null) {
        // lakeFS panics here and closes the connection.
        return Err(answer::hang_up());
    }
    let number = |name: &str| {
        let number = call.number(name).unwrap_or_default();
        i32::try_from(number).map_err(|_| Failure::new(Kind::Invalid, format!("{name} {number} is out of range")))
    };
    let commit = Commit {
        id: call.field("commit_id").to_owned(),
        committer: call.field("committer").to_owned(),
        message: call.field("message").to_owned(),
        seconds: call.number("creation_date").unwrap_or_default(),
        nanos: 0,
        metarange: call.field("metarange_id").to_owned(),
        metadata: call.map("metadata"),
        parents: call.list("parents"),
        version: number("version")?,
        generation: number("generation")?,
    };
    let wanted = CommitRecordCreation { commit, force: call.switch("force") };
    call.lake().create_commit_record(call.param("repository"), wanted)?;
    Answer::done()
}

fn get(call: &Call) -> Outcome<Answer> {
    // Only this call responds like this: whatever is not found is the commit, everything else is 500.
    let found = call.lake().get_commit(call.param("repository"), call.param("commit"));
    let found = found.map_err(|failure| match failure.kind {
        Kind::RepositoryNotFound => Failure::new(Kind::RepositoryNotFound, "repository not found"),
        Kind::NotFound => Failure::commit_not_found(),
        _ => Failure { kind: Kind::Internal, ..failure },
    })?;
    Answer::ok(&answer::commit(&found))
}

fn overrides(call: &Call) -> Overrides {
    let given = call.body.get("commit_overrides");
    let field = |name: &str| given.and_then(|given| given.get(name));
    Overrides {
        message: field("message").and_then(Value::as_str).unwrap_or_default().to_owned(),
        metadata: field("metadata").map(text_map),
    }
}

fn revert(call: &Call) -> Outcome<Answer> {
    let wanted = Revert {
        reference: call.field("ref").to_owned(),
        parent: call.number("parent_number").unwrap_or_default(),
        force: call.switch("force"),
        allow_empty: call.switch("allow_empty"),
        overrides: overrides(call),
    };
    call.lake().revert(call.param("repository"), call.param("branch"), &wanted)?;
    Answer::done()
}

fn cherry_pick(call: &Call) -> Outcome<Answer> {
    let wanted = CherryPick {
        reference: call.field("ref").to_owned(),
        parent: call.number("parent_number"),
        force: call.switch("force"),
        overrides: overrides(call),
    };
    let made = call.lake().cherry_pick(call.param("repository"), call.param("branch"), &wanted)?;
    Answer::created(&answer::commit(&made))
}
