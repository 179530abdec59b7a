//! The checker over a store in memory, with faults put in front of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use lakemirror_ports::Outcome;

use super::super::memory::Memory;
use super::super::{Costs, Found, Page, fault};
use super::*;

/// Time that passes only by sleeping.
#[derive(Default)]
struct Hand(AtomicU64);

#[async_trait]
impl Clock for Hand {
    fn wall_ms(&self) -> u64 {
        0
    }
    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::SeqCst))
    }
    async fn sleep(&self, duration: Duration) {
        self.0.fetch_add(u64::try_from(duration.as_micros()).unwrap(), Ordering::SeqCst);
        tokio::task::yield_now().await;
    }
}

struct Zero;

impl Entropy for Zero {
    fn random_u64(&self) -> u64 {
        0
    }
}

/// What stands between checker and store: decides of each request whether it fails.
type Hook = Box<dyn Fn(&str, &str) -> Option<Fault> + Send + Sync>;

struct Faulty {
    memory: Memory,
    hook: Hook,
}

#[async_trait]
impl Store for Faulty {
    fn name(&self) -> &str {
        "faulty"
    }
    fn costs(&self) -> Costs {
        Costs::S3
    }
    async fn get(&self, at: &Location, limit: u64) -> Result<Fetched, Fault> {
        (self.hook)("get", &at.key).map_or(Ok(()), Err)?;
        self.memory.get(at, limit).await
    }
    async fn head(&self, bucket: &str, key: &str) -> Result<Found, Fault> {
        (self.hook)("head", key).map_or(Ok(()), Err)?;
        self.memory.head(bucket, key).await
    }
    async fn list(&self, bucket: &str, prefix: &str, after: &str, max: usize) -> Result<Page, Fault> {
        (self.hook)("list", after).map_or(Ok(()), Err)?;
        self.memory.list(bucket, prefix, after, max).await
    }
}

struct Rig {
    checker: Checker<Faulty>,
    clock: Arc<Hand>,
}

impl Rig {
    fn new(hook: impl Fn(&str, &str) -> Option<Fault> + Send + Sync + 'static) -> Self {
        let store = Faulty { memory: Memory::new(), hook: Box::new(hook) };
        let clock = Arc::new(Hand::default());
        let checker = Checker::new(Arc::new(store), Limits::S3, Arc::clone(&clock) as _, Arc::new(Zero));
        Self { checker, clock }
    }

    fn memory(&self) -> &Memory {
        &self.checker.store.memory
    }

    /// Puts `data/000000`.. with their number's digits as content (6 bytes).
    fn fill(&self, count: u64) {
        for n in 0..count {
            self.memory().put("b", &format!("data/{n:06}"), format!("{n:06}"));
        }
    }

    async fn check(&self, wanted: Vec<Wanted>, effort: Effort) -> Result<HashMap<u64, Outcome>, Fault> {
        let (answers, end) = self.check_to_the_end(wanted, effort).await;
        end.map(|()| answers)
    }

    async fn check_to_the_end(
        &self,
        wanted: Vec<Wanted>,
        effort: Effort,
    ) -> (HashMap<u64, Outcome>, Result<(), Fault>) {
        let collected = Mutex::new(HashMap::new());
        let end = self
            .checker
            .check("b", wanted, effort, &|batch| {
                assert!(!batch.is_empty() && batch.len() <= ANSWERS_MAX);
                for answer in batch {
                    assert_eq!(collected.lock().unwrap().insert(answer.tag, answer.outcome), None, "answered twice");
                }
            })
            .await;
        (collected.into_inner().unwrap(), end)
    }
}

fn wanted(numbers: impl IntoIterator<Item = u64>) -> Vec<Wanted> {
    numbers.into_iter().map(|n| Wanted { key: format!("data/{n:06}").into(), size: 6, tag: n }).collect()
}

fn retry(status: u16) -> Fault {
    Fault { status: Some(status), ..fault(FaultKind::Retry, "call", "later") }
}

#[tokio::test]
async fn many_keys_are_listed_in_parallel_and_each_is_answered_once() {
    let rig = Rig::new(|_, _| None);
    rig.fill(20_000);
    rig.memory().remove("b", "data/000500");
    rig.memory().put("b", "data/000501", "xx");
    // From the last to the first: the order of asking is of no account.
    let answers = rig.check(wanted((0..20_100).rev()), Effort::Sweep).await.unwrap();
    assert_eq!(answers.len(), 20_100);
    for (n, outcome) in answers {
        let expected = match n {
            500 | 20_000.. => Outcome::Absent,
            501 => Outcome::WrongSize { found: 2 },
            _ => Outcome::Present,
        };
        assert_eq!(outcome, expected, "{n}");
    }
    // At least a page's worth a run: 20 runs, each with a page, and fewer HEADs than a page is worth for its rest.
    assert!(rig.memory().lists() <= 40 && rig.memory().heads() < 20 * 13, "{:?}", rig.memory().heads());
}

