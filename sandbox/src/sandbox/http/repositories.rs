//! Repositories and their metadata.

use axum::http::Method;
use serde_json::{Value, json};

use super::answer::{self, Answer};
use super::{AMOUNT, Call, Operation, Outcome, flag, text};
use crate::sandbox::lake::CreateRepository;
use crate::sandbox::model::Repository;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new(Method::GET, "/repositories", list).query([
            text("prefix"),
            text("after"),
            AMOUNT,
            text("search"),
        ]),
        Operation::new(Method::POST, "/repositories", create).query([flag("bare")]).body("RepositoryCreation"),
        Operation::new(Method::GET, "/repositories/{repository}", get),
        Operation::new(Method::DELETE, "/repositories/{repository}", delete).query([flag("force")]),
        Operation::new(Method::GET, "/repositories/{repository}/metadata", metadata),
        Operation::new(Method::POST, "/repositories/{repository}/metadata", set_metadata).body("RepositoryMetadataSet"),
        Operation::new(Method::DELETE, "/repositories/{repository}/metadata", delete_metadata)
            .body("RepositoryMetadataKeys"),
    ]
}

fn shown(repository: &Repository) -> Value {
    json!({
        "creation_date": repository.creation_date,
        "default_branch": repository.default_branch,
        "id": repository.name,
        "read_only": repository.read_only,
        "storage_id": "",
        "storage_namespace": repository.storage_namespace,
    })
}

fn list(call: &Call) -> Outcome<Answer> {
    let (found, more) = call.lake().repositories(&call.page(), call.text("search"));
    let items = found.iter().map(|repository| (repository.name.clone(), shown(repository))).collect();
    Answer::ok(&answer::list(items, more))
}

fn create(call: &Call) -> Outcome<Answer> {
    let bare = call.flag("bare");
    let repository = call.lake().create_repository(CreateRepository {
        name: call.field("name").to_owned(),
        storage_namespace: call.field("storage_namespace").to_owned(),
        default_branch: call.field("default_branch").to_owned(),
        read_only: call.switch("read_only"),
        bare,
    })?;
    let mut shown = shown(&repository);
    if bare && let Some(fields) = shown.as_object_mut() {
        fields.remove("read_only");
    }
    Answer::created(&shown)
}

fn get(call: &Call) -> Outcome<Answer> {
    Answer::ok(&shown(&call.lake().repository(call.param("repository"))?))
}

fn delete(call: &Call) -> Outcome<Answer> {
    call.lake().delete_repository(call.param("repository"), call.flag("force"))?;
    Answer::done()
}

fn metadata(call: &Call) -> Outcome<Answer> {
    Answer::ok(&json!(call.lake().metadata(call.param("repository"))?))
}

fn set_metadata(call: &Call) -> Outcome<Answer> {
    let entries = call.map("metadata");
    call.lake().update_metadata(call.param("repository"), |metadata| metadata.extend(entries))?;
    Answer::done()
}

fn delete_metadata(call: &Call) -> Outcome<Answer> {
    let keys = call.list("keys");
    call.lake().update_metadata(call.param("repository"), |metadata| metadata.retain(|key, _| !keys.contains(key)))?;
    Answer::done()
}
