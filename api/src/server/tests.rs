//! Tests the router over a test service: statuses, messages, and that bodies match the document.

use std::collections::BTreeSet;
use std::sync::Mutex;

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::error::ErrorCode;
use crate::types::tests::mirror;

/// Answers with the arguments of the call.
struct Echo;

#[async_trait]
impl Service for Echo {
    async fn create_mirror(&self, _: &Caller, source: &str, new: MirrorCreation) -> Result<Mirror, ApiError> {
        Ok(Mirror { source_repository_id: source.to_owned(), ..mirror(&new.name) })
    }
    async fn list_mirrors(&self, _: &Caller, _: &str, page: &ListPage) -> Result<MirrorList, ApiError> {
        Ok(MirrorList::page(vec![mirror("a"), mirror("b"), mirror("c")], page))
    }
    async fn get_mirror(&self, caller: &Caller, _: &str, name: &str) -> Result<Mirror, ApiError> {
        match caller.credentials {
            Credentials::Anonymous => Err(ApiError::new(ErrorCode::Unauthenticated, "error authenticating request")),
            _ => Ok(mirror(name)),
        }
    }
    async fn delete_mirror(&self, _: &Caller, _: &str, name: &str, deletion: Deletion) -> Result<(), ApiError> {
        match name {
            "gone" => Err(ApiError::new(ErrorCode::NotFound, "mirror not found")),
            "far" if deletion == Deletion::Regular => Err(ApiError::new(ErrorCode::Conflict, "elsewhere")),
            _ => Ok(()),
        }
    }
    async fn approve_deletions(
        &self,
        _: &Caller,
        _: &str,
        _: &str,
        approval: DeletionsApproval,
    ) -> Result<ApprovedDeletions, ApiError> {
        Ok(ApprovedDeletions { branches: approval.branches.unwrap_or_else(|| vec!["all".to_owned()]) })
    }
}

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Observer for Notes {
    fn begun(&self) -> String {
        "id-1".to_owned()
    }
    fn answered(&self, id: &str, method: &str, route: &str, path: &str, status: u16) {
        self.0.lock().unwrap().push(format!("{id} {method} {route} {path} {status}"));
    }
}

fn ready() -> Router {
    let startup = Startup::new();
    startup.ready(Arc::new(Echo));
    router(Arc::new(startup), Arc::new(Notes::default()))
}

async fn send(router: Router, method: &str, path: &str, body: impl Into<Body>) -> (u16, Value) {
    let request = Request::builder()
        .method(method.parse::<Method>().unwrap())
        .uri(path)
        .header("authorization", "Bearer token")
        .body(body.into())
        .unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "id-1");
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() })
}

const MIRRORS: &str = "/service/replication/v1/repositories/sample/mirrors";

fn body() -> String {
    json!({"name": "new", "region": "us-west-2", "storage_namespace": "s3://west/sample"}).to_string()
}

#[tokio::test]
async fn the_four_calls() {
    let (status, created) = send(ready(), "POST", MIRRORS, body()).await;
    assert_eq!((status, &created["id"], &created["source_repository_id"]), (201, &json!("new"), &json!("sample")));
    let (status, list) = send(ready(), "GET", &format!("{MIRRORS}?amount=2&prefix=&after=a&unknown=1"), "").await;
    assert_eq!((status, list["results"].as_array().unwrap().len()), (200, 2));
    let pagination = json!({"has_more": false, "next_offset": "", "results": 2, "max_per_page": 1000});
    assert_eq!(list["pagination"], pagination);
    let (status, one) = send(ready(), "GET", &format!("{MIRRORS}/one%20two"), "").await;
    assert_eq!((status, &one["id"]), (200, &json!("one two")));
    assert_eq!(send(ready(), "DELETE", &format!("{MIRRORS}/one"), "").await, (204, Value::Null));
    let gone = (404, json!({"message": "mirror not found", "code": "not_found"}));
    assert_eq!(send(ready(), "DELETE", &format!("{MIRRORS}/gone"), "").await, gone);
}

