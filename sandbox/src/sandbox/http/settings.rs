//! Settings: protected branches and garbage collection rules; and what the sandbox does not support.

use axum::http::Method;
use serde_json::{Value, json};

use super::answer::{self, Answer};
use super::system::not_implemented;
use super::{AMOUNT, Call, Failure, Kind, Operation, Outcome, required, text};

pub(super) fn operations() -> Vec<Operation> {
    const PROTECTION: &str = "/repositories/{repository}/settings/branch_protection";
    const RULES: &str = "/repositories/{repository}/settings/gc_rules";
    let collection = |path| Operation::new(Method::POST, path, prepare);
    vec![
        Operation::new(Method::GET, PROTECTION, protection),
        Operation::new(Method::PUT, PROTECTION, set_protection).body("[]BranchProtectionRule"),
        Operation::new(Method::GET, RULES, rules),
        Operation::new(Method::PUT, RULES, set_rules).body("GarbageCollectionRules"),
        Operation::new(Method::DELETE, RULES, set_rules),
        collection("/repositories/{repository}/gc/prepare_commits"),
        collection("/repositories/{repository}/gc/prepare_commits/async"),
        collection("/repositories/{repository}/gc/prepare_uncommited"),
        Operation::new(Method::GET, "/repositories/{repository}/actions/runs", no_items).query([
            text("after"),
            AMOUNT,
            text("branch"),
            text("commit"),
        ]),
        Operation::new(Method::GET, "/repositories/{repository}/pulls", no_items),
        Operation::new(Method::GET, "/repositories/{repository}/branches/{branch}/import", not_implemented)
            .query([required("id")]),
        Operation::new(Method::POST, "/repositories/{repository}/branches/{branch}/import", |_| {
            Err(Failure::new(Kind::Forbidden, "import is not supported for this storage"))
        }),
        Operation::new(Method::PUT, "/repositories/{repository}/refs/restore", not_implemented).body("RefsRestore"),
    ]
}

fn protection(call: &Call) -> Outcome<Answer> {
    let patterns = call.lake().protection(call.param("repository"))?;
    let rules: Vec<Value> = patterns.iter().map(|pattern| json!({ "pattern": pattern })).collect();
    Answer::ok(&json!(rules))
}

fn set_protection(call: &Call) -> Outcome<Answer> {
    let rules = call.body.as_array().map(Vec::as_slice).unwrap_or_default();
    let patterns = rules.iter().filter_map(|rule| Some(rule.get("pattern")?.as_str()?.to_owned())).collect();
    call.lake().set_protection(call.param("repository"), patterns)?;
    Answer::done()
}

/// Garbage collection is refused on a read-only repository, and does nothing on others.
fn check_collectable(call: &Call) -> Outcome<()> {
    match call.lake().repository(call.param("repository"))?.read_only {
        true => Err(Failure::read_only()),
        false => Ok(()),
    }
}

fn rules(call: &Call) -> Outcome<Answer> {
    call.lake().repository(call.param("repository"))?;
    Err(Failure::not_found())
}

fn set_rules(call: &Call) -> Outcome<Answer> {
    check_collectable(call)?;
    Answer::done()
}

fn prepare(call: &Call) -> Outcome<Answer> {
    check_collectable(call)?;
    not_implemented(call)
}

fn no_items(call: &Call) -> Outcome<Answer> {
    call.lake().repository(call.param("repository"))?;
    Answer::ok(&answer::list(Vec::new(), false))
}
