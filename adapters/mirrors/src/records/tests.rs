//! Who may overwrite what, what readers see, and the stored form.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use lakemirror_ports::CommitId;
use lakemirror_ports::{Inode, Machine, StoreIdentity};

use super::super::{Memory, Page};
use super::*;

struct Hand(AtomicU64);

#[async_trait]
impl Clock for Hand {
    fn wall_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.wall_ms())
    }
    async fn sleep(&self, _: Duration) {}
}

fn at(ms: u64) -> Arc<Hand> {
    Arc::new(Hand(AtomicU64::new(ms)))
}

fn new(name: &str, incarnation: u8, source_region: &str) -> NewMirror {
    NewMirror {
        name: name.to_owned(),
        incarnation: Incarnation([incarnation; 16]),
        source_repository: "sample".to_owned(),
        source_region: source_region.to_owned(),
        region: "us-west-2".to_owned(),
        storage_namespace: "s3://west/sample".to_owned(),
        created_by: "admin".to_owned(),
        source_store: StoreIdentity::Unknown,
    }
}

fn summary(epoch: u64, seq: u64) -> Summary {
    Summary {
        incarnation: Incarnation([1; 16]),
        name: "m".to_owned(),
        stamp: Stamp { epoch, seq },
        written_at_ms: 5,
        status: Status { lag_seconds: seq, ..Status::creating() },
    }
}

