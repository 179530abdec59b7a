//! Reads objects of a ref: bytes, attributes, listings.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use super::answer::{self, Answer, JSON};
use super::metadata::no_presigning;
use super::objects::shown;
use super::{AMOUNT, Call, Failure, Kind, Operation, Outcome, flag, required, text};
use crate::sandbox::lake::Listed;
use crate::sandbox::model::{Entry, Repository};
use crate::sandbox::validate;

/// How many bytes are read from a file at a time.
const CHUNK_BYTES: usize = 1 << 16;

pub(super) fn operations() -> Vec<Operation> {
    const OBJECTS: &str = "/repositories/{repository}/refs/{ref}/objects";
    vec![
        Operation::new(Method::GET, OBJECTS, get).query([flag("presign"), required("path")]),
        Operation::new(Method::HEAD, OBJECTS, head).query([required("path")]),
        Operation::new(Method::GET, "/repositories/{repository}/refs/{ref}/objects/stat", stat).query([
            required("path"),
            flag("user_metadata"),
            flag("presign"),
        ]),
        Operation::new(Method::GET, "/repositories/{repository}/refs/{ref}/objects/underlyingProperties", properties)
            .query([required("path")]),
        Operation::new(Method::GET, "/repositories/{repository}/refs/{ref}/objects/ls", list).query([
            flag("user_metadata"),
            flag("presign"),
            text("after"),
            AMOUNT,
            text("delimiter"),
            text("prefix"),
        ]),
    ]
}

/// The repository and the entry of a call.
fn found(call: &Call) -> Outcome<(Repository, Arc<Entry>)> {
    let entry = call.lake().entry(call.param("repository"), call.param("ref"), call.text("path"))?;
    Ok((call.lake().repository(call.param("repository"))?, entry))
}

/// A byte range of an object: first and last byte.
fn range(call: &Call, size: i64) -> Outcome<Option<(i64, i64)>> {
    let Some(value) = call.headers.get(header::RANGE) else { return Ok(None) };
    let value = value.to_str().unwrap_or_default();
    validate::range_header(value)?;
    let refused = || Failure::new(Kind::RangeNotSatisfiable, "Requested Range Not Satisfiable");
    parse_range(value, size).map(Some).map_err(|_| refused())
}

/// Whether a range is valid and outside the object; the response then states the object's size.
fn is_outside(value: &header::HeaderValue, size: i64) -> bool {
    value.to_str().is_ok_and(|value| parse_range(value, size) == Err(false))
}

/// The error tells whether the range is malformed (true) or outside the object.
fn parse_range(value: &str, size: i64) -> Result<(i64, i64), bool> {
    let spec = value.strip_prefix("bytes=").filter(|spec| !spec.contains(',')).ok_or(true)?;
    let (first, last) = spec.split_once('-').ok_or(true)?;
    let number = |text: &str| text.trim().parse::<i64>().ok().filter(|number| *number >= 0).ok_or(true);
    match (first.trim(), last.trim()) {
        ("", "") => Err(true),
        ("", suffix) => match number(suffix)? {
            0 => Err(false),
            suffix => Ok((size.saturating_sub(suffix).max(0), size - 1)),
        },
        (first, last) => {
            let first = number(first)?;
            let last = if last.is_empty() { i64::MAX } else { number(last)? };
            match () {
                () if first > last => Err(true),
                () if first >= size => Err(false),
                () => Ok((first, last.min(size - 1))),
            }
        }
    }
}

fn http_date(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn described(answer: Answer, entry: &Entry) -> Answer {
    answer
        .header(header::ETAG, &format!("\"{}\"", entry.checksum))
        .header(header::LAST_MODIFIED, &http_date(entry.mtime))
        .header(header::CONTENT_TYPE, &entry.content_type)
        .header(header::CACHE_CONTROL, "no-store, must-revalidate")
        .header(header::EXPIRES, "0")
}

/// [`described`], for a response that may contain the bytes.
fn offered(answer: Answer, entry: &Entry) -> Answer {
    described(answer, entry).header(header::CONTENT_DISPOSITION, disposition(&entry.content_type))
}

fn get(call: &Call) -> Outcome<Answer> {
    let (repository, entry) = found(call)?;
    let known = call.headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known == Some(&format!("\"{}\"", entry.checksum)) {
        return Ok(Answer::empty(StatusCode::NOT_MODIFIED));
    }
    if call.flag("presign") {
        return Err(no_presigning());
    }
    let (status, first, length, shown) = match range(call, entry.size) {
        Ok(None) => (StatusCode::OK, 0, entry.size, None),
        Ok(Some((first, last))) => {
            let shown = format!("bytes {first}-{last}/{}", entry.size);
            (StatusCode::PARTIAL_CONTENT, first, last - first + 1, Some(shown))
        }
        Err(failure) if failure.kind == Kind::RangeNotSatisfiable => {
            let answer = offered(Answer::failure(&failure), &entry).header(header::CONTENT_TYPE, JSON);
            let size = format!("bytes */{}", entry.size);
            let outside = call.headers.get(header::RANGE).is_some_and(|value| is_outside(value, entry.size));
            return Ok(if outside { answer.header(header::CONTENT_RANGE, &size) } else { answer });
        }
        Err(failure) => return Err(failure),
    };
    let file = match call.lake().open_object(&repository, &entry, u64::try_from(first).unwrap_or_default()) {
        Ok(file) => file,
        // lakeFS describes the entry before it opens its bytes.
        Err(failure) => return Ok(offered(Answer::failure(&failure), &entry).header(header::CONTENT_TYPE, JSON)),
    };
    let body = streamed(file, u64::try_from(length).unwrap_or_default());
    let mut answer = offered(Answer::body(status, body), &entry).header(header::CONTENT_LENGTH, &length.to_string());
    if let Some(shown) = shown {
        answer = answer.header(header::CONTENT_RANGE, &shown);
    }
    Ok(answer)
}

/// Whether a browser may display it.
fn disposition(media: &str) -> &'static str {
    let shown = match media.split_once('/') {
        Some(("image", kind)) => matches!(kind, "jpeg" | "jpg" | "png" | "gif" | "webp" | "svg+xml"),
        Some(("text", kind)) => {
            matches!(kind, "plain" | "markdown" | "x-markdown" | "html" | "css" | "javascript" | "xml")
        }
        Some(("application", kind)) => matches!(kind, "pdf" | "javascript" | "json" | "xml"),
        Some(("video", kind)) => matches!(kind, "mp4" | "webm"),
        Some(("audio", kind)) => matches!(kind, "mpeg" | "wav" | "webm"),
        _ => false,
    };
    if shown { "inline" } else { "attachment" }
}