#[tokio::test]
async fn a_recheck_of_few_lists_nothing_and_tells_deleted_from_absent() {
    let rig = Rig::new(|_, _| None);
    rig.fill(3);
    rig.memory().mark_deleted("b", "data/000001");
    rig.memory().remove("b", "data/000002");
    let answers = rig.check(wanted(0..3), Effort::Recheck).await.unwrap();
    assert_eq!(
        answers,
        std::collections::HashMap::from([(0, Outcome::Present), (1, Outcome::Deleted), (2, Outcome::Absent)])
    );
    assert_eq!((rig.memory().heads(), rig.memory().lists()), (3, 0));
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_a_fault_and_not_absence() {
    let rig = Rig::new(|_, _| None);
    assert_eq!(rig.check(wanted(0..3), Effort::Recheck).await.unwrap_err().kind, FaultKind::Refused);
    rig.memory().create_bucket("b");
    let absent = rig.check(wanted(0..3), Effort::Recheck).await.unwrap();
    assert!(absent.values().all(|outcome| *outcome == Outcome::Absent));
    let lists = rig.memory().lists();
    rig.check(wanted(0..3), Effort::Recheck).await.unwrap();
    assert_eq!(rig.memory().lists(), lists, "a bucket that was there a moment ago is not asked for again");
    rig.clock.sleep(BUCKET_KNOWN_FOR).await;
    rig.check(wanted(0..3), Effort::Recheck).await.unwrap();
    assert_eq!(rig.memory().lists(), lists + 1);
}

#[tokio::test]
async fn throttling_is_waited_out() {
    let left = AtomicU64::new(2);
    let rig = Rig::new(move |_, _| {
        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).ok().map(|_| retry(503))
    });
    rig.fill(1);
    let answers = rig.check(wanted(0..1), Effort::Recheck).await.unwrap();
    assert_eq!(answers, std::collections::HashMap::from([(0, Outcome::Present)]));
    assert!(rig.clock.monotonic() >= Duration::from_millis(300), "{:?}", rig.clock.monotonic());
    assert_eq!(rig.checker.bucket("b").gate.limit(), Limits::S3.in_flight_first / 2);
}

#[tokio::test]
async fn one_key_without_an_answer_is_unknown_and_delays_no_other() {
    let rig = Rig::new(|verb, key| (verb == "head" && key == "data/000001").then(|| retry(500)));
    rig.fill(3);
    let answers = rig.check(wanted(0..3), Effort::Recheck).await.unwrap();
    assert_eq!(
        answers,
        std::collections::HashMap::from([(0, Outcome::Present), (1, Outcome::Unknown), (2, Outcome::Present)])
    );
}

#[tokio::test]
async fn a_key_that_is_refused_is_unknown_and_told_and_no_fault_of_the_others() {
    let rig = Rig::new(|_, key| (key == "data/000001").then(|| fault(FaultKind::Refused, "call", "400")));
    rig.fill(3);
    let (answers, end) = rig.check_to_the_end(wanted(0..3), Effort::Recheck).await;
    assert_eq!(answers, HashMap::from([(0, Outcome::Present), (1, Outcome::Unknown), (2, Outcome::Present)]));
    assert_eq!(end.unwrap_err().message, "400", "it would else be said to be on its way");
}

#[tokio::test]
async fn listings_that_fail_are_replaced_by_heads() {
    let rig = Rig::new(|verb, _| (verb == "list").then(|| retry(500)));
    rig.fill(500);
    let answers = rig.check(wanted(0..600), Effort::Sweep).await.unwrap();
    assert_eq!(answers.values().filter(|outcome| **outcome == Outcome::Present).count(), 500);
    assert_eq!(answers.values().filter(|outcome| **outcome == Outcome::Absent).count(), 100);
}

#[tokio::test]
async fn a_store_that_is_down_fails_the_check_after_a_bounded_number_of_requests() {
    let requests = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&requests);
    let rig = Rig::new(move |_, _| {
        counter.fetch_add(1, Ordering::SeqCst);
        Some(retry(503))
    });
    let failed = rig.check(wanted(0..50_000), Effort::Sweep).await.unwrap_err();
    assert_eq!((failed.kind, failed.status), (FaultKind::Retry, Some(503)));
    assert!(requests.load(Ordering::SeqCst) < 1000, "{requests:?}");
}