async fn taken(records: &Records, new: &NewMirror) -> Definition {
    match records.create(new).await {
        Err(CreateError::AlreadyExists { by }) => *by,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_name_is_unique_until_it_is_deleted_and_free_at_once() {
    let clock = at(9_000);
    let records = Records::new(Arc::new(Memory::new()), clock.clone());
    let changes = records.changes();
    let first = records.create(&new("m", 1, "east")).await.unwrap();
    assert_eq!((first.creation_date, first.stamp), (9, Stamp { epoch: 0, seq: 9_000 }));
    assert!(changes.has_changed().unwrap());
    assert_eq!(taken(&records, &new("m", 2, "east")).await, first);
    assert_eq!(taken(&records, &new("m", 2, "other-region")).await, first);
    records.create(&new("m2", 3, "east")).await.unwrap();

    assert!(!records.mark_deleted("east", "m", Incarnation([9; 16])).await.unwrap());
    assert!(records.mark_deleted("east", "m", first.incarnation).await.unwrap());
    assert!(!records.mark_deleted("east", "m", first.incarnation).await.unwrap(), "once");
    assert_eq!(records.list_definitions().await.unwrap().active("m"), None);

    let second = records.create(&new("m", 2, "east")).await.unwrap();
    assert!(second.stamp > first.stamp, "although the clock stands still");
    let listing = records.list_definitions().await.unwrap();
    assert_eq!(listing.active("m"), Some(&second));
    let all: Vec<_> =
        listing.definitions.iter().map(|d| (d.name.as_str(), d.incarnation.0[0], d.is_active())).collect();
    assert_eq!(all, [("m", 1, false), ("m", 2, true), ("m2", 3, true)]);
    records.mark_deleted("east", "m", second.incarnation).await.unwrap();
    records.create(&new("m", 4, "elsewhere")).await.unwrap();
}

#[tokio::test]
async fn of_many_creations_at_once_one_wins() {
    let records = Arc::new(Records::new(Arc::new(Memory::new()), at(1)));
    let calls: Vec<_> = (0..12u8)
        .map(|caller| {
            let records = Arc::clone(&records);
            tokio::spawn(async move { records.create(&new("m", caller, "east")).await.is_ok() })
        })
        .collect();
    let mut won = 0;
    for call in calls {
        won += u32::from(call.await.unwrap());
    }
    assert_eq!(won, 1);
    assert_eq!(records.list_definitions().await.unwrap().definitions.len(), 1);
}

#[tokio::test]
async fn tombstones_go_when_acknowledged_and_old_and_acks_after_them() {
    let clock = at(1_000);
    let records = Records::new(Arc::new(Memory::new()), clock.clone());
    let (day, mirror) = (Duration::from_secs(86_400), new("m", 1, "east"));
    records.create(&mirror).await.unwrap();
    records.put_summary("us-west-2", &summary(1, 1)).await.unwrap();
    records.mark_deleted("east", "m", mirror.incarnation).await.unwrap();
    clock.0.fetch_add(day.as_millis() as u64 + 1, Ordering::SeqCst);
    assert_eq!(records.remove_tombstones("east", day).await.unwrap(), 0, "not acknowledged");
    records.ack_deletion("us-west-2", mirror.incarnation, 1).await.unwrap();
    records.ack_deletion("us-west-2", mirror.incarnation, 1).await.unwrap();
    assert_eq!(records.acknowledged().await.unwrap().len(), 1);
    assert_eq!(records.remove_tombstones("east", day * 3).await.unwrap(), 0, "too young");
    assert_eq!(records.remove_tombstones("us-west-2", Duration::ZERO).await.unwrap(), 0, "its tombstone is there");
    assert_eq!(records.remove_tombstones("east", day).await.unwrap(), 1);
    assert!(records.list_definitions().await.unwrap().definitions.is_empty());
    assert_eq!(
        records.remove_tombstones("us-west-2", day).await.unwrap(),
        1,
        "the summary; the acknowledgement is young"
    );
    assert_eq!(records.remove_tombstones("us-west-2", Duration::ZERO).await.unwrap(), 1);
    assert!(records.summaries().await.unwrap().is_empty());
    assert!(records.acknowledged().await.unwrap().is_empty());
    let again = records.create(&new("m", 2, "east")).await.unwrap();
    assert!(again.stamp.seq > 1_001, "an item made anew is not older than the one before");
}

#[tokio::test]
async fn a_living_mirror_is_never_removed_with_its_predecessor() {
    let clock = at(1_000);
    let records = Records::new(Arc::new(Memory::new()), clock.clone());
    records.create(&new("m", 1, "east")).await.unwrap();
    records.mark_deleted("east", "m", Incarnation([1; 16])).await.unwrap();
    records.create(&new("m", 2, "east")).await.unwrap();
    records.ack_deletion("us-west-2", Incarnation([1; 16]), 1).await.unwrap();
    records.ack_deletion("us-west-2", Incarnation([2; 16]), 1).await.unwrap();
    assert_eq!(records.remove_tombstones("east", Duration::ZERO).await.unwrap(), 1);
    assert_eq!(records.list_definitions().await.unwrap().definitions.len(), 1);
    assert!(records.list_definitions().await.unwrap().active("m").is_some());
}

#[tokio::test]
async fn a_lower_stamp_never_overwrites_and_no_change_is_no_write() {
    let records = Records::new(Arc::new(Memory::new()), at(1));
    let put = async |summary: &Summary| records.put_summary("west", summary).await.unwrap();
    assert_eq!(put(&summary(2, 5)).await, Published::Written);
    assert_eq!(put(&summary(2, 5)).await, Published::Unchanged);
    assert_eq!(put(&Summary { stamp: Stamp { epoch: 2, seq: 6 }, ..summary(2, 5) }).await, Published::Unchanged);
    assert_eq!(put(&summary(2, 4)).await, Published::Outdated);
    assert_eq!(put(&summary(1, 99)).await, Published::Outdated);
    assert_eq!(put(&Summary { stamp: Stamp { epoch: 2, seq: 5 }, ..summary(2, 7) }).await, Published::Outdated);
    assert_eq!(put(&summary(3, 1)).await, Published::Written);
    let found = records.summary("west", Incarnation([1; 16])).await.unwrap().unwrap();
    assert_eq!(found, summary(3, 1));
    assert_eq!(records.summaries().await.unwrap()[&Incarnation([1; 16])], found);
}

fn many(count: u32) -> Summary {
    let mut big = summary(1, 1);
    big.status.branches = (0..count)
        .map(|number| BranchStatus {
            name: format!("branch-{number:05}"),
            source_commit: Some(CommitId([7; 32])),
            promoted_commit: (number % 50 != 0).then_some(CommitId([7; 32])),
            state: if number % 50 == 0 { BranchState::Stuck } else { BranchState::Synced },
            waiting: Vec::new(),
            behind_since_ms: None,
        })
        .collect();
    big.status.counts.branches = u64::from(count);
    big
}

async fn parts_of(items: &Memory) -> Vec<(String, Item)> {
    items.query("branches/west/", None, 1000).await.unwrap().items
}

#[tokio::test]
async fn a_summary_of_many_branches_is_several_items_and_only_what_changed_is_written() {
    let items = Arc::new(Memory::new());
    let records = Records::new(items.clone(), at(1));
    let mut big = many(5_000);
    assert_eq!(records.put_summary("west", &big).await.unwrap(), Published::Written);
    let before = parts_of(&items).await;
    assert!(before.len() >= 4 && before.iter().all(|(_, item)| item.value.len() <= ITEM_BYTES_MAX));
    assert_eq!(records.put_summary("west", &big).await.unwrap(), Published::Unchanged);
    let other = Records::new(items.clone(), at(1));
    assert_eq!(other.put_summary("west", &big).await.unwrap(), Published::Unchanged, "also by one that wrote nothing");
    assert_eq!(other.summary("west", big.incarnation).await.unwrap().unwrap(), big);
    assert_eq!(other.summaries().await.unwrap()[&big.incarnation], big);

    big.status.branches[77].state = BranchState::Diverged;
    big.stamp.seq = 2;
    assert_eq!(records.put_summary("west", &big).await.unwrap(), Published::Written);
    let after = parts_of(&items).await;
    assert_eq!(before.iter().zip(&after).filter(|(before, after)| before != after).count(), 1);
    assert_eq!(other.summary("west", big.incarnation).await.unwrap().unwrap(), big);

    let old = Summary { stamp: Stamp { epoch: 0, seq: 9 }, ..many(6_000) };
    assert_eq!(other.put_summary("west", &old).await.unwrap(), Published::Outdated);
    assert_eq!(parts_of(&items).await, after, "one that was overtaken writes nothing");
}

#[tokio::test]
async fn parts_go_when_they_are_not_needed_and_with_the_mirror() {
    let items = Arc::new(Memory::new());
    let clock = at(10);
    let records = Records::new(items.clone(), clock.clone());
    records.put_summary("west", &many(5_000)).await.unwrap();
    let few = Summary { stamp: Stamp { epoch: 1, seq: 2 }, ..many(10) };
    records.put_summary("west", &few).await.unwrap();
    assert!(parts_of(&items).await.is_empty());
    assert_eq!(records.summary("west", few.incarnation).await.unwrap().unwrap(), few);
    let many = Summary { stamp: Stamp { epoch: 1, seq: 3 }, ..many(9_000) };
    records.put_summary("west", &many).await.unwrap();
    assert!(!parts_of(&items).await.is_empty());
    records.ack_deletion("west", many.incarnation, 1).await.unwrap();
    assert!(!parts_of(&items).await.is_empty(), "in another region an older one could come after its removal");
    assert_eq!(records.remove_tombstones("east", Duration::ZERO).await.unwrap(), 0, "not that region's");
    assert_eq!(
        records.remove_tombstones("west", Duration::ZERO).await.unwrap(),
        2,
        "the acknowledgement and the summary"
    );
    assert!(parts_of(&items).await.is_empty() && records.summaries().await.unwrap().is_empty());
}

/// Replays old items and loses answers on demand.
#[derive(Default)]
struct Unruly {
    inner: Memory,
    stale: Mutex<Option<(String, Item)>>,
    lose_next_answer: AtomicBool,
}

#[async_trait]
impl Items for Unruly {
    fn place(&self) -> &str {
        "unruly"
    }
    async fn get(&self, key: &str) -> Result<Option<Item>, Fault> {
        self.inner.get(key).await
    }
    async fn query(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, Fault> {
        let mut page = self.inner.query(prefix, after, limit.min(2)).await?;
        if let Some((key, item)) = &*self.stale.lock().unwrap() {
            page.items.iter_mut().filter(|(found, _)| found == key).for_each(|(_, found)| *found = item.clone());
        }
        Ok(page)
    }
    async fn put(&self, key: &str, value: Bytes, expect: Expect) -> Result<u64, PutError> {
        let done = self.inner.put(key, value, expect).await;
        if self.lose_next_answer.swap(false, Ordering::SeqCst) {
            let call = "write".to_owned();
            return Err(Fault { kind: FaultKind::Retry, call, status: None, message: "timed out".to_owned() }.into());
        }
        done
    }
    async fn delete(&self, key: &str, version: u64) -> Result<(), PutError> {
        self.inner.delete(key, version).await
    }
}

#[tokio::test]
async fn a_reader_ignores_what_is_older_than_what_it_has_seen() {
    let items = Arc::new(Unruly::default());
    let records = Records::new(items.clone(), at(1));
    records.create(&new("m", 1, "east")).await.unwrap();
    let old = items.get("definitions/east/m").await.unwrap().unwrap();
    records.mark_deleted("east", "m", Incarnation([1; 16])).await.unwrap();
    assert_eq!(records.list_definitions().await.unwrap().active("m"), None);
    *items.stale.lock().unwrap() = Some(("definitions/east/m".to_owned(), old));
    assert_eq!(records.list_definitions().await.unwrap().active("m"), None, "a late replay does not revive it");
    assert!(Records::new(items, at(1)).list_definitions().await.unwrap().active("m").is_some(), "the replay was there");
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_not_taken_for_somebody_elses() {
    let items = Arc::new(Unruly::default());
    let records = Records::new(items.clone(), at(1));
    items.lose_next_answer.store(true, Ordering::SeqCst);
    records.create(&new("m", 1, "east")).await.unwrap();
    items.lose_next_answer.store(true, Ordering::SeqCst);
    assert!(records.mark_deleted("east", "m", Incarnation([1; 16])).await.unwrap());
}

#[tokio::test]
async fn pages_are_put_together() {
    let items = Arc::new(Unruly::default());
    let records = Records::new(items, at(1));
    for number in 0..7u8 {
        records.create(&new(&format!("m-{number}"), number, "east")).await.unwrap();
    }
    assert_eq!(records.list_definitions().await.unwrap().definitions.len(), 7);
}

#[tokio::test]
async fn the_stored_form_is_this_and_unknown_fields_are_kept() {
    let items = Arc::new(Memory::new());
    let records = Records::new(items.clone(), at(9_500));
    records.create(&new("m", 1, "east")).await.unwrap();
    let stored = items.get("definitions/east/m").await.unwrap().unwrap();
    let golden = r#"{"v":1,"epoch":0,"seq":9500,"mirrors":[{"name":"m","incarnation":"01010101010101010101010101010101","source_repository":"sample","source_region":"east","region":"us-west-2","storage_namespace":"s3://west/sample","creation_date":9,"created_by":"admin","epoch":0,"seq":9500}]}"#;
    assert_eq!(std::str::from_utf8(&stored.value).unwrap(), golden);

    let newer = golden.replace(r#""created_by""#, r#""colour":"blue","created_by""#);
    items.put("definitions/east/m", Bytes::from(newer), Expect::Any).await.unwrap();
    assert!(records.mark_deleted("east", "m", Incarnation([1; 16])).await.unwrap());
    let stored = items.get("definitions/east/m").await.unwrap().unwrap();
    let text = std::str::from_utf8(&stored.value).unwrap();
    assert!(text.contains(r#""colour":"blue""#) && text.contains(r#""deleted_at_ms":9500"#), "{text}");
}

#[tokio::test]
async fn the_sources_store_is_stored_and_an_earlier_definition_has_none() {
    let items = Arc::new(Memory::new());
    let records = Records::new(items.clone(), at(9_500));
    let machine = Machine { boot: "b-1".to_owned(), installation: String::new() };
    let inode = Some(Inode { device: u64::MAX, number: 7 });
    let source_store = StoreIdentity::Local { machine, path: "/blocks".to_owned(), inode };
    records.create(&NewMirror { source_store: source_store.clone(), ..new("m", 1, "east") }).await.unwrap();
    let stored = items.get("definitions/east/m").await.unwrap().unwrap();
    let text = std::str::from_utf8(&stored.value).unwrap().to_owned();
    let golden = r#""source_store":{"kind":"local","machine":{"boot":"b-1","installation":""},"path":"/blocks","inode":{"device":18446744073709551615,"number":7}}"#;
    assert!(text.contains(golden), "{text}");
    assert_eq!(records.list_definitions().await.unwrap().active("m").unwrap().source_store, source_store);

    let earlier = text.replace(&format!("{golden},"), "");
    items.put("definitions/east/m", Bytes::from(earlier), Expect::Any).await.unwrap();
    assert_eq!(records.list_definitions().await.unwrap().active("m").unwrap().source_store, StoreIdentity::Unknown);
}

#[tokio::test]
async fn a_newer_version_is_refused_by_name_and_holds_back_nothing_else() {
    let items = Arc::new(Memory::new());
    let records = Records::new(items.clone(), at(1));
    records.create(&new("good", 1, "east")).await.unwrap();
    for (name, value) in [("future", r#"{"v":2,"shape":"other"}"#), ("junk", "junk")] {
        items.put(&format!("definitions/east/{name}"), Bytes::from(value), Expect::Any).await.unwrap();
    }
    let listing = records.list_definitions().await.unwrap();
    assert!(listing.active("good").is_some());
    assert_eq!(listing.unreadable.len(), 2);
    assert!(listing.unreadable[0].to_string().contains("version 2"), "{}", listing.unreadable[0]);
    assert!(listing.unreadable[1].to_string().contains("definitions/east/junk"), "{}", listing.unreadable[1]);
    let error = records.create(&new("future", 2, "west")).await.unwrap_err();
    assert!(matches!(error, CreateError::Records(RecordsError::Unreadable { .. })), "never overwritten: {error:?}");
    records.create(&new("better", 2, "east")).await.unwrap();
}

#[test]
fn states_of_a_newer_version_are_unknown_not_errors() {
    let state: MirrorState = serde_json::from_str(r#""hibernating""#).unwrap();
    assert_eq!(state, MirrorState::Unknown);
    let state: BranchState = serde_json::from_str(r#""hibernating""#).unwrap();
    assert_eq!(state, BranchState::Unknown);
}

#[test]
fn of_two_regions_that_gave_a_name_away_the_first_counts() {
    let define =
        |name: &str, incarnation, seconds: u64| new(name, incarnation, "r").define(seconds * 1000, Stamp::default());
    let definitions = [define("m", 3, 5), define("m", 2, 5), define("m", 1, 6), define("n", 9, 9)];
    let losers: Vec<u8> = contested(&definitions).iter().map(|incarnation| incarnation.0[0]).collect();
    assert_eq!(losers, [1, 3]);
}
