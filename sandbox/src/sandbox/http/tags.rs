//! Tags.

use axum::http::Method;

use super::answer::{self, Answer};
use super::{AMOUNT, Call, Operation, Outcome, flag, text};

pub(super) fn operations() -> Vec<Operation> {
    const ALL: &str = "/repositories/{repository}/tags";
    const ONE: &str = "/repositories/{repository}/tags/{tag}";
    vec![
        Operation::new(Method::GET, ALL, list).query([text("prefix"), text("after"), AMOUNT]),
        Operation::new(Method::POST, ALL, create).body("TagCreation"),
        Operation::new(Method::GET, ONE, get),
        Operation::new(Method::DELETE, ONE, delete).query([flag("force")]),
    ]
}

fn list(call: &Call) -> Outcome<Answer> {
    let (found, more) = call.lake().tags(call.param("repository"), &call.page())?;
    let items = found.into_iter().map(|(name, commit)| (name.clone(), answer::reference(&name, &commit))).collect();
    Answer::ok(&answer::list(items, more))
}

fn create(call: &Call) -> Outcome<Answer> {
    let (id, to) = (call.field("id"), call.field("ref"));
    let commit = call.lake().create_tag(call.param("repository"), id, to, call.switch("force"))?;
    Answer::created(&answer::reference(id, &commit))
}

fn get(call: &Call) -> Outcome<Answer> {
    let commit = call.lake().get_tag(call.param("repository"), call.param("tag"))?;
    Answer::ok(&answer::reference(call.param("tag"), &commit))
}

fn delete(call: &Call) -> Outcome<Answer> {
    call.lake().delete_tag(call.param("repository"), call.param("tag"), call.flag("force"))?;
    Answer::done()
}
