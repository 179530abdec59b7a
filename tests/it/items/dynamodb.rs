//! DynamoDB: the conformance suite against AWS's DynamoDB Local, the table, and failures from a scripted server. Each
//! access key has its own tables there.

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials as StaticCredentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, StreamViewType,
};
use bytes::Bytes;
use lakemirror::clock::system::{OsEntropy, SystemClock};
use lakemirror::engine::ports::{Fault, FaultKind};
use lakemirror::mirrors::dynamodb::{Credentials, Dynamodb, Guarantees, OpenError, Settings};
use lakemirror::mirrors::{Expect, Items, PutError};
use serde_json::json;

use super::conformance::{Backend, conformance};
use super::faulty_dynamodb::{Answer, Faulty};
use super::line::{Line, State};
use crate::servers;

const TABLE: &str = "kvstore";

/// An access key for one test, of letters and digits only.
fn access_key(test: &str) -> String {
    test.chars().filter(char::is_ascii_alphanumeric).collect()
}

fn settings(endpoint: &str, access_key: &str) -> Settings {
    Settings {
        region: Some("us-east-1".into()),
        endpoint: Some(endpoint.to_owned()),
        credentials: Credentials::Static {
            access_key_id: access_key.to_owned(),
            secret_access_key: "canary-secret".into(),
        },
        ..Settings::new(TABLE)
    }
}

async fn open_with(settings: &Settings, organization: &str) -> Result<Dynamodb, OpenError> {
    Dynamodb::open(settings, organization, Arc::new(SystemClock::new()), Arc::new(OsEntropy)).await
}

async fn open(endpoint: &str, access_key: &str) -> Dynamodb {
    open_with(&settings(endpoint, access_key), "acme").await.unwrap()
}

/// A client of the tests.
fn client(endpoint: &str, access_key: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(StaticCredentials::new(access_key, "s", None, None, "test"))
        .build();
    Client::from_conf(config)
}

async fn backend(test: &str) -> Option<Backend> {
    let endpoint = &servers::dynamodb(test)?.endpoint;
    let settings = settings(endpoint, &access_key(test));
    let items = open_with(&settings, "acme").await.unwrap();
    let neighbour = open_with(&settings, "acme2").await.unwrap();
    Some(Backend { items: Arc::new(items), neighbour: Some(Arc::new(neighbour)), _kept: None })
}

/// Pages of the server that are much smaller than requested.
async fn small_pages(test: &str) -> Option<Backend> {
    let endpoint = &servers::dynamodb(test)?.endpoint;
    let settings = Settings { scan_limit: 3, ..settings(endpoint, &format!("small{}", access_key(test))) };
    Some(Backend { items: Arc::new(open_with(&settings, "acme").await.unwrap()), neighbour: None, _kept: None })
}

conformance!(on_dynamodb_local, backend);
conformance!(on_dynamodb_local_in_small_pages, small_pages);

fn value() -> Bytes {
    Bytes::from_static(b"value")
}

