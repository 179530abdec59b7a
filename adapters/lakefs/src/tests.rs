//! The client against a scripted server on a loopback port: what it sends, and what it makes of each answer.

mod faults;
mod listings;
mod live;
mod reads;
mod secrets;
mod server;
mod tries;
mod writes;

use std::sync::Arc;

use lakemirror_core::secret::Secret;
use lakemirror_ports::{CommitId, CommitRecord, MetarangeId};
use server::{Server, TestClock, Zero};

use super::{Client, Settings};

const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET_KEY: &str = "canary-of-a-secret-key";

fn client(server: &Server) -> Client {
    client_with(&server.endpoint, server.clock.clone())
}

fn client_with(endpoint: &str, clock: Arc<TestClock>) -> Client {
    let settings = Settings {
        endpoint: endpoint.into(),
        region: Some("us-west-2".into()),
        access_key_id: ACCESS_KEY.into(),
        secret_access_key: Secret::from(SECRET_KEY),
        page_size: 1000,
        ca_bundle: None,
        proxies: lakemirror_outbound::Proxies::default(),
    };
    Client::new(settings, clock, Arc::new(Zero)).unwrap()
}

fn id(byte: u8) -> CommitId {
    CommitId([byte; 32])
}

/// A commit that a real lakeFS made, as JSON and as the record that it is.
fn known_commit() -> (String, CommitRecord) {
    let json = r#"{"committer":"admin","creation_date":1795451701,"generation":2,"id":"7e421802b6a78330777f16d1a633f6665904a4ec47d1275047ca2e316182ff70","message":"first data","meta_range_id":"da5b9085f83d45a202a7e1e65f81b5707df9655c04d8263567370e37d5d9901f","metadata":{"empty":"","k":"v","ü":"ö 漢"},"parents":["6a3760d3f2f99707377083c1f6fcb89f2a4d67e0045ee2d7e1bb72d7e9dd8bd6"],"version":1}"#;
    let record = CommitRecord {
        id: CommitId::parse("7e421802b6a78330777f16d1a633f6665904a4ec47d1275047ca2e316182ff70").unwrap(),
        parents: vec![CommitId::parse("6a3760d3f2f99707377083c1f6fcb89f2a4d67e0045ee2d7e1bb72d7e9dd8bd6").unwrap()],
        committer: "admin".into(),
        message: "first data".into(),
        creation_date: 1_795_451_701,
        metarange: Some(
            MetarangeId::parse("da5b9085f83d45a202a7e1e65f81b5707df9655c04d8263567370e37d5d9901f").unwrap(),
        ),
        metadata: [("empty", ""), ("k", "v"), ("ü", "ö 漢")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        generation: 2,
        version: 1,
    };
    (json.into(), record)
}

/// The first commit of the same repository: no metarange, no parents, no committer.
fn first_commit() -> (String, CommitId) {
    let id = "6a3760d3f2f99707377083c1f6fcb89f2a4d67e0045ee2d7e1bb72d7e9dd8bd6";
    let json = format!(
        r#"{{"committer":"","creation_date":1795451700,"generation":1,"id":"{id}","message":"Repository created","meta_range_id":"","metadata":{{}},"parents":[],"version":1}}"#
    );
    (json, CommitId::parse(id).unwrap())
}
