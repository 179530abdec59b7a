//! The conformance suite, and tests of what only S3 has (versions, credentials), against third-party servers.
//!
//! The servers belong to this process and start empty; every test has its own buckets.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, RequestChecksumCalculation};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use lakemirror::clock::system::{OsEntropy, SystemClock};
use lakemirror::engine::ports::{Effort, FaultKind, Fetched, Location, Outcome, Wanted};
use lakemirror::objects::s3::{self, S3};
use lakemirror::objects::self_test::self_test;
use lakemirror::objects::{ConnectError, Found, Settings, Store, connect};

use super::conformance::{Backend, checked, conformance};
use crate::servers::{self, Server};

pub(crate) fn settings(endpoint: &str, id: &str, secret: &str) -> s3::Settings {
    s3::Settings {
        region: Some("us-east-1".into()),
        endpoint: Some(endpoint.to_owned()),
        force_path_style: true,
        credentials: s3::Credentials::Static {
            access_key_id: id.into(),
            secret_access_key: secret.into(),
            session_token: None,
        },
        ..s3::Settings::default()
    }
}

pub(super) async fn store(settings: &s3::Settings) -> Arc<dyn Store> {
    Arc::new(S3::new(settings, Arc::new(SystemClock::new())).await.unwrap())
}

/// A client of the tests, which writes.
pub(crate) fn writer(endpoint: &str) -> Client {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .endpoint_url(endpoint)
        .force_path_style(true)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("k1", "s1", None, None, "test"))
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .build();
    Client::from_conf(config)
}

struct Real {
    writer: Client,
    store: Arc<dyn Store>,
    /// Ceph is like S3; S3Proxy in memory keeps file-like keys, in the order of Java's strings.
    is_like_s3: bool,
}

impl Real {
    async fn over(server: &Server, is_like_s3: bool) -> Self {
        let store = store(&settings(&server.endpoint, "k1", "s1")).await;
        Self { writer: writer(&server.endpoint), store, is_like_s3 }
    }

    async fn enable_versions(&self, bucket: &str) {
        let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        self.writer.put_bucket_versioning().bucket(bucket).versioning_configuration(enabled).send().await.unwrap();
    }
}

#[async_trait]
impl Backend for Real {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }
    async fn create_bucket(&self, bucket: &str) {
        self.writer.create_bucket().bucket(bucket).send().await.unwrap();
    }
    async fn put(&self, bucket: &str, key: &str, bytes: &[u8]) {
        let body = ByteStream::from(bytes.to_vec());
        self.writer.put_object().bucket(bucket).key(key).body(body).send().await.unwrap();
    }
    async fn delete(&self, bucket: &str, key: &str) {
        self.writer.delete_object().bucket(bucket).key(key).send().await.unwrap();
    }
    fn holds_any_key(&self) -> bool {
        self.is_like_s3
    }
    fn orders_by_bytes(&self) -> bool {
        self.is_like_s3
    }
    fn knows_buckets(&self) -> bool {
        true
    }
}

/// Starting a server blocks, and the tests' runtimes have one thread.
async fn ceph(test: &'static str) -> Option<Real> {
    Some(Real::over(servers::ceph(test)?, true).await)
}

async fn s3proxy(test: &'static str) -> Option<Real> {
    Some(Real::over(servers::s3proxy(test)?, false).await)
}

conformance!(on_ceph, |test| ceph(test));
conformance!(on_s3proxy, |test| s3proxy(test));

#[tokio::test]
async fn a_delete_marker_is_deleted_where_the_store_says_so() {
    let Some(backend) = s3proxy("delete markers").await else { return };
    backend.create_bucket("t1-marked").await;
    backend.enable_versions("t1-marked").await;
    backend.put("t1-marked", "k", b"bytes").await;
    backend.delete("t1-marked", "k").await;
    assert_eq!(backend.store.head("t1-marked", "k").await, Ok(Found::Deleted));
    let at = Location { bucket: "t1-marked".into(), key: "k".into() };
    assert_eq!(backend.store.get(&at, 9).await, Ok(Fetched::Deleted));
    assert!(backend.store.list("t1-marked", "", "", 9).await.unwrap().is_empty());
    backend.put("t1-marked", "k", b"again").await;
    assert_eq!(backend.store.head("t1-marked", "k").await, Ok(Found::Present { size: 5 }));
}

#[tokio::test]
async fn hidden_delete_marker_counts_as_absence() {
    let Some(backend) = ceph("delete markers").await else { return };
    backend.create_bucket("t1-marked").await;
    backend.enable_versions("t1-marked").await;
    backend.put("t1-marked", "k", b"bytes").await;
    backend.delete("t1-marked", "k").await;
    assert_eq!(backend.store.head("t1-marked", "k").await, Ok(Found::Absent));
    assert!(backend.store.list("t1-marked", "", "", 9).await.unwrap().is_empty());
}

