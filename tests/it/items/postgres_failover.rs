//! PostgreSQL fails over, and the old primary stays reachable: as a read-only standby, under an address that the name
//! no longer has, or with sessions that the server terminates.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use lakemirror::clock::Clock;
use lakemirror::clock::system::{OsEntropy, SystemClock};
use lakemirror::engine::ports::FaultKind;
use lakemirror::mirrors::postgres::{Postgres, Resolve, Settings, SystemResolver};
use lakemirror::mirrors::{Expect, Items as _, PutError};

use super::line::{Line, State};
use super::postgres::{login, make_schema, open, server, sql};
use crate::servers;

fn value() -> Bytes {
    Bytes::from_static(b"value")
}

/// Opens `n` connections that are then idle: each call needs one while the others are in flight.
async fn fill(items: &Arc<Postgres>, n: usize) {
    let puts = (0..n).map(|n| {
        let items = Arc::clone(items);
        tokio::spawn(async move { items.put(&format!("fill/{n}"), value(), Expect::Any).await.unwrap() })
    });
    for put in puts.collect::<Vec<_>>() {
        put.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_primary_that_became_a_standby_is_abandoned_at_once() {
    let Some((new, _)) = server("a failover") else { return };
    let Some(own) = servers::own_postgres("a failover") else { return };
    let (old, _) = own.endpoint.split_once(' ').unwrap();
    for server in [old, new] {
        make_schema(server, "failover").await;
    }
    // The table is on both servers, as with replication.
    open(&login(new, "failover"), "acme").await.unwrap();
    let line = Line::to(old, State::Whole).await;
    let items = Arc::new(open(&login(&line.address, "failover"), "acme").await.unwrap());
    fill(&items, 6).await;

    // Sessions stay open and reads are answered; only writes are refused.
    sql(old, "ALTER SYSTEM SET default_transaction_read_only = on").await;
    sql(old, "SELECT pg_reload_conf()").await;
    let refused = async || match items.put("a", value(), Expect::Any).await {
        Err(PutError::Fault(fault)) => Some(fault),
        _ => None,
    };
    let fault = loop {
        // The server applies its settings after a while.
        if let Some(fault) = refused().await {
            break fault;
        }
    };
    assert_eq!(fault.kind, FaultKind::Retry, "{fault}");

    // The name now leads to the promoted server: the next write uses a new connection to it.
    line.lead_to(new);
    let version = items.put("b", value(), Expect::Absent).await.unwrap();
    let there = open(&login(new, "failover"), "acme").await.unwrap();
    assert_eq!(there.get("b").await.unwrap().map(|item| item.version), Some(version));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_refused_write_is_repeated_where_the_primary_is() {
    let Some((new, _)) = server("a switch") else { return };
    let Some(own) = servers::own_postgres("a switch") else { return };
    let (old, _) = own.endpoint.split_once(' ').unwrap();
    for server in [old, new] {
        make_schema(server, "switch").await;
    }
    open(&login(new, "switch"), "acme").await.unwrap();
    let line = Line::to(old, State::Whole).await;
    let items = Arc::new(open(&login(&line.address, "switch"), "acme").await.unwrap());
    fill(&items, 6).await;
    line.lead_to(new);
    sql(old, "ALTER SYSTEM SET default_transaction_read_only = on").await;
    sql(old, "SELECT pg_reload_conf()").await;
    let there = open(&login(new, "switch"), "acme").await.unwrap();
    // Every write succeeds, whichever server accepts writes.
    for n in 0.. {
        let key = format!("k/{n}");
        items.put(&key, value(), Expect::Absent).await.unwrap();
        if there.get(&key).await.unwrap().is_some() {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writable_host_of_several_is_used() {
    let Some((primary, _)) = server("several hosts") else { return };
    make_schema(primary, "hosts").await;
    let Some(own) = servers::own_postgres("several hosts") else { return };
    let (standby, _) = own.endpoint.split_once(' ').unwrap();
    make_schema(standby, "hosts").await;
    sql(standby, "ALTER DATABASE postgres SET default_transaction_read_only = on").await;
    let login = format!("postgres://postgres:p1@{standby},{primary}/postgres?search_path=hosts&sslmode=disable");
    let items = open(&login, "acme").await.unwrap();
    items.put("a", value(), Expect::Absent).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn error_about_the_server_closes_every_connection() {
    let Some((address, _)) = server("closed connections") else { return };
    for code in ["25006", "57P01", "08006", "28000"] {
        let schema = format!("closed_{}", code.to_lowercase());
        make_schema(address, &schema).await;
        let login = format!("{}&application_name={schema}", login(address, &schema));
        let items = Arc::new(open(&login, "acme").await.unwrap());
        // All sessions of this time are connected to a server that has changed.
        sql(
            address,
            &format!(
                "CREATE TABLE {schema}.old (pid int); CREATE FUNCTION {schema}.fail() RETURNS trigger LANGUAGE plpgsql \
                 AS $$ BEGIN IF EXISTS (SELECT FROM {schema}.old WHERE pid = pg_backend_pid()) THEN \
                 RAISE EXCEPTION 'planted' USING ERRCODE = '{code}'; END IF; RETURN NEW; END $$; \
                 CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON {schema}.lakemirror_kv FOR EACH ROW \
                 EXECUTE FUNCTION {schema}.fail()"
            ),
        )
        .await;
        fill(&items, 6).await;
        sql(
            address,
            &format!("INSERT INTO {schema}.old SELECT pid FROM pg_stat_activity WHERE application_name = '{schema}'"),
        )
        .await;
        // One call may detect it; the next one uses a new connection.
        let _ = items.put("a", value(), Expect::Any).await;
        items.put("a", value(), Expect::Any).await.unwrap_or_else(|error| panic!("{code}: {error}"));
    }
}

/// A clock that runs and can be advanced, and a resolver with configurable answers.
struct Hand {
    clock: SystemClock,
    forward_ms: AtomicU64,
    address: Mutex<IpAddr>,
    asked: AtomicU64,
}

#[async_trait::async_trait]
impl Clock for Hand {
    fn wall_ms(&self) -> u64 {
        self.clock.wall_ms()
    }
    fn monotonic(&self) -> Duration {
        self.clock.monotonic() + Duration::from_millis(self.forward_ms.load(Ordering::SeqCst))
    }
    async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }
}

#[async_trait::async_trait]
impl Resolve for Hand {
    async fn addresses(&self, host: &str) -> io::Result<BTreeSet<IpAddr>> {
        assert_eq!(host, "localhost");
        self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(BTreeSet::from([*self.address.lock().unwrap()]))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_address_of_the_name_closes_the_connections() {
    let Some((new, _)) = server("another address") else { return };
    let Some(own) = servers::own_postgres("another address") else { return };
    let (old, _) = own.endpoint.split_once(' ').unwrap();
    for server in [old, new] {
        make_schema(server, "moved").await;
        open(&login(server, "moved"), "acme").await.unwrap();
    }
    let hand = Arc::new(Hand {
        clock: SystemClock::new(),
        forward_ms: AtomicU64::new(0),
        address: Mutex::new([192, 0, 2, 1].into()),
        asked: AtomicU64::new(0),
    });
    let line = Line::to(old, State::Whole).await;
    let login = login(&format!("localhost:{}", line.port()), "moved");
    let settings = Settings::new(login.as_str().into());
    let items =
        Postgres::open_with(&settings, "acme", Arc::clone(&hand) as _, Arc::clone(&hand) as _, Arc::new(OsEntropy));
    let items = Arc::new(items.await.unwrap());
    fill(&items, 6).await;
    // The old primary is still writable, and open connections lead to it.
    line.lead_to(new);
    hand.forward_ms.fetch_add(6000, Ordering::SeqCst);
    items.put("old", value(), Expect::Any).await.unwrap();
    let there = open(&super::postgres::login(new, "moved"), "acme").await.unwrap();
    assert!(there.get("old").await.unwrap().is_none(), "the name has its address, and connections are kept");

    while hand.asked.load(Ordering::SeqCst) < 2 {
        items.get("old").await.unwrap();
    }
    *hand.address.lock().unwrap() = [192, 0, 2, 2].into();
    hand.forward_ms.fetch_add(6000, Ordering::SeqCst);
    while there.get("new").await.unwrap().is_none() {
        items.put("new", value(), Expect::Any).await.unwrap();
    }
    assert_eq!(hand.asked.load(Ordering::SeqCst), 3, "one look is enough");
}

#[tokio::test]
async fn the_systems_resolver_knows_this_host() {
    let addresses = SystemResolver.addresses("localhost").await.unwrap();
    assert!(!addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
}
