//! Queries about refs: the log, differences, merges.

use axum::http::{Method, StatusCode};
use serde_json::json;

use super::answer::{self, Answer};
use super::branches::changes_page;
use super::{AMOUNT, Call, Kind, Operation, Outcome, Param, Sort, flag, text};
use crate::sandbox::lake::{LogQuery, Merge};

pub(super) fn operations() -> Vec<Operation> {
    const MERGE: &str = "/repositories/{repository}/refs/{source}/merge/{destination}";
    const SINCE: Param = Param { name: "since", required: false, sort: Sort::Date };
    const TYPE: Param =
        Param { name: "type", required: false, sort: Sort::OneOf(["two_dot", "three_dot"], "three_dot") };
    vec![
        Operation::new(Method::GET, "/repositories/{repository}/refs/{ref}/commits", log).query([
            text("after"),
            AMOUNT,
            text("objects"),
            text("prefixes"),
            flag("limit"),
            flag("first_parent"),
            SINCE,
            text("stop_at"),
        ]),
        Operation::new(Method::GET, "/repositories/{repository}/refs/{left}/diff/{right}", diff).query([
            text("after"),
            AMOUNT,
            text("prefix"),
            text("delimiter"),
            TYPE,
            flag("include_right_stats"),
        ]),
        Operation::new(Method::POST, MERGE, merge).body("Merge"),
        Operation::new(Method::GET, MERGE, merge_base),
    ]
}

fn log(call: &Call) -> Outcome<Answer> {
    let page = call.page();
    let since = call.text("since").parse::<jiff::Timestamp>().ok();
    let query = LogQuery {
        from: call.param("ref").to_owned(),
        after: page.after,
        amount: page.amount,
        limit: call.flag("limit"),
        first_parent: call.flag("first_parent"),
        since: since.map(|since| (since.as_second(), since.subsec_nanosecond().try_into().unwrap_or_default())),
        stop_at: call.text("stop_at").to_owned(),
        objects: call.texts("objects"),
        prefixes: call.texts("prefixes"),
    };
    let (commits, more) = call.lake().log(call.param("repository"), &query)?;
    let items = commits.iter().map(|commit| (commit.id.clone(), answer::commit(commit))).collect();
    Answer::ok(&answer::list(items, more))
}

fn diff(call: &Call) -> Outcome<Answer> {
    let (repository, left, right) = (call.param("repository"), call.param("left"), call.param("right"));
    let changes = match call.text("type") {
        "two_dot" => call.lake().diff(repository, left, right)?,
        _ => call.lake().compare(repository, left, right)?,
    };
    changes_page(call, changes, call.flag("include_right_stats"))
}

fn merge(call: &Call) -> Outcome<Answer> {
    let wanted = Merge {
        source: call.param("source").to_owned(),
        destination: call.param("destination").to_owned(),
        message: call.field("message").to_owned(),
        metadata: call.map("metadata"),
        strategy: call.field("strategy").to_owned(),
        force: call.switch("force"),
        allow_empty: call.switch("allow_empty"),
        squash: call.switch("squash_merge"),
    };
    match call.lake().merge(call.param("repository"), wanted) {
        Ok(commit) => Answer::ok(&json!({"reference": commit.id})),
        // A conflict has no message, but an empty reference.
        Err(failure) if failure.kind == Kind::Conflict => {
            Ok(Answer::json(StatusCode::CONFLICT, &json!({"reference": ""})))
        }
        Err(failure) => Err(failure),
    }
}

fn merge_base(call: &Call) -> Outcome<Answer> {
    let (source, destination) = (call.param("source"), call.param("destination"));
    let found = call.lake().find_merge_base(call.param("repository"), source, destination)?;
    Answer::ok(&json!({
        "base_commit_id": found.base,
        "destination_commit_id": found.destination,
        "source_commit_id": found.source,
    }))
}
