//! The sandbox's DynamoDB: the conformance suite, the requests that it refuses, and a request-by-request comparison
//! with AWS's DynamoDB Local.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use lakemirror::clock::system::{OsEntropy, SystemClock};
use lakemirror::mirrors::dynamodb::{Credentials, Dynamodb, Guarantees, Settings};
use lakemirror::mirrors::{Expect, Items as _};
use lakemirror::sandbox::dynamodb::Dynamodb as Server;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::conformance::{Backend, conformance};
use crate::servers;

/// Serves until the guard is dropped.
async fn serve(server: Server) -> (String, DropGuard) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let ended = stop.clone().cancelled_owned();
    tokio::spawn(async move { server.serve(listener, ended).await.unwrap() });
    (endpoint, stop.drop_guard())
}

async fn open(endpoint: &str, organization: &str, scan_limit: usize) -> Dynamodb {
    let settings = Settings {
        region: Some("us-east-1".into()),
        endpoint: Some(endpoint.to_owned()),
        credentials: Credentials::Static { access_key_id: "id".to_owned(), secret_access_key: "secret".into() },
        scan_limit,
        ..Settings::new("kvstore")
    };
    Dynamodb::open(&settings, organization, Arc::new(SystemClock::new()), Arc::new(OsEntropy)).await.unwrap()
}

async fn over(server: Server, scan_limit: usize) -> Backend {
    let (endpoint, guard) = serve(server).await;
    // The server lives as long as the test's runtime.
    let _ = guard.disarm();
    let items = open(&endpoint, "acme", scan_limit).await;
    let neighbour = open(&endpoint, "acme2", scan_limit).await;
    Backend { items: Arc::new(items), neighbour: Some(Arc::new(neighbour)), _kept: None }
}

async fn in_memory(_test: &str) -> Option<Backend> {
    Some(over(Server::in_memory(Arc::new(SystemClock::new())), 1000).await)
}

async fn in_a_file_in_small_pages(_test: &str) -> Option<Backend> {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::open(&directory.path().join("tables"), Arc::new(SystemClock::new())).unwrap();
    Some(Backend { _kept: Some(directory), ..over(server, 3).await })
}

conformance!(on_the_sandbox, in_memory);
conformance!(on_the_sandbox_in_a_file_in_small_pages, in_a_file_in_small_pages);

#[tokio::test]
async fn a_table_in_a_file_outlives_its_server() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tables");
    let start = || Server::open(&file, Arc::new(SystemClock::new())).unwrap();
    let (endpoint, first) = serve(start()).await;
    let items = open(&endpoint, "acme", 10).await;
    assert_eq!(items.guarantees(), Some(&Guarantees::OneRegion));
    let version = items.put("a", Bytes::from_static(b"1"), Expect::Absent).await.unwrap();
    let gone = items.put("b", Bytes::from_static(b"2"), Expect::Absent).await.unwrap();
    items.delete("b", gone).await.unwrap();
    drop(first);

    let (endpoint, _second) = serve(start()).await;
    let items = open(&endpoint, "acme", 10).await;
    assert_eq!(items.query("", None, 10).await.unwrap().items.len(), 1);
    let found = items.get("a").await.unwrap().unwrap();
    assert_eq!((found.version, &found.value[..]), (version, b"1".as_slice()));
    items.put("a", Bytes::from_static(b"3"), Expect::Version(version)).await.unwrap();
}

const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=same/20260101/us-east-1/dynamodb/aws4_request, \
                      SignedHeaders=host;x-amz-date, Signature=00";

