//! Owners change hands under a condition, what cannot be read is nobody's to take, and what is left behind goes.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use super::super::super::Memory;
use super::*;

const DAY: Duration = Duration::from_secs(86_400);

struct Hand(AtomicU64);

#[async_trait]
impl Clock for Hand {
    fn wall_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
    async fn sleep(&self, _: Duration) {}
}

fn records() -> (Records, Arc<Memory>, Arc<Hand>) {
    let (memory, clock) = (Arc::new(Memory::new()), Arc::new(Hand(1_000_000.into())));
    (Records::new(Arc::clone(&memory) as _, Arc::clone(&clock) as _), memory, clock)
}

fn beat(process: &str, count: u64) -> Heartbeat {
    Heartbeat { process: process.into(), node: "n".into(), about: "a host".into(), count, ended: false }
}

fn owner(holder: &str, epoch: u64, version: Option<u64>) -> Owner {
    let (holder, node) = (Some(holder.to_owned()), format!("node of {holder}"));
    Owner { holder, about: "a host".into(), node, epoch, meant_for: None, version }
}

const MIRROR: Incarnation = Incarnation([7; 16]);

#[tokio::test]
async fn of_two_takers_one_wins_and_what_was_written_is_read() {
    let (records, ..) = records();
    let first = records.write_owner("west", &MIRROR, &owner("a", 1, None)).await.unwrap();
    assert!(first.is_some());
    assert_eq!(records.write_owner("west", &MIRROR, &owner("b", 1, None)).await.unwrap(), None);
    let second = records.write_owner("west", &MIRROR, &owner("b", 2, first)).await.unwrap();
    assert_eq!(
        records.write_owner("west", &MIRROR, &owner("a", 2, first)).await.unwrap(),
        None,
        "it has changed hands"
    );
    assert_eq!(records.owners("west").await.unwrap(), BTreeMap::from([(MIRROR, owner("b", 2, second))]));
    assert_eq!(records.owners("wes").await.unwrap(), BTreeMap::new(), "each region has its own");
}

#[tokio::test]
async fn heartbeats_are_their_processes_own() {
    let (records, ..) = records();
    records.beat("west", &beat("a", 1)).await.unwrap();
    records.beat("west", &beat("b", 1)).await.unwrap();
    records.beat("west", &Heartbeat { ended: true, ..beat("a", 2) }).await.unwrap();
    let found = records.heartbeats("west").await.unwrap();
    assert_eq!(found, [Heartbeat { ended: true, ..beat("a", 2) }, beat("b", 1)]);
}

#[tokio::test]
async fn an_item_that_cannot_be_read_is_an_error_and_not_nobody() {
    let (records, memory, _) = records();
    for (key, newer) in [("owners/west/x", r#"{"v":2}"#), ("heartbeats/west/x", r#"{"v":2}"#)] {
        memory.put(key, bytes::Bytes::from(newer), Expect::Any).await.unwrap();
    }
    let told = |error: RecordsError| assert!(error.to_string().contains("/west/x"), "{error}");
    told(records.owners("west").await.unwrap_err());
    told(records.heartbeats("west").await.unwrap_err());
}

#[tokio::test]
async fn what_the_dead_left_goes_after_a_day_and_nothing_else() {
    let (records, _, clock) = records();
    let known = NewMirror {
        name: "m".into(),
        incarnation: Incarnation([1; 16]),
        source_repository: "sample".into(),
        source_region: "east".into(),
        region: "west".into(),
        storage_namespace: "s3://b/p".into(),
        created_by: String::new(),
        source_store: lakemirror_ports::StoreIdentity::Unknown,
    };
    records.create(&known).await.unwrap();
    for mirror in [known.incarnation, MIRROR] {
        records.write_owner("west", &mirror, &owner("a", 1, None)).await.unwrap();
    }
    records.beat("west", &beat("dead", 9)).await.unwrap();
    records.beat("other", &beat("dead", 9)).await.unwrap();
    assert_eq!(records.remove_leases("west", DAY).await.unwrap(), 0);
    clock.0.fetch_add(90_000_000, Ordering::SeqCst);
    records.beat("west", &beat("alive", 3)).await.unwrap();
    assert_eq!(records.remove_leases("west", DAY).await.unwrap(), 2);
    assert_eq!(records.heartbeats("west").await.unwrap(), [beat("alive", 3)]);
    assert_eq!(records.owners("west").await.unwrap().into_keys().collect::<Vec<_>>(), [known.incarnation]);
    assert_eq!(records.heartbeats("other").await.unwrap().len(), 1, "only its own region");
}
