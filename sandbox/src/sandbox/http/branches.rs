//! Branches.

use axum::http::{Method, StatusCode};
use serde_json::json;

use super::answer::{self, Answer};
use super::{AMOUNT, Call, Operation, Outcome, flag, required, text};
use crate::sandbox::lake::{Change, ChangeKind, CreateBranch, Listed, ResetWhat, page_of_changes};

pub(super) fn operations() -> Vec<Operation> {
    const ONE: &str = "/repositories/{repository}/branches/{branch}";
    vec![
        Operation::new(Method::GET, "/repositories/{repository}/branches", list).query([
            text("prefix"),
            text("after"),
            AMOUNT,
            flag("show_hidden"),
        ]),
        Operation::new(Method::POST, "/repositories/{repository}/branches", create).body("BranchCreation"),
        Operation::new(Method::GET, ONE, get),
        Operation::new(Method::DELETE, ONE, delete).query([flag("force")]),
        Operation::new(Method::PUT, ONE, reset).body("ResetCreation"),
        Operation::new(Method::PUT, "/repositories/{repository}/branches/{branch}/hard_reset", hard_reset)
            .query([required("ref"), flag("force")]),
        Operation::new(Method::GET, "/repositories/{repository}/branches/{branch}/diff", diff).query([
            text("after"),
            AMOUNT,
            text("prefix"),
            text("delimiter"),
        ]),
    ]
}

fn list(call: &Call) -> Outcome<Answer> {
    let (found, more) = call.lake().branches(call.param("repository"), &call.page(), call.flag("show_hidden"))?;
    let items = found.into_iter().map(|(name, head)| (name.clone(), answer::reference(&name, &head))).collect();
    Answer::ok(&answer::list(items, more))
}

fn create(call: &Call) -> Outcome<Answer> {
    let wanted = CreateBranch {
        name: call.field("name").to_owned(),
        source: call.field("source").to_owned(),
        force: call.switch("force"),
        hidden: call.switch("hidden"),
    };
    let head = call.lake().create_branch(call.param("repository"), wanted)?;
    Ok(Answer::bytes(StatusCode::CREATED, "text/plain; charset=utf-8", head))
}

fn get(call: &Call) -> Outcome<Answer> {
    let head = call.lake().get_branch(call.param("repository"), call.param("branch"))?;
    Answer::ok(&answer::reference(call.param("branch"), &head))
}

fn delete(call: &Call) -> Outcome<Answer> {
    call.lake().delete_branch(call.param("repository"), call.param("branch"), call.flag("force"))?;
    Answer::done()
}

fn reset(call: &Call) -> Outcome<Answer> {
    let path = call.field("path").to_owned();
    let what = match call.field("type") {
        "object" => ResetWhat::Object(path),
        "common_prefix" => ResetWhat::Prefix(path),
        _ => ResetWhat::Everything,
    };
    call.lake().reset(call.param("repository"), call.param("branch"), &what, call.switch("force"))?;
    Answer::done()
}

fn hard_reset(call: &Call) -> Outcome<Answer> {
    let (repository, branch) = (call.param("repository"), call.param("branch"));
    call.lake().hard_reset(repository, branch, call.text("ref"), call.flag("force"))?;
    Answer::done()
}

fn diff(call: &Call) -> Outcome<Answer> {
    let mut changes = call.lake().diff_uncommitted(call.param("repository"), call.param("branch"))?;
    // lakeFS does not look up the object that a staged deletion removes.
    changes.iter_mut().filter(|change| change.kind == ChangeKind::Removed).for_each(|change| change.entry.size = 0);
    changes_page(call, changes, false)
}

/// One page of differences as JSON.
pub(super) fn changes_page(call: &Call, changes: Vec<Change>, right: bool) -> Outcome<Answer> {
    let (lines, more) = page_of_changes(changes, &call.page(), call.text("delimiter"));
    let items = lines.iter().map(|line| (line.path().to_owned(), shown(line, right))).collect();
    Answer::ok(&answer::list(items, more))
}

fn shown(line: &Listed<Change>, right: bool) -> serde_json::Value {
    let change = match line {
        Listed::Prefix(path) => {
            return json!({"path": path, "path_type": "common_prefix", "type": "prefix_changed"});
        }
        Listed::Item(_, change) => change,
    };
    let kind = match change.kind {
        ChangeKind::Added => "added",
        ChangeKind::Removed => "removed",
        ChangeKind::Changed => "changed",
        ChangeKind::Conflict => "conflict",
    };
    let entry = &change.entry;
    let mut shown = json!({"path": change.path, "path_type": "object", "size_bytes": entry.size, "type": kind});
    if right && let Some(fields) = shown.as_object_mut() {
        let stat = json!({
            "checksum": entry.checksum,
            "content_type": entry.content_type,
            "metadata": entry.metadata,
            "mtime": entry.mtime,
        });
        fields.insert("right".to_owned(), stat);
    }
    shown
}