/// The status, and the response with the error's name without namespace.
async fn ask(endpoint: &str, operation: &str, body: &Value, authorization: Option<&str>) -> (u16, Value) {
    let body = body.to_string();
    let authorization = authorization.map_or(String::new(), |value| format!("authorization: {value}\r\n"));
    let request = format!(
        "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-amz-target: DynamoDB_20120810.{operation}\r\n{authorization}\
         x-amz-date: 20260101T000000Z\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(endpoint.trim_start_matches("http://")).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer:.600}"));
    if let Some(name) = body["__type"].as_str().map(|name| name.rsplit('#').next().unwrap().to_owned()) {
        body = json!({"error": name, "message": body.get("message").or(body.get("Message"))});
    }
    (status, body)
}

fn b(text: &str) -> Value {
    json!({"B": STANDARD.encode(text)})
}

fn table(keys: &Value, attributes: &Value) -> Value {
    json!({"TableName": "kvstore", "BillingMode": "PAY_PER_REQUEST", "KeySchema": keys, "AttributeDefinitions": attributes})
}

fn own_table() -> Value {
    table(
        &json!([{"AttributeName": "PartitionKey", "KeyType": "HASH"}, {"AttributeName": "ItemKey", "KeyType": "RANGE"}]),
        &json!([{"AttributeName": "PartitionKey", "AttributeType": "B"}, {"AttributeName": "ItemKey", "AttributeType": "B"}]),
    )
}

/// A request on the table, with the fields of `more`.
fn on(more: &Value) -> Value {
    let mut body = json!({"TableName": "kvstore"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn put(key: &str, version: &str, more: &Value) -> Value {
    let item = json!({"PartitionKey": b("p"), "ItemKey": b(key), "ItemVersion": {"N": version}, "ItemValue": b("v")});
    let mut body = on(more);
    body["Item"] = item;
    body
}

fn condition(text: &str, version: &str) -> Value {
    json!({"ConditionExpression": text, "ExpressionAttributeValues": {":expected": {"N": version}}})
}

fn key(key: &str, more: &Value) -> Value {
    let mut body = on(more);
    body["Key"] = json!({"PartitionKey": b("p"), "ItemKey": b(key)});
    body
}

fn query(prefix: &str, more: &Value) -> Value {
    let mut body = on(&json!({
        "KeyConditionExpression": "PartitionKey = :partition AND begins_with(ItemKey, :prefix)",
        "ExpressionAttributeValues": {":partition": b("p"), ":prefix": b(prefix)}, "ConsistentRead": true,
    }));
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// Requests that both servers support, in an order in which each finds something.
fn script() -> Vec<(&'static str, Value)> {
    let start =
        |partition: &str, item: &str| json!({"ExclusiveStartKey": {"PartitionKey": b(partition), "ItemKey": b(item)}});
    let absent = json!({"ConditionExpression": "attribute_not_exists(ItemKey)"});
    vec![
        ("DescribeTable", on(&json!({}))),
        ("GetItem", key("a", &json!({}))),
        ("PutItem", put("a", "1", &json!({}))),
        ("CreateTable", own_table()),
        ("CreateTable", own_table()),
        ("PutItem", put("a/1", "1", &absent)),
        ("PutItem", put("a/1", "2", &absent)),
        ("PutItem", put("a/1", "2", &condition("ItemVersion = :expected", "1"))),
        ("PutItem", put("a/1", "3", &condition("ItemVersion = :expected", "1"))),
        ("PutItem", put("a/1", "3", &condition("ItemVersion = :expected", "002"))),
        ("PutItem", put("none", "3", &condition("ItemVersion = :expected", "1"))),
        ("PutItem", put("a/2", "3", &condition("ItemVersion = :other", "1"))),
        ("PutItem", put("a/2", "3", &condition("attribute_not_exists(ItemKey)", "1"))),
        ("PutItem", put("a/2", "18446744073709551615", &json!({}))),
        ("PutItem", put("a/3", "3", &json!({}))),
        ("PutItem", put("b", "3", &json!({}))),
        ("PutItem", put("", "3", &json!({}))),
        ("PutItem", put(&"k".repeat(1024), "3", &json!({}))),
        ("PutItem", put(&"k".repeat(1025), "3", &json!({}))),
        ("PutItem", on(&json!({"Item": {"PartitionKey": b("p"), "ItemKey": {"S": "a"}}}))),
        ("PutItem", on(&json!({"Item": {"PartitionKey": b("p"), "ItemValue": b("v")}}))),
        (
            "PutItem",
            on(&json!({"Item": {"PartitionKey": b("p"), "ItemKey": b("big"), "V": b(&"v".repeat(399 << 10))}})),
        ),
        (
            "PutItem",
            on(&json!({"Item": {"PartitionKey": b("p"), "ItemKey": b("big"), "V": b(&"v".repeat(400 << 10))}})),
        ),
        ("DeleteItem", key("big", &json!({}))),
        ("GetItem", key("a/1", &json!({"ConsistentRead": true}))),
        ("GetItem", key("a", &json!({}))),
        ("GetItem", on(&json!({"Key": {"PartitionKey": b("p")}}))),
        ("GetItem", on(&json!({"Key": {"PartitionKey": b("p"), "ItemKey": {"S": "a/1"}}}))),
        ("Query", query("a/", &json!({}))),
        ("Query", query("a/", &json!({"Limit": 2}))),
        ("Query", query("a/", &json!({"Limit": 3}))),
        ("Query", query("a/", &json!({"Limit": 0}))),
        ("Query", query("a/", &start("p", "a/1"))),
        ("Query", query("a/", &start("p", "a/11"))),
        ("Query", query("a/", &start("p", "b"))),
        ("Query", query("a/", &start("q", "a/1"))),
        ("Query", query("x", &json!({}))),
        ("DeleteItem", key("a/1", &condition("ItemVersion = :expected", "1"))),
        ("DeleteItem", key("a/1", &condition("ItemVersion = :expected", "3"))),
        ("DeleteItem", key("a/1", &condition("ItemVersion = :expected", "3"))),
        ("DeleteItem", key("a/1", &json!({}))),
        ("Query", query("a/", &json!({}))),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sandbox_responds_as_dynamodb_local_does() {
    let Some(local) = servers::dynamodb("the sandbox's DynamoDB beside DynamoDB Local") else { return };
    let (endpoint, _guard) = serve(Server::in_memory(Arc::new(SystemClock::new()))).await;
    for (number, (operation, body)) in script().into_iter().enumerate() {
        let (mut theirs, mut ours) = (
            ask(&local.endpoint, operation, &body, Some(SIGNED)).await,
            ask(&endpoint, operation, &body, Some(SIGNED)).await,
        );
        // The wording of errors, table details beyond keys, and unrequested capacity figures differ.
        for (_, answer) in [&mut theirs, &mut ours] {
            let fields = answer.as_object_mut().unwrap();
            ["message", "ConsumedCapacity"].iter().for_each(|name| drop(fields.remove(*name)));
            if let Some(table) = answer.get("TableDescription").or(answer.get("Table")) {
                *answer = json!([table["TableName"], table["KeySchema"], table["TableStatus"]]);
            }
        }
        assert_eq!(ours, theirs, "{number}: {operation} {body:.300}");
    }
}

#[tokio::test]
async fn unsupported_requests_are_refused() {
    let (endpoint, _guard) = serve(Server::in_memory(Arc::new(SystemClock::new()))).await;
    assert_eq!(ask(&endpoint, "CreateTable", &own_table(), Some(SIGNED)).await.0, 200);
    let numbers = json!([{"AttributeName": "id", "AttributeType": "N"}]);
    let hash = json!([{"AttributeName": "id", "KeyType": "HASH"}]);
    for (operation, body, what) in [
        ("Scan", on(&json!({})), "has no Scan"),
        ("CreateTable", table(&hash, &numbers), "unknown variant `N`"),
        ("CreateTable", table(&hash, &json!([])), "AttributeDefinitions"),
        ("GetItem", key("a", &json!({"ProjectionExpression": "ItemKey"})), "unknown field `ProjectionExpression`"),
        ("PutItem", put("a", "1.5", &json!({})), "whole number"),
        ("PutItem", put("a", "1", &json!({"ReturnValues": "ALL_OLD"})), "unknown field `ReturnValues`"),
        (
            "PutItem",
            put("a", "1", &condition("ItemVersion < :expected", "1")),
            "cannot read \"ItemVersion < :expected\"",
        ),
        ("DeleteItem", key("a", &json!({"ExpressionAttributeValues": {}})), "ConditionExpression is null"),
        ("Query", query("a", &json!({"ScanIndexForward": false})), "unknown field `ScanIndexForward`"),
        ("Query", query("a", &json!({"KeyConditionExpression": "ItemKey = :prefix"})), "unused"),
    ] {
        let (status, answer) = ask(&endpoint, operation, &body, Some(SIGNED)).await;
        assert_eq!(
            (status, answer["error"].as_str()),
            (400, Some("ValidationException")),
            "{operation} {body}: {answer}"
        );
        assert!(answer["message"].as_str().unwrap().contains(what), "{answer}");
    }
    for (authorization, error) in
        [(None, "MissingAuthenticationTokenException"), (Some("Basic aWQ6c2VjcmV0"), "IncompleteSignatureException")]
    {
        let (status, answer) = ask(&endpoint, "GetItem", &key("a", &json!({})), authorization).await;
        assert_eq!((status, answer["error"].as_str()), (400, Some(error)), "{answer}");
    }
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tables");
    let (endpoint, guard) = serve(Server::open(&file, Arc::new(SystemClock::new())).unwrap()).await;
    open(&endpoint, "acme", 10).await.put("a", Bytes::from_static(b"1"), Expect::Absent).await.unwrap();
    drop(guard);
    damage(&file);
    assert!(Server::open(&file, Arc::new(SystemClock::new())).is_err());
}

fn damage(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[12] ^= 1;
    std::fs::write(file, bytes).unwrap();
}
