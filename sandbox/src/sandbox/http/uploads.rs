//! Uploads: the body is streamed into the blockstore, raw or as a form.

use std::collections::BTreeMap;

use axum::body::{Body, HttpBody as _};
use axum::extract::{RawPathParams, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use futures_util::StreamExt as _;
use md5::{Digest as _, Md5};

use super::answer::{self, Answer};
use super::call::{self, Call};
use super::multipart::Content;
use super::objects::shown;
use super::{Failure, Kind, Outcome, Param, Sandbox, authenticate, flag, required, text, validate};
use crate::sandbox::lake::{Attributes, OCTET_STREAM, Upload};

/// The route.
pub(super) const PATH: &str = "/repositories/{repository}/branches/{branch}/objects";
const QUERY: &[Param] = &[text("storageClass"), flag("force"), required("path")];
/// Prefix of headers with user metadata.
const METADATA: &str = "x-lakefs-meta-";

/// `POST …/objects`.
pub(super) async fn upload(State(sandbox): State<Sandbox>, params: RawPathParams, request: Request) -> Response {
    let params = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    answer::respond(receive(sandbox, params, request).await)
}

async fn receive(sandbox: Sandbox, params: Vec<(String, String)>, request: Request) -> Outcome<Answer> {
    let (parts, body) = request.into_parts();
    let query = call::parse_query(parts.uri.query());
    validate::query(QUERY, &query)?;
    let known = authenticate(&sandbox, &parts.headers)?;
    let body_value = serde_json::Value::Null;
    let call = Call { sandbox, params, query, body: body_value, headers: parts.headers, known };
    let upload = begin(&call)?;
    let (upload, received) = store(upload, &call.headers, body).await?;
    tokio::task::spawn_blocking(move || finish(&call, upload, received)).await.map_err(Failure::internal)?
}

fn begin(call: &Call) -> Outcome<Upload> {
    let (repository, branch) = (call.param("repository"), call.param("branch"));
    let upload = call.lake().begin_upload(repository, branch)?;
    if call.headers.get(header::IF_NONE_MATCH).is_some_and(|value| value == "*")
        && call.lake().entry(repository, branch, call.text("path")).is_ok()
    {
        return Err(Failure::new(Kind::Precondition, "path already exists"));
    }
    call.condition()?;
    Ok(upload)
}

/// What was received.
struct Received {
    size: i64,
    checksum: String,
    media: String,
}

async fn store(mut upload: Upload, headers: &HeaderMap, body: Body) -> Outcome<(Upload, Received)> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or(OCTET_STREAM);
    let mut form = match Content::boundary(given) {
        None => None,
        Some(Some(boundary)) => Some(Content::new(&boundary)),
        Some(None) => return Err(Failure::internal("no multipart boundary param in Content-Type")),
    };
    let (mut size, mut md5) = (0i64, Md5::new());
    let exact = body.size_hint().exact();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(Failure::internal)?;
        let bytes = match &mut form {
            None => chunk.to_vec(),
            Some(form) => form.feed(&chunk),
        };
        md5.update(&bytes);
        size = size.saturating_add(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        upload.pending.write(&bytes)?;
    }
    if form.is_none() && exact.is_some_and(|exact| i64::try_from(exact).ok() != Some(size)) {
        return Err(Failure::internal("the body is shorter than its Content-Length"));
    }
    let media = match &form {
        None => given.to_owned(),
        Some(form) if form.is_complete() => form.media().unwrap_or_default().to_owned(),
        Some(_) => return Err(Failure::internal("multipart upload missing key 'content': http: no such file")),
    };
    Ok((upload, Received { size, checksum: hex::encode(md5.finalize()), media }))
}

/// User metadata in headers.
fn user_metadata(headers: &HeaderMap) -> BTreeMap<String, String> {
    let pairs = headers.iter().filter_map(|(name, value)| {
        let key = name.as_str().strip_prefix(METADATA)?;
        Some((key.to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
    });
    pairs.collect()
}

fn finish(call: &Call, upload: Upload, received: Received) -> Outcome<Answer> {
    let Received { size, checksum, media } = received;
    let about = Attributes {
        size,
        checksum,
        content_type: media,
        metadata: user_metadata(&call.headers),
        mtime: None,
        force: call.flag("force"),
        condition: call.condition()?,
    };
    let (path, repository) = (call.text("path"), upload.repository.clone());
    let entry = call.lake().finish_upload(upload, call.param("branch"), path, about);
    let entry = entry.map_err(|failure| match failure.kind {
        Kind::Precondition => Failure { message: "path already exists".to_owned(), ..failure },
        _ => failure,
    })?;
    Answer::created(&shown(call, &repository, path, &entry, true)?)
}
