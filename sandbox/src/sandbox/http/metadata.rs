//! Metadata files, their locations, and the dump of all refs.

use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::answer::Answer;
use super::{Call, Failure, Kind, Operation, Outcome, flag, required};
use crate::sandbox::{blocks::Blocks, lake::Dump, validate};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new(Method::GET, "/repositories/{repository}/metadata/object/{type}/{object}", object)
            .query([flag("presign")]),
        Operation::new(Method::GET, "/repositories/{repository}/metadata/meta_range/{id}", location),
        Operation::new(Method::GET, "/repositories/{repository}/metadata/range/{id}", location),
        Operation::new(Method::PUT, "/repositories/{repository}/refs/dump", dump),
        Operation::new(Method::POST, "/repositories/{repository}/dump", submit_dump),
        Operation::new(Method::GET, "/repositories/{repository}/dump", dump_status).query([required("task_id")]),
    ]
}

/// The response of a local blockstore to a request for a pre-signed URL.
pub(super) fn no_presigning() -> Failure {
    Failure::new(Kind::Invalid, "local adapter presigned URL: operation not supported")
}

fn object(call: &Call) -> Outcome<Answer> {
    validate::path_enum("type", &["range", "meta_range"], call.param("type"))?;
    call.lake().repository(call.param("repository"))?;
    if call.flag("presign") {
        return Err(no_presigning());
    }
    let bytes = call.lake().metadata_file(call.param("repository"), call.param("object"))?;
    let answer = Answer::bytes(StatusCode::OK, "application/octet-stream", bytes);
    Ok(answer
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::X_FRAME_OPTIONS, "SAMEORIGIN")
        .header(header::CONTENT_SECURITY_POLICY, "default-src 'none'"))
}

/// The location of a file, which need not exist.
fn location(call: &Call) -> Outcome<Answer> {
    call.lake().repository(call.param("repository"))?;
    let location = Blocks::metadata_address(call.param("id"));
    Ok(Answer::ok(&json!({ "location": location }))?.header(header::LOCATION, &location))
}

fn shown(dump: &Dump) -> Value {
    json!({
        "branches_meta_range_id": dump.branches,
        "commits_meta_range_id": dump.commits,
        "tags_meta_range_id": dump.tags,
    })
}

fn dump(call: &Call) -> Outcome<Answer> {
    Answer::created(&shown(&call.lake().dump_refs(call.param("repository"))?))
}

fn submit_dump(call: &Call) -> Outcome<Answer> {
    let id = call.lake().submit_dump(call.param("repository"))?;
    Ok(Answer::json(StatusCode::ACCEPTED, &json!({ "id": id })))
}

fn dump_status(call: &Call) -> Outcome<Answer> {
    let id = call.text("task_id");
    let (dump, done) = call.lake().dump_status(call.param("repository"), id)?;
    let time = jiff::Timestamp::from_second(done).unwrap_or_default().to_string();
    Answer::ok(&json!({"done": true, "id": id, "refs": shown(&dump), "update_time": time}))
}