fn fault(answer: Result<u64, PutError>) -> Fault {
    match answer {
        Err(PutError::Fault(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

async fn make_table(client: &Client, keys: &[(&str, KeyType, ScalarAttributeType)]) {
    let mut request = client.create_table().table_name(TABLE).billing_mode(BillingMode::PayPerRequest);
    for (name, key, kind) in keys {
        request = request
            .key_schema(KeySchemaElement::builder().attribute_name(*name).key_type(key.clone()).build().unwrap())
            .attribute_definitions(
                AttributeDefinition::builder().attribute_name(*name).attribute_type(kind.clone()).build().unwrap(),
            );
    }
    request.send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_table_is_created_once_as_required_for_global_tables() {
    let Some(server) = servers::dynamodb("making the table") else { return };
    let opened = (0..6).map(|_| tokio::spawn(open(&server.endpoint, "making")));
    for task in opened.collect::<Vec<_>>() {
        let items = task.await.unwrap();
        items.put("k", value(), Expect::Any).await.unwrap();
        assert_eq!(items.guarantees(), Some(&Guarantees::OneRegion));
    }
    let table =
        client(&server.endpoint, "making").describe_table().table_name(TABLE).send().await.unwrap().table.unwrap();
    let stream = table.stream_specification().unwrap();
    assert!(stream.stream_enabled());
    assert_eq!(stream.stream_view_type(), Some(&StreamViewType::NewAndOldImages));
    assert_eq!(table.billing_mode_summary().unwrap().billing_mode(), Some(&BillingMode::PayPerRequest));
}

#[tokio::test]
async fn existing_table_is_used_and_its_other_items_are_left_alone() {
    let Some(server) = servers::dynamodb("adopting a table") else { return };
    let client = client(&server.endpoint, "adopting");
    let keys = [("PartitionKey", KeyType::Hash), ("ItemKey", KeyType::Range)];
    make_table(&client, &keys.map(|(name, key)| (name, key, ScalarAttributeType::B))).await;
    let blob = |text: &str| aws_sdk_dynamodb::types::AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new(text));
    let lakefs =
        client.put_item().table_name(TABLE).item("PartitionKey", blob("graveler")).item("ItemKey", blob("repos/a"));
    lakefs.item("ItemValue", blob("theirs")).send().await.unwrap();
    let items = open(&server.endpoint, "adopting").await;
    items.put("repos/a", value(), Expect::Absent).await.unwrap();
    assert_eq!(items.query("", None, 10).await.unwrap().items.len(), 1, "only our partition");
    // An item of another writer in our partition is not a value of ours.
    let odd =
        client.put_item().table_name(TABLE).item("PartitionKey", blob("lakemirror/acme")).item("ItemKey", blob("odd"));
    odd.item("ItemValue", blob("x")).send().await.unwrap();
    assert_eq!(items.get("odd").await.unwrap_err().kind, FaultKind::Contradiction);
    let fault = items.query("", None, 10).await.unwrap_err();
    assert!(fault.message.contains("ItemVersion") && fault.message.contains("odd"), "{fault}");
}

#[tokio::test]
async fn a_table_with_other_keys_is_refused_at_start() {
    let Some(server) = servers::dynamodb("other keys") else { return };
    let (hash, range) = (KeyType::Hash, KeyType::Range);
    for (access_key, keys, found) in [
        (
            "other1",
            vec![("PartitionKey", hash.clone(), ScalarAttributeType::S), ("ItemKey", range, ScalarAttributeType::B)],
            "PartitionKey (S, HASH) and",
        ),
        ("other2", vec![("id", hash, ScalarAttributeType::S)], "has the keys id (S, HASH), needed"),
    ] {
        make_table(&client(&server.endpoint, access_key), &keys).await;
        let error = open_with(&settings(&server.endpoint, access_key), "acme").await.err().unwrap().to_string();
        for part in [found, "PartitionKey (B, HASH) and ItemKey (B, RANGE)", "table kvstore", server.endpoint.as_str()]
        {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }
}

#[tokio::test]
async fn wrong_credentials_are_reported_and_the_service_starts() {
    let Some(server) = servers::dynamodb("wrong credentials") else { return };
    let items = open(&server.endpoint, "not_an_id").await;
    let denied = fault(items.put("a", value(), Expect::Any).await);
    assert_eq!(denied.kind, FaultKind::Denied, "{denied}");
    assert!(
        denied.to_string().contains("UnrecognizedClientException") && denied.to_string().contains(&server.endpoint),
        "{denied}"
    );
    assert!(!format!("{denied:?}").contains("canary"), "{denied}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_comes_back_without_a_restart() {
    let Some(server) = servers::dynamodb("server down") else { return };
    let line = Line::to(server.endpoint.trim_start_matches("http://"), State::Cut).await;
    let items = open(&format!("http://{}", line.address), "down").await;
    let down = fault(items.put("a", value(), Expect::Absent).await);
    assert_eq!(down.kind, FaultKind::Retry, "{down}");
    assert!(down.call.contains(line.port()), "{down}");
    assert_eq!(items.guarantees(), None);
    line.set(State::Whole).await;
    let version = items.put("a", value(), Expect::Absent).await.unwrap();
    line.set(State::Cut).await;
    assert_eq!(items.get("a").await.unwrap_err().kind, FaultKind::Retry);
    line.set(State::Whole).await;
    assert_eq!(items.get("a").await.unwrap().unwrap().version, version);
    line.set(State::Silent).await;
    let silent = fault(items.put("a", value(), Expect::Version(version)).await);
    assert_eq!(silent.kind, FaultKind::Retry, "{silent}");
}

/// Items over a server that answers from a script, after the first check of the table.
async fn scripted(answers: impl IntoIterator<Item = Answer>) -> (Faulty, Dynamodb) {
    let server = Faulty::with([Answer::table(&json!({}))]).await;
    let items = open(&server.endpoint, "key").await;
    assert_eq!(server.asked().len(), 1);
    server.then(answers);
    (server, items)
}

fn operations(server: &Faulty) -> Vec<String> {
    server.asked().into_iter().map(|(operation, _)| operation).collect()
}

#[tokio::test]
async fn throttled_calls_are_retried_a_bounded_number_of_times() {
    let throttled =
        ["ThrottlingException", "ProvisionedThroughputExceededException", "ReplicatedWriteConflictException"];
    let (server, items) =
        scripted(throttled.map(|code| Answer::error(400, code)).into_iter().chain([Answer::ok()])).await;
    items.put("a", value(), Expect::Absent).await.unwrap();
    assert_eq!(operations(&server), ["PutItem"; 4]);

    let always = Faulty::with([Answer::table(&json!({}))]).await;
    let settings = Settings { attempts_max: 3, ..settings(&always.endpoint, "key") };
    let items = open_with(&settings, "acme").await.unwrap();
    always.asked();
    always.then((0..10).map(|_| Answer::error(400, "RequestLimitExceeded")));
    let fault = fault(items.put("a", value(), Expect::Any).await);
    assert_eq!((fault.kind, fault.status), (FaultKind::Retry, Some(400)), "{fault}");
    assert_eq!(operations(&always), ["PutItem"; 3]);
}

#[tokio::test]
async fn write_with_unknown_outcome_is_not_retried_and_a_read_is_retried_once() {
    let (server, items) = scripted((0..3).map(|_| Answer::error(500, "InternalServerError"))).await;
    assert_eq!(fault(items.put("a", value(), Expect::Absent).await).kind, FaultKind::Retry);
    assert_eq!(operations(&server), ["PutItem"]);
    assert_eq!(items.get("a").await.unwrap_err().kind, FaultKind::Retry);
    assert_eq!(operations(&server), ["GetItem"; 2]);
}

#[tokio::test]
async fn missing_permissions_are_named_and_not_retried() {
    let (server, items) = scripted([Answer::error(400, "AccessDeniedException")]).await;
    let denied = fault(items.put("a", value(), Expect::Any).await);
    assert_eq!(denied.kind, FaultKind::Denied, "{denied}");
    assert!(denied.message.contains("dynamodb:DescribeTable, GetItem, Query, PutItem and DeleteItem"), "{denied}");
    assert_eq!(operations(&server), ["PutItem"]);
    // Already at the first check: the service starts, and checks again when it is used.
    let server =
        Faulty::with([Answer::error(400, "AccessDeniedException"), Answer::table(&json!({})), Answer::ok()]).await;
    let items = open(&server.endpoint, "key").await;
    assert_eq!(items.get("a").await, Ok(None));
    assert_eq!(operations(&server), ["DescribeTable", "DescribeTable", "GetItem"]);
}

#[tokio::test]
async fn table_in_creation_is_awaited() {
    let creating = json!({"TableStatus": "CREATING"});
    let script = [
        Answer::error(400, "ResourceNotFoundException"),
        Answer::error(400, "ResourceInUseException"),
        Answer::table(&creating),
        Answer::table(&creating),
        Answer::table(&json!({"Replicas": [{"RegionName": "eu-west-1"}]})),
    ];
    let server = Faulty::with(script).await;
    let items = open(&server.endpoint, "key").await;
    assert_eq!(items.guarantees(), Some(&Guarantees::Eventual { replicas: vec!["eu-west-1".into()] }));
    let operations = operations(&server);
    assert_eq!(operations, ["DescribeTable", "CreateTable", "DescribeTable", "DescribeTable", "DescribeTable"]);
}

#[tokio::test]
async fn every_read_is_consistent_and_every_write_has_its_condition() {
    let (server, items) = scripted((0..6).map(|_| Answer::ok())).await;
    items.get("a").await.unwrap();
    items.query("a/", Some("a/b"), 7).await.unwrap();
    items.put("a", value(), Expect::Absent).await.unwrap();
    items.put("a", value(), Expect::Version(7)).await.unwrap();
    items.put("a", value(), Expect::Any).await.unwrap();
    items.delete("a", 7).await.unwrap();
    let asked = server.asked();
    let conditions: Vec<_> = asked.iter().map(|(_, body)| body["ConditionExpression"].as_str()).collect();
    let (absent, version) = (Some("attribute_not_exists(ItemKey)"), Some("ItemVersion = :expected"));
    assert_eq!(conditions, [None, None, absent, version, None, version]);
    assert_eq!(asked[0].1["ConsistentRead"], true);
    assert_eq!(asked[1].1["ConsistentRead"], true);
    assert_eq!(asked[1].1["Limit"], 8);
    let operations: Vec<_> = asked.iter().map(|(operation, _)| operation.as_str()).collect();
    assert_eq!(operations, ["GetItem", "Query", "PutItem", "PutItem", "PutItem", "DeleteItem"]);
}
