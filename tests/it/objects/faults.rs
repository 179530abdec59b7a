//! The S3 store and the checker with a misbehaving server: correct answers or faults, never wrong answers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lakemirror::clock::Clock;
use lakemirror::clock::system::{OsEntropy, SystemClock};
use lakemirror::engine::ports::{
    Answer, Destination as _, Effort, Fault, FaultKind, Fetched, Location, Outcome, Wanted,
};
use lakemirror::objects::Found;
use lakemirror::objects::checker::{Checker, Limits};
use lakemirror::objects::self_test::self_test;

use super::conformance::checked;
use super::faulty_s3::{FaultyS3, Mood};

/// A clock on which every wait is over at once.
struct Hurry(SystemClock);

#[async_trait]
impl Clock for Hurry {
    fn wall_ms(&self) -> u64 {
        self.0.wall_ms()
    }
    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }
    async fn sleep(&self, _: Duration) {
        tokio::task::yield_now().await;
    }
}

fn key(n: u64) -> String {
    format!("ns/data/p/{n:05}")
}

fn even(count: u64) -> impl Iterator<Item = String> {
    (0..count).step_by(2).map(key)
}

fn wanted(count: u64) -> Vec<Wanted> {
    (0..count).map(|n| Wanted { key: key(n).into(), size: 1, tag: n }).collect()
}

fn hurried(server: &FaultyS3) -> Checker<dyn lakemirror::objects::Store> {
    Checker::new(Arc::clone(&server.store), Limits::S3, Arc::new(Hurry(SystemClock::new())), Arc::new(OsEntropy))
}

async fn fault_of(server: &FaultyS3, effort: Effort) -> Fault {
    let nothing = |_: Vec<Answer>| ();
    hurried(server).check("bucket", wanted(400), effort, &nothing).await.unwrap_err()
}

#[tokio::test]
async fn listings_that_break_the_rules_lead_to_right_answers() {
    let moods = [
        Mood::Sound,
        Mood::Inclusive,
        Mood::Backwards,
        Mood::IgnoresStart,
        Mood::Empty,
        Mood::Cut(300),
        Mood::SlowDown(2),
    ];
    for mood in moods {
        let server = FaultyS3::with(even(2400), mood).await;
        // More objects than fit into a page, and few enough requested ones for a test that checks them one by one.
        let fifth = wanted(2400).into_iter().step_by(5).collect();
        let answers = checked(Arc::clone(&server.store), "bucket", fifth, Effort::Sweep).await;
        for (n, outcome) in answers {
            let expected = if n % 2 == 0 { Outcome::Present } else { Outcome::Absent };
            assert_eq!(outcome, expected, "{n} with {mood:?}");
        }
        assert!(server.requests("list") > 0, "{mood:?}");
    }
}

#[tokio::test]
async fn throttling_is_survived_and_a_permanent_outage_is_a_fault() {
    let server = FaultyS3::with(even(10), Mood::SlowDown(2)).await;
    let at = Location { bucket: "bucket".into(), key: key(0) };
    let fault = server.store.get(&at, 9).await.unwrap_err();
    assert_eq!((fault.kind, fault.status), (FaultKind::Retry, Some(503)), "the store itself repeats nothing: {fault}");
    assert_eq!(server.requests("get"), 1);
    assert!(fault.message.contains("SlowDown"), "{fault}");
    assert_eq!(hurried(&server).read(&at, 9).await, Ok(Fetched::Bytes(b"1".to_vec().into())));
    server.set(Mood::SlowDown(u32::MAX));
    let fault = fault_of(&server, Effort::Sweep).await;
    assert_eq!((fault.kind, fault.status), (FaultKind::Retry, Some(503)));
    assert!(server.requests("head") < 1000, "{}", server.requests("head"));
}

#[tokio::test]
async fn forbidden_is_not_absent_and_the_self_test_names_the_permission() {
    let server = FaultyS3::with(even(10), Mood::ForbiddenForMissing).await;
    assert_eq!(server.store.head("bucket", &key(0)).await, Ok(Found::Present { size: 1 }));
    assert_eq!(server.store.head("bucket", &key(1)).await, Ok(Found::Forbidden));
    let answers = checked(Arc::clone(&server.store), "bucket", wanted(4), Effort::Recheck).await;
    assert_eq!(answers.get(&1), Some(&Outcome::Forbidden));
    let fault = self_test(&*server.store, "bucket", "ns/", &OsEntropy).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Denied);
    assert!(fault.message.contains("s3:ListBucket"), "{fault}");
}

#[tokio::test]
async fn a_delete_marker_is_seen_by_head_and_get() {
    let server = FaultyS3::with(even(10), Mood::Markers).await;
    assert_eq!(server.store.head("bucket", &key(1)).await, Ok(Found::Deleted));
    let at = Location { bucket: "bucket".into(), key: key(1) };
    assert_eq!(server.store.get(&at, 9).await, Ok(Fetched::Deleted));
    let answers = checked(Arc::clone(&server.store), "bucket", wanted(2), Effort::Recheck).await;
    assert_eq!(answers.get(&1), Some(&Outcome::Deleted));
}

#[tokio::test]
async fn another_region_is_named() {
    let server = FaultyS3::with(even(10), Mood::OtherRegion).await;
    for fault in [
        self_test(&*server.store, "bucket", "", &OsEntropy).await.unwrap_err(),
        fault_of(&server, Effort::Sweep).await,
        hurried(&server).check("bucket", wanted(3), Effort::Recheck, &|_| ()).await.unwrap_err(),
    ] {
        assert_eq!(fault.kind, FaultKind::Refused, "{fault}");
        assert!(fault.message.contains("eu-central-1"), "{fault}");
    }
}

#[tokio::test]
async fn invalid_listing_is_not_an_empty_one() {
    let server = FaultyS3::with(even(10), Mood::Html).await;
    assert_eq!(server.store.list("bucket", "", "", 9).await.unwrap_err().kind, FaultKind::Contradiction);
    assert_eq!(self_test(&*server.store, "bucket", "", &OsEntropy).await.unwrap_err().kind, FaultKind::Contradiction);
    server.set(Mood::ErrorAs200);
    let fault = server.store.list("bucket", "", "", 9).await.unwrap_err();
    assert_eq!((fault.kind, fault.message.contains("InternalError")), (FaultKind::Retry, true), "{fault}");
}

#[tokio::test]
async fn every_truncated_page_is_a_fault() {
    let server = FaultyS3::with(even(10), Mood::Sound).await;
    let whole = server.store.list("bucket", "ns/", "", 9).await.unwrap();
    assert_eq!((whole.len(), whole.more), (5, false));
    for length in [0, 1, 40, 100, 200, 300, 400] {
        server.set(Mood::Cut(length));
        let fault = server.store.list("bucket", "ns/", "", 9).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Retry, "{length}: {fault}");
    }
}

#[tokio::test]
async fn listings_that_never_come_are_replaced_by_single_requests() {
    let server = FaultyS3::with(even(40), Mood::SilentLists).await;
    let fault = server.store.list("bucket", "", "", 9).await.unwrap_err();
    assert_eq!((fault.kind, fault.status), (FaultKind::Retry, None), "{fault}");
    let answers = checked(Arc::clone(&server.store), "bucket", wanted(40), Effort::Sweep).await;
    assert!(answers.iter().all(|(n, outcome)| (*outcome == Outcome::Present) == (n % 2 == 0)), "{answers:?}");
}
