//! Changes to objects of a branch, other than uploads: deletions, copies, entries for external bytes.

use axum::http::Method;
use serde_json::{Value, json};

use super::answer::Answer;
use super::metadata::no_presigning;
use super::system::not_implemented;
use super::{Call, Failure, Kind, Operation, Outcome, flag, required};
use crate::sandbox::lake::{Attributes, DELETES_MAX};
use crate::sandbox::model::{Entry, Repository};

pub(super) fn operations() -> Vec<Operation> {
    const ALL: &str = "/repositories/{repository}/branches/{branch}/objects";
    const BACKING: &str = "/repositories/{repository}/branches/{branch}/staging/backing";
    vec![
        Operation::new(Method::DELETE, ALL, delete).query([flag("force"), flag("no_tombstone"), required("path")]),
        Operation::new(Method::PUT, ALL, stage).query([required("path")]).body("ObjectStageCreation"),
        Operation::new(Method::POST, "/repositories/{repository}/branches/{branch}/objects/delete", delete_many)
            .query([flag("force"), flag("no_tombstone")])
            .body("PathList"),
        Operation::new(Method::POST, "/repositories/{repository}/branches/{branch}/objects/copy", copy)
            .query([required("dest_path")])
            .body("ObjectCopyCreation"),
        Operation::new(Method::GET, "/repositories/{repository}/branches/{branch}/objects/stage_allowed", |_| {
            Answer::done()
        })
        .query([required("path")]),
        Operation::new(
            Method::PUT,
            "/repositories/{repository}/branches/{branch}/objects/stat/user_metadata",
            set_user_metadata,
        )
        .query([required("path")])
        .body("UpdateObjectUserMetadata"),
        Operation::new(Method::GET, BACKING, address).query([flag("presign"), required("path")]),
        Operation::new(Method::PUT, BACKING, link).query([required("path")]).body("StagingMetadata"),
        Operation::new(Method::POST, "/repositories/{repository}/branches/{branch}/staging/pmpu", not_implemented)
            .query([required("path")]),
    ]
}

/// An entry as the API shows it.
pub(super) fn shown(call: &Call, repository: &Repository, path: &str, entry: &Entry, metadata: bool) -> Outcome<Value> {
    let mut shown = json!({
        "checksum": entry.checksum,
        "content_type": entry.content_type,
        "mtime": entry.mtime,
        "path": path,
        "path_type": "object",
        "physical_address": call.lake().display_address(repository, entry)?,
        "size_bytes": entry.size,
    });
    if metadata && let Some(fields) = shown.as_object_mut() {
        fields.insert("metadata".to_owned(), json!(entry.metadata));
    }
    Ok(shown)
}

fn delete(call: &Call) -> Outcome<Answer> {
    let path = call.text("path");
    let (repository, branch) = (call.param("repository"), call.param("branch"));
    call.lake().delete_object(repository, branch, path, call.flag("force"))?;
    Answer::done()
}

fn delete_many(call: &Call) -> Outcome<Answer> {
    let paths = call.list("paths");
    if paths.len() > DELETES_MAX {
        let message = format!("request size exceeded, max paths is set to {DELETES_MAX}");
        return Err(Failure::new(Kind::Invalid, message));
    }
    let (repository, branch) = (call.param("repository"), call.param("branch"));
    if paths.iter().any(String::is_empty) {
        // With one empty path, lakeFS deletes nothing and reports no error.
        return Answer::ok(&json!({"errors": []}));
    }
    let outcome = call.lake().delete_objects(repository, branch, &paths, call.flag("force"));
    let errors: Vec<Value> = match outcome {
        Ok(()) => Vec::new(),
        Err(failure) if failure.is_not_found() => Vec::new(),
        Err(failure) => {
            let status = if failure.kind == Kind::Forbidden { 403 } else { 500 };
            let error = |path| json!({"message": failure.message, "path": path, "status_code": status});
            paths.iter().map(error).collect()
        }
    };
    Answer::ok(&json!({ "errors": errors }))
}

fn copy(call: &Call) -> Outcome<Answer> {
    let (repository, branch) = (call.param("repository"), call.param("branch"));
    let found = call.lake().check_branch_exists(repository, branch)?;
    if call.switch("shallow") {
        return not_implemented(call);
    }
    let source = match call.field("src_ref") {
        "" => branch,
        given => given,
    };
    let to = call.text("dest_path");
    let entry =
        call.lake().copy_object(repository, (source, call.field("src_path")), (branch, to), call.switch("force"))?;
    Answer::created(&shown(call, &found, to, &entry, true)?)
}

fn attributes(call: &Call, metadata: &str) -> Outcome<Attributes> {
    Ok(Attributes {
        size: call.number("size_bytes").unwrap_or_default(),
        checksum: call.field("checksum").to_owned(),
        content_type: call.field("content_type").to_owned(),
        metadata: call.map(metadata),
        mtime: call.number("mtime"),
        force: call.switch("force"),
        condition: call.condition()?,
    })
}

fn stage(call: &Call) -> Outcome<Answer> {
    let (branch, path) = (call.param("branch"), call.text("path"));
    let (address, about) = (call.field("physical_address"), attributes(call, "metadata")?);
    let (repository, entry) =
        call.lake().stage_physical(call.param("repository"), (branch, path), address, about, false)?;
    let mut answer = shown(call, &repository, path, &entry, false)?;
    put(&mut answer, "content_type", call.field("content_type"));
    Answer::created(&answer)
}

fn put(value: &mut Value, name: &str, text: &str) {
    if let Some(fields) = value.as_object_mut() {
        fields.insert(name.to_owned(), json!(text));
    }
}

fn address(call: &Call) -> Outcome<Answer> {
    if call.flag("presign") {
        return Err(Failure { kind: Kind::Internal, ..no_presigning() });
    }
    let (repository, branch) = (call.param("repository"), call.param("branch"));
    let address = call.lake().physical_address(repository, branch, call.text("path"))?;
    Answer::ok(&json!({"physical_address": address, "presigned_url": null}))
}

fn link(call: &Call) -> Outcome<Answer> {
    let (branch, path) = (call.param("branch"), call.text("path"));
    let staging = call.body.get("staging").and_then(|staging| staging.get("physical_address"));
    let address = staging.and_then(Value::as_str).unwrap_or_default();
    let mut about = attributes(call, "user_metadata")?;
    about.checksum = about.checksum.trim_matches([' ', '"']).to_owned();
    if about.checksum.is_empty() {
        return Err(Failure::new(Kind::Invalid, "checksum is required"));
    }
    let (repository, entry) =
        call.lake().stage_physical(call.param("repository"), (branch, path), address, about, true)?;
    let mut answer = shown(call, &repository, path, &entry, true)?;
    put(&mut answer, "physical_address", address);
    Answer::ok(&answer)
}

fn set_user_metadata(call: &Call) -> Outcome<Answer> {
    let metadata = call.map("set");
    let (repository, branch) = (call.param("repository"), call.param("branch"));
    call.lake().set_user_metadata(repository, branch, call.text("path"), metadata)?;
    Answer::done()
}
