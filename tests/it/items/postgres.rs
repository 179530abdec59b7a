//! PostgreSQL: the conformance suite, its table, its users and its failures. Every test has its own schema.

use std::sync::Arc;

use bytes::Bytes;
use lakemirror::clock::system::{OsEntropy, SystemClock};
use lakemirror::engine::ports::{Fault, FaultKind};
use lakemirror::mirrors::postgres::{OpenError, Postgres, Settings};
use lakemirror::mirrors::{Expect, Items, PutError};
use tokio_postgres::NoTls;

use super::conformance::{Backend, conformance};
use super::line::{Line, State};
use crate::servers;

/// The server's address, and the file with the CA of its certificate.
pub(crate) fn server(test: &str) -> Option<(&'static str, &'static str)> {
    let server = servers::postgres(test)?;
    Some(server.endpoint.split_once(' ').unwrap())
}

pub(super) async fn open(connection_string: &str, organization: &str) -> Result<Postgres, OpenError> {
    let settings = Settings::new(connection_string.into());
    Postgres::open(&settings, organization, Arc::new(SystemClock::new()), Arc::new(OsEntropy)).await
}

/// Runs SQL as the owner of the database.
pub(super) async fn sql(address: &str, statements: &str) {
    let login = format!("postgres://postgres:p1@{address}/postgres?sslmode=disable");
    let (client, driver) = tokio_postgres::connect(&login, NoTls).await.unwrap();
    tokio::spawn(driver);
    client.batch_execute(statements).await.unwrap();
}

pub(crate) async fn make_schema(address: &str, schema: &str) {
    sql(address, &format!("CREATE SCHEMA \"{schema}\"")).await;
}

pub(crate) fn login(address: &str, schema: &str) -> String {
    format!("postgres://postgres:p1@{address}/postgres?search_path={schema}&sslmode=disable")
}

async fn backend(test: &str) -> Option<Backend> {
    let (address, _) = server(test)?;
    make_schema(address, test).await;
    let items = open(&login(address, test), "acme").await.unwrap();
    let neighbour = open(&login(address, test), "acme2").await.unwrap();
    Some(Backend { items: Arc::new(items), neighbour: Some(Arc::new(neighbour)), _kept: None })
}

conformance!(on_postgres, backend);

fn value() -> Bytes {
    Bytes::from_static(b"value")
}