async fn refuses_strangers(server: &Server, bucket: &str, id: &str, secret: &str) {
    let stranger = store(&settings(&server.endpoint, id, secret)).await;
    let fault = self_test(&*stranger, bucket, "", &OsEntropy).await.unwrap_err();
    assert_eq!((fault.kind, fault.status), (FaultKind::Denied, Some(403)), "{fault}");
    assert!(!fault.to_string().contains(secret), "a message never has the secret: {fault}");
    assert_eq!(stranger.head(bucket, "k").await, Ok(Found::Forbidden), "403 is never absence");
    let at = Location { bucket: bucket.into(), key: "k".into() };
    assert_eq!(stranger.get(&at, 9).await.unwrap_err().kind, FaultKind::Denied);
}

#[tokio::test]
async fn store_with_another_key_order_gives_correct_answers() {
    let Some(backend) = s3proxy("UTF-16 order").await else { return };
    let (bucket, odd) = ("t1-utf16", ["d/\u{ffee}", "d/\u{1f600}"]);
    backend.create_bucket(bucket).await;
    let keys: Vec<String> = odd.map(str::to_owned).into_iter().chain((0..98).map(|n| format!("d/{n:03}"))).collect();
    for key in keys.iter().filter(|key| *key != "d/007") {
        backend.put(bucket, key, b"1").await;
    }
    let wanted = keys.iter().zip(0..).map(|(key, tag)| Wanted { key: key.as_str().into(), size: 1, tag }).collect();
    let answers = checked(backend.store(), bucket, wanted, Effort::Sweep).await;
    let absent: Vec<_> = answers.iter().filter(|(_, outcome)| **outcome != Outcome::Present).collect();
    assert_eq!(absent, [(&9, &Outcome::Absent)]);
}

#[tokio::test]
async fn wrong_credentials_are_distinguished_from_absence() {
    if let Some(server) = servers::ceph("wrong credentials") {
        Real::over(server, true).await.create_bucket("t1-strangers").await;
        refuses_strangers(server, "t1-strangers", "k1", "not-the-secret").await;
        refuses_strangers(server, "t1-strangers", "unknown", "s1-not-shown").await;
        // A user of the same store who has no access to this bucket.
        let other = store(&settings(&server.endpoint, "k2", "s2")).await;
        assert_eq!(other.head("t1-strangers", "k").await, Ok(Found::Forbidden));
    }
    if let Some(server) = servers::s3proxy("wrong credentials") {
        Real::over(server, false).await.create_bucket("t1-strangers").await;
        refuses_strangers(server, "t1-strangers", "k1", "not-the-secret").await;
    }
}

#[tokio::test]
async fn credentials_come_from_a_file_by_profile() {
    let Some(server) = servers::ceph("profiles") else { return };
    Real::over(server, true).await.create_bucket("t1-profile").await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("credentials");
    std::fs::write(&file, "[mirror]\naws_access_key_id = k1\naws_secret_access_key = s1\n").unwrap();
    let profile = |name: &str| s3::Settings {
        credentials: s3::Credentials::Profile { name: Some(name.to_owned()), file: Some(file.clone()) },
        ..settings(&server.endpoint, "", "")
    };
    self_test(&*store(&profile("mirror")).await, "t1-profile", "", &OsEntropy).await.unwrap();
    let fault = self_test(&*store(&profile("other")).await, "t1-profile", "", &OsEntropy).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Denied, "{fault}");
}

#[tokio::test]
async fn thousands_of_keys_are_checked_by_pages_and_single_requests() {
    let Some(backend) = ceph("thousands of keys").await else { return };
    let (bucket, count) = ("t1-thousands", 2100_u64);
    backend.create_bucket(bucket).await;
    let key = |n: u64| format!("ns/data/p/{n:06}");
    let puts: Vec<_> = (0..count).filter(|n| n % 100 != 99).collect();
    for chunk in puts.chunks(64) {
        let keys: Vec<String> = chunk.iter().map(|n| key(*n)).collect();
        futures_util::future::join_all(keys.iter().map(|key| backend.put(bucket, key, b"x"))).await;
    }
    let wanted: Vec<_> = (0..count).map(|n| Wanted { key: key(n).into(), size: 1, tag: n }).collect();
    let answers = checked(backend.store(), bucket, wanted, Effort::Sweep).await;
    for (n, outcome) in answers {
        assert_eq!(outcome, if n % 100 == 99 { Outcome::Absent } else { Outcome::Present }, "{n}");
    }
}

#[tokio::test]
async fn impossible_settings_are_reported_at_once() {
    async fn connected(settings: Settings) -> Option<ConnectError> {
        connect(&settings, Arc::new(SystemClock::new()), Arc::new(OsEntropy)).await.err()
    }
    let other = connected(Settings::Other("gs".into())).await.unwrap();
    assert_eq!(other.to_string(), "blockstore.type \"gs\" is not supported yet; supported are s3 and local");
    let no_url = Settings::S3(settings("127.0.0.1:9000", "k", "s"));
    let no_url = connected(no_url).await.unwrap();
    assert!(std::error::Error::source(&no_url).unwrap().to_string().contains("not an http or https URL"), "{no_url}");
    let nowhere = store(&settings("http://127.0.0.1:1", "k", "s")).await;
    let fault = self_test(&*nowhere, "b", "", &OsEntropy).await.unwrap_err();
    assert_eq!((fault.kind, fault.status), (FaultKind::Retry, None), "{fault}");
    assert!(fault.to_string().contains("127.0.0.1:1"), "{fault}");
}