#[tokio::test]
async fn what_is_wrong_is_said_in_json() {
    let long = body().replace("new", &"n".repeat(BODY_BYTES_MAX));
    let unknown = body().replace("\"name\"", "\"nam\"");
    let wrong_type = body().replace("\"new\"", "7");
    for (method, path, body, status, says) in [
        ("POST", MIRRORS, "", 400, "has no body"),
        ("POST", MIRRORS, "{", 400, "line 1 column 1"),
        ("POST", MIRRORS, "[]", 400, "is not a JSON object"),
        ("POST", MIRRORS, r#" ["new", "us-west-2", "s3://west/sample"]"#, 400, "is not a JSON object"),
        ("POST", MIRRORS, "7", 400, "is not a JSON object"),
        ("POST", MIRRORS, "{}", 400, "missing field `name`"),
        ("POST", MIRRORS, unknown.as_str(), 400, "unknown field `nam`, expected one of `name`"),
        ("POST", MIRRORS, wrong_type.as_str(), 400, "expected a string"),
        ("POST", MIRRORS, long.as_str(), 413, "16384 bytes"),
        ("PUT", MIRRORS, "", 405, "PUT is not possible"),
        ("POST", "/_health", "", 405, "POST is not possible"),
        ("GET", "/service/replication/v1/other", "", 404, "invalid API endpoint"),
        ("GET", "/service/replication/v1/repositories//mirrors", "", 404, "invalid API endpoint"),
        ("GET", "/", "", 404, "invalid API endpoint"),
        ("GET", &format!("{MIRRORS}?amount=1001"), "", 400, "-1 to 1000"),
        ("GET", &format!("{MIRRORS}?amount=1&amount=2"), "", 400, "the query"),
        ("GET", &format!("{MIRRORS}/%ff"), "", 400, "the address"),
    ] {
        let (found, answer) = send(ready(), method, path, body.to_owned()).await;
        let message = answer["message"].as_str().unwrap_or_default();
        assert_eq!(found, status, "{method} {path}: {message}");
        assert!(message.contains(says), "{method} {path}: {message}");
        assert_eq!(answer.as_object().unwrap().len(), 2, "{answer}");
        let code: ErrorCode = serde_json::from_value(answer["code"].clone()).unwrap();
        assert_eq!(code.status(), status, "{answer}");
    }
}

#[tokio::test]
async fn the_probe_answers_while_starting_and_the_api_says_so() {
    let startup = Arc::new(Startup::new());
    let routes = router(Arc::clone(&startup), Arc::new(Notes::default()));
    startup.doing("replaying the journal");
    let starting = (200, json!({"state": "starting", "message": "replaying the journal"}));
    assert_eq!(send(routes.clone(), "GET", "/_health", "").await, starting);
    let (status, answer) = send(routes.clone(), "GET", MIRRORS, "").await;
    assert_eq!(status, 503);
    assert!(answer["message"].as_str().unwrap().contains("replaying the journal"), "{answer}");
    startup.ready(Arc::new(Echo));
    assert_eq!(send(routes.clone(), "GET", MIRRORS, "").await.0, 200);
    assert_eq!(send(routes, "GET", "/_health", "").await.1["state"], "ready");
}

#[tokio::test]
async fn readiness_is_503_with_the_reason_while_the_api_cannot_answer() {
    let startup = Arc::new(Startup::new());
    let routes = router(Arc::clone(&startup), Arc::new(Notes::default()));
    startup.doing("replaying the journal");
    let starting = (503, json!({"state": "starting", "message": "replaying the journal"}));
    assert_eq!(send(routes.clone(), "GET", "/readyz", "").await, starting);
    startup.ready(Arc::new(Echo));
    assert_eq!(send(routes.clone(), "GET", "/readyz", "").await.0, 200);
    startup.report(Unready::Journal, "the volume of /journal is full");
    let full = (503, json!({"state": "unready", "message": "the volume of /journal is full"}));
    assert_eq!(send(routes.clone(), "GET", "/readyz", "").await, full);
    assert_eq!(send(routes.clone(), "GET", "/livez", "").await.0, 200, "the process runs all the same");
    startup.resolve(Unready::Journal);
    assert_eq!(send(routes, "GET", "/readyz", "").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up() {
    let endless = Body::new(Never);
    let (status, answer) = tokio::time::timeout(2 * BODY_TIME_MAX, send(ready(), "POST", MIRRORS, endless))
        .await
        .expect("an answer in time");
    assert_eq!((status, &answer["code"]), (408, &json!("timed_out")), "{answer}");
}

/// A body that sends nothing and does not end.
struct Never;

impl axum::body::HttpBody for Never {
    type Data = axum::body::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

#[tokio::test]
async fn the_observer_learns_the_route_and_never_the_query() {
    let (startup, notes) = (Startup::new(), Arc::new(Notes::default()));
    startup.ready(Arc::new(Echo));
    let routes = router(Arc::new(startup), Arc::clone(&notes) as Arc<dyn Observer>);
    send(routes.clone(), "GET", &format!("{MIRRORS}/m?token=canary"), "").await;
    send(routes, "GET", "/nowhere", "").await;
    let expected = [
        format!("id-1 GET /repositories/{{repository}}/mirrors/{{mirror}} {MIRRORS}/m 200"),
        "id-1 GET - /nowhere 404".to_owned(),
    ];
    assert_eq!(*notes.0.lock().unwrap(), expected);
}

/// Compares a body with its schema: every field is described, every described field exists, types agree.
fn matches_schema(document: &Value, schema: &Value, body: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        return matches_schema(document, document.pointer(&reference[1..]).unwrap(), body, at);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let nullable = choices.iter().any(|choice| choice["type"] == "null");
        assert!(nullable || !body.is_null(), "{at}");
        return;
    }
    let types: BTreeSet<&str> = match &schema["type"] {
        Value::String(one) => [one.as_str()].into(),
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        other => panic!("{at}: no type but {other}"),
    };
    let found = match body {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(types.contains(found), "{at}: {found} is none of {types:?}");
    if let Some(values) = schema["enum"].as_array() {
        assert!(values.contains(body), "{at}: {body} is none of {values:?}");
    }
    if let Value::Array(items) = body {
        assert!(!items.is_empty() || at.ends_with("problems"), "{at}: nothing to compare");
        items.iter().for_each(|item| matches_schema(document, &schema["items"], item, &format!("{at}[]")));
    }
    if let Value::Object(fields) = body {
        let names = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(names(body), names(&schema["properties"]), "{at}");
        for (name, value) in fields {
            matches_schema(document, &schema["properties"][name], value, &format!("{at}.{name}"));
        }
    }
}

#[tokio::test]
async fn every_answer_matches_the_document_that_is_served() {
    let (status, document) = send(ready(), "GET", OPENAPI_PATH, "").await;
    assert_eq!(status, 200);
    assert!(document["openapi"].as_str().unwrap().starts_with("3."), "{}", document["openapi"]);
    let one = "/service/replication/v1/repositories/{repository}/mirrors/{mirror}";
    let many = "/service/replication/v1/repositories/{repository}/mirrors";
    let approve = "/service/replication/v1/repositories/{repository}/mirrors/{mirror}/deletions/approve";
    let mut described = 0;
    for (method, template, path, sent) in [
        ("POST", many, MIRRORS.to_owned(), body()),
        ("POST", many, MIRRORS.to_owned(), "{".to_owned()),
        ("GET", many, MIRRORS.to_owned(), String::new()),
        ("GET", many, format!("{MIRRORS}?amount=x"), String::new()),
        ("GET", one, format!("{MIRRORS}/m"), String::new()),
        ("DELETE", one, format!("{MIRRORS}/m"), String::new()),
        ("DELETE", one, format!("{MIRRORS}/gone"), String::new()),
        ("POST", approve, format!("{MIRRORS}/m/deletions/approve"), r#"{"branches": ["a"]}"#.to_owned()),
        ("POST", approve, format!("{MIRRORS}/m/deletions/approve"), "[]".to_owned()),
        ("GET", "/_health", "/_health".to_owned(), String::new()),
        ("GET", "/livez", "/livez".to_owned(), String::new()),
        ("GET", "/readyz", "/readyz".to_owned(), String::new()),
    ] {
        let (status, answer) = send(ready(), method, &path, sent).await;
        let operation = &document["paths"][template][method.to_lowercase()];
        let response = &operation["responses"][status.to_string()];
        assert!(response.is_object(), "{method} {template} {status} is not described");
        let schema = &response["content"]["application/json"]["schema"];
        assert_eq!(schema.is_null(), answer.is_null(), "{method} {template} {status}");
        if !answer.is_null() {
            matches_schema(&document, schema, &answer, &format!("{method} {template} {status}"));
        }
        described += 1;
    }
    assert_eq!(described, 12);
    let paths: BTreeSet<_> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(paths, [one, many, approve, "/_health", "/livez", "/readyz", OPENAPI_PATH].into());
    let sent = &document["paths"][many]["post"]["requestBody"]["content"]["application/json"]["schema"];
    matches_schema(&document, sent, &serde_json::from_str(&body()).unwrap(), "creation");
}

#[tokio::test]
async fn an_approval_may_name_branches_or_none() {
    let path = format!("{MIRRORS}/m/deletions/approve");
    for (body, status, branches) in [
        ("", 202, json!(["all"])),
        ("{}", 202, json!(["all"])),
        (r#"{"branches": ["a", "b"]}"#, 202, json!(["a", "b"])),
        (r#"[["a"]]"#, 400, Value::Null),
        (r#"{"branch": ["a"]}"#, 400, Value::Null),
    ] {
        let (found, answer) = send(ready(), "POST", &path, body).await;
        assert_eq!((found, &answer["branches"]), (status, &branches), "{body}: {answer}");
    }
}

#[tokio::test]
async fn force_is_true_or_false_and_nothing_else() {
    for (query, status) in [("", 409), ("?force=false", 409), ("?force=true", 204), ("?force=1", 400)] {
        let found = send(ready(), "DELETE", &format!("{MIRRORS}/far{query}"), "").await.0;
        assert_eq!(found, status, "{query}");
    }
}