fn fault(answer: Result<u64, PutError>) -> Fault {
    match answer {
        Err(PutError::Fault(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_create_the_table_concurrently() {
    let Some((address, _)) = server("many processes") else { return };
    make_schema(address, "at_once").await;
    let login = login(address, "at_once");
    let opened = (0..12).map(|n| {
        let login = login.clone();
        tokio::spawn(async move {
            let items = open(&login, "acme").await.unwrap();
            items.put(&format!("k/{n:02}"), value(), Expect::Absent).await.unwrap();
        })
    });
    for task in opened.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let items = open(&login, "acme").await.unwrap();
    assert_eq!(items.query("k/", None, 100).await.unwrap().items.len(), 12);
}

#[tokio::test]
async fn a_table_with_other_columns_is_refused_at_start() {
    let Some((address, _)) = server("other columns") else { return };
    for (schema, table, found) in [
        (
            "odd_type",
            "partition_key bytea, item_key text, value bytea, version bigint, PRIMARY KEY (partition_key, item_key)",
            "item_key text primary key",
        ),
        (
            "odd_missing",
            "partition_key bytea, item_key bytea, value bytea, PRIMARY KEY (partition_key, item_key)",
            "value bytea), needed",
        ),
        (
            "odd_key",
            "partition_key bytea, item_key bytea, value bytea, version bigint",
            "item_key bytea, partition_key bytea,",
        ),
        (
            "odd_lakefs",
            "partition_key bytea, key bytea, value bytea, PRIMARY KEY (partition_key, key)",
            "key bytea primary key",
        ),
    ] {
        make_schema(address, schema).await;
        sql(address, &format!("CREATE TABLE {schema}.lakemirror_kv ({table})")).await;
        let error = open(&login(address, schema), "acme").await.err().unwrap().to_string();
        for part in [
            found,
            "needed is (item_key bytea primary key, partition_key bytea primary key, value bytea, version bigint)",
            address,
        ] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
        assert!(!error.contains("p1"), "{error}");
    }
}

#[tokio::test]
async fn wrong_passwords_and_missing_permissions_are_reported_and_not_retried_forever() {
    let Some((address, _)) = server("rights") else { return };
    let wrong = open(&format!("postgres://postgres:canary@{address}/postgres"), "acme").await.unwrap();
    let denied = fault(wrong.put("a", value(), Expect::Any).await);
    assert_eq!(denied.kind, FaultKind::Denied, "{denied}");
    assert!(
        denied.to_string().contains("28P01") && denied.to_string().contains("correct user and password"),
        "{denied}"
    );
    assert!(!denied.to_string().contains("canary"), "{denied}");

    let nowhere = open(&format!("postgres://postgres:p1@{address}/nowhere"), "acme").await.unwrap();
    let denied = nowhere.get("a").await.unwrap_err();
    assert_eq!(denied.kind, FaultKind::Denied, "{denied}");
    assert!(denied.to_string().contains("create the database"), "{denied}");

    // Without the right to create the table, and then without the right to write it.
    make_schema(address, "rights").await;
    sql(address, "GRANT USAGE ON SCHEMA rights TO reader").await;
    let as_reader = login(address, "rights").replace("postgres:p1", "reader:r1");
    let reader = open(&as_reader, "acme").await.unwrap();
    let denied = fault(reader.put("a", value(), Expect::Any).await);
    assert_eq!(denied.kind, FaultKind::Denied, "{denied}");
    assert!(
        denied.message.contains("table lakemirror_kv cannot be made") && denied.message.contains("CREATE"),
        "{denied}"
    );

    let owner = open(&login(address, "rights"), "acme").await.unwrap();
    owner.put("a", value(), Expect::Any).await.unwrap();
    sql(address, "GRANT SELECT ON rights.lakemirror_kv TO reader").await;
    assert_eq!(reader.get("a").await.unwrap().unwrap().value, value(), "rights that were given later are enough");
    let denied = fault(reader.put("b", value(), Expect::Any).await);
    assert_eq!(denied.kind, FaultKind::Denied, "{denied}");
    assert!(denied.message.contains("42501") && denied.message.contains("INSERT"), "{denied}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_serializable_transactions_are_retried() {
    let Some((address, _)) = server("serialization failures") else { return };
    make_schema(address, "serial").await;
    let login = format!("{}&default_transaction_isolation=serializable", login(address, "serial"));
    let items = Arc::new(open(&login, "acme").await.unwrap());
    // Fails every first and second attempt, as the database would under contention.
    sql(
        address,
        "CREATE SEQUENCE serial.tries; CREATE FUNCTION serial.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF nextval('serial.tries') % 3 <> 0 THEN RAISE EXCEPTION 'planted' USING ERRCODE = '40001'; END IF; \
         RETURN NEW; END $$; \
         CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON serial.lakemirror_kv FOR EACH ROW EXECUTE FUNCTION serial.fail()",
    )
    .await;
    let version = items.put("a", value(), Expect::Absent).await.unwrap();
    let version = items.put("a", value(), Expect::Version(version)).await.unwrap();
    assert_eq!(items.get("a").await.unwrap().unwrap().version, version);
    // Permanently: attempts are bounded, and the error is reported.
    sql(
        address,
        "CREATE OR REPLACE FUNCTION serial.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         RAISE EXCEPTION 'planted' USING ERRCODE = '40001'; END $$",
    )
    .await;
    let fault = fault(items.put("a", value(), Expect::Any).await);
    assert_eq!(fault.kind, FaultKind::Retry, "{fault}");
    assert!(fault.message.contains("40001 planted"), "{fault}");
    assert_eq!(items.get("a").await.unwrap().unwrap().version, version);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_comes_back_without_a_restart() {
    let Some((address, _)) = server("server down") else { return };
    make_schema(address, "down").await;
    let line = Line::to(address, State::Cut).await;
    // The database is down at the start, and the service starts anyway.
    let items = open(&login(&line.address, "down"), "acme").await.unwrap();
    let down = fault(items.put("a", value(), Expect::Absent).await);
    assert_eq!(down.kind, FaultKind::Retry, "{down}");
    assert!(down.call.contains(&line.address), "{down}");
    line.set(State::Whole).await;
    let version = items.put("a", value(), Expect::Absent).await.unwrap();
    line.set(State::Cut).await;
    assert_eq!(items.get("a").await.unwrap_err().kind, FaultKind::Retry);
    line.set(State::Whole).await;
    assert_eq!(items.get("a").await.unwrap().unwrap().version, version, "connections of before are not used again");
    // Connections are accepted, and nothing is ever answered. The outcome of a write over a broken one is unknown.
    line.set(State::Silent).await;
    let lost = fault(items.put("a", value(), Expect::Version(version)).await);
    assert_eq!(lost.kind, FaultKind::Retry, "{lost}");
    let silent = items.get("a").await.unwrap_err();
    assert_eq!(silent.kind, FaultKind::Retry, "{silent}");
    assert!(silent.message.contains("no connection within"), "{silent}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_bounded_and_shared() {
    let Some((address, _)) = server("connections") else { return };
    make_schema(address, "bounded").await;
    let login = format!("{}&application_name=bounded", login(address, "bounded"));
    let settings = Settings { connections_max: 2, idle_max: 1, ..Settings::new(login.as_str().into()) };
    let clock = Arc::new(SystemClock::new());
    let items = Arc::new(Postgres::open(&settings, "acme", clock, Arc::new(OsEntropy)).await.unwrap());
    // Counts the connections at each write; the table keeps the maximum.
    sql(
        address,
        "CREATE TABLE bounded.seen (n bigint); CREATE FUNCTION bounded.look() RETURNS trigger SECURITY DEFINER \
         LANGUAGE plpgsql AS $$ BEGIN INSERT INTO bounded.seen SELECT count(*) FROM pg_stat_activity WHERE \
         application_name = 'bounded'; RETURN NEW; END $$; \
         CREATE TRIGGER look BEFORE INSERT ON bounded.lakemirror_kv FOR EACH ROW EXECUTE FUNCTION bounded.look()",
    )
    .await;
    let puts = (0..40).map(|n| {
        let items = Arc::clone(&items);
        tokio::spawn(async move { items.put(&format!("{n}"), value(), Expect::Absent).await.unwrap() })
    });
    for put in puts.collect::<Vec<_>>() {
        put.await.unwrap();
    }
    // One more than the bound: a connection that was just closed may still be listed.
    sql(
        address,
        "DO $$ BEGIN ASSERT (SELECT count(*) FROM bounded.seen) = 40; \
         ASSERT (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY n) FROM bounded.seen) <= 3; END $$",
    )
    .await;
}