#[tokio::test]
async fn a_missing_permission_to_list_is_a_fault() {
    let rig = Rig::new(|verb, _| (verb == "list").then(|| fault(FaultKind::Denied, "LIST", "AccessDenied")));
    rig.fill(500);
    assert_eq!(rig.check(wanted(0..500), Effort::Sweep).await.unwrap_err().kind, FaultKind::Denied);
}

#[tokio::test]
async fn the_rate_is_kept_over_all_runs() {
    let rig = Rig::new(|verb, _| (verb == "list").then(|| fault(FaultKind::Contradiction, "LIST", "nonsense")));
    rig.fill(10_000);
    let answers = rig.check(wanted(0..10_000), Effort::Sweep).await.unwrap();
    assert_eq!(answers.len(), 10_000);
    let least = Duration::from_secs(10_000 / 2000) - Duration::from_millis(50);
    assert!(rig.clock.monotonic() >= least, "{:?}", rig.clock.monotonic());
}

#[tokio::test]
async fn nothing_wanted_asks_nothing() {
    let rig = Rig::new(|_, _| Some(retry(500)));
    assert_eq!(rig.check(Vec::new(), Effort::Sweep).await, Ok(HashMap::new()));
}

#[tokio::test]
async fn reading_repeats_and_gives_up() {
    let at = Location { bucket: "b".into(), key: "data/000000".into() };
    let left = AtomicU64::new(2);
    let rig = Rig::new(move |_, _| {
        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).ok().map(|_| retry(500))
    });
    rig.fill(1);
    assert_eq!(rig.checker.read(&at, 6).await, Ok(Fetched::Bytes("000000".into())));
    assert_eq!(rig.checker.read(&at, 5).await.unwrap_err().kind, FaultKind::Refused);
    let down = Rig::new(|_, _| Some(retry(500)));
    assert_eq!(down.checker.read(&at, 6).await.unwrap_err().kind, FaultKind::Retry);
}

#[tokio::test]
async fn an_archived_object_is_told_by_a_single_request_whichever_way_it_is_found() {
    for (count, effort) in [(20, Effort::Recheck), (3_000, Effort::Sweep)] {
        let rig = Rig::new(|_, _| None);
        rig.fill(count);
        rig.memory().archive("b", "data/000003", 1);
        rig.memory().archive("b", "data/000004", 0);
        rig.memory().put("b", "data/000005", "of another size");
        rig.memory().archive("b", "data/000005", 2);
        let answers = rig.check(wanted(0..count), effort).await.unwrap();
        assert_eq!(answers.len(), usize::try_from(count).unwrap());
        assert_eq!(answers[&3], Outcome::Archived { class: 1 });
        assert_eq!(answers[&4], Outcome::Present, "its copy was restored");
        assert_eq!(answers[&5], Outcome::WrongSize { found: 15 });
        if effort == Effort::Sweep {
            assert!(rig.memory().lists() > 0 && rig.memory().heads() < 20, "{}", rig.memory().heads());
        }
    }
}

#[tokio::test]
async fn a_store_that_throttles_is_asked_less_from_check_to_check() {
    let calls = Arc::new(AtomicU64::new(0));
    let (counted, throttling) = (Arc::clone(&calls), Arc::new(AtomicU64::new(1)));
    let on = Arc::clone(&throttling);
    let rig = Rig::new(move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        (on.load(Ordering::SeqCst) == 1).then(|| retry(503))
    });
    rig.fill(1);
    rig.check(wanted(0..1), Effort::Recheck).await.unwrap_err();
    rig.check(wanted(0..1), Effort::Recheck).await.unwrap_err();
    // Looks again that follow at once, as for an object that has not arrived yet: one request each, ever more slowly.
    let (before, from) = (calls.load(Ordering::SeqCst), rig.clock.monotonic());
    for _ in 0..10 {
        rig.check(wanted(0..1), Effort::Recheck).await.unwrap_err();
    }
    assert_eq!(calls.load(Ordering::SeqCst) - before, 10);
    assert!(rig.clock.monotonic() - from >= Duration::from_secs(20), "{:?}", rig.clock.monotonic() - from);
    throttling.store(0, Ordering::SeqCst);
    rig.check(wanted(0..1), Effort::Recheck).await.unwrap();
    let from = rig.clock.monotonic();
    rig.check(wanted(0..1), Effort::Recheck).await.unwrap();
    assert!(rig.clock.monotonic() - from < Duration::from_millis(200), "one good answer ends it");
}