/// The next bytes of a file. A file that is shorter than its entry says truncates the response, as on a real server.
fn streamed(file: std::fs::File, length: u64) -> Body {
    let file = tokio::fs::File::from_std(file).take(length);
    Body::from_stream(futures_util::stream::try_unfold((file, length), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let mut chunk = Vec::with_capacity(CHUNK_BYTES.min(usize::try_from(left).unwrap_or(CHUNK_BYTES)));
        let read = file.read_buf(&mut chunk).await?;
        match read {
            0 => Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)),
            read => Ok(Some((chunk, (file, left.saturating_sub(read as u64))))),
        }
    }))
}

fn head(call: &Call) -> Outcome<Answer> {
    // HEAD responses have no body, failures included.
    let empty = |failure: Failure| Answer::empty(failure.status());
    let entry = match found(call) {
        Ok((_, entry)) => entry,
        Err(failure) => return Ok(empty(failure)),
    };
    let (status, length, shown) = match range(call, entry.size) {
        Ok(None) => (StatusCode::OK, entry.size, None),
        Ok(Some((first, last))) => {
            (StatusCode::PARTIAL_CONTENT, last - first + 1, Some(format!("bytes {first}-{last}/{}", entry.size)))
        }
        Err(failure) if failure.kind == Kind::RangeNotSatisfiable => {
            return Ok(described(empty(failure), &entry).header(header::ACCEPT_RANGES, "bytes"));
        }
        Err(failure) => return Err(failure),
    };
    let mut answer = described(Answer::empty(status), &entry)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CONTENT_LENGTH, &length.to_string());
    if let Some(shown) = shown {
        answer = answer.header(header::CONTENT_RANGE, &shown);
    }
    Ok(answer)
}

fn stat(call: &Call) -> Outcome<Answer> {
    let (repository, entry) = found(call)?;
    if call.flag("presign") {
        return Err(no_presigning());
    }
    let mut answer = shown(call, &repository, call.text("path"), &entry, true)?;
    if !call.flag_or("user_metadata", true)
        && let Some(fields) = answer.as_object_mut()
    {
        fields.insert("metadata".to_owned(), json!({}));
    }
    Answer::ok(&answer)
}

fn properties(call: &Call) -> Outcome<Answer> {
    let (repository, entry) = found(call)?;
    let file = call.lake().open_object(&repository, &entry, 0);
    file.map_err(|failure| Failure { kind: Kind::Internal, ..failure })?;
    Answer::ok(&json!({}))
}

fn list(call: &Call) -> Outcome<Answer> {
    let page = call.page();
    let listing = call.lake().list(call.param("repository"), call.param("ref"), &page, call.text("delimiter"))?;
    if call.flag("presign") && listing.lines.iter().any(|line| matches!(line, Listed::Item(..))) {
        return Err(no_presigning());
    }
    let wanted = call.flag_or("user_metadata", true);
    let mut items: Vec<(String, Value)> = Vec::with_capacity(listing.lines.len());
    for line in &listing.lines {
        let value = match line {
            Listed::Prefix(path) => json!({
                "checksum": "", "mtime": 0, "path": path, "path_type": "common_prefix", "physical_address": "",
            }),
            Listed::Item(path, entry) => {
                shown(call, &listing.repository, path, entry, wanted && !entry.metadata.is_empty())?
            }
        };
        items.push((line.path().to_owned(), value));
    }
    Answer::ok(&answer::list(items, listing.more))
}

#[cfg(test)]
mod tests {
    use super::parse_range;

    #[test]
    fn byte_ranges_are_clipped_and_refused_as_in_lakefs() {
        for (value, size, wanted) in [
            ("bytes=0-0", 10, Ok((0, 0))),
            ("bytes=0-0", 0, Err(false)),
            ("bytes=3-", 10, Ok((3, 9))),
            ("bytes=3-99", 10, Ok((3, 9))),
            ("bytes=-4", 10, Ok((6, 9))),
            ("bytes=-40", 10, Ok((0, 9))),
            ("bytes=-0", 10, Err(false)),
            ("bytes=10-", 10, Err(false)),
            ("bytes=5-4", 10, Err(true)),
            ("bytes=-", 10, Err(true)),
            ("bytes=0-1,3-4", 10, Err(true)),
        ] {
            assert_eq!(parse_range(value, size), wanted, "{value} of {size}");
        }
    }
}
